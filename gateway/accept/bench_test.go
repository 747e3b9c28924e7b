package accept

import (
	"testing"
	"time"

	"gatepost/gateway"
)

// BenchmarkCompose is what our own fields cost of a usual message: with the reverse name alone, and with all that is checked
// of its sender.
func BenchmarkCompose(b *testing.B) {
	iprev := gateway.Finding{Check: "rdns", Result: gateway.Pass}.Show(gateway.EvidenceReverse, "out.sender.example").
		Says(gateway.AuthResult{Method: "iprev", Result: "pass", Props: []gateway.AuthProp{{Type: "policy", Name: "iprev", Value: "192.0.2.7"}}})
	says := func(r gateway.AuthResult) gateway.Finding { return gateway.Passed().Says(r) }
	all := []gateway.Finding{iprev,
		says(gateway.AuthResult{Method: "spf", Result: "pass", Props: []gateway.AuthProp{{Type: "smtp", Name: "helo", Value: "out.sender.example"}}}),
		says(gateway.AuthResult{Method: "spf", Result: "pass", Props: []gateway.AuthProp{{Type: "smtp", Name: "mailfrom", Value: "news@sender.example"}}}),
		says(gateway.AuthResult{Method: "dkim", Result: "pass", Comment: "2048-bit key", Props: []gateway.AuthProp{{Type: "header", Name: "d", Value: "sender.example"},
			{Type: "header", Name: "i", Value: "@sender.example"}, {Type: "header", Name: "s", Value: "one"}, {Type: "header", Name: "a", Value: "rsa-sha256"}, {Type: "header", Name: "b", Value: "AbCdEf/h"}}}),
		says(gateway.AuthResult{Method: "arc", Result: "none"}),
		says(gateway.AuthResult{Method: "dmarc", Result: "pass", Comment: "p=reject", Props: []gateway.AuthProp{{Type: "header", Name: "from", Value: "sender.example"}}})}
	text := "Received: from a.example by b.example; Thu, 26 Nov 2026 10:00:00 +0000\r\nAuthentication-Results: other.example; spf=pass\r\nFrom: News <news@sender.example>\r\n" +
		"To: user@served.example\r\nSubject: A subject\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\ntext\r\n"
	for name, findings := range map[string][]gateway.Finding{"iprev": all[:1], "all": all} {
		b.Run(name, func(b *testing.B) {
			e := envelope(nil, text)
			e.Findings = findings
			v := &gateway.Verdict{}
			at := time.Unix(0, 0)
			b.ReportAllocs()
			for b.Loop() {
				if f := Compose(e, v, at); len(f.Added) == 0 {
					b.Fatal("nothing")
				}
			}
		})
	}
}
