package replay

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"gatepost/gateway"
)

// What a check that did not run would have said is not known, and whether that matters is found out by trying: the finding is
// put in place, one for each thing that the draft makes a difference of, and judged. The draft goes by a check's result, by
// reasons and texts that its cases and rules name, by measures that have a price, and by what it proves of the sender. Points
// have no bound that is known, so a price matters where any number of points would.

// much is more points than any threshold.
const much = 1e9

// unknown returns what a check could have found where what it found, at a place of the record or at none, is not what it
// would have found under the draft; none where it is.
func (t *Trial) unknown(in *step, c *planned, at, before int) []gateway.Finding {
	if at < 0 {
		return c.answers
	}
	switch f := &t.record.Findings[at]; {
	case f.Result == gateway.NotRun && (f.Reason == gateway.LeftOff || f.Reason == gateway.LeftDecided):
		return c.answers
	case c.spares:
		return t.sparing(in, c, at, before)
	case f.Result == gateway.NotRun && f.Reason == gateway.LeftSpared:
		return c.answers
	case c.wait:
		return t.waiting(in, c, at, before)
	}
	return nil // it had nothing to look at, and would have none
}

// sparing is unknown for an engine that the draft may leave out. Other reasons to ask it than what was found are those that
// there were.
func (t *Trial) sparing(in *step, c *planned, at, before int) []gateway.Finding {
	f, clear := &t.record.Findings[at], t.draft.clear(t.sim.Findings[:before])
	switch was := t.before; {
	case f.Result == gateway.NotRun && f.Reason == gateway.LeftSpared:
		if clear {
			return nil
		}
		return c.answers
	case f.Result == gateway.NotRun, !clear, was != nil && was.Spares[c.name] && was.clear(t.seen(in, at)):
		return nil
	}
	return []gateway.Finding{{Result: gateway.NotRun, Reason: gateway.LeftSpared}}
}

// seen are the findings that a check saw whose own is at a place of the record: those before its row.
func (t *Trial) seen(in *step, at int) []gateway.Finding {
	all := t.record.Findings
	for f := &all[at]; at > 0 && all[at-1].Stage == f.Stage && all[at-1].Rcpt == f.Rcpt && in.has(all[at-1].Check); {
		at--
	}
	return all[:at]
}

// clear reports whether nothing that was found speaks against the message.
func (d *Draft) clear(findings []gateway.Finding) bool {
	if d.suspicion(findings) > 0 {
		return false
	}
	for i := range findings {
		f := &findings[i]
		if f.Result == gateway.Unknown && f.Check != "posture" || f.Result == gateway.Fail && d.Policy.Checks[f.Check].Action > gateway.ActionObserve {
			return false
		}
	}
	return true
}

func (d *Draft) suspicion(findings []gateway.Finding) float64 {
	return d.Policy.Suspicion(&gateway.Session{Findings: findings}, &gateway.Envelope{})
}

// waiting is unknown for a check that lets strangers wait who are suspect: with more suspicion more of them wait, with less
// fewer do.
func (t *Trial) waiting(in *step, c *planned, at, before int) []gateway.Finding {
	f, is := &t.record.Findings[at], t.draft.suspicion(t.sim.Findings[:before])
	less, more := true, is > 0
	if was := t.before; was != nil {
		then := was.suspicion(t.seen(in, at))
		less, more = is < then-1e-9, is > then+1e-9
	}
	switch {
	case f.Result == gateway.NotRun && more:
		return c.answers
	case f.Result != gateway.NotRun && f.Result != gateway.Pass && less:
		return []gateway.Finding{{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}}
	}
	return nil
}

// said is what a draft names of a check.
type said struct {
	reasons []gateway.Reason
	texts   []string
	up      []gateway.Measure // of points against a message
	down    []gateway.Measure // and for it
	acts    bool              // it decides something, be it by a rule
}

// answers makes findings of all that a policy makes a difference of.
func answers(p *gateway.Policy, check string) []gateway.Finding {
	var s said
	own, known := p.Checks[check]
	all := []gateway.CheckPolicy{own}
	for _, l := range p.Levels {
		if c, ok := l.Checks[check]; ok {
			all = append(all, c)
		}
	}
	for i := range all {
		s.policy(&all[i])
	}
	proves := s.rules(p, check)
	if !known && !s.acts {
		return nil
	}
	var out []gateway.Finding
	if s.acts || len(s.up) > 0 {
		out = s.failures()
	}
	if len(s.down) > 0 {
		out = append(out, gateway.Finding{Result: gateway.Pass, Measures: s.down})
	}
	if own.Class == gateway.ClassList && own.Action > gateway.ActionObserve {
		out = append(out, gateway.Finding{Result: gateway.Pass, Measures: []gateway.Measure{{Name: gateway.AllowMeasure, Value: 1, Text: "an entry"}}})
	}
	return append(out, proves...)
}

