package dmarc

import (
	"fmt"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	const text = "v=DMARC1; p=reject; sp=quarantine; adkim=s; aspf=r; pct=100; rua=mailto:dmarc@example.com!10m,mailto:x@reports.example.net; ruf=mailto:dmarc@example.com; fo=1"
	b.ReportAllocs()
	for b.Loop() {
		if Parse(text, TreeWalk) == nil {
			b.Fatal("no record")
		}
	}
}

// BenchmarkCheck is discovery and evaluation with a DNS that costs next to nothing: an author domain with a record, one
// SPF and one DKIM identifier.
func BenchmarkCheck(b *testing.B) {
	for _, author := range []string{"example.com", "a.b.mail.example.com"} {
		for _, m := range []Method{TreeWalk, PSL} {
			b.Run(fmt.Sprintf("%s/%s", author, m), func(b *testing.B) {
				dns := endless{"v=DMARC1; p=reject; rua=mailto:dmarc@example.com"}
				in := identifiers("spf=bounces.example.net dkim=example.com")
				b.ReportAllocs()
				for b.Loop() {
					if out := Check(b.Context(), dns, author, in, m); out.Result != Pass {
						b.Fatal(told(out))
					}
				}
			})
		}
	}
}

// BenchmarkEvaluate is evaluation alone.
func BenchmarkEvaluate(b *testing.B) {
	dns := endless{"v=DMARC1; p=reject; rua=mailto:dmarc@example.com"}
	in := identifiers("spf=bounces.example.com dkim=mail.example.com dkim=esp.example.net")
	d := Discover(b.Context(), dns, "example.com", []string{"bounces.example.com", "mail.example.com"}, TreeWalk)
	b.ReportAllocs()
	for b.Loop() {
		if out := d.Evaluate(in); out.Result != Pass {
			b.Fatal(told(out))
		}
	}
}
