package replay

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/store"
)

// records are a message log in memory.
type records []store.Judged

func (s records) Judged(ctx context.Context, _ store.Window, see func(*store.Judged) error) ([]store.Gap, error) {
	for i := range s {
		if err := see(&s[i]); err != nil {
			return nil, err
		}
	}
	return []store.Gap{{Day: "2026-11-20", Why: "test"}}, ctx.Err()
}

// world is a log of many messages under a policy, and a draft.
func world(t *testing.T) (live, draft *site, all records) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	var now *mail
	of := func() *mail { return now }
	p := anyPolicy(rnd)
	live, draft = build(p, true, of), build(draftOf(rnd, p), false, of)
	for n := range 800 {
		now = &mail{n: rnd.Uint64N(1 << 40), to: []string{"a@one.example", "b@two.example"}[:1+n%2]}
		if r, v := live.through(now); r != nil {
			all = append(all, store.Judged{Record: r, Verdict: v, Policy: "live"})
		}
	}
	return live, draft, all
}

// TestRun shows that the numbers fit each other and the list: each message is in one place of the matrix, changed ones are those
// off the diagonal and those of which only a copy moved, the list has those first that contradict what people said, and it is
// bounded; and that under the policy that judged nothing is changed.
func TestRun(t *testing.T) {
	live, draft, all := world(t)
	was := func(string) *Draft { return live.draft }
	same, err := Run(t.Context(), all, &Question{Draft: live.draft, Was: was})
	if err != nil || same.Changed+same.NotKnown+same.Moved != 0 || len(same.List) != 0 || same.Messages+same.Unfinished != len(all) || len(same.Gaps) != 1 {
		t.Fatalf("under its own policy: %v %+v", err, same)
	}
	marks := map[gateway.ID]api.SimMark{}
	for i := range all {
		marks[all[i].Record.ID] = []api.SimMark{{}, {Released: true}, {Reported: "spam"}, {Reported: "ham"}}[i%4]
	}
	for _, domain := range []string{"", "two.example", "nobody.example"} {
		q := &Question{Draft: draft.draft, Was: was, Marks: marks, Domain: domain, Limit: 1000}
		got, err := Run(t.Context(), all, q)
		if err != nil {
			t.Fatal(err)
		}
		sum, off, notKnown := 0, 0, 0
		for i := range got.Matrix {
			l := &got.Matrix[i]
			for o := gateway.Accept; o <= gateway.Drop; o++ {
				if sum += *l.Of(o); o != l.Live {
					off += *l.Of(o)
				}
			}
			notKnown += l.NotKnown
		}
		if sum+notKnown != got.Messages || notKnown != got.NotKnown || off > got.Changed || off != got.Milder+got.Harder {
			t.Errorf("%q: %d in the matrix, %d off its diagonal, %d not known: %+v", domain, sum, off, notKnown, got)
		}
		if len(got.List)+got.More != got.Changed || len(got.List) == 0 != (domain == "nobody.example") {
			t.Errorf("%q: %d listed, %d more of %d", domain, len(got.List), got.More, got.Changed)
		}
		against := 0
		for i := range got.List {
			c := &got.List[i]
			if c.Against {
				against++
			}
			if c.Against && i > 0 && !got.List[i-1].Against {
				t.Errorf("%q: %d contradicts what people said, and comes behind one that does not", domain, i)
			}
			for _, r := range c.Rcpts {
				if domain != "" && r.To != "b@"+domain {
					t.Errorf("%q: shows %s", domain, r.To)
				}
			}
		}
		if against != got.Against || got.Against < got.Released || domain == "" && (got.Released == 0 || got.With == 0) {
			t.Errorf("%q: %d against, %+v", domain, against, got)
		}
		q.Limit = 3
		if few, err := Run(t.Context(), all, q); err != nil || len(few.List) != min(3, len(got.List)) || len(few.List) > 0 && few.List[0].ID != got.List[0].ID {
			t.Errorf("%q: %v %+v", domain, err, few.List)
		}
	}
}

// TestRunEnds shows that a run ends with its context, and rests between spells of work.
func TestRunEnds(t *testing.T) {
	_, draft, all := world(t)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	stop := func(string) *Draft {
		if n++; n == 100 {
			cancel()
		}
		return nil
	}
	if _, err := Run(ctx, all, &Question{Draft: draft.draft, Was: stop}); !errors.Is(err, context.Canceled) || n > 100+every {
		t.Errorf("%v after %d", err, n)
	}
	synctest.Test(t, func(t *testing.T) {
		p, began := newPace(), time.Now()
		for range 10 * every {
			time.Sleep(spell / every * 2) // work
			if err := p.rest(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if worked, took := 10*every*(spell/every*2), time.Since(began); took < worked*5/4 {
			t.Errorf("%v of work took %v", worked, took)
		}
	})
}

// TestExamples shows that the text that stands for a pattern is one that it matches.
func TestExamples(t *testing.T) {
	for _, pattern := range []string{"", "*", "RULE_*", "A?C", "[abc]x", "[a-c]*", `\*x`, "Win.Test.*/[0-9]"} {
		p := &gateway.Policy{Checks: map[string]gateway.CheckPolicy{"virus": {Action: gateway.ActionScore, Cases: []gateway.Case{{Pattern: pattern, Action: gateway.ActionReject}}}}}
		got := answers(p, "virus")
		matched := slices.ContainsFunc(got, func(f gateway.Finding) bool {
			f.Check, f.Stage, f.Rcpt = "virus", gateway.Data, -1
			r := &gateway.Record{Stage: gateway.Data, Rcpts: []gateway.RecordRcpt{{Code: 250}}, Findings: []gateway.Finding{f}}
			return p.Judge(r).Outcome == gateway.Reject
		})
		if matched != (pattern != "") {
			t.Errorf("%q: %v of %+v", pattern, matched, got)
		}
	}
}
