package main

import (
	"context"
	"fmt"
	"net/netip"

	"gatepost/internal/dns"
	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// published asks what next hops publish about their encryption.
type published struct {
	*dns.Resolver
	policies *mtasts.Cache
}

// TLSA implements relay.Published. Of a resolver whose word does not count nothing can be known.
func (p published) TLSA(ctx context.Context, host string, port int) (dane.Published, error) {
	if !p.Trusted() {
		return dane.Published{Blind: true, Why: "a resolver is not trusted to have validated its answers (dns.trust_ad)"}, nil
	}
	return dane.Lookup(ctx, validated{p.Resolver}, host, port)
}

// validated implements dane.Resolver.
type validated struct{ *dns.Resolver }

// Addresses implements dane.Resolver. One family that was validated is enough, and one that is there while the other cannot be
// looked up says whether the zone is signed: whoever keeps one answer from us cannot make the host look unsigned.
func (v validated) Addresses(ctx context.Context, host string) (dane.Answer, error) {
	six := make(chan dns.Answer[netip.Addr], 1)
	go func() { six <- v.AAAA(ctx, host) }()
	families := []dns.Answer[netip.Addr]{v.A(ctx, host), <-six}
	for _, a := range families {
		if a.Status == dns.Found && a.AD {
			return said(a), nil
		}
	}
	for _, a := range families {
		if a.Status == dns.Found {
			return said(a), nil
		}
	}
	for _, a := range families {
		if err := unknown(a); err != nil {
			return dane.Answer{}, err
		}
	}
	return said(families[0]), nil
}

// Alias implements dane.Resolver.
func (v validated) Alias(ctx context.Context, name string) (dane.Answer, error) {
	a := v.Query(ctx, name, dns.TypeCNAME)
	return said(a), unknown(a)
}

// TLSA implements dane.Resolver.
func (v validated) TLSA(ctx context.Context, name string) (dane.Answer, error) {
	a := v.Query(ctx, name, dns.TypeTLSA)
	out := said(a)
	for _, r := range a.Records {
		out.Records = append(out.Records, dane.Record{Usage: r.Usage, Selector: r.Selector, Matching: r.Matching, Data: r.Data})
	}
	return out, unknown(a)
}

// said is an answer without its records.
func said[T any](a dns.Answer[T]) dane.Answer {
	out := dane.Answer{Secure: a.AD, Name: a.Name, TTL: a.TTL}
	if n := len(a.Chain); n > 0 {
		out.Name = a.Chain[n-1]
	}
	return out
}

// unknown is why an answer tells nothing: neither what there is nor that there is nothing.
func unknown[T any](a dns.Answer[T]) error {
	if a.Status == dns.Found || a.Status == dns.None {
		return nil
	}
	if a.Status == dns.Bogus {
		return fmt.Errorf("%w (%s)", dane.ErrBogus, a.Detail)
	}
	return lookedUp(a.Status, a.Kind, a.Detail)
}
