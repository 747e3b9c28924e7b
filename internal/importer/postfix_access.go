package importer

import (
	"fmt"
	"net/netip"
	"strings"

	"gatepost/internal/importer/postfix"
)

// restrictions goes through smtpd_*_restrictions: tables become entries, lists of DNS are kept for dnsLists, and of the rest
// the report says what stands for it.
func (m *postfixImport) restrictions() {
	for _, list := range []string{"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions", "smtpd_restriction_classes"} {
		p, _ := m.get(list)
		if list == "smtpd_restriction_classes" {
			for _, class := range strings.Fields(strings.ReplaceAll(p.Value, ",", " ")) {
				m.seen[class] = true
			}
		}
	}
	told := map[string]bool{}
	for _, r := range m.c.Restrictions(m.mx) {
		key := r.Name + " " + r.Arg + fmt.Sprint(r.Warn)
		if told[key] {
			continue // the same in another list
		}
		told[key] = true
		what := strings.TrimSpace(r.List + ": " + r.Name + " " + r.Arg)
		switch {
		case r.Warn:
			m.leave(r.At.String(), r.List+": warn_if_reject "+strings.TrimSpace(r.Name+" "+hidden(r.Arg)), "only logs what it would refuse", `set the check to action = "observe" where you want that`)
		case r.Table != nil:
			m.accessTable(r, what)
		case isZoneRestriction(r.Name): // dnsLists
		default:
			m.restriction(r, what)
		}
	}
}

