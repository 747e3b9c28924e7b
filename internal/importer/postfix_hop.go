package importer

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"gatepost/internal/importer/postfix"
)

// routeTLS is how a next hop is spoken to: smtp_tls_policy_maps by the next hop as it is written, else the level of the
// transport's own service, else smtp_tls_security_level.
func (m *postfixImport) routeTLS(r *route, dest string, hops []postfix.Hop, service *postfix.Service) {
	prefix := "smtp"
	if r.lmtp {
		prefix = "lmtp"
	}
	dest = strings.TrimRight(strings.FieldsFunc(dest, func(r rune) bool { return r == ',' || r == ' ' })[0], ",")
	for _, name := range []string{"_tls_security_level", "_tls_policy_maps", "_use_tls", "_enforce_tls", "_tls_fingerprint_cert_match", "_tls_fingerprint_digest"} {
		m.seen[prefix+name] = true
	}
	level, set := m.c.For(service, prefix+"_tls_security_level")
	if !set {
		level = m.oldLevel(prefix, service)
	}
	words := strings.Fields(level.Value)
	at := level.At
	for _, t := range m.c.Tables(prefix + "_tls_policy_maps") {
		if t.Err != nil {
			r.comments = append(r.comments, "The TLS policy of this route may be in "+t.Ref+", which cannot be read.")
			m.leave(at.String(), prefix+"_tls_policy_maps: "+t.Ref, "cannot be read: "+t.Why(), "look what it says of the next hops, and write tls in their routes")
			continue
		}
		if e, ok := lookupPolicy(t, dest); ok {
			words, at = strings.Fields(e.Value), e.At
			break
		}
	}
	if len(words) == 0 {
		words = []string{"none"}
	}
	r.tlsOrigin = at.String()
	m.level(r, words, hops, m.c.Value("smtp_tls_fingerprint_digest"))
}

// oldLevel is that of the parameters before smtp_tls_security_level.
func (m *postfixImport) oldLevel(prefix string, service *postfix.Service) postfix.Param {
	for _, old := range [][2]string{{"_enforce_tls", "encrypt"}, {"_use_tls", "may"}} {
		if p, set := m.c.For(service, prefix+old[0]); set && strings.EqualFold(p.Value, "yes") {
			p.Value = old[1]
			return p
		}
	}
	return postfix.Param{At: postfix.Place{File: "default of Postfix"}}
}

// lookupPolicy finds a next hop as it is written, or a domain above it (postconf(5), smtp_tls_policy_maps).
func lookupPolicy(t *postfix.Table, dest string) (*postfix.Entry, bool) {
	dest = strings.ToLower(dest)
	if e, ok := t.Lookup(dest); ok || strings.HasPrefix(dest, "[") {
		return e, ok
	}
	for rest := dest; strings.Contains(rest, "."); {
		_, rest, _ = strings.Cut(rest, ".")
		if e, ok := t.Lookup("." + rest); ok {
			return e, true
		}
	}
	return nil, false
}

// level writes a TLS level of Postfix (TLS_README) as tls of a route.
func (m *Draft) level(r *route, words []string, hops []postfix.Hop, digest string) {
	what, name := "TLS to "+cmp.Or(hops[0].Host, "a socket")+": "+strings.Join(words, " "), ""
	if len(hops) == 1 && !hops[0].MX {
		name = hops[0].Host
	}
	_, err := netip.ParseAddr(name)
	named := name != "" && err != nil
	switch words[0] {
	case "none":
		r.tls = "none"
		m.taken(r.tlsOrigin, what, `tls = "none"`)
	case "may":
		r.tls = "opportunistic"
		m.taken(r.tlsOrigin, what, `tls = "opportunistic"`)
	case "encrypt":
		r.tls = "required"
		if !allNamed(hops) {
			r.tls = "opportunistic"
			m.changed(r.tlsOrigin, what, `tls = "opportunistic"`, "encrypt takes any certificate; here a certificate is verified by name, and the next hop has only an address or an MX", `write tls = "fingerprint" with the SHA-256 of its certificate, or server_name with tls = "required"`)
			return
		}
		m.changed(r.tlsOrigin, what, `tls = "required"`, "encrypt takes any certificate; here it is verified by name, else mail is deferred", `gatepost check --live says whether it verifies; else write tls = "fingerprint"`)
	case "fingerprint":
		m.fingerprints(r, words[1:], what, digest)
	case "verify", "secure":
		r.tls = "required"
		server := ""
		for _, w := range words[1:] {
			if match, ok := strings.CutPrefix(w, "match="); ok {
				server, _, _ = strings.Cut(match, ":")
			}
		}
		host, ok := domainName(strings.TrimPrefix(server, "."))
		if ok && server != "nexthop" && server != "hostname" && strings.Contains(host, ".") && !strings.HasPrefix(server, ".") {
			r.server = host
		}
		if !named && r.server == "" && !allNamed(hops) {
			r.tls = "opportunistic"
			m.leave(r.tlsOrigin, what, "a certificate is verified by name, and the next hop has only an address or an MX", `write tls = "required" with server_name in its route, before mail passes`)
			return
		}
		m.taken(r.tlsOrigin, what, `tls = "required"`)
	case "dane", "dane-only":
		if !danes(hops) {
			r.tls = "opportunistic"
			m.leave(r.tlsOrigin, what, "TLSA records are of a name, and the next hop has only an address", "write its name as host, with tls = "+strconv.Quote(words[0]))
			return
		}
		r.tls = words[0]
		m.taken(r.tlsOrigin, what, "tls = "+strconv.Quote(words[0]))
	default:
		r.tls = "opportunistic"
		m.leave(r.tlsOrigin, what, "is no level that is known", "")
	}
}

