package replay

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"gatepost/gateway"
)

// The tests let messages go through real pipelines, whose checks answer by the message alone: so what a draft would have done
// is found out by doing it, and what replay says of the record is held against that.

// mail is a message of the tests.
type mail struct {
	n  uint64
	to []string
}

// dice are the same for a message, a check and a recipient whenever they are thrown.
func (m *mail) dice(check string, rcpt int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, m.n, check, rcpt)
	return rand.New(rand.NewPCG(m.n, h.Sum64()))
}

// Checks of the tests, with their stages; those that stand on one line are of one row.
var plan = []struct {
	stage  gateway.Stage
	checks []string
}{
	{gateway.Connect, []string{"list", "guests"}},
	{gateway.Connect, []string{"late"}}, // is joined late
	{gateway.Helo, []string{"name", "rdns"}},
	{gateway.Mail, []string{"sender", "spf"}},
	{gateway.Mail, []string{"past"}},
	{gateway.Rcpt, []string{"relay"}},
	{gateway.Rcpt, []string{"rate", "grey"}},
	{gateway.Rcpt, []string{"rcpt"}},
	{gateway.Data, []string{"shape"}},
	{gateway.Data, []string{"dmarc", "author"}},
	{gateway.Data, []string{"parts", "virus"}},
	{gateway.Data, []string{"links"}},
	{gateway.Data, []string{"engine", "other"}},
}

// classes of checks that have another than opinion.
var classes = map[string]gateway.Class{"list": gateway.ClassList, "author": gateway.ClassList, "rate": gateway.ClassLimiting,
	"grey": gateway.ClassLimiting, "relay": gateway.ClassRelay, "rcpt": gateway.ClassRecipient, "virus": gateway.ClassMalware, "parts": gateway.ClassContent}

var reasons = []gateway.Reason{gateway.MalwareFound, gateway.MalwareDoubtful, gateway.AttachmentMacro, gateway.RDNSNone}

// answer is what a check finds.
func (m *mail) answer(check string, rcpt int) gateway.Finding {
	r := m.dice(check, rcpt)
	var f gateway.Finding
	switch n := r.IntN(12); {
	case n < 6:
		f = gateway.Passed()
		if (check == "dmarc" || check == "spf") && r.IntN(2) == 0 {
			f.Proves = []string{"ann@good.example", "bob@other.example"}[r.IntN(2)]
		}
		if classes[check] == gateway.ClassList && r.IntN(4) == 0 {
			f.Measures = []gateway.Measure{{Name: gateway.AllowMeasure, Value: 1, Text: "entry"}}
		}
	case n < 9:
		f = gateway.Failed(reasons[r.IntN(len(reasons))])
		if r.IntN(2) == 0 {
			f.Parts = []int{1}
		}
	case n == 9:
		f = gateway.CouldNotTell(gateway.CheckTimeout)
	case n == 10:
		f = gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}
	default:
		f = gateway.Passed()
	}
	if f.Result != gateway.NotRun && r.IntN(3) == 0 {
		f.Measures = append(f.Measures, gateway.Measure{Name: "sum", Value: float64(r.IntN(13) - 4), Text: []string{"", "RULE_A", "RULE_B"}[r.IntN(3)]})
	}
	return f
}

// site is a policy and its pipeline.
type site struct {
	policy   *gateway.Policy
	pipeline *gateway.Pipeline
	draft    *Draft
}

// build makes a site of a policy. The engine is left out for some mail nothing speaks against, where spares; grey lets
// strangers wait from four points of suspicion on.
func build(p *gateway.Policy, spares bool, of func() *mail) *site {
	s := &site{policy: p, pipeline: &gateway.Pipeline{}}
	s.draft = &Draft{Policy: p, Pipeline: s.pipeline, Spares: map[string]bool{"engine": spares}, Waits: map[string]bool{"grey": true}}
	for _, line := range plan {
		var row gateway.Row
		for _, name := range line.checks {
			row.Checks = append(row.Checks, gateway.Check{Name: name, Stage: line.stage, Ready: func(*gateway.Input) bool { return true },
				Run: func(_ context.Context, in *gateway.Input) gateway.Finding {
					m := of()
					all := slices.Concat(in.Session.Findings, found(in))
					switch {
					case name == "engine" && spares && m.n%3 > 0 && s.draft.clear(all):
						return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftSpared}
					case name == "grey" && s.draft.suspicion(all)+float64(m.n%3) < 4:
						return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNotNeeded}
					case name == "grey" && m.n%2 > 0:
						return gateway.Failed(gateway.GreylistWait)
					case name == "grey":
						return gateway.Passed()
					}
					return m.answer(name, in.Rcpt)
				}})
		}
		if line.checks[0] == "late" {
			s.pipeline.Late = append(s.pipeline.Late, row)
			continue
		}
		s.pipeline.Rows[line.stage] = append(s.pipeline.Rows[line.stage], row)
	}
	return s
}