// policy adds what the table of a check, or a level, says.
func (s *said) policy(c *gateway.CheckPolicy) {
	if c.Action <= gateway.ActionObserve {
		return
	}
	s.acts = s.acts || c.Action >= gateway.ActionTag || c.Unknown >= gateway.ActionTag
	for i := range c.Cases {
		s.acts = s.acts || c.Cases[i].Action >= gateway.ActionTag
		s.reason(c.Cases[i].Reason)
		if c.Cases[i].Pattern != "" {
			s.texts = append(s.texts, example(c.Cases[i].Pattern))
		}
	}
	for name, price := range c.Prices {
		if price != 0 { // what is measured may be negative: engines and reputation speak for a message as well
			s.up = append(s.up, gateway.Measure{Name: name, Value: math.Copysign(much, price)})
			s.down = append(s.down, gateway.Measure{Name: name, Value: math.Copysign(much, -price)})
		}
	}
}

func (s *said) reason(r gateway.Reason) {
	if r != "" && !slices.Contains(s.reasons, r) {
		s.reasons = append(s.reasons, r)
	}
}

// rules adds what rules say of the check, and returns what it could prove that rules go by.
func (s *said) rules(p *gateway.Policy, check string) (proves []gateway.Finding) {
	for _, rule := range p.Rules.All() {
		if slices.Contains(rule.Checks, check) && p.Checks[check].Action > gateway.ActionObserve {
			s.acts = true
			for _, r := range rule.Reasons {
				s.reason(r)
			}
			for _, text := range rule.Texts {
				s.texts = append(s.texts, example(text))
			}
		}
		for _, from := range rule.From {
			if from.Domain == "" {
				continue
			}
			local, domain := from.Local, from.Domain
			if local == "" {
				local = "somebody"
			}
			if strings.HasPrefix(domain, ".") {
				domain = "some" + domain
			}
			if check == "spf" || check == gateway.DMARCCheck {
				proves = append(proves, gateway.Finding{Result: gateway.Pass, Proves: local + "@" + domain})
			}
		}
		switch {
		case rule.Trust == 0:
		case check == gateway.DMARCCheck:
			proves = append(proves, gateway.Finding{Result: gateway.Pass, Proves: "somebody@somewhere.invalid"})
		case check == gateway.ReputationCheck:
			proves = append(proves, gateway.Finding{Result: gateway.Pass, Measures: []gateway.Measure{{Name: gateway.GoodMeasure, Value: 1}}})
		case strings.HasPrefix(check, "impersonation."):
			proves = append(proves, gateway.Finding{Result: gateway.Fail, Reason: gateway.FirstContact})
		}
	}
	return proves
}

// failures are findings of Fail and Unknown for each reason, with each text.
func (s *said) failures() (out []gateway.Finding) {
	texts := append([]string{""}, s.texts...)
	for _, reason := range append([]gateway.Reason{""}, s.reasons...) {
		for _, text := range texts {
			f := gateway.Finding{Result: gateway.Fail, Reason: reason, Measures: slices.Clone(s.up)}
			if text != "" {
				f.Measures = append(f.Measures, gateway.Measure{Name: "named", Text: text})
			}
			out = append(out, f)
			f.Parts = []int{0} // what could be taken out
			out = append(out, f)
		}
		out = append(out, gateway.Finding{Result: gateway.Unknown, Reason: reason})
	}
	return out
}

// example is a text that a shell pattern matches.
func example(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
		case '?':
			b.WriteByte('a')
		case '\\':
			if i++; i < len(pattern) {
				b.WriteByte(pattern[i])
			}
		case '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 2 || pattern[i+1] == '^' {
				b.WriteByte('~') // hardly in a class that is excluded
			} else {
				b.WriteByte(pattern[i+1])
			}
			i += max(end, 0)
		default:
			b.WriteByte(c)
		}
	}
	return cmp.Or(b.String(), "x") // no measure has an empty text
}
