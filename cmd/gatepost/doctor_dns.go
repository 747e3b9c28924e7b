package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"gatepost/internal/dmarc"
	"gatepost/internal/dmarcreport"
	"gatepost/internal/dns"
	"gatepost/internal/doctor"
	"gatepost/internal/spf"
)

// doctorDNS is the resolver as the doctor asks it.
type doctorDNS struct{ r *dns.Resolver }

// Lookup implements doctor.DNS.
func (d doctorDNS) Lookup(ctx context.Context, name string, kind doctor.Kind) doctor.Answer {
	switch kind {
	case doctor.A:
		a := d.r.A(ctx, name)
		return answered(&a, func(out *doctor.Answer, x netip.Addr) { out.Addrs = append(out.Addrs, x) })
	case doctor.Addresses:
		a := d.r.Addrs(ctx, name)
		return answered(&a, func(out *doctor.Answer, x netip.Addr) { out.Addrs = append(out.Addrs, x) })
	case doctor.MX:
		a := d.r.MX(ctx, name)
		return answered(&a, func(out *doctor.Answer, x dns.MX) {
			out.Hosts = append(out.Hosts, doctor.Host{Name: x.Host, Pref: x.Pref})
		})
	}
	a := d.r.TXT(ctx, name)
	return answered(&a, func(out *doctor.Answer, x string) { out.Texts = append(out.Texts, x) })
}

// Reverse implements doctor.DNS.
func (d doctorDNS) Reverse(ctx context.Context, addr netip.Addr) doctor.Answer {
	a := d.r.PTR(ctx, addr)
	return answered(&a, func(out *doctor.Answer, x string) { out.Hosts = append(out.Hosts, doctor.Host{Name: x}) })
}

func answered[T any](a *dns.Answer[T], take func(*doctor.Answer, T)) doctor.Answer {
	status := [...]doctor.Status{dns.Failed: doctor.Failed, dns.Found: doctor.Found, dns.None: doctor.None, dns.Bogus: doctor.Bogus}
	out := doctor.Answer{Status: status[a.Status], AD: a.AD, Aliases: a.Chain, Took: a.Duration}
	if a.Status != dns.Found {
		out.Detail = dnsDetail(a.Kind, a.Detail)
	}
	for _, x := range a.Records {
		take(&out, x)
	}
	return out
}

// plainDNS is the resolver in the shape of net.Resolver, which the engines of sender authentication take.
type plainDNS struct{ texts }

// LookupMX is that of net.Resolver.
func (p plainDNS) LookupMX(ctx context.Context, name string) (out []*net.MX, err error) {
	a := p.r.MX(ctx, name)
	for _, mx := range a.Records {
		out = append(out, &net.MX{Host: mx.Host, Pref: mx.Pref})
	}
	return out, a.Err()
}

// LookupNetIP is that of net.Resolver.
func (p plainDNS) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	a := dns.Answer[netip.Addr]{}
	switch network {
	case "ip4":
		a = p.r.A(ctx, name)
	case "ip6":
		a = p.r.AAAA(ctx, name)
	default:
		a = p.r.Addrs(ctx, name)
	}
	return a.Records, a.Err()
}

// LookupAddr is that of net.Resolver.
func (p plainDNS) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{Err: "not an address", Name: addr, IsNotFound: true}
	}
	a := p.r.PTR(ctx, ip)
	return a.Records, a.Err()
}

// Exists reports whether a name, or one below it, exists (RFC 8020).
func (p plainDNS) Exists(ctx context.Context, name string) (bool, error) {
	a := p.r.A(ctx, name)
	if a.Status == dns.None {
		return a.Kind != dns.NXDomain, nil
	}
	return a.Status == dns.Found, a.Err()
}

// nobody are addresses that no record may let pass (RFC 5737, RFC 3849), so that all of it is evaluated.
func nobody() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
}

// checkSPF evaluates the record of a domain for addresses of nobody, and tells the worse.
func (p plainDNS) checkSPF(ctx context.Context, domain string) (out doctor.SPF) {
	for _, addr := range nobody() {
		o := spf.Check(ctx, p, spf.Query{IP: addr, Domain: domain, Sender: "postmaster@" + domain, Helo: domain})
		if worse := o.Result == spf.PermError || o.Result == spf.TempError; out.Result == "" || worse {
			out.Result, out.Problem = o.Result.String(), o.Problem
		}
		out.Record, out.Lookups, out.Open = o.Record, max(out.Lookups, o.Lookups), out.Open || o.Result == spf.Pass
		if out.Problem != "" {
			break
		}
	}
	return out
}

// checkDMARC tells what is published for a domain, and who does not want the reports that it asks for.
func (p plainDNS) checkDMARC(ctx context.Context, domain string) (out doctor.DMARC) {
	o := dmarc.Check(ctx, p, domain, &dmarc.Input{}, dmarc.TreeWalk)
	switch {
	case o.Result == dmarc.TempError:
		out.Err = errors.New(o.Why)
		return out
	case o.Record == nil:
		out.Several = o.Result == dmarc.NoRecord && o.Why != ""
		return out
	}
	out.At, out.Record, out.Policy, out.Broken = "_dmarc."+o.PolicyDomain, o.Record.Text, o.Published.String(), o.Record.Broken
	var list []string
	for _, u := range o.Record.Aggregate {
		list = append(list, u.Text)
	}
	use, _ := dmarcreport.ParseRUA(strings.Join(list, ","))
	for _, to := range use {
		out.Reports = append(out.Reports, to.Address())
		if _, err := dmarcreport.Permitted(ctx, p, o.PolicyDomain, to); errors.Is(err, dmarcreport.ErrNotAllowed) && !slices.Contains(out.Refused, to.Domain) {
			out.Refused = append(out.Refused, to.Domain)
		}
	}
	return out
}

// doctorServers are the resolvers, each to be asked by itself.
func doctorServers(o dns.Options) ([]doctor.Server, error) {
	all, err := dns.New(o)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	var out []doctor.Server
	for _, s := range all.Stats().Servers {
		one := o
		one.Servers = []string{s.Addr}
		r, err := dns.New(one)
		if err != nil {
			return nil, fmt.Errorf("dns: %w", err)
		}
		at, err := netip.ParseAddrPort(s.Addr)
		trusted := err == nil && (o.TrustAD == dns.TrustAll || o.TrustAD == dns.TrustLoopback && at.Addr().Unmap().IsLoopback())
		out = append(out, doctor.Server{Address: s.Addr, Trusted: trusted, DNS: doctorDNS{r}})
	}
	return out, nil
}
