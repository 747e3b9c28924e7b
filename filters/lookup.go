package filters

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dns"
)

// lookups asks the resolver in the shape of the standard library's, which the engines of sender authentication take, and
// keeps a line of each answer as evidence. An error of IsNotFound says that there are no such records; any other that DNS
// could not tell. It is safe for concurrent use, for one finding.
type lookups struct {
	r    Resolver
	mu   sync.Mutex
	said []string
	more int
}

// maxSaid bounds the answers that are shown.
const maxSaid = 40

// note keeps what one lookup brought.
func note[T any](l *lookups, kind, name string, a *dns.Answer[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.said) == maxSaid {
		l.more++
		return
	}
	var room [128]byte
	text := append(append(append(append(room[:0], kind...), ' '), name...), ": "...)
	switch {
	case a.Kind == dns.Canceled: // begun ahead, or the client is gone
		l.said = append(l.said, string(append(text, "not waited for"...)))
		return
	case a.Status == dns.Found:
		text = append(strconv.AppendInt(text, int64(len(a.Records)), 10), " found"...)
	default:
		text = append(text, a.Kind.String()...)
	}
	if a.AD {
		text = append(text, ", validated"...)
	}
	if a.Cached {
		text = append(text, ", cached"...)
	} else {
		text = append(append(text, ", "...), a.Duration.Round(time.Millisecond/10).String()...)
	}
	l.said = append(l.said, string(text))
}

// show adds what was asked to a finding.
func (l *lookups) show(f gateway.Finding) gateway.Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.Evidence = slices.Grow(f.Evidence, len(l.said)+1)
	for _, line := range l.said {
		f = f.Show("dns", line)
	}
	if l.more > 0 {
		f = f.Show("dns", fmt.Sprintf("and %d more", l.more))
	}
	return f
}

// LookupTXT is that of net.Resolver: the texts of a name, the strings of each joined.
func (l *lookups) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a := l.r.TXT(ctx, name)
	note(l, "TXT", name, &a)
	return a.Records, whole(&a)
}

// whole is the error of an answer of which every record may be the one that counts: one that was cut short cannot tell.
func whole[T any](a *dns.Answer[T]) error {
	if a.Status == dns.Found && a.Cut {
		return &net.DNSError{Err: "answer has more records than are looked at", Name: a.Name, IsTemporary: true}
	}
	return a.Err()
}

// LookupMX is that of net.Resolver: most preferred first.
func (l *lookups) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	a := l.r.MX(ctx, name)
	note(l, "MX", name, &a)
	out := make([]*net.MX, len(a.Records))
	for i, mx := range a.Records {
		out[i] = &net.MX{Host: mx.Host, Pref: mx.Pref}
	}
	return out, a.Err()
}

// LookupNetIP is that of net.Resolver: network is "ip4", "ip6" or "ip".
func (l *lookups) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	var a dns.Answer[netip.Addr]
	switch network {
	case "ip4":
		a = l.r.A(ctx, name)
		note(l, "A", name, &a)
	case "ip6":
		a = l.r.AAAA(ctx, name)
		note(l, "AAAA", name, &a)
	default:
		a = dns.Addrs(ctx, l.r, name)
		note(l, "A and AAAA", name, &a)
	}
	return a.Records, whole(&a)
}

// LookupAddr is that of net.Resolver: the names of an address, whatever its holder wrote.
func (l *lookups) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, &net.DNSError{Err: "not an address", Name: addr, IsNotFound: true}
	}
	a := l.r.PTR(ctx, ip)
	note(l, "PTR", addr, &a)
	return a.Records, a.Err()
}

// Exists reports whether a name, or one below it, exists (RFC 8020): only NXDOMAIN says that it does not.
func (l *lookups) Exists(ctx context.Context, name string) (bool, error) {
	a := l.r.A(ctx, name)
	note(l, "A", name, &a)
	if a.Status == dns.None {
		return a.Kind != dns.NXDomain, nil
	}
	return a.Status == dns.Found, a.Err()
}
