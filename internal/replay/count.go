package replay

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/store"
)

// Bounds of what is told.
const (
	scoreLeast = -10
	scoreMost  = 40
	topReasons = 20
	shownRcpts = 10
)

// run is one question while it is answered.
type run struct {
	q       *Question
	trial   *Trial
	out     api.Simulation
	lines   [gateway.Drop + 1]api.SimLine
	reasons map[string]int
	missing map[string]int
	against ring
	others  ring
}

func newRun(q *Question, limit int) *run {
	r := &run{q: q, trial: NewTrial(q.Draft, q.Was), reasons: map[string]int{}, missing: map[string]int{}, against: ring{most: limit}, others: ring{most: limit}}
	for o := range r.lines {
		r.lines[o].Live = gateway.Outcome(o)
	}
	r.out.Scores = api.SimScores{Least: scoreLeast, Live: make([]int, scoreMost-scoreLeast+1), Draft: make([]int, scoreMost-scoreLeast+1)}
	return r
}

// see judges one message.
func (r *run) see(j *store.Judged) {
	rec, live := j.Record, &j.Verdict
	picked := r.picked(rec)
	if picked == 0 && (r.q.Domain != "" || len(rec.Rcpts) > 0) {
		return
	}
	was := r.outcome(rec, live)
	if unfinished(rec, live) {
		r.out.Unfinished++
		return
	}
	r.out.Messages++
	r.out.Copies += picked
	if r.out.First.IsZero() || rec.Time.Before(r.out.First) {
		r.out.First = rec.Time
	}
	if rec.Time.After(r.out.Last) {
		r.out.Last = rec.Time
	}
	r.judge(j, live, was)
}

// judge judges a message that is counted, and compares it with the verdict of j, whose outcome it is given. then is what was decided.
func (r *run) judge(j *store.Judged, then *gateway.Verdict, was gateway.Outcome) {
	rec, live := j.Record, &j.Verdict
	draft, missing := r.trial.Judge(rec, then, j.Policy)
	if len(missing) > 0 {
		r.out.NotKnown++
		r.lines[min(was, gateway.Drop)].NotKnown++
		for _, check := range missing {
			r.missing[check]++
		}
		return
	}
	is := r.outcome(rec, &draft)
	*r.lines[min(was, gateway.Drop)].Of(is)++
	if rec.Stage == gateway.Data && draft.Stage == gateway.Data {
		r.out.Scores.Live[bin(live.Score)]++
		r.out.Scores.Draft[bin(draft.Score)]++
	}
	moved := r.moved(rec, live, &draft)
	r.out.Moved += moved
	if was != is || moved > 0 {
		draft = r.trial.Told()
		r.changed(j, &draft, was, is)
	}
}

// unfinished reports whether the client went away, or was sent away, before there was a message for those who were to have it.
func unfinished(rec *gateway.Record, live *gateway.Verdict) bool {
	return rec.Stage < gateway.Data && (!live.Outcome.Refuses() || slices.ContainsFunc(rec.Rcpts, func(r gateway.RecordRcpt) bool { return r.Code == 250 }))
}

// changed counts a message that fares otherwise.
func (r *run) changed(j *store.Judged, draft *gateway.Verdict, was, is gateway.Outcome) {
	r.out.Changed++
	switch {
	case is < was:
		r.out.Milder++
	case is > was:
		r.out.Harder++
	}
	why := draft.Reason
	if is <= gateway.Accept || why == "" {
		why = "no longer " + j.Verdict.Reason
	}
	r.reasons[strings.Clone(string(why))]++
	mark := r.q.Marks[j.Record.ID]
	kept := is >= gateway.Quarantine
	against := kept && mark.Good() && is >= was || !kept && mark.Bad()
	switch {
	case against:
		r.out.Against++
		if mark.Released {
			r.out.Released++
		}
		r.against.add(func() api.SimChange { return r.change(j, draft, was, is, mark, true) })
	default:
		if kept && mark.Bad() || !kept && mark.Good() {
			r.out.With++
		}
		r.others.add(func() api.SimChange { return r.change(j, draft, was, is, mark, false) })
	}
}