func isZoneRestriction(name string) bool {
	for _, p := range []string{"reject_rbl_client", "reject_rhsbl_", "permit_dnswl_client", "permit_rhswl_client"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// accessTable turns a table of access(5) into entries.
func (m *postfixImport) accessTable(r postfix.Restriction, what string) {
	kind := map[string]string{"check_client_access": kindReverse, "check_reverse_client_hostname_access": kindReverse,
		"check_helo_access": kindHelo, "check_sender_access": kindAddress}[r.Name]
	t := r.Table
	switch {
	case t.Err != nil:
		m.leave(r.At.String(), what, "cannot be read: "+t.Why(), "write its entries in checks.access")
		return
	case r.Name == "check_recipient_access":
		m.leave(r.At.String(), what, "what is refused or let through by recipient has no list here", "an address that must not get mail is best unknown to the next hop")
		return
	case kind == "":
		m.leave(r.At.String(), what, "asks DNS, a certificate or a login for what it looks up", "look at checks.rbl and checks.helo for what is wanted")
		return
	}
	if t.Kind == postfix.Static {
		m.leave(r.At.String(), what, "holds for everybody", "")
		return
	}
	n := 0
	for i := range t.Entries {
		e := &t.Entries[i]
		if e.Key == "if" || e.Key == "endif" {
			continue
		}
		if m.accessEntry(r, t, e, kind) {
			n++
		}
	}
	if n > 0 {
		m.taken(r.At.String(), what, number(n)+" of "+number(len(t.Entries))+" entries in checks.access")
	}
}

// accessEntry takes one entry over.
func (m *postfixImport) accessEntry(r postfix.Restriction, t *postfix.Table, e *postfix.Entry, kind string) bool {
	what := strings.TrimPrefix(r.Name, "check_") + ": " + e.Key + " " + e.Value
	l := listed{kind: kind, value: e.Key, where: e.At.String(), what: what, below: t.Kind == postfix.Indexed && m.c.Matches("smtpd_access_maps")}
	var why string
	if l.allow, l.reason, why = action(e.Value); why != "" {
		m.leave(l.where, what, why, "")
		return false
	}
	if e.Not || e.Within {
		m.leave(l.where, what, "holds for all that a pattern does not match, or within an if", "")
		return false
	}
	switch {
	case t.Kind == postfix.Network:
		l.kind, l.value = kindNetwork, e.Net.String()
	case t.Kind == postfix.Regexp:
		var ok bool
		if l.kind, l.value, ok = fromExpression(kind, e.Key); !ok {
			m.leave(l.where, what, "is an expression that is no plain name or address", "")
			return false
		}
	case kind == kindReverse && isAddressKey(e.Key):
		l.kind, l.value = kindNetwork, addressKey(e.Key)
	case kind == kindReverse && e.Key == "unknown":
		m.leave(l.where, what, "clients without a verified name have a check of their own, rdns", `look at gatepost explain rdns`)
		return false
	case kind == kindAddress && (e.Key == "<>" || strings.HasSuffix(e.Key, "@")):
		m.leave(l.where, what, "is the null sender, or a local part in every domain; entries name addresses and domains", "")
		return false
	}
	if r.Name == "check_reverse_client_hostname_access" && l.kind == kindReverse && !l.allow {
		m.changed(l.where, what, "checks.access.sender.entry", "Postfix looks at the name in the PTR record; here it counts only where the name has the address too", "")
	}
	return m.entries.add(l)
}

// action reads the right-hand side of access(5): whether it allows, and the text of a refusal; or why it is neither.
func action(value string) (allow bool, reason, why string) {
	verb, rest, _ := strings.Cut(value, " ")
	rest = strings.TrimSpace(rest)
	code := len(verb) == 3 && (verb[0] == '4' || verb[0] == '5') && strings.Trim(verb, "0123456789") == ""
	switch upper := strings.ToUpper(verb); {
	case upper == "REJECT", code && rest != "":
		return false, rest, ""
	case upper == "DISCARD":
		return false, "was thrown away", ""
	case upper == "OK", upper == "PERMIT", upper == "RELAY", strings.Trim(verb, "0123456789") == "" && rest == "":
		return true, "", ""
	case upper == "DUNNO":
		return false, "", "DUNNO makes an exception from entries behind it; here the narrowest network decides, and names have no exception"
	case upper == "DEFER", upper == "DEFER_IF_PERMIT", upper == "DEFER_IF_REJECT":
		return false, "", "an entry refuses or allows; it does not defer"
	case upper == "WARN", upper == "INFO", upper == "PREPEND", upper == "BCC", upper == "FILTER", upper == "REDIRECT", upper == "HOLD":
		return false, "", verb + " has no counterpart: an entry refuses or allows"
	}
	return false, "", "it names other restrictions for some clients, which has no counterpart"
}

// isAddressKey tells an address or the first octets of one from a name.
func isAddressKey(key string) bool {
	return strings.Contains(key, ":") || strings.Trim(key, "0123456789./") == ""
}

// addressKey makes a network of an address or of its first octets: "192.0.2" is 192.0.2.0/24.
func addressKey(key string) string {
	if _, err := netip.ParseAddr(key); err == nil || strings.Contains(key, "/") {
		return key
	}
	if strings.Contains(key, ":") {
		n := strings.Count(key, ":") + 1
		return key + "::/" + number(16*n)
	}
	n := strings.Count(key, ".") + 1
	return key + strings.Repeat(".0", max(4-n, 0)) + "/" + number(8*n)
}

// fromExpression reads an expression that means one name, all names below one, one address, or all addresses of a domain.
func fromExpression(kind, expression string) (k, value string, ok bool) {
	plain, start, end, ok := postfix.Literal(expression)
	if !ok || !end {
		return "", "", false
	}
	if kind == kindAddress {
		switch {
		case start && strings.Contains(plain, "@"), strings.HasPrefix(plain, "@"):
			return kind, plain, true
		case strings.HasPrefix(plain, ".") && !start:
			return kind, "@" + plain, true
		}
		return "", "", false
	}
	if start && !strings.HasPrefix(plain, ".") || !start && strings.HasPrefix(plain, ".") {
		if isAddressKey(plain) {
			_, err := netip.ParseAddr(plain)
			return kindNetwork, plain, err == nil && kind == kindReverse
		}
		return kind, plain, true
	}
	return "", "", false
}

// restriction says what stands for one without a table.
func (m *postfixImport) restriction(r postfix.Restriction, what string) {
	at := r.At.String()
	switch r.Name {
	case "permit_mynetworks", "permit_inet_interfaces":
		m.changed(at, what, "trusted.networks", "they are not exempt from checks, and may not relay", "")
	case "permit_sasl_authenticated", "permit_tls_clientcerts", "permit_tls_all_clientcerts":
		m.leave(at, what, "clients do not log in to an inbound gateway", "users send through the internal mail server")
	case "reject_unauth_destination", "defer_unauth_destination", "permit_auth_destination", "reject":
		m.taken(at, what, "checks.relay: mail for domains that are not served is always refused")
	case "reject_unlisted_recipient", "reject_unverified_recipient":
		m.taken(at, what, "checks.rcpt, and recipients of the route")
	case "reject_unknown_sender_domain":
		m.taken(at, what, "checks.sender: a domain that does not exist is refused")
	case "reject_non_fqdn_sender", "reject_non_fqdn_recipient":
		m.taken(at, what, "an address without a domain is refused")
	case "reject_unauth_pipelining":
		m.taken(at, what, "checks.pipelining")
	case "reject_unknown_client_hostname", "reject_unknown_client":
		m.changed(at, what, "checks.rdns scores it", "a client without a verified name costs points and is not refused for it alone", `write action = "reject" in [checks.rdns] to refuse it, as Postfix does`)
	case "reject_unknown_reverse_client_hostname":
		m.changed(at, what, "checks.rdns scores it", "a client without a PTR record costs points and is not refused for it alone", "")
	case "reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "reject_unknown_helo_hostname", "reject_invalid_hostname", "reject_non_fqdn_hostname", "reject_unknown_hostname":
		m.changed(at, what, "checks.helo scores it", "a HELO name that is wrong costs points and is not refused for it alone", `write action = "reject" in [checks.helo] to refuse it, as Postfix does`)
	case "reject_unverified_sender":
		m.leave(at, what, "senders are not called back: it harms those whose address is forged", "")
	case "reject_unlisted_sender", "reject_sender_login_mismatch", "reject_authenticated_sender_login_mismatch", "reject_unauthenticated_sender_login_mismatch", "reject_known_sender_login_mismatch":
		m.leave(at, what, "is about the users' own mail", "mail from outside in your own domain's name is a matter of DMARC: publish p=reject")
	case "reject_multi_recipient_bounce":
		m.changed(at, what, "rate.messages and greylist.null", "bounces are limited by recipient", "")
	case "check_policy_service":
		m.policyService(at, what, r.Arg)
	case "permit":
		m.taken(at, what, "what no check refuses is let in")
	case "sleep", "reject_plaintext_session", "permit_mx_backup":
		m.leave(at, what, "has no counterpart", "")
	default:
		m.leave(at, what, "is not known to this import", "")
	}
}

// policyService recognises the usual policy daemons by their address.
func (m *postfixImport) policyService(at, what, service string) {
	s := strings.ToLower(service)
	switch {
	case strings.Contains(s, "postgrey"), strings.Contains(s, ":10023"), strings.Contains(s, ":60000"), strings.Contains(s, "sqlgrey"), strings.Contains(s, ":2501"):
		m.changed(at, what, "checks.greylist", "it greylists every stranger; Gatepost only those that are suspect. What it has learned is not taken over", "its lists of clients (/etc/postgrey/whitelist_clients) are hardly needed: who passes SPF or has a verified name does not wait")
	case strings.Contains(s, "spf"):
		m.changed(at, what, "checks.spf", "SPF is a check here; fail costs points, and is refused only for a domain that publishes nothing but -all", "")
	case strings.Contains(s, ":10022"):
		m.changed(at, what, "checks.greylist and checks.spf", "pmgpolicy greylists and looks at SPF", "")
	default:
		m.leave(at, what, "a policy service is not asked", "look what it does: limits are [[rate]], lists checks.access, greylisting checks.greylist")
	}
}
