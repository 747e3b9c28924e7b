package greylist

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestLearn shows with any two that remember, of which one gave an answer: the pair is held only if both would, and then for
// the shorter of both waits; and that whoever learned it answers no harder at the same moment, and forgets no pass.
func TestLearn(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	now := start
	some := func() (Record, Passes) {
		age := Record(r.Int64N(int64(3 * DefaultDelay / time.Millisecond)))
		then := Record(now.UnixMilli()) - age
		return []Record{0, then, then, -then}[r.IntN(4)], []Passes{0, 0, Passes(then) << countBits, Passes(then)<<countBits | 1, Passes(-then)}[r.IntN(5)]
	}
	held := 0
	for range 100_000 {
		s := Settings{Passes: []int{0, 1, 3, -1}[r.IntN(4)]}
		r1, p1 := some()
		r2, p2 := some()
		_, _, far := Decide(r1, p1, s, now)
		_, _, own := Decide(r2, p2, s, now)
		newR, newP, got := Learn(r2, p2, far, s, now)
		if got.Hold() != (far.Hold() && own.Hold()) {
			t.Fatalf("%d %d %d %d: far %+v, own %+v, got %+v", r1, p1, r2, p2, far, own, got)
		}
		if got.Hold() {
			if held++; got.Wait != min(far.Wait, own.Wait) {
				t.Fatalf("far %+v, own %+v, got %+v", far, own, got)
			}
		}
		if _, _, again := Decide(newR, newP, s, now); again.Hold() != got.Hold() || again.Wait != got.Wait {
			t.Fatalf("far %+v, own %+v, got %+v, and then %+v", far, own, got, again)
		}
		if own.Outcome == Exempt && s.Passes >= 0 && newP.at(Millis(now), s.Filled()) >= 0 {
			t.Fatalf("an identity that passes was forgotten: %d, %d", p2, newP)
		}
	}
	if held < 1000 {
		t.Errorf("only %d were held", held)
	}
	if r, p, a := Learn(5, 7, Answer{}, Settings{}, now); r != 5 || p != 7 || a.Outcome != Unknown {
		t.Errorf("of no answer: %d, %d, %+v", r, p, a)
	}
}

// TestTryKnown shows that it answers as Try does where something is known, and leaves no trace where nothing is.
func TestTryKnown(t *testing.T) {
	m := NewMemory(0)
	k := Key{Tag: Tag{1}, Pair: [9]byte{1}}
	if a := m.TryKnown(k, Settings{}, start); a != (Answer{}) {
		t.Fatalf("of nothing: %+v", a)
	}
	if pairs, ids := m.Len(); pairs+ids != 0 {
		t.Fatalf("%d pairs, %d identities", pairs, ids)
	}
	try(t, m, k, start)
	if a := m.TryKnown(k, Settings{}, start.Add(time.Minute)); a.Outcome != Early || a.Wait != time.Minute {
		t.Errorf("too early: %+v", a)
	}
	if a := m.TryKnown(k, Settings{}, start.Add(49*time.Hour)); a != (Answer{}) {
		t.Errorf("behind its window: %+v", a)
	}
	if a := m.TryKnown(k, Settings{}, start.Add(2*time.Minute)); a.Outcome != Passed {
		t.Errorf("after its wait: %+v", a)
	}
	seen := 0
	m.Each(func(got Key, r Record) bool {
		seen++
		if got != k || !r.Time().Equal(start.Add(2*time.Minute)) {
			t.Errorf("%v, %v", got, r.Time())
		}
		return true
	}, func(got Tag, p Passes) bool {
		seen++
		if got != k.Tag || p.Count() != 1 || !p.Time().Equal(start.Add(2*time.Minute)) {
			t.Errorf("%v, %d, %v", got, p.Count(), p.Time())
		}
		return true
	})
	if seen != 2 {
		t.Errorf("%d records were shown", seen)
	}
}
