package filters

import (
	"strings"
	"testing"

	"gatepost/gateway"
)

// message makes a body of lines, with their CRLF.
func message(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

// good is a header section without fault, each field on a line of its own.
var good = []string{"From: A <a@b.example>", "Date: Tue, 24 Nov 2026 00:00:00 +0000", "Subject: x", "Message-ID: <1@b.example>"}

// with returns the good header section without those that begin with a name of less, and with more.
func with(less string, more ...string) string {
	var out []string
	for _, l := range good {
		if less == "" || !strings.HasPrefix(l, less) {
			out = append(out, l)
		}
	}
	return message(append(append(out, more...), "", "text")...)
}

func TestShape(t *testing.T) {
	ours := "Received: from x (y [192.0.2.1])\r\n\tby mx.served.example (Gatepost) with ESMTP\r\n\tid 1; Tue, 24 Nov 2026 00:00:00 +0000"
	other := "Received: from x by notmx.served.example (Gatepost) with ESMTP; Tue, 24 Nov 2026 00:00:00 +0000"
	times := func(n int, field string) []string { return strings.Split(strings.Repeat(field+"\n", n-1)+field, "\n") }
	d := &Deps{}
	pl := build(t, "", d)
	for name, c := range map[string]struct {
		text     string
		utf8     bool
		reason   gateway.Reason
		arg      string
		measures string
		reply    string
		points   float64
	}{
		"good":                  {text: with("")},
		"other case":            {text: with("From", "FROM: a@b.example")},
		"no From":               {text: with("From")},
		"folded name":           {text: with("", "Reply-To\r\n : c@d.example"), reason: gateway.ShapeFields, arg: "white space between Reply-To and its colon", measures: "spaced", points: 1},
		"no Date":               {text: with("Date"), reason: gateway.ShapeDate, arg: "0", measures: "date", points: 1},
		"two Date":              {text: with("", "Date: Tue, 24 Nov 2026 00:00:00 +0000"), reason: gateway.ShapeDate, arg: "2", measures: "date", points: 1},
		"two Subject":           {text: with("", "subject: y"), reason: gateway.ShapeFields, arg: "2 fields Subject", measures: "repeated", points: 1},
		"To, Cc and To again":   {text: with("", "To: a@b.example", "Cc: a@b.example", "To: a@b.example", "cc: x@y.example"), reason: gateway.ShapeFields, arg: "2 fields To", measures: "repeated,repeated", points: 2},
		"two Content-Type":      {text: with("", "Content-Type: text/plain", "Content-Type: text/html"), reason: gateway.ShapeFields, arg: "2 fields Content-Type", measures: "repeated", points: 1},
		"two Received":          {text: with("", "Received: x", "Received: y", "Comments: a", "Comments: b", "Resent-From: a", "Resent-From: b")},
		"no field":              {text: with("", "hello"), reason: gateway.ShapeFields, arg: "lines that are no field: 1", measures: "malformed", points: 2},
		"mbox line":             {text: "From a@b.example Tue Nov 24 00:00:00 2026\r\n" + with(""), reason: gateway.ShapeFields, arg: "lines that are no field: 1", measures: "malformed", points: 2},
		"begins with space":     {text: " X: y\r\n" + with(""), reason: gateway.ShapeFields, arg: "lines that are no field: 1", measures: "malformed", points: 2},
		"8-bit name":            {text: with("", "Subj\xe9ct: x"), reason: gateway.ShapeFields, arg: "lines that are no field: 1", measures: "malformed,eightbit", points: 3},
		"space before colon":    {text: with("", "X-A : b"), reason: gateway.ShapeFields, arg: "white space between X-A and its colon", measures: "spaced", points: 1},
		"8-bit":                 {text: with("Subject", "Subject: caf\xe9"), reason: gateway.ShapeFields, arg: "8-bit text without SMTPUTF8", measures: "eightbit", points: 1},
		"8-bit in the content":  {text: with("") + "caf\xe9 caf\xc3\xa9\r\n"},
		"8-bit with SMTPUTF8":   {text: with("Subject", "Subject: café"), utf8: true},
		"8-bit at the very end": {text: with("", "X: \xff"), reason: gateway.ShapeFields, arg: "8-bit text without SMTPUTF8", measures: "eightbit", points: 1},
		"no content":            {text: message(good...), measures: "incomplete"},
		"nothing":               {text: "", reason: gateway.ShapeDate, arg: "0", measures: "date,incomplete", points: 1},
		"content only":          {text: "\r\ntext\r\n", reason: gateway.ShapeDate, arg: "0", measures: "date", points: 1},
		"passed five times":     {text: with("", times(5, ours)...)},
		"passed six times":      {text: with("", times(6, ours)...), reason: gateway.ShapeLoop, arg: "6 times", reply: "554 5.4.6 Message refused: it has passed this host before (6 times)"},
		"passed others":         {text: with("", times(60, other)...)},
		"many fields":           {text: with("", times(500, "X-A: b")...), reason: gateway.ShapeFields, arg: "504 fields", measures: "many", points: 2},
		"as many as may be":     {text: with("", times(496, "X-A: b")...)},
		"all that are taken":    {text: with("", times(gateway.MaxFields-4, "X-A: b")...), reason: gateway.ShapeFields, arg: "10000 fields", measures: "many", points: 2},
		"all at once": {text: "x\r\n" + with("From", append(times(6, ours), "Date: x", "Subject: \xff", "To : a")...), reason: gateway.ShapeLoop, arg: "6 times",
			measures: "malformed,spaced,date,repeated,eightbit", reply: "554 5.4.6 ", points: 6},
	} {
		e := dataOf(t, c.text)
		e.Options.UTF8 = c.utf8
		s := from("192.0.2.1", "good.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
		// Only shape: the scanners of this world are dead.
		f := run(t, pl.Rows[gateway.Data][0].Checks[0].Run, input(s, e))
		f.Check, f.Stage, f.Rcpt = "shape", gateway.Data, -1
		e.Findings = []gateway.Finding{f}
		v := d.Policy.Judge(gateway.NewRecord(gateway.Data, s, e))
		arg := strings.Join(f.Args, "|")
		if f.Reason != c.reason || arg != c.arg || strings.Join(measured(f), ",") != c.measures || (f.Result == gateway.Fail) != (c.reason != "") {
			t.Errorf("%s: %s %s %q %v, want %s %q %s", name, f.Result, f.Reason, arg, measured(f), c.reason, c.arg, c.measures)
		}
		if !strings.HasPrefix(v.Reply.String(), c.reply) || (c.reply == "") != v.Reply.IsZero() || v.Score != c.points {
			t.Errorf("%s: %s, %v points; want %s, %v", name, v.Reply, v.Score, c.reply, c.points)
		}
	}
}

// TestShapePasses shows that the loop is counted by the very field that we write, and that the options count.
func TestShapePasses(t *testing.T) {
	s := from("192.0.2.1", "good.example")
	s.Snapshot = &gateway.Snapshot{Hostname: "mx.served.example"}
	field := gateway.Received(&gateway.Envelope{Session: s}, s.Started)
	for n, want := range map[int]gateway.Reason{1: "", 2: gateway.ShapeLoop} {
		e := dataOf(t, strings.Repeat(field, n)+with(""))
		f := (&ShapeOptions{Passes: 1, Fields: 50}).look("mx.served.example", e)
		if f.Reason != want {
			t.Errorf("%d of our fields: %s %v", n, f.Reason, f.Evidence)
		}
	}
}
