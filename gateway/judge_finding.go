package gateway

import (
	"slices"
	"strconv"
)

// own is what the check's own table makes of a finding, or a level in its place; false where it decides nothing.
func (t *tally) own(f *Finding, c *CheckPolicy, level *Level) (Decision, bool) {
	action, key := c.Action, "action"
	switch {
	case action == ActionObserve && t.intended:
		action = c.Intended
	case action <= ActionObserve:
		t.observed = t.observed || action == ActionObserve
		return Decision{}, false
	}
	switch f.Result {
	case Unknown:
		action, key = c.Unknown, "unknown"
		for i := range c.Cases {
			if r := c.Cases[i].Reason; r != "" && r == f.Reason {
				action, key = c.Cases[i].Action, c.Cases[i].Key
				break
			}
		}
		if action >= ActionPass && action < ActionDefer { // it goes on, unchecked
			t.mark(f.Check)
		}
	case Fail:
		for i := range c.Cases {
			if c.Cases[i].match(f) {
				action, key = c.Cases[i].Action, c.Cases[i].Key
				break
			}
		}
	default:
		return Decision{}, false
	}
	if action.Outcome() == Accept {
		return Decision{}, false
	}
	return t.decision(f, c, action, func() string {
		return t.p.lineOf(level, "checks."+f.Check+"."+key, strconv.Quote(action.String()))
	}), true
}

// mark notes that a check could not tell, and that its word was done without.
func (t *tally) mark(check string) {
	if !slices.Contains(t.marks, check) {
		t.marks = append(t.marks, check)
	}
}

// decision is what an action makes of a finding. Where no part can be taken out, the whole is kept.
func (t *tally) decision(f *Finding, c *CheckPolicy, action Action, line func() string) Decision {
	d := Decision{Outcome: action.Outcome(), Reason: f.Reason, Args: f.Args, Check: f.Check, class: c.Class, strips: action == ActionStrip}
	if t.told {
		d.Line = line()
	}
	if d.strips && len(f.Parts) == 0 {
		d.strips, d.Outcome = false, Quarantine
		d.Line += "; quarantined, since it names no part that could be taken out"
	}
	return d
}

// price is what a finding's measures cost. A total is lowered by what another check prices, and never below what is left
// of it without a sign change: ham rules keep their credit. told lists the measures for people.
func (t *tally) price(f *Finding, c *CheckPolicy, level *Level, told bool) (sum float64) {
	if len(c.Prices) == 0 || t.outdone(f) {
		return 0
	}
	ignored := c.ignored(f)
	for i := range f.Measures {
		m := &f.Measures[i]
		cost := c.cost(m, ignored)
		if cost == 0 {
			continue
		}
		sum += cost
		if !told {
			continue
		}
		t.priced = append(t.priced, Price{Check: f.Check, Measure: m.Name, Text: m.Text, Points: cost,
			Line: t.p.lineOf(level, "checks."+f.Check+".prices."+m.Name, strconv.FormatFloat(c.Prices[m.Name], 'g', -1, 64))})
	}
	return sum
}
