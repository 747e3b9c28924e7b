package replay

import (
	"context"
	"slices"
	"time"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/store"
)

// Entry is an entry of a list that is tried before it is written.
type Entry struct {
	Check, Measure, Value string // what a finding that names it has
	// Alone is what its list would find if it were the only entry; nil: no record tells.
	Alone func(r *gateway.Record) (f gateway.Finding, ok bool)
	// With and Without are the policy with it, and without. Both make the check again.
	With, Without *Draft
	Window        store.Window
	Limit         int // of the list; 0: DefaultLimit
}

// Meet tells which messages of a time an entry would have met, and which of these would have fared otherwise with it than without
// it. Only what it meets is judged.
func Meet(ctx context.Context, from Source, q *Entry) (*api.EntryTried, error) {
	limit := DefaultLimit
	if q.Limit > 0 {
		limit = min(q.Limit, MaxLimit)
	}
	m := &meeting{q: q, run: newRun(&Question{Draft: q.With}, limit), without: NewTrial(q.Without, nil)}
	began, pace := time.Now(), newPace()
	gaps, err := from.Judged(ctx, q.Window, func(j *store.Judged) error {
		m.see(j)
		return pace.rest(ctx)
	})
	if err != nil {
		return nil, err
	}
	out := &m.out
	all := m.run.result()
	out.Value, out.Matrix, out.List, out.More = q.Value, all.Matrix, all.List, all.More
	out.Changed, out.Milder, out.Harder, out.NotKnown = all.Changed, all.Milder, all.Harder, all.NotKnown
	out.Took = time.Since(began).Milliseconds()
	for _, g := range gaps {
		out.Gaps = append(out.Gaps, g.Day+": "+g.Why)
	}
	return out, nil
}

// meeting is one question while it is answered.
type meeting struct {
	q       *Entry
	run     *run // with it
	without *Trial
	out     api.EntryTried
}

// see looks whether the entry meets a message, and judges it then.
func (m *meeting) see(j *store.Judged) {
	rec := j.Record
	if unfinished(rec, &j.Verdict) {
		return
	}
	m.out.Messages++
	if m.out.First.IsZero() || rec.Time.Before(m.out.First) {
		m.out.First = rec.Time
	}
	if rec.Time.After(m.out.Last) {
		m.out.Last = rec.Time
	}
	switch met, sure := m.meets(rec); {
	case !sure:
		m.out.Unsure++
		return
	case !met:
		return
	}
	m.out.Met++
	before := j.Verdict // where what would become of it is not known, what became of it is
	if _, missing := m.without.Judge(rec, &j.Verdict, j.Policy); len(missing) == 0 {
		before = m.without.Told()
	}
	m.run.judge(&store.Judged{Record: rec, Verdict: before, Policy: j.Policy}, &j.Verdict, before.Outcome)
}

// meets reports whether the entry is the one that its list would have found, beside all others.
func (m *meeting) meets(rec *gateway.Record) (met, sure bool) {
	if m.q.Alone == nil {
		return false, false
	}
	f, sure := m.q.Alone(rec)
	if !sure || !m.named(&f) {
		return false, sure
	}
	for _, a := range m.q.With.Again {
		if a.Check == m.q.Check {
			if f, sure = a.Find(rec); sure && !m.named(&f) {
				return false, true // a narrower one, or one that stands before it
			}
		}
	}
	return true, true
}

func (m *meeting) named(f *gateway.Finding) bool {
	return slices.ContainsFunc(f.Measures, func(x gateway.Measure) bool { return x.Name == m.q.Measure && x.Text == m.q.Value })
}
