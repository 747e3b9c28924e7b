package gateway

import (
	"testing"
)

// given is a condition that holds for some recipients, or cannot be told.
type given struct {
	rcpts []int
	why   string
	from  float64 // the points it must be told
	asked *int
}

func (s given) Holds(r *Record, rcpt int, points float64) (bool, string) {
	if s.asked != nil {
		*s.asked++
	}
	if s.why != "" {
		return false, s.why
	}
	for _, i := range s.rcpts {
		if i == rcpt && points >= s.from {
			return true, ""
		}
	}
	return false, ""
}

// TestConditions: a rule with a condition matches where it holds, is asked once for a recipient, and what cannot be told is
// no match and is said.
func TestConditions(t *testing.T) {
	asked := 0
	to := []string{"a@one.example", "b@one.example"}
	p := rulesPolicy(Rule{Checks: []string{"macro", "strip"}, When: given{rcpts: []int{1}, asked: &asked}, Action: ActionPass, Line: "rule[1]"})
	v := p.Judge(record(Data, to, macro(1), macro(2)))
	if v.Rcpts[0].Outcome == Accept || v.Rcpts[1].Outcome != Accept {
		t.Errorf("for the first %v, for the second, of whom the condition holds, %v", v.Rcpts[0].Outcome, v.Rcpts[1].Outcome)
	}
	if asked != len(to) {
		t.Errorf("it was asked %d times", asked)
	}
	p = rulesPolicy(Rule{Checks: []string{"macro"}, When: given{why: "too dear"}, Action: ActionPass, Line: "rule[1]"})
	v = p.Judge(record(Data, to, macro(1)))
	if v.Rcpts[0].Outcome == Accept || len(v.Rules) != 1 || v.Rules[0].Why != "too dear" || v.Rules[0].Action != "" || len(v.Rules[0].Rcpts) != 2 {
		t.Errorf("what cannot be told: %+v", v)
	}
	p = rulesPolicy(Rule{When: given{rcpts: []int{0, 1}, from: 4}, Action: ActionQuarantine, Line: "rule[1]"})
	for points0, want := range map[float64]Outcome{3: Accept, 4: Quarantine} {
		if v := p.Judge(record(Data, to, points(points0))); v.Rcpts[1].Outcome != want {
			t.Errorf("of %v points: %v", points0, v.Rcpts[1].Outcome)
		}
	}
}

// TestObservedRules: a rule that is only observed decides nothing, the next is looked at, and what it would have done is
// told, and is what the verdict would have been.
func TestObservedRules(t *testing.T) {
	to := []string{"a@one.example", "b@one.example"}
	p := rulesPolicy(Rule{Checks: []string{"opinion"}, Action: ActionReject, Line: "rule[1]", Observe: true}, Rule{Checks: []string{"opinion"}, Action: ActionTag, Line: "rule[2]"})
	v := p.Judge(record(Data, to, fail("opinion", Data, ShapeFrom)))
	if v.Outcome != Tag || v.Line != "rule[2]" || v.Would == nil || v.Would.Outcome != Reject {
		t.Errorf("%v by %s, would be %+v", v.Outcome, v.Line, v.Would)
	}
	if len(v.Rules) != 2 || !v.Rules[0].Observed || v.Rules[0].Action != "reject" || len(v.Rules[0].Rcpts) != 2 || v.Rules[1].Observed {
		t.Errorf("told: %+v", v.Rules)
	}
	p = rulesPolicy(Rule{Action: ActionReject, Line: "rule[1]", Observe: true})
	if v := p.Judge(record(Data, to)); v.Outcome != Accept || v.Would == nil || v.Would.Outcome != Reject || len(v.Rules) != 1 {
		t.Errorf("about the message: %+v", v)
	}
}
