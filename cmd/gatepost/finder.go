package main

import (
	"context"
	"net/netip"
	"time"

	"gatepost/gateway/relay"
	"gatepost/internal/dns"
)

// finder asks DNS for next hops.
type finder struct{ *dns.Resolver }

// MX implements relay.Resolver.
func (f finder) MX(ctx context.Context, domain string) ([]relay.Hop, time.Duration, error) {
	a := f.Resolver.MX(ctx, domain)
	hops := make([]relay.Hop, 0, len(a.Records))
	for _, r := range a.Records {
		hops = append(hops, relay.Hop{Host: r.Host, Order: int(r.Pref), Secure: a.AD})
	}
	if a.Status == dns.None && a.Kind == dns.NoData {
		return nil, a.TTL, nil
	}
	return hops, a.TTL, lookedUp(a.Status, a.Kind, a.Detail)
}

// SRV implements relay.Resolver.
func (f finder) SRV(ctx context.Context, name string) ([]relay.Hop, time.Duration, error) {
	a := f.Query(ctx, name, dns.TypeSRV)
	hops := make([]relay.Hop, 0, len(a.Records))
	for _, r := range a.Records {
		hops = append(hops, relay.Hop{Host: r.Host, Port: int(r.Port), Order: int(r.Pref), Weight: int(r.Weight), Secure: a.AD})
	}
	return hops, a.TTL, lookedUp(a.Status, a.Kind, a.Detail)
}

// Addresses implements relay.Resolver.
func (f finder) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	a := f.Addrs(ctx, host)
	return a.Records, lookedUp(a.Status, a.Kind, a.Detail)
}

// lookedUp is why an answer is of no use; nil where it is.
func lookedUp(s dns.Status, k dns.Kind, detail string) error {
	if s == dns.Found {
		return nil
	}
	return &notLookedUp{"dns: " + dnsDetail(k, detail), s == dns.None}
}

// notLookedUp is why an answer of DNS is of no use, and whether it is one that there is nothing.
type notLookedUp struct {
	text string
	none bool
}

func (e *notLookedUp) Error() string  { return e.text }
func (e *notLookedUp) NotFound() bool { return e.none }

// dnsDetail is what came of a question in words.
func dnsDetail(k dns.Kind, detail string) string {
	if detail != "" {
		return k.String() + " (" + detail + ")"
	}
	return k.String()
}
