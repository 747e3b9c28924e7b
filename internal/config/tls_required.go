package config

import (
	"net/netip"
	"strconv"
)

// RequiredTLS is mail that is taken only over TLS.
type RequiredTLS struct {
	Domains    []string       `toml:"domains" format:"pattern" example:"partner.example" doc:"Domains of reverse-paths. \"*.partner.example\" stands for all names below it. Who bounces has an empty reverse-path and is not meant: name the networks of the domain's servers as well where that matters."`
	Networks   []netip.Prefix `toml:"networks" example:"192.0.2.0/24" doc:"Clients all of whose mail is meant, whatever its reverse-path. Mail that is from one of the domains or from one of the networks is meant, not only what is both; where several [[tls_required]] mean it, it must do as all say."`
	Pins       []string       `toml:"pins" format:"fingerprint" doc:"SHA-256 of client certificates, or of their public keys, of which the client must show one. Name the next one before a change. Clients are asked for a certificate where this can matter: those of the networks, or every client where there are domains. A few old senders break on being asked; gatepost log search shows sessions that end with tls."`
	MinVersion string         `toml:"min_version" enum:"1.2,1.3" default:"1.2" rfc:"RFC 8996" doc:"The oldest version of TLS that will do. Below 1.2 nothing is spoken here at all."`
}

// Validate wants somebody to be meant.
func (r *RequiredTLS) Validate(report func(key, message, instead string)) {
	if len(r.Domains) == 0 && len(r.Networks) == 0 {
		report("domains", "are not said, and no networks either: nobody's mail is meant", "write domains, networks or both")
	}
}

// Warn says what RFC 3207 section 4 forbids a mail host of the internet.
func (r *RequiredTLS) Warn(report func(key, message, instead string)) {
	for i, n := range r.Networks {
		if n.Bits() == 0 {
			report("networks["+strconv.Itoa(i)+"]", "asks everybody for TLS: mail of servers that cannot do it is lost to you", "name those who are known to use it, or take it away where this host is an MX of the internet (RFC 3207 section 4)")
		}
	}
}

// tlsRequiredOnce refuses a domain or a network that is named in two entries: with pins of both no certificate would do.
func (p *Policy) tlsRequiredOnce(report func(key, message, instead string)) {
	seen := map[string]bool{}
	once := func(key, name string) {
		if seen[name] {
			report(key, shown(name)+" is there twice", "say all that is asked of it in one [[tls_required]]")
		}
		seen[name] = true
	}
	for i := range p.RequiredTLS {
		r, at := &p.RequiredTLS[i], "tls_required["+strconv.Itoa(i)+"]"
		for j, d := range r.Domains {
			once(at+".domains["+strconv.Itoa(j)+"]", d)
		}
		for j, n := range r.Networks {
			once(at+".networks["+strconv.Itoa(j)+"]", n.Masked().String())
		}
	}
}
