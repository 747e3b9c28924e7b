package filters

import (
	"testing"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
)

// TestTrustedRelay shows that nothing of a trusted relay's own address is judged: it is not who sent the message. No DNS is
// asked for it, and each check says why.
func TestTrustedRelay(t *testing.T) {
	server := dnslab.New(t, dnslab.Text(""))
	d := &Deps{Resolver: resolver(t, server), Hostname: "mx.example.org", Policy: &gateway.Policy{Checks: map[string]gateway.CheckPolicy{}}}
	s := from("198.51.100.25", "old.example.org")
	s.Relay = true
	in := input(s, &gateway.Envelope{From: gateway.Address{Text: "anna@example.com", Local: "anna", Domain: "example.com"}})
	for name, run := range map[string]func() gateway.Finding{
		"spf":      func() gateway.Finding { return d.runSPF(t.Context(), in) },
		"spf.helo": func() gateway.Finding { return d.runSPFHelo(t.Context(), in) },
		"rdns":     func() gateway.Finding { return d.runRDNS(t.Context(), in) },
		"helo":     func() gateway.Finding { return d.runHelo(t.Context(), in) },
		"rbl":      func() gateway.Finding { return (&lister{d: d}).runClient(t.Context(), in) },
		"rbl.helo": func() gateway.Finding { return (&lister{d: d}).runHelo(t.Context(), in) },
	} {
		f := run()
		if f.Result != gateway.NotRun || f.Reason != gateway.LeftRelayed || len(f.Evidence) != 1 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if n := len(server.Queries()); n != 0 {
		t.Errorf("%d questions were asked", n)
	}
	if !d.neverWaits(s) {
		t.Error("it is greylisted")
	}
}
