package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Bounds of what is looked at of domains.
const (
	mostDomains = 200
	atOnce      = 8
	mostHosts   = 10 // exchangers of a domain
)

// domains looks at what each domain that is served publishes.
func (w *World) domains(ctx context.Context, r *Report) {
	if len(w.Domains) == 0 {
		r.at(0).fail("domain.served", "", "no domain is served: all mail is refused with 550 5.7.1", "write [[domain]] into policy.toml; gatepost policy default shows how")
		return
	}
	list := w.Domains[:min(len(w.Domains), mostDomains)]
	if n := len(w.Domains) - len(list); n > 0 {
		r.at(len(list)).unknown("domain.rest", "", fmt.Sprintf("%d more domains were not looked at", n), "gatepost doctor --only domain --domain NAME")
	}
	count := w.tlsa(ctx, r.at(len(list)))
	each(len(list), func(i int) { w.domain(ctx, r.at(i), &list[i], count) })
}

// each does n things, some at a time.
func each(n int, do func(i int)) {
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	all.Wait()
}

// domain looks at one. count are the mail hosts of ours whose TLSA records count.
func (w *World) domain(ctx context.Context, p part, d *Domain, count []string) {
	mx := w.exchangers(ctx, p, d)
	w.spf(ctx, p, d)
	w.dmarc(ctx, p, d)
	signed := dane(mx, count)
	sts := w.sts(ctx, p, d, signed)
	w.tlsrpt(ctx, p, d, sts || signed)
}

// mxRecord is the MX that leads here.
func (w *World) mxRecord(d *Domain) string { return record(d.Name, "MX", "10 "+fqdn(w.Hostname)) }

// exchangers looks at the MX of a domain, and returns them.
func (w *World) exchangers(ctx context.Context, p part, d *Domain) Answer {
	mx := w.DNS.Lookup(ctx, d.Name, MX)
	switch {
	case mx.Status == Found && len(mx.Hosts) == 1 && mx.Hosts[0].Name == ".":
		p.fail("domain.mx", d.Name, "publishes that it takes no mail at all (null MX, RFC 7505)", "in its place: "+w.mxRecord(d))
		return mx
	case mx.Status == None:
		p.fail("domain.mx", d.Name, "has no MX record: senders try its web server, or give up", w.mxRecord(d))
		return mx
	case mx.Status == Bogus:
		p.fail("domain.mx", d.Name, "the signatures of its zone do not hold (DNSSEC): senders that validate cannot deliver", "sign the zone anew, or take its DS record out of the zone above; https://dnsviz.net shows what is broken")
		return mx
	case mx.Status != Found:
		p.unknown("domain.mx", d.Name, "its MX could not be looked up: "+mx.Detail)
		return mx
	}
	var shown, here, elsewhere []string
	for _, h := range mx.Hosts[:min(len(mx.Hosts), mostHosts)] {
		shown = append(shown, fmt.Sprintf("%d %s", h.Pref, h.Name))
		ours, other := w.exchanger(ctx, p, d, h)
		switch {
		case ours:
			here = append(here, h.Name)
		case !other:
			elsewhere = append(elsewhere, fmt.Sprintf("%d %s", h.Pref, fqdn(h.Name)))
		}
	}
	w.tellMX(p, d, shown, here, elsewhere)
	return mx
}

