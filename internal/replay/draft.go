package replay

import (
	"slices"

	"gatepost/gateway"
)

// Draft is a policy to judge by, or one that was judged by.
type Draft struct {
	Policy *gateway.Policy
	// Pipeline says which checks there are, and in which order: those behind one that decides do not run.
	Pipeline *gateway.Pipeline
	// Spares are engines that are left out where nothing speaks against a message (when = "undecided").
	Spares map[string]bool
	// Waits are checks that let strangers wait from a certain suspicion on.
	Waits map[string]bool
	// Again are checks that find something else under the draft, told by the record alone. What they found then does not count.
	Again []Anew
}

// Anew is a check that is made again.
type Anew struct {
	Check string
	Stage gateway.Stage
	// Find is what it finds of a message, of which it keeps and changes nothing. ok is false where the record does not tell:
	// then it is as if it had not run.
	Find func(r *gateway.Record) (f gateway.Finding, ok bool)
}

// renewed is a record with what checks find again in the place of what they found.
func (t *Trial) renewed(r *gateway.Record) *gateway.Record {
	again := t.draft.Again
	if len(again) == 0 {
		return r
	}
	findings := t.anew.Findings[:0]
	for i := range r.Findings {
		if f := &r.Findings[i]; !slices.ContainsFunc(again, func(a Anew) bool { return a.Check == f.Check }) {
			findings = append(findings, *f)
		}
	}
	for _, a := range again {
		if !t.known[a.Check] || r.Stage < a.Stage {
			continue
		}
		if f, ok := a.Find(r); ok {
			f.Check, f.Stage, f.Rcpt = a.Check, a.Stage, -1
			findings = append(findings, f)
		}
	}
	t.anew = *r
	t.anew.Findings = findings
	return &t.anew
}
