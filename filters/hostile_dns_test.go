package filters

import (
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
	signing "gatepost/internal/lab/signer"
)

// TestHostileDNS: whatever a name server does with every question about a message that is all that it says it is, the
// checks either see that, or do not pass; never anything else, and after a bounded number of queries.
func TestHostileDNS(t *testing.T) {
	key, err := signing.Ed25519("sender.example", "k")
	if err != nil {
		t.Fatal(err)
	}
	message, err := key.Sign([]byte("From: News <news@sender.example>\r\nTo: anna@served.example\r\nSubject: x\r\nDate: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\ntext\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	zone := "7.2.0.192.in-addr.arpa. PTR out.provider.example.\nout.provider.example. A 192.0.2.7\nout.provider.example. TXT \"v=spf1 ip4:192.0.2.7 -all\"\n" +
		"sender.example. MX 10 out.provider.example.\nsender.example. TXT \"v=spf1 include:_spf.provider.example -all\"\n" +
		"_spf.provider.example. TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n_dmarc.sender.example. TXT \"v=DMARC1; p=reject\"\n" + key.Record()
	// In these ways the truth comes through: over TCP, without EDNS, behind forged replies, in another case, and beside
	// records of others.
	honest := []dnslab.Kind{dnslab.Honest, dnslab.NoEDNS, dnslab.Truncate, dnslab.Spoof, dnslab.Flood, dnslab.AD, dnslab.MangleCase, dnslab.Stowaway}
	for kind := dnslab.Honest; kind <= dnslab.Referral; kind++ {
		lab := dnslab.New(t, dnslab.Text(zone))
		lab.SetFault("*", dnslab.Fault{Kind: kind})
		want := slices.Contains(honest, kind)
		d := &Deps{Resolver: resolver(t, lab), Only: AuthChecks()}
		if want { // what must come through may take its time
			d.Resolver = patient(t, lab)
		}
		pl := build(t, "", d)
		policy := *d.Policy
		policy.Mode = gateway.ObserveOnly // so that no row is left out
		s := from("192.0.2.7", "out.provider.example")
		s.Snapshot = &gateway.Snapshot{Policy: &policy, Pipeline: pl, Hostname: d.Hostname}
		e := dataOf(t, string(message))
		e.From = mailFrom(t, "<news@sender.example>")
		for _, stage := range []gateway.Stage{gateway.Helo, gateway.Mail, gateway.Data} {
			pl.Run(t.Context(), stage, input(s, e))
		}
		for _, f := range e.Findings {
			for _, r := range f.Auth {
				if r.Method != "iprev" && r.Method != "arc" && (r.Result == "pass") != want {
					t.Errorf("fault %d: %s says %s=%s: %s %s %v", kind, f.Check, r.Method, r.Result, f.Result, f.Reason, f.Evidence)
				}
			}
			for _, ev := range f.Evidence {
				if len(ev.Text) > 4096 || strings.ContainsAny(ev.Text, "\r\n\x00") {
					t.Errorf("fault %d: %s shows %d octets: %.100q", kind, f.Check, len(ev.Text), ev.Text)
				}
			}
		}
		total := 0
		for _, n := range lab.Queries() {
			total += n
		}
		// Some twelve questions, each at most six times: with and without EDNS, over TCP, and what a failure is asked for.
		if total == 0 || total > 100 {
			t.Errorf("fault %d: %d queries: %v", kind, total, lab.Queries())
		}
	}
}

// TestDeadDNS: a message that makes us ask for as much as it can, eight signatures and a seal, costs each question once,
// and nothing reads as passed or as not published.
func TestDeadDNS(t *testing.T) {
	lab := dnslab.New(t, nil)
	lab.SetFault("*", dnslab.Fault{Kind: dnslab.Timeout})
	d := &Deps{Resolver: resolver(t, lab), Only: AuthChecks()}
	pl := build(t, "", d)
	policy := *d.Policy
	policy.Mode = gateway.ObserveOnly
	s := from("192.0.2.7", "out.provider.example")
	s.Snapshot = &gateway.Snapshot{Policy: &policy, Pipeline: pl, Hostname: d.Hostname}
	e := dataOf(t, hostileAuth())
	e.From = mailFrom(t, "<news@sender.example>")
	for _, stage := range []gateway.Stage{gateway.Helo, gateway.Mail, gateway.Data} {
		pl.Run(t.Context(), stage, input(s, e))
	}
	for name, n := range lab.Queries() {
		// The resolver of the test tries once; a name is asked for its A, AAAA and TXT.
		if n > 3 {
			t.Errorf("%s: %d queries", name, n)
		}
	}
	if names := len(lab.Queries()); names < 12 || names > 20 {
		t.Errorf("%d names: %v", names, lab.Queries())
	}
	for _, f := range e.Findings {
		for _, r := range f.Auth {
			// The body is not what was signed, and that can be told without a key.
			want := map[string]string{"iprev": "temperror", "spf": "temperror", "dkim": "fail", "arc": "fail", "dmarc": "temperror"}[r.Method]
			if r.Result != want {
				t.Errorf("%s says %s=%s", f.Check, r.Method, r.Result)
			}
		}
	}
}
