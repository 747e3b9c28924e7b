package rbl

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// warm answers at once, as a resolver does whose cache knows the name; nothing is listed but the test point.
type warm struct{ err error }

func (w warm) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if len(host) > 10 && host[:10] == "2.0.0.127." {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 2})}, nil
	}
	return nil, w.err
}

func (w warm) LookupTXT(context.Context, string) ([]string, error) { return nil, w.err }

// BenchmarkCheck asks eight armed lists about a client whose answers are in the resolver's cache.
func BenchmarkCheck(b *testing.B) {
	var entries []Entry
	for i := range 8 {
		e := entry(b, "spamcop")
		e.List.Name += string(rune('a' + i))
		entries = append(entries, e)
	}
	s, err := NewSupervisor(entries, nil)
	if err != nil {
		b.Fatal(err)
	}
	r := warm{notFound("x")}
	now := time.Now()
	s.Probe(b.Context(), r, now)
	subject := Subject{Client: netip.MustParseAddr("192.0.2.9")}
	b.ReportAllocs()
	for b.Loop() {
		for _, res := range s.Check(b.Context(), r, now, subject) {
			if res.Verdict != NotListed {
				b.Fatalf("%+v", res)
			}
		}
	}
}

// BenchmarkCrowd is BenchmarkCheck by a thousand callers at once, each another client: what they hold from one another.
func BenchmarkCrowd(b *testing.B) {
	var entries []Entry
	for i := range 8 {
		e := entry(b, "spamcop")
		e.List.Name += string(rune('a' + i))
		entries = append(entries, e)
	}
	s, err := NewSupervisor(entries, nil)
	if err != nil {
		b.Fatal(err)
	}
	r := warm{notFound("x")}
	now := time.Now()
	s.Probe(b.Context(), r, now)
	var n atomic.Uint32
	b.SetParallelism(500) // times two processors
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			client := netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)})
			for _, res := range s.Check(b.Context(), r, now, Subject{Client: client}) {
				if res.Verdict != NotListed {
					b.Fatalf("%+v", res)
				}
			}
		}
	})
}

// BenchmarkClassify reads a listing of ZEN.
func BenchmarkClassify(b *testing.B) {
	e := entry(b, "spamhaus-zen")
	answer := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 4}), netip.AddrFrom4([4]byte{127, 0, 0, 11})}
	b.ReportAllocs()
	for b.Loop() {
		var res Result
		if e.List.classify(answer, &res); res.Verdict != Listed {
			b.Fatal(res)
		}
	}
}
