package replay

import (
	"slices"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/store"
)

// TestMeet holds what an entry would have met, and changed, against what a whole simulation of the policy with it says, and against the
// messages themselves: a message is met where its sender is the entry's, and no other is changed.
func TestMeet(t *testing.T) {
	live, _, all := world(t)
	met := func(r *gateway.Record) bool { return r.ID%3 == 0 }
	find := func(hit func(*gateway.Record) bool) func(r *gateway.Record) (gateway.Finding, bool) {
		return func(r *gateway.Record) (gateway.Finding, bool) {
			f := gateway.Passed()
			if hit(r) {
				f = gateway.Passed(gateway.Measure{Name: gateway.AllowMeasure, Value: 1, Text: "mine"})
			}
			return f, r.ID%7 != 1
		}
	}
	for i := range all { // those of the pipeline have no number
		all[i].Record.ID = gateway.ID(i)
	}
	draft := func(hit func(*gateway.Record) bool) *Draft {
		d := *live.draft
		p := *d.Policy
		p.Checks = map[string]gateway.CheckPolicy{}
		for name, c := range live.policy.Checks {
			p.Checks[name] = c
		}
		p.Checks["list"] = gateway.CheckPolicy{Action: gateway.ActionReject, Class: gateway.ClassList}
		d.Policy, d.Again = &p, []Anew{{Check: "list", Stage: gateway.Connect, Find: find(hit)}}
		return &d
	}
	with, without := draft(met), draft(func(*gateway.Record) bool { return false })
	got, err := Meet(t.Context(), all, &Entry{Check: "list", Measure: gateway.AllowMeasure, Value: "mine", Alone: find(met), With: with, Without: without, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	simulated, err := Run(t.Context(), all, &Question{Draft: with, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	want, unsure := 0, 0
	for i := range all {
		r := all[i].Record
		switch {
		case unfinished(r, &all[i].Verdict):
		case r.ID%7 == 1:
			unsure++
		case met(r):
			want++
		}
	}
	if got.Messages != simulated.Messages || got.Met != want || got.Unsure != unsure || len(got.Gaps) != 1 {
		t.Errorf("%d of %d, unsure %d; want %d of %d, unsure %d", got.Met, got.Messages, got.Unsure, want, simulated.Messages, unsure)
	}
	if got.Changed == 0 || got.Changed != got.Milder+got.Harder || len(got.List) != got.Changed || got.Milder < got.Harder {
		t.Errorf("%d changed, %d milder, %d harder, %d listed", got.Changed, got.Milder, got.Harder, len(got.List))
	}
	sum := got.NotKnown
	for i := range got.Matrix {
		for o := gateway.Accept; o <= gateway.Drop; o++ {
			sum += *got.Matrix[i].Of(o)
		}
	}
	if sum != got.Met {
		t.Errorf("the matrix has %d of %d", sum, got.Met)
	}
	// What becomes of each with the entry is what the simulation says, and the simulation is of the same messages.
	trial := NewTrial(with, nil)
	for _, c := range got.List {
		i := slices.IndexFunc(all, func(j store.Judged) bool { return j.Record.ID == c.ID })
		v, missing := trial.Judge(all[i].Record, &all[i].Verdict, "")
		if len(missing) > 0 || v.Outcome != c.Draft.Outcome || !met(all[i].Record) {
			t.Errorf("%d: %s, %v, listed as %s", c.ID, v.Outcome, missing, c.Draft.Outcome)
		}
	}
	none, err := Meet(t.Context(), all, &Entry{Check: "list", Measure: gateway.AllowMeasure, Value: "mine", With: with, Without: without})
	if err != nil || none.Met != 0 || none.Unsure != none.Messages {
		t.Errorf("of what no record tells: %v, %+v", err, none)
	}
	wider, err := Meet(t.Context(), all, &Entry{Check: "list", Measure: gateway.AllowMeasure, Value: "mine", Alone: find(func(*gateway.Record) bool { return true }), With: with, Without: without})
	if err != nil || wider.Met != want {
		t.Errorf("where another entry decides it is met: %v, %d of %d", err, wider.Met, want)
	}
}
