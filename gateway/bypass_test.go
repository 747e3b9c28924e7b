package gateway

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestBypass shows that a check that is left out does not run, says so, and runs again after its time; and that what keeps
// malware out runs whatever was set.
func TestBypass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // the checks of a row run at the same time
		ran := map[string]int{}
		count := func(name string) Check {
			return Check{Name: name, Stage: Data, Run: func(context.Context, *Input) Finding {
				mu.Lock()
				defer mu.Unlock()
				ran[name]++
				return Passed()
			}}
		}
		left := new(Bypasses)
		run := func() (is map[string]Reason) {
			pl, in := pipelineInput(Row{Checks: []Check{count("virus"), count("opinion")}}, Row{Checks: []Check{count("macro")}})
			in.Session.Snapshot.Bypasses = left
			pl.Run(t.Context(), Data, in)
			is = map[string]Reason{}
			for _, f := range in.Envelope.Findings {
				if f.Result == NotRun {
					is[f.Check] = f.Reason
				}
			}
			return is
		}
		until := time.Now().Add(time.Hour)
		left.Set(map[string]time.Time{"virus": until, "opinion": until, "macro": until.Add(time.Hour)})
		if is := run(); ran["virus"] != 1 || ran["opinion"] != 0 || ran["macro"] != 0 || is["opinion"] != LeftBypassed || is["macro"] != LeftBypassed || len(is) != 2 {
			t.Errorf("%v, left out: %v", ran, is)
		}
		time.Sleep(time.Hour)
		if is := run(); ran["opinion"] != 1 || ran["macro"] != 0 || len(is) != 1 {
			t.Errorf("after an hour: %v, left out: %v", ran, is)
		}
		left.Set(nil)
		if is := run(); ran["macro"] != 1 || len(is) != 0 {
			t.Errorf("after its end: %v, left out: %v", ran, is)
		}
	})
}

// manyPoints is a condition that holds from ten points on.
type manyPoints struct{}

func (manyPoints) Holds(_ *Record, _ int, points float64) (bool, string) { return points >= 10, "" }
func (manyPoints) String() string                                        { return "score >= 10" }

// TestBypassScoring shows that points decide nothing while scoring is left out, that all else does, and that the Record itself
// says so: whoever judges it again comes to the same.
func TestBypassScoring(t *testing.T) {
	for name, c := range map[string]struct {
		find    Finding
		check   string
		plain   Outcome
		without Outcome
	}{
		"points":  {Finding{Result: Fail, Reason: SpamScore, Measures: []Measure{{Name: "points", Value: 100}}}, "opinion", Reject, Accept},
		"malware": {Failed(MalwareFound, "Eicar"), "virus", Reject, Reject},
	} {
		for _, bypassed := range []bool{false, true} {
			pl, in := pipelineInput(Row{Checks: []Check{says(c.check, c.find)}})
			p := testPolicy()
			p.Checks["opinion"] = CheckPolicy{Action: ActionScore, Prices: map[string]float64{"points": 1}}
			p.Thresholds = Thresholds{Tag: 5, Quarantine: 7, Reject: 15}
			p.Domains["one.example"].Thresholds = nil
			p.Rules = NewRules([]Rule{{Line: "rule[1]", Points: 50, Action: ActionReject}, {Line: "rule[2]", When: manyPoints{}, Action: ActionReject}})
			in.Session.Snapshot.Policy = p
			want := c.plain
			if bypassed {
				in.Session.Snapshot.Bypasses = new(Bypasses)
				in.Session.Snapshot.Bypasses.Set(map[string]time.Time{ScoringCheck: time.Now().Add(time.Hour)})
				want = c.without
			}
			if v := pl.Run(t.Context(), Data, in); v.Outcome != want {
				t.Errorf("%s, bypassed %v: %s", name, bypassed, v.Outcome)
			}
			again := p.Judge(NewRecord(Data, in.Session, in.Envelope))
			if again.Outcome != want {
				t.Errorf("%s, bypassed %v, judged again: %s", name, bypassed, again.Outcome)
			}
		}
	}
}
