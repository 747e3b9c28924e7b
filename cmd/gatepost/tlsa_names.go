package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/tls/dane"
)

// mailName is one host of ours that MX records lead to.
type mailName struct {
	Host     string
	Domains  []string // of ours whose MX names it; none where it is only our own name
	Unsigned []string // of these, those whose MX was not validated: senders do not look for TLSA
}

// Bounds of what is looked up: an installation with more domains has few names for all of them.
const (
	mostMXDomains = 500
	mostMXHosts   = 64
)

// mailNames finds the hosts at which senders reach this gateway: its own name, and those MX hosts of its domains that a
// certificate of keys is for, or will be, or that have an address of it. whole says that every answer could be told.
func mailNames(ctx context.Context, r *dns.Resolver, c *config.Config, keys []dane.Key) (out []mailName, whole bool) {
	own := strings.ToLower(c.Bootstrap.Hostname)
	if dns.ValidName(own) {
		out = append(out, mailName{Host: own})
	}
	var domains []string
	for i := range c.Policy.Domains {
		if name := strings.ToLower(c.Policy.Domains[i].Name); !strings.HasPrefix(name, "*") && len(domains) < mostMXDomains {
			domains = append(domains, name)
		}
	}
	answers := make([]dns.Answer[dns.MX], len(domains))
	atOnce(len(domains), func(i int) { answers[i] = r.MX(ctx, domains[i]) })
	whole = true
	byHost := map[string]*mailName{}
	var order []string
	for i, a := range answers {
		if a.Status != dns.Found {
			whole = whole && a.Status == dns.None
			continue
		}
		for _, mx := range a.Records {
			if !dns.ValidName(mx.Host) || strings.Contains(mx.Host, "*") {
				continue
			}
			n := byHost[mx.Host]
			if n == nil {
				if len(byHost) == mostMXHosts {
					continue
				}
				n = &mailName{Host: mx.Host}
				byHost[mx.Host], order = n, append(order, mx.Host)
			}
			n.Domains = append(n.Domains, domains[i])
			if !a.AD {
				n.Unsigned = append(n.Unsigned, domains[i])
			}
		}
	}
	ours, told := make([]bool, len(order)), make([]bool, len(order))
	here, known := addressesHere(ctx, r, c.Bootstrap)
	atOnce(len(order), func(i int) { ours[i], told[i] = isOurs(ctx, r, order[i], own, here, keys) })
	for i, host := range order {
		whole = whole && (ours[i] || told[i] && known)
		switch {
		case host == own && len(out) > 0:
			out[0] = *byHost[host]
		case ours[i]:
			out = append(out, *byHost[host])
		}
	}
	return out, whole
}

// isOurs reports whether an MX host is this gateway. told says that its addresses could be told.
func isOurs(ctx context.Context, r *dns.Resolver, host, own string, here []netip.Addr, keys []dane.Key) (ours, told bool) {
	if host == own || slices.ContainsFunc(keys, func(k dane.Key) bool { return dane.Covers(k.Names, host) }) {
		return true, true
	}
	a := r.Addrs(ctx, host)
	return slices.ContainsFunc(a.Records, func(a netip.Addr) bool { return slices.Contains(here, a) }), unknown(a) == nil
}

// addressesHere are those of our own name, and those that listeners name one by one. Others, as behind a translation of
// addresses, only the certificate tells. told says that those of our name could be told.
func addressesHere(ctx context.Context, r *dns.Resolver, b *config.Bootstrap) (out []netip.Addr, told bool) {
	own := r.Addrs(ctx, b.Hostname)
	out = own.Records
	for i := range b.Listeners {
		for _, a := range b.Listeners[i].Addresses {
			if ip := a.Addr().Unmap(); !ip.IsUnspecified() && !ip.IsLoopback() {
				out = append(out, ip)
			}
		}
	}
	return out, unknown(own) == nil
}

// atOnce does n things, some at a time.
func atOnce(n int, do func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, looksAtOnce)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	all.Wait()
}

// chainOf is what a certificate is shown with; nil where it cannot be read.
func chainOf(c *tls.Certificate) []*x509.Certificate {
	if c == nil || c.Leaf == nil {
		return nil
	}
	chain := []*x509.Certificate{c.Leaf}
	for _, der := range c.Certificate[1:] {
		if x, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, x)
		}
	}
	return chain
}