// tellMX says where mail for a domain goes.
func (w *World) tellMX(p part, d *Domain, shown, here, elsewhere []string) {
	const id = "domain.mx"
	var remove []string
	for _, e := range elsewhere {
		remove = append(remove, "remove: "+fqdn(d.Name)+" IN MX "+e)
	}
	cutover := "gatepost cutover plan --domain " + d.Name + " says when to change what"
	switch {
	case len(here) == 0 && len(elsewhere) == 0:
		p.warn(id, d.Name, join(shown)+": none of them is this host, only others of ours", w.mxRecord(d))
	case len(here) == 0 && w.Moving:
		p.warn(id, d.Name, join(shown)+": none of them leads here yet", cutover)
	case len(here) == 0:
		p.fail(id, d.Name, join(shown)+": none of them leads here, so its mail does not pass this gateway", w.mxRecord(d), cutover)
	case len(elsewhere) > 0 && w.Moving:
		p.warn(id, d.Name, join(shown)+": mail still goes round this gateway too", cutover)
	case len(elsewhere) > 0:
		p.warn(id, d.Name, join(shown)+": mail goes round this gateway too, and spam prefers the MX that is guarded less",
			append(remove, "if it is a gateway of yours: gatepost doctor --others NAME")...)
	default:
		p.ok(id, d.Name, join(shown))
	}
}

// exchanger looks at one MX of a domain: whether it is this host, or another that is known to be ours.
func (w *World) exchanger(ctx context.Context, p part, d *Domain, h Host) (here, other bool) {
	const id = "domain.mx_host"
	about := d.Name + " MX " + h.Name
	if _, err := netip.ParseAddr(strings.Trim(h.Name, "[]")); err == nil || h.Name == "." {
		p.fail(id, about, "is an address, where a name must stand (RFC 5321 section 5.1): most senders cannot deliver", w.mxRecord(d))
		return false, false
	}
	a := w.DNS.Lookup(ctx, h.Name, Addresses)
	here = same(h.Name, w.Hostname) || len(a.Addrs) > 0 && w.leadsHere(ctx, a.Addrs)
	other = slices.ContainsFunc(w.Others, func(o string) bool { return same(o, h.Name) })
	switch {
	case a.Status == None:
		p.fail(id, about, "has no address: senders lose time, or give up", w.addressFix(ctx, h.Name)...)
	case a.Status == Bogus:
		p.fail(id, about, "its signatures do not hold (DNSSEC)", "sign its zone anew; https://dnsviz.net shows what is broken")
	case a.Status != Found:
		p.unknown(id, about, "could not be looked up: "+a.Detail)
	case len(a.Aliases) > 0:
		p.warn(id, about, "is an alias (CNAME) of "+a.Aliases[len(a.Aliases)-1]+", which an MX must not be (RFC 2181 section 10.3); DANE and some senders fail", record(d.Name, "MX", fmt.Sprintf("%d %s", h.Pref, fqdn(a.Aliases[len(a.Aliases)-1]))))
	case !slices.ContainsFunc(a.Addrs, reachable):
		p.fail(id, about, join(a.Addrs)+" cannot be reached from outside", w.addressFix(ctx, h.Name)...)
	case !slices.ContainsFunc(a.Addrs, func(x netip.Addr) bool { return !x.IsPrivate() && !x.IsLoopback() }):
		p.warn(id, about, join(a.Addrs)+" can be reached from inside only: good for a network of your own, and for nobody else", w.addressFix(ctx, h.Name)...)
	default:
		p.ok(id, about, "is "+join(a.Addrs))
	}
	return here, other
}

// leadsHere reports whether an address is one of this host: of its name, or of an interface.
func (w *World) leadsHere(ctx context.Context, addrs []netip.Addr) bool {
	own := slices.Concat(w.DNS.Lookup(ctx, w.Hostname, Addresses).Addrs, w.Interfaces)
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(own, a) })
}

// reachable reports whether anybody at all could connect to an address from another host, or in a demo from this one.
func reachable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}

// addressFix writes the address records of a name: those that this host is known by, or what they look like.
func (w *World) addressFix(ctx context.Context, name string) (out []string) {
	for _, own := range [...][]netip.Addr{w.DNS.Lookup(ctx, w.Hostname, Addresses).Addrs, w.Interfaces} {
		for _, a := range own {
			if a.IsGlobalUnicast() && !a.IsPrivate() && len(out) < mostHosts {
				out = append(out, addressRecord(name, a))
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return []string{record(name, "A", "ADDRESS") + "    with the address that senders connect to"}
}
