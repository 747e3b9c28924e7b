package gateway

import "testing"

// ownSays is a finding of the recipients' own lists.
func ownSays(result Result, words ...string) Finding {
	f := Finding{Check: OwnCheck, Stage: Data, Rcpt: -1, Result: result}
	if result == Fail {
		f.Reason = AccessOwn
	}
	for i := 0; i+1 < len(words); i += 2 {
		f.Measures = append(f.Measures, Measure{Name: words[i], Value: 1, Text: words[i+1]})
	}
	return f
}

// TestOwnLists: a recipient's list counts for him alone: what he allows costs him nothing of opinions and lists, never what a
// message holds or malware; what he blocks is refused, or kept where others take the message.
func TestOwnLists(t *testing.T) {
	a, b := "a@one.example", "b@one.example"
	to := []string{a, b}
	policy := func(action Action) *Policy {
		p := rulesPolicy()
		p.Checks[OwnCheck] = CheckPolicy{Action: action, Intended: ActionReject, Unknown: ActionPass, Class: ClassList}
		return p
	}
	p := policy(ActionReject)
	for _, c := range []struct {
		name     string
		findings []Finding
		want     [2]Outcome
	}{
		{"no list", []Finding{points(20)}, [2]Outcome{Reject, Reject}},
		{"one allows, and points do not count for him", []Finding{points(20), ownSays(Pass, OwnAllow, a)}, [2]Outcome{Accept, Quarantine}},
		{"in other letters", []Finding{points(20), ownSays(Pass, OwnAllow, "A@One.Example"), fail("opinion", Data, ShapeFrom)}, [2]Outcome{Accept, Quarantine}},
		{"both allow", []Finding{points(20), ownSays(Pass, OwnAllow, a, OwnAllow, b)}, [2]Outcome{Accept, Accept}},
		{"one blocks", []Finding{ownSays(Fail, OwnBlock, b)}, [2]Outcome{Accept, Quarantine}},
		{"both block", []Finding{ownSays(Fail, OwnBlock, a, OwnBlock, b)}, [2]Outcome{Reject, Reject}},
		{"a block is stronger", []Finding{ownSays(Fail, OwnAllow, a, OwnBlock, a)}, [2]Outcome{Quarantine, Accept}},
		{"one blocks, one allows", []Finding{points(20), ownSays(Fail, OwnAllow, a, OwnBlock, b)}, [2]Outcome{Accept, Quarantine}},
		{"malware", []Finding{fail("virus", Data, MalwareFound), ownSays(Pass, OwnAllow, a, OwnAllow, b)}, [2]Outcome{Reject, Reject}},
		{"nobody of these", []Finding{points(20), ownSays(Fail, OwnBlock, "c@one.example", OwnAllow, "d@one.example")}, [2]Outcome{Reject, Reject}},
		{"a block of nobody", []Finding{ownSays(Fail)}, [2]Outcome{Accept, Accept}},
	} {
		v := p.Judge(record(Data, to, c.findings...))
		if got := [2]Outcome{v.Rcpts[0].Outcome, v.Rcpts[1].Outcome}; got != c.want {
			t.Errorf("%s: %v, want %v (%+v)", c.name, got, c.want, v.Rcpts)
		}
	}
	v := p.Judge(record(Data, to, points(20), ownSays(Pass, OwnAllow, a)))
	if len(v.Rules) != 1 || v.Rules[0].Action != "accept" || len(v.Rules[0].Rcpts) != 1 || v.Score < 20 {
		t.Errorf("told: %+v, score %v", v.Rules, v.Score)
	}
	v = policy(ActionObserve).Judge(record(Data, to, points(20), ownSays(Fail, OwnAllow, a, OwnBlock, b)))
	if v.Rcpts[0].Outcome != Reject || v.Rcpts[1].Outcome != Reject {
		t.Errorf("observed, it decides: %+v", v.Rcpts)
	}
}
