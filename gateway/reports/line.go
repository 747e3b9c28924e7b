package reports

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dmarcreport"
)

// resultOf returns what DMARC said of a message, and whether it passed; or nil.
func resultOf(r *gateway.Record) (d *gateway.DMARCResult, pass bool) {
	for i := range r.Findings {
		for k := range r.Findings[i].Auth {
			if a := &r.Findings[i].Auth[k]; a.DMARC != nil {
				return a.DMARC, a.Result == "pass"
			}
		}
	}
	return nil, false
}

// wanted is a cheap look at whether an event may be of interest: of a message that was judged by somebody's record.
func wanted(e *gateway.Event) bool {
	if e.Kind != gateway.TransactionEvent {
		return false
	}
	d, _ := resultOf(e.Record)
	return d != nil && d.Record != ""
}

func (dmarcKind) count(what any, at time.Time, s *Settings) (c Counted, ok bool) {
	m, ok := count(what.(*gateway.Event), at, s)
	if !ok {
		return c, false
	}
	c.Subject = m.Subject
	c.Line, _ = DMARCLine(m.Line) // a struct of texts and numbers
	return c, true
}

// message is one that is counted.
type message struct {
	Subject
	Line dmarcreport.Record
}

// count makes the line of a message. Not ok: it is not reported about.
func count(e *gateway.Event, at time.Time, s *Settings) (c message, ok bool) {
	d, pass := resultOf(e.Record)
	// A message that was deferred comes again, and is counted when it comes to an end.
	if d == nil || len(d.Record) > MaxRecord || !dmarcreport.ValidDomain(d.PolicyDomain) || e.Outcome() == gateway.Defer || aboutReports(e, pass, s) {
		return c, false
	}
	p, ok := dmarcreport.ParsePublished(d.PolicyDomain, d.Method, d.Record)
	if !ok || p.RUA == "" {
		return c, false
	}
	c.Subject = Subject{Day: DayOf(at), Domain: strings.ToLower(d.PolicyDomain), Record: d.Record, Method: d.Method}
	c.Line = dmarcreport.Record{Source: e.Record.Client.Unmap().WithZone(""), DKIM: d.DKIM, SPF: d.SPF, HeaderFrom: cut(d.Author),
		EnvelopeFrom: cut(strings.ToLower(e.Record.From.Domain)), Count: 1}
	c.Line.Disposition, c.Line.Reasons = disposition(&e.Verdict, d, pass, &p)
	results := gateway.AuthResults(e.Record.Findings)
	c.Line.Signatures = signatures(results, d.Author)
	c.Line.Checked = checked(results)
	return c, true
}

// DMARCLine is a line as the Store keeps it.
func DMARCLine(r dmarcreport.Record) (Line, error) {
	key, err := json.Marshal(&r)
	return Line{string(key), r.Count}, err
}

// dmarcRecords are the lines that can be read.
func dmarcRecords(lines []Line) (out []dmarcreport.Record) {
	for _, l := range lines {
		var r dmarcreport.Record
		if json.Unmarshal([]byte(l.Key), &r) == nil {
			r.Count = l.Count
			out = append(out, r)
		}
	}
	return out
}

// cut bounds what a sender brings.
func cut(s string) string { return s[:min(len(s), 253)] }

// aboutReports reports whether a message is one of the talk between reporters, about which nobody reports: else two of them
// would report about each other's reports for ever. A Subject can be forged, so that it counts only where the owner's own
// domain vouches for the message.
func aboutReports(e *gateway.Event, pass bool, s *Settings) bool {
	r := e.Record
	if strings.EqualFold(r.From.Text, s.From) || strings.Contains(strings.ToLower(r.HeaderFrom), strings.ToLower(s.From)) {
		return true
	}
	if len(r.Rcpts) > 0 && !slices.ContainsFunc(r.Rcpts, func(to gateway.RecordRcpt) bool { return !strings.EqualFold(to.To.Text, s.From) }) {
		return true
	}
	const subject = "report domain:"
	text := strings.TrimSpace(e.Subject)
	return pass && len(text) >= len(subject) && strings.EqualFold(text[:len(subject)], subject)
}

// disposition is what was done with a message for its DMARC result: never more than its owner asks for, since what other
// checks do on top is no business of his, and with a reason where it is less.
func disposition(v *gateway.Verdict, d *gateway.DMARCResult, pass bool, p *dmarcreport.Published) (string, []dmarcreport.Reason) {
	words := []string{"none", "quarantine", "reject"}
	asked := max(slices.Index(words, d.Requested), 0)
	if pass { // a message of several authors does not, though one of them is aligned
		if asked > 0 {
			return "pass", nil
		}
		return "none", nil
	}
	did := 0
	switch v.Outcome {
	case gateway.Quarantine:
		did = 1
	case gateway.Reject, gateway.Drop:
		did = 2
	}
	did = min(did, asked)
	var why []dmarcreport.Reason
	switch {
	case did < asked && d.Override != "":
		why = append(why, dmarcreport.Reason{Type: d.Override})
	case did < asked:
		why = append(why, dmarcreport.Reason{Type: "local_policy"})
	case p.Testing && (p.P != "none" || p.SP != "none" || p.NP != "none"):
		why = append(why, dmarcreport.Reason{Type: "policy_test_mode"})
	}
	return words[did], why
}

// signatures lists the results of DKIM, those that say most first (RFC 9990 section 3.1.4).
func signatures(results []gateway.AuthResult, author string) []dmarcreport.Signature {
	var out []dmarcreport.Signature
	for i := range results {
		r := &results[i]
		if d := r.Prop("header", "d"); r.Method == "dkim" && d != "" {
			out = append(out, dmarcreport.Signature{Domain: cut(strings.ToLower(d)), Selector: cut(r.Prop("header", "s")), Result: r.Result})
		}
	}
	rank := func(s dmarcreport.Signature) int {
		switch {
		case s.Result != "pass":
			return 3
		case s.Domain == author:
			return 0
		case dmarcreport.SameOrganization(s.Domain, author):
			return 1
		}
		return 2
	}
	if len(out) > 1 {
		slices.SortStableFunc(out, func(a, b dmarcreport.Signature) int { return rank(a) - rank(b) })
	}
	return out[:min(len(out), dmarcreport.MaxSignatures)]
}

// checked is the result of SPF for MAIL FROM, for which HELO stands in where that is null.
func checked(results []gateway.AuthResult) dmarcreport.SPFResult {
	var helo dmarcreport.SPFResult
	for i := range results {
		r := &results[i]
		if r.Method != "spf" {
			continue
		}
		if from := r.Prop("smtp", "mailfrom"); from != "" {
			return dmarcreport.SPFResult{Domain: cut(strings.ToLower(from[strings.LastIndexByte(from, '@')+1:])), Result: r.Result}
		}
		if name := r.Prop("smtp", "helo"); name != "" && helo.Result == "" {
			helo = dmarcreport.SPFResult{Domain: cut(strings.ToLower(name)), Helo: true, Result: r.Result}
		}
	}
	return helo
}