// through lets a message go through, as the edge does, and returns its record and verdict.
func (s *site) through(m *mail) (*gateway.Record, gateway.Verdict) {
	ctx := context.Background()
	snapshot := &gateway.Snapshot{Policy: s.policy, Pipeline: s.pipeline}
	se := &gateway.Session{ID: gateway.ID(m.n + 1), Snapshot: snapshot, Client: netip.MustParseAddrPort("192.0.2.9:4000"), Trusted: m.n%11 == 0}
	if v := s.pipeline.Run(ctx, gateway.Connect, &gateway.Input{Session: se, Rcpt: -1}); v.Outcome == gateway.Drop {
		return nil, v // before the banner
	}
	e := &gateway.Envelope{ID: gateway.ID(m.n + 2), Session: se, Started: time.Unix(1_700_000_000, 0).UTC()}
	at := func(stage gateway.Stage, rcpt int) gateway.Verdict {
		return s.pipeline.Run(ctx, stage, &gateway.Input{Session: se, Envelope: e, Rcpt: rcpt})
	}
	s.pipeline.Join(ctx, se)
	at(gateway.Helo, -1)
	at(gateway.Mail, -1)
	accepted, dropped := false, false
	for i, to := range m.to {
		var a gateway.Address
		_ = a.UnmarshalText([]byte(to)) // never fails
		e.Rcpts = append(e.Rcpts, gateway.Recipient{Address: a})
		v := at(gateway.Rcpt, i)
		d, reply := v.Rcpt(i, e.ID)
		if d.Outcome.Refuses() {
			e.Rcpts[i].Reply = reply
		} else {
			e.Rcpts[i].Reply = gateway.Reply{Code: 250}
			accepted = true
		}
		if dropped = d.Outcome == gateway.Drop; dropped {
			break
		}
	}
	if !accepted || dropped {
		r := gateway.NewRecord(gateway.Rcpt, se, e)
		return r, s.policy.Judge(r)
	}
	v := at(gateway.Data, -1)
	return gateway.NewRecord(gateway.Data, se, e), v
}

// anyPolicy makes one.
func anyPolicy(r *rand.Rand) *gateway.Policy {
	p := &gateway.Policy{Mode: gateway.Mode(r.IntN(6)), Thresholds: gateway.Thresholds{Tag: 3, Quarantine: float64(4 + r.IntN(4)), Reject: float64(8 + r.IntN(6))},
		Checks: map[string]gateway.CheckPolicy{}, Domains: map[string]*gateway.Domain{"one.example": {Name: "one.example"}}}
	if p.Mode > gateway.Enforce {
		p.Mode = gateway.Enforce
	}
	checkPolicy := func(name string) gateway.CheckPolicy {
		c := gateway.CheckPolicy{Class: classes[name], Action: gateway.Action(r.IntN(int(gateway.ActionDrop) + 1)), Unknown: gateway.Action(2 + r.IntN(7)), Intended: gateway.ActionReject}
		if r.IntN(2) == 0 {
			c.Action = gateway.ActionScore
		}
		if c.Class >= gateway.ClassMalware && c.Action == gateway.ActionPass {
			c.Action = gateway.ActionReject
		}
		if r.IntN(2) == 0 {
			c.Prices = map[string]float64{"sum": []float64{1, 0.5, -1, 2}[r.IntN(4)]}
		}
		if r.IntN(4) == 0 {
			c.Cases = append(c.Cases, gateway.Case{Reason: reasons[r.IntN(len(reasons))], Action: gateway.Action(4 + r.IntN(6)), Key: "k"})
		}
		if r.IntN(6) == 0 {
			c.Cases = append(c.Cases, gateway.Case{Pattern: "RULE_[A]*", Action: gateway.Action(4 + r.IntN(6)), Key: "k"})
		}
		return c
	}
	for _, line := range plan {
		for _, name := range line.checks {
			p.Checks[name] = checkPolicy(name)
		}
	}
	if r.IntN(3) == 0 {
		l := &gateway.Level{Name: "strict", Thresholds: gateway.Thresholds{Tag: 1, Quarantine: 3, Reject: 5}, Checks: map[string]gateway.CheckPolicy{"engine": checkPolicy("engine")}}
		p.Levels = []*gateway.Level{l}
		p.Domains["two.example"] = &gateway.Domain{Name: "two.example", Level: l}
	}
	var rules []gateway.Rule
	for range r.IntN(3) {
		rule := gateway.Rule{Action: gateway.Action(2 + r.IntN(8)), Line: "rule"}
		if rule.Action == gateway.ActionScore {
			rule.Action = gateway.ActionTag
		}
		if r.IntN(2) == 0 {
			rule.Checks = []string{plan[r.IntN(len(plan))].checks[0]}
			if r.IntN(2) == 0 {
				rule.Reasons = []gateway.Reason{reasons[r.IntN(len(reasons))]}
			}
		} else if r.IntN(2) == 0 {
			rule.Points = float64(r.IntN(10))
		}
		if r.IntN(2) == 0 {
			rule.From = []gateway.Sender{{Domain: []string{"good.example", ".example"}[r.IntN(2)]}}
		}
		if r.IntN(4) == 0 {
			rule.Trust = []gateway.Trust{gateway.Trusted, gateway.Authenticated, gateway.Unfamiliar}[r.IntN(3)]
		}
		rules = append(rules, rule)
	}
	p.Rules = gateway.NewRules(rules)
	return p
}