// danes reports whether each hop has a name, which may come of an MX: the records that say so are signed, or there is no DANE.
func danes(hops []postfix.Hop) bool {
	for _, h := range hops {
		if _, err := netip.ParseAddr(h.Host); err == nil || h.Unix != "" {
			return false
		}
	}
	return true
}

// allNamed reports whether each hop has a name that a certificate can be verified by: an address has none, and of an MX whoever
// forges DNS could name his own.
func allNamed(hops []postfix.Hop) bool {
	for _, h := range hops {
		if _, err := netip.ParseAddr(h.Host); err == nil || h.MX || h.Unix != "" {
			return false
		}
	}
	return true
}

func (m *Draft) fingerprints(r *route, words []string, what, digest string) {
	var out []string
	for _, w := range words {
		match, ok := strings.CutPrefix(w, "match=")
		if !ok {
			continue
		}
		for _, f := range strings.Split(match, "|") {
			sum, err := hex.DecodeString(strings.ReplaceAll(f, ":", ""))
			if err == nil && len(sum) == 32 && digest == "sha256" {
				out = unique(out, hex.EncodeToString(sum))
			}
		}
	}
	if len(out) == 0 {
		r.tls = "opportunistic"
		m.leave(r.tlsOrigin, what, "a fingerprint here is the SHA-256 of the certificate, and this one is not", `write tls = "fingerprint" and fingerprints in its route, before mail passes`)
		return
	}
	r.tls, r.fingerprints = "fingerprint", out
	m.changed(r.tlsOrigin, what, `tls = "fingerprint"`, "Postfix takes the digest of the public key too; here it is that of the certificate", "gatepost check --live says whether it is")
}

// routeAuth tells of the password for a next hop, which is never copied.
func (m *postfixImport) routeAuth(r *route, dest string, service *postfix.Service) {
	prefix := "smtp"
	if r.lmtp {
		prefix = "lmtp"
	}
	on, set := m.c.For(service, prefix+"_sasl_auth_enable")
	m.seen[prefix+"_sasl_auth_enable"], m.seen[prefix+"_sasl_password_maps"] = true, true
	if !set || !strings.EqualFold(on.Value, "yes") {
		return
	}
	maps, _ := m.c.For(service, prefix+"_sasl_password_maps")
	for _, t := range m.c.Secrets(prefix + "_sasl_password_maps") {
		what := prefix + "_sasl_password_maps: " + t.Ref + " for " + short(dest)
		if t.Err != nil {
			m.leave(maps.At.String(), what, "cannot be read from here: "+t.Why(), "if the next hop wants a login, write it in its route")
			continue
		}
		e, ok := t.Lookup(strings.ToLower(dest))
		if !ok {
			e, ok = t.Lookup(r.hops[0].host)
		}
		if ok {
			user, _, _ := strings.Cut(e.Value, ":")
			r.login, r.loginOrigin = short(user), e.At.String()
			m.leave(e.At.String(), what, "a password is never copied; Postfix logs in as "+short(user), "put the password into a file that only the gateway's user can read, and take the # away before auth in the route")
		}
	}
}
