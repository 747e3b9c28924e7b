package reports

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dmarcreport"
)

// event is a message that fails DMARC under p=reject and is delivered, until it is changed.
func event() (*gateway.Event, *gateway.DMARCResult) {
	d := &gateway.DMARCResult{Author: "sub.a.example", PolicyDomain: "a.example", Record: "v=DMARC1; p=reject; rua=mailto:d@a.example", Method: "treewalk", Requested: "reject"}
	e := &gateway.Event{Kind: gateway.TransactionEvent, Relayed: &gateway.Relayed{Result: gateway.Delivered},
		Record: &gateway.Record{Client: netip.MustParseAddr("::ffff:192.0.2.1"), HeaderFrom: "<ann@sub.a.example>",
			From:  gateway.Address{Text: "b@Bounce.example", Local: "b", Domain: "bounce.example"},
			Rcpts: []gateway.RecordRcpt{{To: gateway.Address{Text: "bob@ours.example"}}}}}
	e.Record.Findings = []gateway.Finding{
		{Check: "spf", Auth: []gateway.AuthResult{{Method: "spf", Result: "pass", Props: []gateway.AuthProp{{Type: "smtp", Name: "mailfrom", Value: "b@Bounce.example"}}}}},
		{Check: "dkim", Auth: []gateway.AuthResult{
			{Method: "dkim", Result: "fail", Props: []gateway.AuthProp{{Type: "header", Name: "d", Value: "a.example"}, {Type: "header", Name: "s", Value: "s1"}}},
			{Method: "dkim", Result: "none"},
			{Method: "dkim", Result: "pass", Props: []gateway.AuthProp{{Type: "header", Name: "d", Value: "list.example"}}}}},
		{Check: "dmarc", Auth: []gateway.AuthResult{{Method: "dmarc", Result: "fail", DMARC: d}}},
	}
	return e, d
}

// passes makes the message one that passes.
func passes(e *gateway.Event, d *gateway.DMARCResult) {
	d.SPF, e.Record.Findings[2].Auth[0].Result = true, "pass"
}

var own = &Settings{From: "dmarc@reports.ours.example", Receiver: "mx.ours.example"}

// TestCount: a line has what RFC 9990 asks for.
func TestCount(t *testing.T) {
	e, _ := event()
	at := time.Date(2026, 11, 25, 23, 59, 59, 0, time.UTC)
	got, ok := count(e, at, own)
	want := message{Subject: Subject{Day: DayOf(at), Domain: "a.example", Record: "v=DMARC1; p=reject; rua=mailto:d@a.example", Method: "treewalk"},
		Line: dmarcreport.Record{Source: netip.MustParseAddr("192.0.2.1"), Disposition: "none", Reasons: []dmarcreport.Reason{{Type: "local_policy"}},
			HeaderFrom: "sub.a.example", EnvelopeFrom: "bounce.example", Count: 1, Checked: dmarcreport.SPFResult{Domain: "bounce.example", Result: "pass"},
			Signatures: []dmarcreport.Signature{{Domain: "list.example", Result: "pass"}, {Domain: "a.example", Selector: "s1", Result: "fail"}}}}
	if !ok || !reflect.DeepEqual(got, want) || got.Day.String() != "2026-11-25" {
		t.Errorf("%v\n%+v\n%+v", ok, got, want)
	}
}

