package filters

import (
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/lab/dnslab"
)

// longText is a TXT record that begins with a text and has 60 KB of something behind it, in strings as zones have them.
func longText(name, begin, filler string) string {
	text := begin + strings.Repeat(filler, 60_000/len(filler))
	var b strings.Builder
	b.WriteString(name + " TXT")
	for ; len(text) > 200; text = text[200:] {
		b.WriteString(` "` + text[:200] + `"`)
	}
	return b.String() + ` "` + text + "\"\n"
}

// TestLongTexts: records of 60 KB that begin as what is looked for are read within bounds, or are broken; a finding does not
// carry them into the journal, nor Authentication-Results to the recipient.
func TestLongTexts(t *testing.T) {
	lab := dnslab.New(t, dnslab.Text(
		longText("sender.example.", "v=spf1 ", "ip4:198.51.100.1 ")+
			longText("k._domainkey.a.example.", "v=DKIM1; n=", "note ")+
			longText("_dmarc.sender.example.", "v=DMARC1; p=reject; ", "rua=mailto:a@b.example; ")))
	d := &Deps{Resolver: patient(t, lab), Only: AuthChecks()}
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
	looked := 0
	for _, f := range e.Findings {
		octets := 0
		for _, ev := range f.Evidence {
			octets += len(ev.Name) + len(ev.Text)
		}
		if octets > 16<<10 {
			t.Errorf("%s carries %d octets of evidence", f.Check, octets)
		}
		for _, r := range f.Auth {
			looked++
			n := len(r.Reason) + len(r.Comment)
			for _, p := range r.Props {
				n += len(p.Value)
			}
			if n > 2<<10 || r.Result == "pass" {
				t.Errorf("%s says %s=%s in %d octets", f.Check, r.Method, r.Result, n)
			}
		}
	}
	if looked < 4 || lab.TCPQueries() < 3 {
		t.Errorf("%d results, %d questions over TCP", looked, lab.TCPQueries())
	}
}
