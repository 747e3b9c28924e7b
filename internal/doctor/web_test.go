package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// TestWeb shows policies that cannot be fetched, that do not name the MX, and names that no authority reaches.
func TestWeb(t *testing.T) {
	ours := func(mode string, names ...string) func(w *World) {
		return func(w *World) {
			w.FetchSTS = func(_ context.Context, domain string) (*STS, error) {
				if domain != "example.org" {
					t.Errorf("fetched that of %s", domain)
				}
				return &STS{mode == "enforce", mode, func(h string) bool { return strings.Contains(strings.Join(names, " "), h) }}, nil
			}
		}
	}
	fault := func(w *World) {
		w.FetchSTS = func(context.Context, string) (*STS, error) { return nil, errors.New("404") }
	}
	proofs := func(w *World) { ours("enforce", here)(w); w.Proofs = []Proof{{here, 80}} }
	const named = " -> mx: NAME    for each of them, in https://mta-sts.example.org/.well-known/mta-sts.txt, and a new id at _mta-sts.example.org"
	const cannot = "FAIL web.mta_sts example.org: its policy cannot be fetched, so senders go on without it: 404 -> "
	run(t, []row{
		{"good", ours("enforce", here), "ok web.mta_sts"},
		{"no record", func(w *World) { w.STSRecord = func([]string) (string, error) { return "", nil } }, ""},
		{"broken record", func(w *World) { w.STSRecord = func([]string) (string, error) { return "", errors.New("x") } }, ""},
		{"testing", ours("testing", here), "warn web.mta_sts example.org: its policy is testing: senders deliver in clear all the same -> gatepost mta-sts advise example.org    tells what must be true before enforce"},
		{"other MX", ours("enforce", "old.example.net"), "FAIL web.mta_sts example.org: its policy (enforce) does not name nexthop.lab.test: senders do not deliver there" + named},
		{"other MX, testing", ours("testing", "old.example.net"), "warn web.mta_sts example.org: its policy (testing) does not name nexthop.lab.test: with enforce senders would not deliver there" + named},
		{"not there", fault, cannot + "mta-sts.example.org. 3600 IN A 192.0.2.25"},
		{"not fetched", func(w *World) { fault(w); w.DNS.(mapDNS)["A+AAAA mta-sts.example.org"] = addrs("192.0.2.25") }, cannot + "curl -v https://mta-sts.example.org/.well-known/mta-sts.txt    on a host outside -> docs/mta-sts.md tells how this gateway hosts it"},
		{"other MX, ours", func(w *World) { ours("enforce", "old.example.net")(w); w.Domains[0].STS = "x" }, "FAIL web.mta_sts example.org: its policy (enforce) does not name nexthop.lab.test: senders do not deliver there -> gatepost mta-sts advise example.org"},
		{"no MX", func(w *World) {
			ours("enforce", here)(w)
			w.DNS.(mapDNS)["MX example.org"] = Answer{Detail: "timeout"}
		}, "? web.mta_sts example.org: whether its policy names its MX cannot be told: timeout"},
		{"ACME", proofs, "ok web.mta_sts|ok web.acme"},
		{"ACME, no address", func(w *World) { proofs(w); w.Proofs[0].Name = "x.example.org" }, "ok web.mta_sts|FAIL web.acme x.example.org:80: has no address, so that no authority can ask there -> x.example.org. 3600 IN A 192.0.2.25"},
		{"ACME, cannot tell", func(w *World) {
			proofs(w)
			w.Proofs[0].Name = "x.example.org"
			w.DNS.(mapDNS)["A+AAAA x.example.org"] = Answer{Detail: "servfail"}
		}, "ok web.mta_sts|? web.acme x.example.org:80: could not be looked up: servfail"},
		{"ACME, not reached", func(w *World) {
			proofs(w)
			w.Proofs[0].Port = 443
			w.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		}, "ok web.mta_sts|? web.acme nexthop.lab.test:443: cannot be reached from here (refused), which says little of the world outside -> curl -v https://nexthop.lab.test:443/    on a host outside; the port must lead to gatepost.toml:1: [web] public_https = [\"0.0.0.0:443\", \"[::]:443\"]"},
	}, func() *World {
		return &World{At: at, Hostname: here, Domains: []Domain{{Name: "example.org"}}, DNS: mapDNS{"MX example.org": {Status: Found, Hosts: []Host{{here, 10}}}, "A+AAAA " + here: addrs("192.0.2.25")},
			STSRecord: func([]string) (string, error) { return "1", nil },
			Dial: func(_ context.Context, _, address string) (net.Conn, error) {
				if _, err := netip.ParseAddrPort(address); err != nil {
					t.Errorf("%s was dialled", address)
				}
				a, b := net.Pipe()
				b.Close()
				return a, nil
			}}
	}, func(w *World) Group { return Group{"web", w.web} })
}

// TestTLSA shows that the word of whoever knows is passed on, and whether DANE stands for MTA-STS.
func TestTLSA(t *testing.T) {
	w := &World{AskTLSA: func(context.Context) ([]TLSAHost, error) {
		return []TLSAHost{{"a.test", "right", OK, true, nil}, {"b.test", "wrong", Fail, false, []string{"LINE"}}}, nil
	}}
	var count []string
	got := page(t, Group{"domain", func(ctx context.Context, r *Report) { count = w.tlsa(ctx, r.at(0)) }})
	if strings.Join(got, "|") != "ok domain.tlsa|FAIL domain.tlsa b.test: wrong -> LINE" || strings.Join(count, " ") != "a.test" {
		t.Errorf("got %q, %v count", got, count)
	}
	w.AskTLSA = func(context.Context) ([]TLSAHost, error) { return nil, errors.New("no certificate") }
	got = page(t, Group{"domain", func(ctx context.Context, r *Report) { count = w.tlsa(ctx, r.at(0)) }})
	if strings.Join(got, "|") != "? domain.tlsa : the TLSA records of our mail hosts could not be looked at: no certificate -> gatepost tls tlsa" || count != nil {
		t.Errorf("got %q, %v count", got, count)
	}
	for _, c := range []struct {
		ad    bool
		hosts []Host
		want  bool
	}{
		{true, []Host{{"a.test", 1}}, true}, {false, []Host{{"a.test", 1}}, false}, {true, nil, false},
		{true, []Host{{"A.test.", 1}}, true}, {true, []Host{{"a.test", 1}, {"c.test", 2}}, false},
	} {
		if got := dane(Answer{AD: c.ad, Hosts: c.hosts}, []string{"a.test"}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