// TestDisposition: what was done for DMARC, whatever other checks did.
func TestDisposition(t *testing.T) {
	for _, c := range []struct {
		asked, override, record string
		aligned                 bool
		outcome                 gateway.Outcome
		want                    string
	}{
		{asked: "reject", outcome: gateway.Reject, want: "reject"},
		{asked: "reject", outcome: gateway.Drop, want: "reject"},
		{asked: "reject", outcome: gateway.Quarantine, want: "quarantine local_policy"},
		{asked: "reject", outcome: gateway.Quarantine, override: "mailing_list", want: "quarantine mailing_list"},
		{asked: "reject", outcome: gateway.Accept, override: "trusted_forwarder", want: "none trusted_forwarder"},
		{asked: "reject", outcome: gateway.Tag, want: "none local_policy"},
		{asked: "quarantine", outcome: gateway.Quarantine, want: "quarantine"},
		{asked: "quarantine", outcome: gateway.Reject, want: "quarantine"}, // a virus, too
		{asked: "quarantine", outcome: gateway.Accept, want: "none local_policy"},
		{asked: "none", outcome: gateway.Reject, want: "none"},
		{asked: "", outcome: gateway.Accept, want: "none"},
		{asked: "odd", outcome: gateway.Reject, want: "none"},
		{asked: "reject", aligned: true, outcome: gateway.Reject, want: "pass"},
		{asked: "none", aligned: true, outcome: gateway.Accept, want: "none"},
		{asked: "none", record: "v=DMARC1; p=quarantine; t=y; rua=mailto:d@a.example", outcome: gateway.Accept, want: "none policy_test_mode"},
		{asked: "quarantine", record: "v=DMARC1; p=reject; t=y; rua=mailto:d@a.example", outcome: gateway.Quarantine, want: "quarantine policy_test_mode"},
	} {
		e, d := event()
		d.Requested, d.Override, e.Verdict.Outcome = c.asked, c.override, c.outcome
		if c.aligned {
			passes(e, d)
		}
		if c.record != "" {
			d.Record = c.record
		}
		got, ok := count(e, time.Now(), own)
		text := got.Line.Disposition
		for _, r := range got.Line.Reasons {
			text += " " + r.Type
		}
		if !ok || text != c.want {
			t.Errorf("%+v: %q", c, text)
		}
	}
}

// TestNotCounted: what no report is about, above all other reports.
func TestNotCounted(t *testing.T) {
	long := "v=DMARC1; rua=mailto:d@a.example; x=" + strings.Repeat("x", MaxRecord)
	const subject = "Report Domain: ours.example Submitter: mx.a.example"
	for name, c := range map[string]struct {
		change func(e *gateway.Event, d *gateway.DMARCResult)
		counts bool
	}{
		"as it is":              {func(*gateway.Event, *gateway.DMARCResult) {}, true},
		"no rua":                {func(_ *gateway.Event, d *gateway.DMARCResult) { d.Record = "v=DMARC1; p=reject" }, false},
		"no record":             {func(_ *gateway.Event, d *gateway.DMARCResult) { d.Record = "" }, false},
		"a record that is none": {func(_ *gateway.Event, d *gateway.DMARCResult) { d.Record = "rua=mailto:d@a.example" }, false},
		"a record without end":  {func(_ *gateway.Event, d *gateway.DMARCResult) { d.Record = long }, false},
		"a domain that is none": {func(_ *gateway.Event, d *gateway.DMARCResult) { d.PolicyDomain = "a!b.example\r\n" }, false},
		"deferred by us":        {func(e *gateway.Event, _ *gateway.DMARCResult) { e.Verdict.Outcome = gateway.Defer }, false},
		"deferred by the hop":   {func(e *gateway.Event, _ *gateway.DMARCResult) { e.Relayed.Result = gateway.DeferredByHop }, false},
		"refused by the hop":    {func(e *gateway.Event, _ *gateway.DMARCResult) { e.Relayed.Result = gateway.RefusedByHop }, true},
		"from our address":      {func(e *gateway.Event, _ *gateway.DMARCResult) { e.Record.From.Text = "DMARC@reports.ours.example" }, false},
		"our address in From":   {func(e *gateway.Event, _ *gateway.DMARCResult) { e.Record.HeaderFrom = "R <dmarc@Reports.ours.example>" }, false},
		"to our address":        {func(e *gateway.Event, _ *gateway.DMARCResult) { e.Record.Rcpts[0].To.Text = own.From }, false},
		"to ours and to another": {func(e *gateway.Event, _ *gateway.DMARCResult) {
			e.Record.Rcpts = append(e.Record.Rcpts, gateway.RecordRcpt{To: gateway.Address{Text: own.From}})
		}, true},
		"a report":                {func(e *gateway.Event, d *gateway.DMARCResult) { e.Subject = subject; passes(e, d) }, false},
		"a report, cut":           {func(e *gateway.Event, d *gateway.DMARCResult) { e.Subject = subject[:20]; passes(e, d) }, false},
		"a forged report":         {func(e *gateway.Event, d *gateway.DMARCResult) { e.Subject, d.DKIM = subject, true }, true}, // of several authors, say
		"a subject that is short": {func(e *gateway.Event, d *gateway.DMARCResult) { e.Subject = "Report"; passes(e, d) }, true},
	} {
		e, d := event()
		c.change(e, d)
		if _, ok := count(e, time.Now(), own); ok != c.counts {
			t.Errorf("%s: counted: %v", name, ok)
		}
	}
	e, _ := event()
	e.Record.Findings = nil
	if wanted(e) || wanted(&gateway.Event{Kind: gateway.ConnectionEvent, Record: e.Record}) {
		t.Error("wanted without a result")
	}
}

