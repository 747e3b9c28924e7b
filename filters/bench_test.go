package filters

import (
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
)

// BenchmarkNames is helo and rdns of one connection with the cache of the resolver warm.
func BenchmarkNames(b *testing.B) {
	d := &Deps{Resolver: resolver(b, names(b)), Hostname: "mx.served.example", Policy: servedPolicy()}
	for b.Loop() {
		in := input(from("192.0.2.1", "good.example"), nil)
		if d.runHelo(b.Context(), in).Result != gateway.Pass || d.runRDNS(b.Context(), in).Result != gateway.Pass {
			b.Fatal("not passed")
		}
	}
}

// BenchmarkStages is what a client without fault costs up to RCPT, judged at each stage.
func BenchmarkStages(b *testing.B) {
	d := &Deps{Resolver: resolver(b, names(b))}
	pl := build(b, "[checks.rcpt]\naction = \"off\"\n", d)
	from0, to := mailFrom(b, "<a@good.example>"), recipientOf(b, d.Policy, "<anna@served.example>")
	b.ReportAllocs()
	for b.Loop() {
		s := from("192.0.2.1", "good.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		pl.Run(b.Context(), gateway.Connect, input(s, nil))
		in := input(s, &gateway.Envelope{From: from0})
		pl.Run(b.Context(), gateway.Helo, in)
		pl.Run(b.Context(), gateway.Mail, in)
		in.Envelope.Rcpts, in.Rcpt = []gateway.Recipient{to}, 0
		if v := pl.Run(b.Context(), gateway.Rcpt, in); v.Outcome != gateway.Accept {
			b.Fatal(v.Explain())
		}
	}
}

func BenchmarkRelay(b *testing.B) {
	policy := servedPolicy()
	for name, path := range map[string]string{"served": "<anna@served.example>", "below": "<anna@a.b.wide.example>", "denied": "<anna@a.elsewhere.example>"} {
		b.Run(name, func(b *testing.B) {
			in := &gateway.Input{Envelope: &gateway.Envelope{Rcpts: []gateway.Recipient{recipientOf(b, policy, path)}}}
			b.ReportAllocs()
			for b.Loop() {
				relays(&RelayOptions{}, policy, in)
			}
		})
	}
}

func BenchmarkShape(b *testing.B) {
	received := "Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example (Postfix) with ESMTPS id 4F1234567\r\n\tfor <anna@served.example>; Tue, 24 Nov 2026 00:00:00 +0000 (UTC)\r\n"
	o := &ShapeOptions{Passes: 5, Fields: 500}
	for name, text := range map[string]string{"4KB": strings.Repeat(received, 10) + with("", "X-Long: "+strings.Repeat("x", 2000)),
		"250KB": strings.Repeat(received, 300) + with("", "X-Long: "+strings.Repeat("x", 200_000))} {
		b.Run(name, func(b *testing.B) {
			e := dataOf(b, text)
			b.SetBytes(int64(len(e.Header.Raw)))
			b.ReportAllocs()
			for b.Loop() {
				o.look("mx.served.example", e)
			}
		})
	}
}

// BenchmarkAccess is a list of a thousand entries of each kind that matches nothing.
func BenchmarkAccess(b *testing.B) {
	var clients, senders []string
	for i := range 1000 {
		n := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		clients = append(clients, `network = "2001:db8:`+strings.Repeat("f", 1+i%4)+`::/48"`)
		senders = append(senders, `address = "@`+n+`.example"`)
	}
	d := &Deps{Resolver: resolver(b, dnslab.New(b, nil))}
	pl := build(b, entries("access.client", clients...)+entries("access.sender", senders...), d)
	in := input(from("192.0.2.1", "good.example"), &gateway.Envelope{From: mailFrom(b, "<a@good.example>")})
	for b.Loop() {
		pl.Rows[gateway.Connect][0].Checks[0].Run(b.Context(), in)
		pl.Rows[gateway.Mail][0].Checks[0].Run(b.Context(), in)
	}
}
