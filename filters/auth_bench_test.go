package filters

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"gatepost/gateway"
	"gatepost/gateway/spool"
	"gatepost/internal/lab/dnslab"
	signing "gatepost/internal/lab/signer"
)

// BenchmarkAuth is what sender authentication costs of one message with the cache of the resolver warm: from MAIL to the
// verdict, with the body in memory as the edge leaves it. cpu-us/op is user and system time of the process: what a core has
// to give. "none" is a message that nobody signed.
//
//	go test -run '^$' -bench Auth -benchmem -cpuprofile cpu.out ./filters
func BenchmarkAuth(b *testing.B) {
	key, err := signing.RSA("sender.example", "one", 2048)
	if err != nil {
		b.Fatal(err)
	}
	ed, err := signing.Ed25519("sender.example", "ed")
	if err != nil {
		b.Fatal(err)
	}
	zone := "7.2.0.192.in-addr.arpa. PTR out.provider.example.\nout.provider.example. A 192.0.2.7\n" +
		"sender.example. MX 10 out.provider.example.\nsender.example. TXT \"v=spf1 include:_spf.provider.example -all\"\n" +
		"_spf.provider.example. TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n_dmarc.sender.example. TXT \"v=DMARC1; p=reject\"\n"
	var keys []*signing.Key
	for _, s := range []string{"one", "two", "three"} {
		keys = append(keys, key.For("sender.example", s))
		zone += keys[len(keys)-1].Record()
	}
	lab := dnslab.New(b, dnslab.Text(zone+ed.Record()))
	for _, c := range []struct {
		name   string
		checks []string
		keys   []*signing.Key
	}{
		{"spf", []string{"spf"}, nil},
		{"dkim/1", []string{"dkim"}, keys[:1]},
		{"dkim/3", []string{"dkim"}, keys},
		{"dkim/ed25519", []string{"dkim"}, []*signing.Key{ed}},
		{"dmarc/none", []string{"author", "spf", "dmarc"}, nil},
		{"all/none", append(AuthChecks(), "sender"), nil},
		{"all/1", append(AuthChecks(), "sender"), keys[:1]},
		{"all/3", append(AuthChecks(), "sender"), keys},
	} {
		for _, size := range []int{10 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dK", c.name, size>>10), func(b *testing.B) {
				d := &Deps{Resolver: patient(b, lab), Only: c.checks}
				pl := build(b, "", d)
				message := authBenchMessage(b, size, c.keys)
				body := bodyOf(b, message)
				snapshot := &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
				from0 := mailFrom(b, "<news@sender.example>")
				to := recipientOf(b, d.Policy, "<anna@served.example>")
				to.Reply = gateway.SayRcptOK.Reply()
				var room [18]gateway.Finding // as the edge has it
				one := func() {
					s := from("192.0.2.7", "out.provider.example")
					s.Snapshot = snapshot
					if rest := d.beginRDNS(b.Context(), s); rest != nil { // while the client talks
						rest()
					}
					in := input(s, &gateway.Envelope{From: from0, Findings: room[:0]})
					pl.Run(b.Context(), gateway.Helo, in)
					pl.Run(b.Context(), gateway.Mail, in)
					in.Envelope.Rcpts = []gateway.Recipient{to}
					in.Envelope.Body, in.Envelope.Header = body, headerOf(b, body)
					if v := pl.Run(b.Context(), gateway.Data, in); v.Outcome != gateway.Accept {
						b.Fatal(v.Explain())
					}
					for i := range in.Envelope.Findings {
						if f := &in.Envelope.Findings[i]; f.Result == gateway.Unknown || f.Result == gateway.Fail {
							b.Fatalf("%s: %s %s %v", f.Check, f.Result, f.Reason, f.Evidence)
						}
					}
				}
				one()
				b.SetBytes(int64(len(message)))
				b.ReportAllocs()
				began := cpuTime(b)
				for b.Loop() {
					one()
				}
				b.ReportMetric(float64(cpuTime(b)-began)/1e3/float64(b.N), "cpu-us/op")
			})
		}
	}
}

// authBenchMessage is a message of about that size, signed by each of the keys.
func authBenchMessage(b *testing.B, size int, keys []*signing.Key) []byte {
	text := "Received: from a.provider.example (a.provider.example [192.0.2.9])\r\n\tby out.provider.example with ESMTPS id 4F1234567\r\n\tfor <anna@served.example>; Thu, 26 Nov 2026 09:59:59 +0000\r\n" +
		"From: News <news@sender.example>\r\nTo: anna@served.example\r\nSubject: A subject of some length\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
	line := strings.Repeat("all work and no play ", 3) + "makes it\r\n"
	message := []byte(text + strings.Repeat(line, max(0, size-len(text))/len(line)))
	for _, k := range keys {
		var err error
		if message, err = k.Sign(message); err != nil {
			b.Fatal(err)
		}
	}
	return message
}

func bodyOf(b *testing.B, message []byte) gateway.Body {
	w := new(spool.Bodies).New()
	if _, err := w.Write(message); err != nil {
		b.Fatal(err)
	}
	body, err := w.Done()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = body.Close() })
	return body
}

func headerOf(b *testing.B, body gateway.Body) *gateway.Header {
	h, err := gateway.ReadHeader(body, 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// cpuTime is what the process has used so far, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
