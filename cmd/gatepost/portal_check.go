package main

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatepost/internal/config"
)

// portalWarnings tells what keeps users from the page that links of digests lead to.
func portalWarnings(c *config.Config) (out config.Problems) {
	web := &c.Bootstrap.Web
	if len(web.Portal) == 0 {
		return nil // links without a page are refused
	}
	warn := func(message, instead string) {
		p := config.Problem{File: c.BootstrapPath, Key: "web.portal", Message: message, Instead: instead, Warning: true}
		where := c.BootstrapAt["web.portal"]
		if line, err := strconv.Atoi(where[strings.LastIndexByte(where, ':')+1:]); err == nil {
			p.Line, p.Column = line, 1
		}
		out = append(out, p)
	}
	if !c.Policy.Portal.Login && !slices.ContainsFunc(c.Policy.Domains, func(d config.Domain) bool { return len(c.Policy.DigestAt(&d)) > 0 }) {
		warn("no domain has a digest, so that no link leads there, and users cannot log in", `write at = ["07:00"] in [quarantine.digest] of policy.toml, or login = true in [portal], or remove the key`)
	}
	u, err := url.Parse(web.PortalURL)
	if err != nil || u.Hostname() == "" {
		return out
	}
	name := hostOf(u.Hostname())
	set, _, err := setOfFiles(c.Bootstrap)
	covered := err != nil // that is told elsewhere
	_, above, _ := strings.Cut(name, ".")
	for _, x := range c.Bootstrap.TLS.ACME {
		covered = covered || slices.Contains(x.Names, name) || slices.Contains(x.Names, "*."+above)
	}
	if set != nil {
		for _, o := range set.All() {
			covered = covered || o.Certificate.Leaf.VerifyHostname(name) == nil
		}
	}
	if !covered {
		warn("no certificate is for "+name+", so that no browser shows the page", "write the name in a [[tls.acme]], or a file with it as [[tls.file]], in gatepost.toml")
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	if !slices.ContainsFunc(web.Portal, func(a netip.AddrPort) bool { return a.Port() == 0 || strconv.Itoa(int(a.Port())) == port }) {
		warn("links lead to port "+port+", where web.portal does not listen", "write the port behind the name in portal_url, unless a firewall passes connections on")
	}
	return out
}
