package dns_test

import (
	"fmt"
	"testing"

	"gatepost/internal/dns"
)

// BenchmarkWarm is a lookup answered from the cache.
func BenchmarkWarm(b *testing.B) {
	_, r := start(b)
	for _, c := range []struct {
		name string
		do   func() dns.Status
	}{
		{"A", func() dns.Status { return r.A(b.Context(), "mx1.example.com").Status }},
		{"MX", func() dns.Status { return r.MX(b.Context(), "example.com").Status }},
		{"MailHost", func() dns.Status {
			if dns.MailHost(b.Context(), r, "example.com").Status != dns.MailYes {
				return dns.Failed
			}
			return dns.Found
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c.do() != dns.Found {
					b.Fatal("not found")
				}
			}
		})
	}
	b.Run("A/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				r.A(b.Context(), "mx1.example.com")
			}
		})
	})
}

// BenchmarkCold is a lookup that goes to a server on loopback and back; the
// server's own work is in the figure.
func BenchmarkCold(b *testing.B) {
	_, r := start(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		if a := r.A(b.Context(), fmt.Sprintf("n%d.wild.example.com", i)); a.Status != dns.Found {
			b.Fatalf("%+v", a)
		}
	}
}
