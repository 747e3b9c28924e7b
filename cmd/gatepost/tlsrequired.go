package main

import (
	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/config"
)

// tlsRules translates what is asked of the encryption of some senders' mail.
func tlsRules(c *config.Config) (out []filters.TLSRule) {
	for i := range c.Policy.RequiredTLS {
		r := &c.Policy.RequiredTLS[i]
		out = append(out, filters.TLSRule{Domains: r.Domains, Networks: r.Networks, Pins: r.Pins, Version: "TLS" + r.MinVersion})
	}
	return out
}

// asksCertificate makes what edge goes by when it asks clients for a certificate: nobody is asked while nobody looks.
func asksCertificate(s *gateway.Snapshot, rules []filters.TLSRule) {
	if s.Policy.Runs("tls") {
		s.AskCertificate = filters.AskCertificate(rules)
	}
}
