package filters

import (
	"strings"
	"testing"

	"gatepost/gateway"
)

// judged is what one check of the plan sees of a message, and the verdict over that alone.
func judged(t *testing.T, d *Deps, pl *gateway.Pipeline, check string, e *gateway.Envelope) (gateway.Finding, gateway.Verdict) {
	t.Helper()
	s := from("192.0.2.1", "good.example")
	s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	for _, row := range pl.Rows[gateway.Data] {
		for _, c := range row.Checks {
			if c.Name == check {
				f := run(t, c.Run, input(s, e))
				f.Check, f.Stage, f.Rcpt = check, gateway.Data, -1
				e.Findings = []gateway.Finding{f}
				return f, d.Policy.Judge(gateway.NewRecord(gateway.Data, s, e))
			}
		}
	}
	t.Fatalf("no check %s in the plan", check)
	return gateway.Finding{}, gateway.Verdict{}
}

func TestAuthor(t *testing.T) {
	const ambiguous, disguised = "550 5.7.1 Message refused: it is not clear who its author is: ", "550 5.6.0 Message refused: its header section is disguised: "
	d := &Deps{}
	pl := build(t, "", d)
	for name, c := range map[string]struct {
		text     string
		utf8     bool
		reply    string
		measures string
		points   float64
		domain   string
	}{
		"good":                {text: with(""), domain: "b.example"},
		"no From":             {text: with("From"), reply: ambiguous + "it has no From field; send it with one From field that names one address (RFC 5322 section 3.6.2)"},
		"nothing":             {text: "", reply: ambiguous + "it has no From field"},
		"content only":        {text: "\r\nFrom: a@b.example\r\n", reply: ambiguous + "it has no From field"},
		"two From":            {text: with("", "fRoM: c@d.example"), reply: ambiguous + "it has several From fields"},
		"the same From twice": {text: with("", good[0]), reply: ambiguous + "it has several From fields"},
		"two, one bad":        {text: with("From", "From: x", "From: c@d.example"), reply: ambiguous + "it has several From fields"},
		"empty From":          {text: with("From", "From:  \r\n\t"), reply: ambiguous + "its From field is empty"},
		"two authors":         {text: with("From", "From: a@b.example, c@d.example"), reply: ambiguous + "its From field names several addresses"},
		"disguised From":      {text: with("", "From : c@d.example"), reply: disguised + "a field looks like From and is none (RFC 5322 section 2.2)"},
		"folded name":         {text: with("", "From\r\n : c@d.example"), reply: disguised},
		"another script":      {text: with("", "Frоm: c@d.example"), reply: disguised},
		"first line":          {text: " From: c@d.example\r\n" + with(""), reply: disguised},
		"disguised and two":   {text: with("", "From : c@d.example", "From: e@f.example"), reply: disguised},
		"poses":               {text: with("From", `From: "ceo@bank.example, cfo@two.example" <a@b.example>`), measures: "poses", points: 1, domain: "b.example"},
		"poses and veiled":    {text: with("From", `From: "ceo@bank.example" =?utf-8?q?=00?= <a@b.example>`), measures: "poses,veiled", points: 3, domain: "b.example"},
		"no-reply group":      {text: with("From", "From: undisclosed:;"), measures: "nodomain", points: 2},
		"a machine":           {text: with("From", "From: root@localhost"), measures: "nodomain", points: 2},
		"an address literal":  {text: with("From", "From: <a@[192.0.2.1]>"), measures: "nodomain", points: 2},
		"raw 8-bit name":      {text: with("From", "From: M\xfcller <a@b.example>"), domain: "b.example"},
		"8-bit address":       {text: with("From", "From: <m\xc3\xbcller@b.example>"), reply: ambiguous + "its From address holds 8-bit text that SMTPUTF8 does not cover"},
		"the same announced":  {text: with("From", "From: <m\xc3\xbcller@b\xc3\xbccher.example>"), utf8: true, domain: "xn--bcher-kva.example"},
		"mbox line":           {text: "From a@b.example Tue Nov 24 00:00:00 2026\r\n" + with(""), domain: "b.example"},
	} {
		e := dataOf(t, c.text)
		e.Options.UTF8 = c.utf8
		f, v := judged(t, d, pl, "author", e)
		if !strings.HasPrefix(v.Reply.String(), c.reply) || (c.reply == "") != v.Reply.IsZero() || v.Score != c.points || strings.Join(measured(f), ",") != c.measures {
			t.Errorf("%s: %s, %v points, %v; want %s, %v, %s", name, v.Reply, v.Score, measured(f), c.reply, c.points, c.measures)
		}
		if a := authorOf(e); a.Domain != c.domain || (c.reply != "") != (f.Result == gateway.Fail) || f.Result == gateway.Fail && a.Domain != "" {
			t.Errorf("%s: domain %q, want %q: %v", name, a.Domain, c.domain, f)
		}
	}
}

// TestAuthorByReason shows that the operator may be milder with one reason than with the other, and where shape.from went.
func TestAuthorByReason(t *testing.T) {
	d := &Deps{}
	pl := build(t, "[checks.author.reasons]\nauthor.ambiguous = \"quarantine\"\n", d)
	for text, want := range map[string]gateway.Outcome{with("From"): gateway.Quarantine, with("", "From : x@y.example"): gateway.Reject} {
		if _, v := judged(t, d, pl, "author", dataOf(t, text)); v.Outcome != want {
			t.Errorf("%q: %s, want %s", text, v.Outcome, want)
		}
	}
	_, problems := load(t, "[checks.shape.reasons]\nshape.from = \"tag\"\n")
	if got := problems.Error(); !strings.Contains(got, `write checks.author.reasons."author.ambiguous"`) {
		t.Error(got)
	}
}
