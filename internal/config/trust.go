package config

import (
	"net/netip"
	"strconv"
	"strings"
)

// untrusted refuses DANE where the word of a resolver does not count: nothing would ever be verified, and nobody would notice. The
// servers of /etc/resolv.conf are not looked at here; the log says of them what is true when they are used.
func (c *Config) untrusted(file string) (out Problems) {
	d := &c.Bootstrap.DNS
	bad := ""
	switch d.TrustAD {
	case "none":
		bad = `with dns.trust_ad = "none"`
	case "loopback":
		for _, s := range d.Servers {
			if !loopback(s) {
				bad = "as dns.servers has " + s + ", whose word does not count,"
			}
		}
	}
	if bad == "" {
		return nil
	}
	for i := range c.Policy.Routes {
		r := &c.Policy.Routes[i]
		if r.TLS != TLSDANE && r.TLS != TLSDANEOnly {
			continue
		}
		p := Problem{File: file, Key: "route[" + r.Name + "].tls", Message: bad + " nothing that is published can be believed, and " + shown(string(r.TLS)) + " verifies nobody",
			Instead: `let dns.servers name validating resolvers at loopback addresses alone, or write dns.trust_ad = "all" where you answer for the network between`}
		where := c.Where["route."+r.Name+".tls"]
		if n, err := strconv.Atoi(where[strings.LastIndexByte(where, ':')+1:]); err == nil {
			p.Line, p.Column = n, 1
		}
		out = append(out, p)
	}
	return out
}

// loopback reports whether a server is at a loopback address.
func loopback(server string) bool {
	if a, err := netip.ParseAddr(server); err == nil {
		return a.Unmap().IsLoopback()
	}
	a, err := netip.ParseAddrPort(server)
	return err == nil && a.Addr().Unmap().IsLoopback()
}