// draftOf changes some of a policy.
func draftOf(r *rand.Rand, p *gateway.Policy) *gateway.Policy {
	out, other := *p, anyPolicy(r)
	out.Checks = map[string]gateway.CheckPolicy{}
	for _, name := range slices.Sorted(maps.Keys(p.Checks)) {
		if out.Checks[name] = p.Checks[name]; r.IntN(6) == 0 {
			out.Checks[name] = other.Checks[name]
		}
	}
	if r.IntN(2) == 0 {
		out.Thresholds = other.Thresholds
	}
	if r.IntN(4) == 0 {
		out.Rules, out.Levels, out.Domains = other.Rules, other.Levels, other.Domains
	}
	if r.IntN(6) == 0 {
		out.Mode = other.Mode
	}
	return &out
}

// TestOracle lets 100 messages go through each of 50 policies, and through a draft; and asks of the record of the first what
// the draft would have done. Under the policy that judged it the answer is what came of it, and nothing is not known. Under the
// draft it is what came of it there, or that it is not known. It is known for most.
func TestOracle(t *testing.T) {
	const policies, messages = 50, 100
	rnd := rand.New(rand.NewPCG(10, 60))
	known, changed, total := 0, 0, 0
	var now *mail
	of := func() *mail { return now }
	for n := range policies {
		p := anyPolicy(rnd)
		live := build(p, rnd.IntN(2) == 0, of)
		draft := build(draftOf(rnd, p), rnd.IntN(2) == 0, of)
		was := func(string) *Draft { return live.draft }
		same, other := NewTrial(live.draft, was), NewTrial(draft.draft, was)
		for range messages {
			now = &mail{n: rnd.Uint64N(1 << 40), to: []string{"a@one.example", "b@two.example", "postmaster@one.example"}[:1+rnd.IntN(3)]}
			r, v := live.through(now)
			if r == nil || unfinished(r, &v) {
				continue // there was no transaction, or it was dropped at its second recipient
			}
			if got, missing := same.Judge(r, &v, ""); len(missing) > 0 || told(&got) != told(&v) {
				t.Fatalf("policy %d: %s again, was %s, not known: %v\n%+v", n, told(&got), told(&v), missing, r.Findings)
			}
			there, want := draft.through(now)
			for there == nil && len(want.Rcpts) < len(r.Rcpts) {
				want.Rcpts = append(want.Rcpts, want.Decision)
			}
			got, missing := other.Judge(r, &v, "")
			total++
			if len(missing) > 0 {
				continue
			}
			known++
			if told(&got) != told(&want) {
				t.Fatalf("policy %d: %s, the draft makes it %s\n%s", n, told(&got), told(&want), beside(r, there, &v))
			}
			if told(&want) != told(&v) {
				changed++
			}
		}
	}
	t.Logf("%d of %d known, %d of them changed", known, total, changed)
	if known < total/2 || changed < total/20 {
		t.Errorf("%d of %d known, %d of them changed", known, total, changed)
	}
}

// beside shows two records.
func beside(live, draft *gateway.Record, v *gateway.Verdict) string {
	out := "live: " + told(v) + "\n"
	for i := range live.Findings {
		out += fmt.Sprintf("%v\n", short(&live.Findings[i]))
	}
	if out += "draft:\n"; draft != nil {
		for i := range draft.Findings {
			out += fmt.Sprintf("%v\n", short(&draft.Findings[i]))
		}
	}
	return out
}

func short(f *gateway.Finding) []any {
	return []any{f.Stage, f.Check, f.Rcpt, f.Result, f.Reason, f.Measures, f.Parts, f.Proves}
}

// told is what a verdict comes to.
func told(v *gateway.Verdict) string {
	out := cmp.Or(v.Outcome.String(), "?")
	for i := range v.Rcpts {
		out += " " + v.Rcpts[i].Outcome.String()
	}
	return out
}

func found(in *gateway.Input) []gateway.Finding {
	if in.Envelope == nil {
		return nil
	}
	return in.Envelope.Findings
}
