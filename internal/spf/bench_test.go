package spf

import (
	"testing"
	"time"
)

// BenchmarkCheck is an evaluation with warm DNS: a record of networks, one with an include as most are, and one that
// needs seven terms of three records.
func BenchmarkCheck(b *testing.B) {
	zone := worldOf(b, `
flat.example TXT "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 ip6:2001:db8::/32 -all"
include.example TXT "v=spf1 ip4:203.0.113.7 include:_spf.provider.example ~all"
_spf.provider.example TXT "v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/26 ip4:198.51.100.0/24 ip6:2001:db8::/32 ~all"
wide.example TXT "v=spf1 a mx include:_spf.provider.example include:one.example include:two.example -all"
wide.example A 203.0.113.1
wide.example MX 10 mx1.example
wide.example MX 20 mx2.example
mx1.example A 203.0.113.2
mx2.example A 203.0.113.3
one.example TXT "v=spf1 ip4:203.0.113.16/28 a:mx1.example ~all"
two.example TXT "v=spf1 exists:%{i}._spf.%{d2} ip4:203.0.113.9 ~all"
macro.example TXT "v=spf1 include:%{ir}.%{v}.%{d}._spf.provider.example ~all"
9.113.0.203.in-addr.macro.example._spf.provider.example TXT "v=spf1 ip4:203.0.113.9"
`).zone
	plain := map[string][]rr{}
	for name, list := range zone {
		plain[name] = list
	}
	for _, c := range []struct{ name, domain, ip string }{
		{"networks", "flat.example", "198.51.100.7"},
		{"include", "include.example", "198.51.100.7"},
		{"wide", "wide.example", "203.0.113.9"},
		{"macro", "macro.example", "203.0.113.9"},
	} {
		b.Run(c.name, func(b *testing.B) {
			q := queryOf(c.ip, "mx.example", "joe@"+c.domain)
			q.Now = time.Time{}
			w := &world{zone: plain}
			b.ReportAllocs()
			for b.Loop() {
				if o := Check(b.Context(), w, q); o.Result != Pass {
					b.Fatalf("%+v", o)
				}
			}
		})
	}
}
