package gateway

import (
	"context"
	"testing"
)

// TestJoin: the late rows of Connect run when they are joined and not before, once their findings are those of the session,
// and nobody who shares what was found before sees them.
func TestJoin(t *testing.T) {
	pl, in := pipelineInput()
	s, ran := in.Session, 0
	check := func(name string, f Finding) Check {
		s.Snapshot.Policy.Checks[name] = CheckPolicy{Class: ClassList, Action: ActionReject}
		return Check{Name: name, Stage: Connect, Run: func(context.Context, *Input) Finding { ran++; return f }}
	}
	pl.Rows[Connect] = []Row{{Checks: []Check{check("early", Passed(Yes("m")))}}}
	pl.Late = []Row{{Checks: []Check{check("late", Failed(RBLListed, "192.0.2.1", "list", "code", "site"))}}, {Checks: []Check{check("later", Passed())}}}
	if v := pl.Run(t.Context(), Connect, &Input{Session: s, Rcpt: -1}); v.Outcome != Accept || ran != 1 {
		t.Errorf("before: %v, %d ran", v.Outcome, ran)
	}
	before := NewRecord(Connect, s, nil)
	if v := pl.Join(t.Context(), s); v.Outcome != Reject || v.Reason != RBLListed || ran != 2 {
		t.Errorf("joined: %v %v, %d ran", v.Outcome, v.Reason, ran)
	}
	if len(before.Findings) != 1 || len(s.Findings) != 3 || s.Findings[1].Check != "late" || s.Findings[1].Stage != Connect || s.Findings[1].Rcpt != -1 {
		t.Errorf("before %v, after %v", before.Findings, s.Findings)
	}
	if f := s.Findings[2]; f.Result != NotRun || f.Reason != LeftDecided {
		t.Errorf("a row behind a final verdict: %v", f)
	}
	role := &Envelope{Session: s, Rcpts: []Recipient{{Address: Address{Text: "postmaster@x.example", Local: "postmaster", Domain: "x.example"}}, {Address: Address{Text: "a@x.example", Local: "a", Domain: "x.example"}}}}
	v := s.Snapshot.Policy.Judge(NewRecord(Rcpt, s, role))
	if v.Rcpts[0].Outcome != Accept || v.Rcpts[1].Outcome != Reject {
		t.Errorf("postmaster and another: %v", v.Rcpts)
	}
}

// TestSuspicion: it is the points that Judge would give, of what is priced and not only observed.
func TestSuspicion(t *testing.T) {
	_, in := pipelineInput()
	s, e := in.Session, in.Envelope
	p := s.Snapshot.Policy
	p.Checks["a"] = CheckPolicy{Action: ActionScore, Prices: map[string]float64{"m": 2, "n": 0.5}}
	p.Checks["b"] = CheckPolicy{Action: ActionObserve, Prices: map[string]float64{"m": 9}}
	s.Findings = []Finding{{Check: "a", Result: Fail, Measures: []Measure{Yes("m")}}, {Check: "b", Result: Fail, Measures: []Measure{Yes("m")}}}
	e.Findings = []Finding{{Check: "a", Result: Pass, Measures: []Measure{{Name: "n", Value: -1}}}, {Check: "a", Result: NotRun, Measures: []Measure{Yes("m")}}}
	if got, want := p.Suspicion(s, e), p.Judge(NewRecord(Mail, s, e)).Score; got != want || got != 1.5 {
		t.Errorf("%v, and Judge says %v", got, want)
	}
}