// TestSPFIdentity: HELO stands in only for a null MAIL FROM.
func TestSPFIdentity(t *testing.T) {
	helo := gateway.AuthResult{Method: "spf", Result: "fail", Props: []gateway.AuthProp{{Type: "smtp", Name: "helo", Value: "MX.example"}}}
	from := gateway.AuthResult{Method: "spf", Result: "pass", Props: []gateway.AuthProp{{Type: "smtp", Name: "mailfrom", Value: "a@b.example"}}}
	for _, c := range []struct {
		in   []gateway.AuthResult
		want dmarcreport.SPFResult
	}{
		{nil, dmarcreport.SPFResult{}},
		{[]gateway.AuthResult{helo}, dmarcreport.SPFResult{Domain: "mx.example", Helo: true, Result: "fail"}},
		{[]gateway.AuthResult{helo, from}, dmarcreport.SPFResult{Domain: "b.example", Result: "pass"}},
		{[]gateway.AuthResult{from, helo}, dmarcreport.SPFResult{Domain: "b.example", Result: "pass"}},
	} {
		if got := checked(c.in); got != c.want {
			t.Errorf("%+v: %+v", c.in, got)
		}
	}
}

// TestSignatureOrder: those that say most first, and not more than fit.
func TestSignatureOrder(t *testing.T) {
	var in []gateway.AuthResult
	for _, s := range []struct{ d, result string }{{"x.example", "fail"}, {"y.example", "pass"}, {"mail.a.example", "pass"}, {"a.example", "pass"}} {
		in = append(in, gateway.AuthResult{Method: "dkim", Result: s.result, Props: []gateway.AuthProp{{Type: "header", Name: "d", Value: s.d}}})
	}
	var got []string
	for _, s := range signatures(in, "a.example") {
		got = append(got, s.Domain)
	}
	if fmt.Sprint(got) != "[a.example mail.a.example y.example x.example]" {
		t.Errorf("%v", got)
	}
	for len(in) < 1000 {
		in = append(in, in...)
	}
	if n := len(signatures(in, "a.example")); n != dmarcreport.MaxSignatures {
		t.Errorf("%d", n)
	}
}

// BenchmarkCount is what a message costs beside the mail path: the making of its line, and the adding of it to one that is there.
func BenchmarkCount(b *testing.B) {
	e, _ := event()
	var p pending
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		c, ok := dmarcKind{}.count(e, now, own)
		if !ok || !p.add(c) {
			b.Fatal("not counted")
		}
	}
}

// TestMailsOfADay: so many are tried in a day, and as many in the next.
func TestMailsOfADay(t *testing.T) {
	var m memo
	for day := range Day(2) {
		for i := range maxMails {
			if err := m.mayTry(day); err != nil {
				t.Fatal(i, err)
			}
		}
		if m.mayTry(day) == nil {
			t.Error("one more")
		}
	}
}
