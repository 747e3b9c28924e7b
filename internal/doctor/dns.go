package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// slowDNS is an answer that a resolver nearby does not need: each message asks for dozens.
const slowDNS = 500 * time.Millisecond

// publicResolvers serve everybody; DNS lists refuse them, or answer wrongly.
func publicResolvers() []string {
	return []string{"8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844", "1.1.1.1", "1.0.0.1", "1.1.1.2", "1.1.1.3",
		"2606:4700:4700::1111", "2606:4700:4700::1001", "9.9.9.9", "9.9.9.10", "9.9.9.11", "149.112.112.112", "2620:fe::fe", "2620:fe::9",
		"208.67.222.222", "208.67.220.220", "2620:119:35::35", "2620:119:53::53", "94.140.14.14", "94.140.15.15", "64.6.64.6", "64.6.65.6",
		"4.2.2.1", "4.2.2.2", "4.2.2.3", "4.2.2.4", "84.200.69.80", "84.200.70.40", "185.228.168.9", "76.76.2.0", "76.76.10.0"}
}

// dns looks at each resolver by itself: what the first hides, the second shows when the first is away.
func (w *World) dns(ctx context.Context, r *Report) {
	if len(w.Servers) == 0 {
		r.at(0).unknown("dns.resolver", "", "no resolver is known", w.key("dns.servers", `["127.0.0.1"]`))
	}
	var all sync.WaitGroup
	for i := range w.Servers {
		all.Go(func() { w.server(ctx, r.at(i), &w.Servers[i]) })
	}
	all.Wait()
}

func (w *World) server(ctx context.Context, p part, s *Server) {
	signed := w.signed(ctx, s)
	answered := slices.IndexFunc(signed, func(a Answer) bool { return a.Status == Found })
	if answered < 0 {
		none := slices.ContainsFunc(signed, func(a Answer) bool { return a.Status == None })
		saw := "no answer about " + strings.Join(w.Probes.Signed, ", ")
		for _, a := range signed {
			if a.Detail != "" {
				saw += ": " + a.Detail
				break
			}
		}
		if none {
			p.unknown("dns.resolver", s.Address, "says that none of "+strings.Join(w.Probes.Signed, ", ")+" exists: does it resolve names of the internet?")
		} else {
			p.fail("dns.resolver", s.Address, saw, "start it, or name another: "+w.key("dns.servers", `["127.0.0.1"]`))
		}
		return
	}
	took := signed[answered].Took
	if took > cmp.Or(w.Slow, slowDNS) {
		p.warn("dns.resolver", s.Address, "answers in "+ms(took)+"; each message asks for dozens of names",
			"run a resolver on this host (unbound), and "+w.key("dns.servers", `["127.0.0.1"]`))
	} else {
		p.ok("dns.resolver", s.Address, "answers in "+ms(took))
	}
	w.dnssec(ctx, p, s, signed)
	w.public(ctx, p, s)
}

// signed asks for all names that are signed, at the same time.
func (w *World) signed(ctx context.Context, s *Server) []Answer {
	return askAll(ctx, s.DNS, w.Probes.Signed, A)
}

func askAll(ctx context.Context, d DNS, names []string, kind Kind) []Answer {
	out := make([]Answer, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { out[i] = d.Lookup(ctx, name, kind) })
	}
	all.Wait()
	return out
}

// dnssec says whether the resolver validates, and whether its word for it counts. One bogus name that is refused, while names
// with good signatures are not, settles it: another that is handed out may have been mended.
func (w *World) dnssec(ctx context.Context, p part, s *Server, signed []Answer) {
	tell := p.warn
	why := "DANE, and every other word that DNSSEC protects, counts for nothing"
	if w.Validating != "" {
		tell, why = p.fail, w.Validating+" needs it"
	}
	bogus := askAll(ctx, s.DNS, w.Probes.Bogus, A)
	taken := slices.IndexFunc(bogus, func(a Answer) bool { return a.Status == Found })
	refused := slices.IndexFunc(bogus, func(a Answer) bool { return a.Status == Bogus })
	ad := slices.ContainsFunc(signed, func(a Answer) bool { return a.AD })
	switch {
	case refused < 0 && taken >= 0:
		tell("dns.dnssec", s.Address, "does not validate: it hands out "+w.Probes.Bogus[taken]+", whose signatures are broken; "+why,
			"let it validate (unbound: auto-trust-anchor-file, knot-resolver: by default, bind: dnssec-validation auto), or name one that does: "+
				w.key("dns.servers", `["127.0.0.1"]`))
	case refused < 0:
		p.unknown("dns.dnssec", s.Address, "whether it validates cannot be told: no answer about "+strings.Join(w.Probes.Bogus, ", "))
	case ad:
		p.ok("dns.dnssec", s.Address, "validates: "+w.Probes.Bogus[refused]+" is refused")
	case !s.Trusted:
		tell("dns.dnssec", s.Address, "validates, but nobody answers for the network between: its word (AD) does not count, and "+why,
			"if that network is yours: "+w.key("dns.trust_ad", `"all"`), "better: a validating resolver on this host, and "+w.key("dns.servers", `["127.0.0.1"]`))
	default:
		tell("dns.dnssec", s.Address, "refuses what is bogus, but never says that it validated an answer (AD): "+why,
			"let it answer with AD; dnsmasq needs proxy-dnssec, a forwarder must pass the bit on")
	}
}

// public says whether DNS lists answer to this resolver.
func (w *World) public(ctx context.Context, p part, s *Server) {
	fix := "run a resolver of your own that forwards to nobody, and " + w.key("dns.servers", `["127.0.0.1"]`)
	host, _, err := net.SplitHostPort(s.Address)
	if a, bad := netip.ParseAddr(host); err == nil && bad == nil && slices.Contains(publicResolvers(), a.Unmap().String()) {
		p.warn("dns.public", s.Address, "is a public resolver: DNS lists refuse it, and it sees who writes to whom", fix)
		return
	}
	for _, l := range w.Probes.Lists {
		a := s.DNS.Lookup(ctx, l.Name, A)
		if i := slices.IndexFunc(a.Addrs, func(x netip.Addr) bool { return slices.Contains(l.Refused, x) }); i >= 0 {
			p.warn("dns.public", s.Address, fmt.Sprintf("%s is answered with %s: the list refuses this resolver, as it does public ones and those that ask too much", l.Name, a.Addrs[i]), fix)
			return
		}
		if a.Status != Found {
			p.unknown("dns.public", s.Address, "whether DNS lists answer to it cannot be told: no answer about "+l.Name)
			return
		}
	}
	p.ok("dns.public", s.Address, "DNS lists answer to it")
}
