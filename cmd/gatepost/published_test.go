package main

import (
	"log/slog"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/internal/lab/dnslab"
)

// What a host publishes as DNS says it, by whether it was validated: nothing that is missing, slow or bogus looks like absence.
func TestPublished(t *testing.T) {
	server := dnslab.New(t, dnslab.Text(`
both.test. A 192.0.2.1
both.test. AAAA 2001:db8::1
_25._tcp.both.test. TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000001
half.test. A 192.0.2.1
_25._tcp.half.test. TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000001
six.test. AAAA 2001:db8::1
unsigned.test. A 192.0.2.1
_25._tcp.unsigned.test. TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000001
away.test. A 192.0.2.1
bogus.test. A 192.0.2.1
lost.test. A 192.0.2.1
`))
	ad := dnslab.Fault{Kind: dnslab.AD}
	for _, name := range []string{"both.test", "_25._tcp.both.test", "six.test", "_25._tcp.six.test", "_25._tcp.half.test", "away.test", "bogus.test", "gone.test"} {
		server.SetFault(name, ad)
	}
	fails := dnslab.Fault{Kind: dnslab.ServFail, Type: "AAAA"}
	server.SetFault("half.test", fails, ad)
	server.SetFault("_25._tcp.away.test", dnslab.Fault{Kind: dnslab.ServFail})
	server.SetFault("_25._tcp.bogus.test", dnslab.Fault{Kind: dnslab.BogusNoEDE})
	server.SetFault("_25._tcp.unsigned.test", dnslab.Fault{Kind: dnslab.ServFail}) // must not matter
	server.SetFault("lost.test", dnslab.Fault{Kind: dnslab.Bogus})
	for _, tt := range []struct {
		trust dns.Trust
		host  string
		base  string
		why   string // part of why not, or of the error
		fails bool
	}{
		{dns.TrustLoopback, "both.test", "both.test", "", false},
		{dns.TrustLoopback, "half.test", "half.test", "", false},
		{dns.TrustLoopback, "six.test", "", "there are no TLSA records at _25._tcp.six.test", false},
		{dns.TrustLoopback, "unsigned.test", "", "the address of unsigned.test is not signed", false},
		{dns.TrustLoopback, "away.test", "", "TLSA lookup of _25._tcp.away.test failed: dns: servfail", true},
		{dns.TrustLoopback, "bogus.test", "", "TLSA lookup of _25._tcp.bogus.test failed: bogus (", true},
		{dns.TrustLoopback, "lost.test", "", "address lookup of lost.test failed: bogus (", true},
		{dns.TrustNone, "both.test", "", "a resolver is not trusted", false},
	} {
		resolver, err := dns.New(dns.Options{Servers: []string{server.Addr()}, TrustAD: tt.trust})
		if err != nil {
			t.Fatal(err)
		}
		p, err := published{Resolver: resolver}.TLSA(t.Context(), tt.host, 25)
		why := p.Why
		if err != nil {
			why = err.Error()
		}
		if p.Base != tt.base || (len(p.Records) == 1) != (tt.base != "") || (err != nil) != tt.fails || !strings.Contains(why, tt.why) || (why == "") != (tt.why == "") {
			t.Errorf("%s: %+v, %v", tt.host, p, err)
		}
	}
	if n := server.Count("_25._tcp.unsigned.test", "TLSA"); n != 0 {
		t.Errorf("an unsigned host was asked for TLSA %d times", n)
	}
	mixed, err := dns.New(dns.Options{Servers: []string{"127.0.0.1", "192.0.2.1"}})
	if err != nil || mixed.Trusted() {
		t.Errorf("one that is trusted stands for another: %v", err)
	}
}

// Notices and reports find their next hops, and what these publish, as mail does.
func TestAllWaysAreProtected(t *testing.T) {
	server := dnslab.New(t, dnslab.Text("example.test. MX 10 mx.example.test.\nmx.example.test. A 127.0.0.1\n"))
	server.SetFault("*", dnslab.Fault{Kind: dnslab.AD})
	b := config.Builtin(sections()).Bootstrap
	b.DNS.Servers = []string{server.Addr()}
	p, err := newParts(b, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i, way := range p.ways() {
		r, err := relay.New(way, []relay.Route{{Name: "out", Hostname: "gate.example.test", TLS: relay.DANEOnly, Hops: []relay.Hop{{MX: "example.test"}}}})
		if err != nil {
			t.Fatal(err)
		}
		got := r.Relay(t.Context(), &gateway.Delivery{Route: "out", Rcpts: []gateway.Recipient{{Address: gateway.Address{Text: "a@example.test", Local: "a", Domain: "example.test"}, Reply: gateway.Reply{Code: 250}}}})
		if !strings.Contains(got.Said, "there are no TLSA records at _25._tcp.mx.example.test") {
			t.Errorf("way %d: %+v", i, got)
		}
		r.Close()
	}
}
