package config

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Validate checks that a route leads somewhere and that what its tls mode needs is there.
func (r *Route) Validate(report func(key, message, instead string)) {
	if r.Kind == RouteReport {
		r.takesReports(report)
		return
	}
	if len(r.NextHops) == 0 {
		report("next_hop", "the route has none", "write [[route.next_hop]] with host and port below it")
	}
	hops := map[NextHop]bool{}
	for i, h := range r.NextHops {
		same := NextHop{Host: h.Host, MX: h.MX, SRV: h.SRV, Port: h.Port}
		if h.SRV != "" {
			same.Port = 0
		}
		if where := "next_hop[" + strconv.Itoa(i) + "]."; h.name() != "" && hops[same] {
			report(where+h.key(), shown(h.name())+" with this port is in the route twice", "remove one of them")
		}
		r.found(i, report)
		r.named(i, report)
		hops[same] = true
		r.lmtp(i, report)
		if _, err := netip.ParseAddr(h.Host); err == nil && r.TLS == TLSRequired && r.ServerName == "" {
			report("tls", `"required" verifies a name, but next hop `+h.Host+" has only an address", "write server_name, or the next hop's name as its host")
		}
	}
	r.spoolsVerified(report)
	r.credentials(report)
	switch n := r.Rate.N; {
	case r.Rate.Sized:
		report("rate", "is a size, and messages are a number", rateAdvice)
	case n > int64(r.Rate.Period/time.Microsecond):
		report("rate", "is faster than can be counted", `write at most one in a microsecond, or "none"`)
	}
	if r.TLS == TLSFingerprint && len(r.Fingerprints) == 0 {
		report("fingerprints", `tls = "fingerprint" needs at least one`, "write the SHA-256 of the next hop's certificate")
	}
	if r.TLS != TLSFingerprint && len(r.Fingerprints) > 0 {
		report("fingerprints", "would not be looked at", `write tls = "fingerprint", or remove them`)
	}
	if r.TLS != TLSRequired && r.CAFile != "" {
		report("ca_file", "would not be looked at", `write tls = "required", or remove it`)
	}
	if r.TLS != TLSRequired && r.ServerName != "" {
		report("server_name", "would not be looked at", `write tls = "required", or remove it`)
	}
}

// takesReports checks that a route whose mail ends here leads nowhere else.
func (r *Route) takesReports(report func(key, message, instead string)) {
	if len(r.NextHops) > 0 {
		report("next_hop", `the mail of a route with kind = "report" ends here`, "remove it, or write kind = \"relay\"")
	}
	if r.WhenDown == DownSpool {
		report("when_down", `with kind = "report" there is no next hop that could be down`, "remove it")
	}
}

// lmtp checks what the protocol says of one next hop.
func (r *Route) lmtp(i int, report func(key, message, instead string)) {
	h, at := &r.NextHops[i], "next_hop["+strconv.Itoa(i)+"]."
	socket := strings.HasPrefix(h.Host, unixPrefix)
	switch {
	case r.Protocol != ProtocolLMTP && socket:
		report(at+"host", shown(h.Host)+" is a socket, on which mail is taken by LMTP only", `write protocol = "lmtp" in the route, or the next hop's name`)
	case socket && (r.TLS == TLSRequired || r.TLS == TLSFingerprint || r.TLS == TLSDANE || r.TLS == TLSDANEOnly):
		report("tls", shown(string(r.TLS))+" needs a certificate, and "+shown(h.Host)+" is a socket of this host", `leave tls out, or write the next hop's name`)
	case r.Protocol == ProtocolLMTP && (h.Host != "" || h.MX != "") && !socket && h.Port == 25:
		report(at+"port", "LMTP is never spoken on port 25 (RFC 2033 section 5)", "write the port that the mail store listens on, as port = 24")
	}
}

// credentials checks that what proves who we are is told to nobody else, and is whole.
func (r *Route) credentials(report func(key, message, instead string)) {
	switch a := &r.Auth; {
	case !a.Used():
	case a.User == "":
		report("auth.password_file", "is of nobody", "write auth.user, or remove it")
	case a.PasswordFile == "":
		report("auth.user", "has no password", "write auth.password_file, or remove it")
	case r.TLS != TLSRequired && r.TLS != TLSFingerprint && r.TLS != TLSDANEOnly:
		report("auth.user", "with tls = "+shown(string(r.TLS))+" the password could be told to whoever listens", `write tls = "required", "fingerprint" or "dane-only"`)
	}
	if r.Auth.Used() && r.Forward == "xclient" {
		report("forward", `"xclient" would make the session that of a client who proved nothing`, `write forward = "xforward" or "none", or remove auth`)
	}
	switch {
	case r.ClientCert == "" && r.ClientKey != "":
		report("client_key", "has no certificate", "write client_certificate, or remove it")
	case r.ClientCert != "" && r.ClientKey == "":
		report("client_certificate", "has no private key", "write client_key, or remove it")
	case r.ClientCert != "" && r.TLS == TLSNone:
		report("client_certificate", `would not be shown with tls = "none"`, `write tls = "required", or remove it`)
	}
}

// name and key are which of the three ways a next hop is named by.
func (h *NextHop) name() string { return cmp.Or(h.Host, h.MX, h.SRV) }

func (h *NextHop) key() string {
	switch {
	case h.Host != "":
		return "host"
	case h.MX != "":
		return "mx"
	}
	return "srv"
}

// named checks that DANE has a name to ask for.
func (r *Route) named(i int, report func(key, message, instead string)) {
	h := &r.NextHops[i]
	if r.TLS != TLSDANE && r.TLS != TLSDANEOnly {
		return
	}
	if _, err := netip.ParseAddr(h.Host); err == nil {
		report("tls", shown(string(r.TLS))+" asks DNS for the TLSA records of a name, but next hop "+h.Host+" has only an address", "write the next hop's name as its host")
	}
}

// found checks a next hop that DNS is to name.
func (r *Route) found(i int, report func(key, message, instead string)) {
	h, at := &r.NextHops[i], "next_hop["+strconv.Itoa(i)+"]."
	switch {
	case h.Host != "" && h.MX != "", h.Host != "" && h.SRV != "", h.MX != "" && h.SRV != "":
		report(at+h.key(), "the next hop is named in two ways", "write one of host, mx and srv, and a [[route.next_hop]] for each other")
	case h.Host == "" && (h.MX != "" || h.SRV != "") && r.TLS == TLSRequired && r.ServerName == "":
		report("tls", `"required" verifies a name, and whoever forges DNS could name his own as `+h.key(), "write server_name, or the next hop's name as its host")
	}
}