// change tells of it, and holds on to nothing of the log's memory.
func (r *run) change(j *store.Judged, draft *gateway.Verdict, was, is gateway.Outcome, mark api.SimMark, against bool) api.SimChange {
	rec, live := j.Record, &j.Verdict
	c := api.SimChange{ID: rec.ID, Time: rec.Time, From: strings.Clone(rec.From.Text), Author: gateway.CleanText(rec.HeaderFrom, 200), Mark: mark, Against: against, Rcpts: []api.SimRcpt{}}
	c.Live = api.SimTold{Outcome: was, Reason: gateway.Reason(strings.Clone(string(live.Reason))), Check: strings.Clone(live.Check), Score: live.Score}
	c.Draft = api.SimTold{Outcome: is, Reason: gateway.Reason(strings.Clone(string(draft.Reason))), Check: strings.Clone(draft.Check), Line: strings.Clone(draft.Line), Score: draft.Score}
	for i := range rec.Rcpts {
		if !r.mine(rec, i) {
			continue
		}
		if len(c.Rcpts) == shownRcpts {
			c.More++
			continue
		}
		c.Rcpts = append(c.Rcpts, api.SimRcpt{To: strings.Clone(rec.Rcpts[i].To.Text), Live: of(live, i), Draft: of(draft, i)})
	}
	return c
}

// mine reports whether a recipient is asked about.
func (r *run) mine(rec *gateway.Record, i int) bool {
	return r.q.Domain == "" || rec.Rcpts[i].To.Domain == r.q.Domain
}

// picked is how many recipients are asked about.
func (r *run) picked(rec *gateway.Record) (n int) {
	for i := range rec.Rcpts {
		if r.mine(rec, i) {
			n++
		}
	}
	return n
}

// moved is how many of them would fare otherwise.
func (r *run) moved(rec *gateway.Record, live, draft *gateway.Verdict) (n int) {
	for i := range rec.Rcpts {
		if r.mine(rec, i) && of(live, i) != of(draft, i) {
			n++
		}
	}
	return n
}

// of is the outcome of a recipient.
func of(v *gateway.Verdict, i int) gateway.Outcome {
	if i < len(v.Rcpts) {
		return v.Rcpts[i].Outcome
	}
	return v.Outcome
}

// outcome is that of a message, or of the copies of one domain: the worst of those that were let in, else the mildest refusal.
func (r *run) outcome(rec *gateway.Record, v *gateway.Verdict) gateway.Outcome {
	if r.q.Domain == "" {
		return v.Outcome
	}
	worst, mildest, in := gateway.Accept, gateway.Drop, false
	for i := range rec.Rcpts {
		if !r.mine(rec, i) {
			continue
		}
		o := of(v, i)
		mildest = min(mildest, o)
		if !o.Refuses() {
			worst, in = max(worst, o), true
		}
	}
	if in {
		return worst
	}
	return mildest
}

// bin is the place of a score in the histogram.
func bin(score float64) int {
	switch {
	case !(score >= scoreLeast):
		return 0
	case score >= scoreMost:
		return scoreMost - scoreLeast
	}
	return int(score - scoreLeast)
}

// result puts the answer together.
func (r *run) result() *api.Simulation {
	out := &r.out
	out.Matrix = r.lines[:]
	out.Reasons, out.Missing = top(r.reasons), top(r.missing)
	limit := r.against.most
	out.List = append(r.against.newest(), r.others.newest()...)
	out.List = out.List[:min(limit, len(out.List))]
	out.More = out.Changed - len(out.List)
	return out
}

// top are the most frequent.
func top(of map[string]int) []api.SimCount {
	out := []api.SimCount{}
	for _, what := range slices.Sorted(maps.Keys(of)) {
		out = append(out, api.SimCount{What: what, N: of[what]})
	}
	slices.SortStableFunc(out, func(a, b api.SimCount) int { return cmp.Compare(b.N, a.N) })
	return out[:min(topReasons, len(out))]
}

// ring keeps the last of what is added.
type ring struct {
	most, next int
	all        []api.SimChange
}

// add takes one.
func (r *ring) add(c func() api.SimChange) {
	if len(r.all) < r.most {
		r.all = append(r.all, c())
		return
	}
	r.all[r.next] = c()
	r.next = (r.next + 1) % r.most
}

// newest returns them, the last first.
func (r *ring) newest() []api.SimChange {
	out := append(slices.Clone(r.all[r.next:]), r.all[:r.next]...)
	slices.Reverse(out)
	return out
}
