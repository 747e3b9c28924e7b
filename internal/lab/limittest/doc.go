// Package limittest holds what every limit.Store must do, as cases that a test runs against its own.
//
// A Store that is in this process runs them in a bubble of testing/synctest, where World.Pass sleeps. One that is a server
// cannot be told the time: there Pass makes all that is stored older. No case depends on how fast a machine is: what passes
// between two calls is asked of World.Now, and where that is not enough, what is decided lies minutes apart.
package limittest

import (
	"context"
	"testing"
	"time"

	"gatepost/internal/limit"
)

// World is a Store of its own, with nothing counted in it, and its time.
type World struct {
	Store limit.Store
	// Now is the Store's time, with what Pass added to it.
	Now func() time.Time
	// Pass has a time go by.
	Pass func(d time.Duration)
	// Held is how long the Store keeps a key yet; 0 where it has none. A Store may take up to a millisecond longer.
	Held func(k limit.Key) time.Duration
}

// Case is one thing that a Store must do.
type Case struct {
	Name string
	Run  func(t testing.TB, w World)
}

// Cases returns all there are. Each wants a World of its own.
func Cases() []Case {
	return []Case{
		{"burst", burst},
		{"units come back one by one", refill},
		{"rest gives all back", rest},
		{"cost", cost},
		{"cost beyond the burst", beyond},
		{"all or nothing", allOrNothing},
		{"the longest wait is told", longest},
		{"observed", observed},
		{"observed beside one that denies", observedDenied},
		{"asked", asked},
		{"keys differ", keys},
		{"most charges", most},
		{"held until at rest", held},
		{"a slower rate was before", slower},
		{"a call that is none", none},
		{"a context that is over", over},
		{"many at once", many},
		{"many at once of two keys", manyPairs},
		{"a walk beside the algorithm in big numbers", walk},
	}
}

// key is a key of its name.
func key(subject string) limit.Key { return limit.Key{Subject: subject} }

// every is an interval that no machine sleeps through.
const every = 10 * time.Minute

// rate is a burst of n, and one each ten minutes.
func rate(n int64) limit.Rate {
	return limit.Rate{Interval: every.Microseconds(), Burst: n}
}

func charge(subject string, n, cost int64) limit.Charge {
	return limit.Charge{Key: key(subject), Rate: rate(n), Cost: cost}
}

// take counts, and fails the test where the Store cannot.
func (w *World) take(t testing.TB, charges ...limit.Charge) limit.Answer {
	t.Helper()
	a, err := w.Store.Take(context.Background(), charges)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// passes wants all counted and nobody over.
func (w *World) passes(t testing.TB, charges ...limit.Charge) {
	t.Helper()
	if a := w.take(t, charges...); !a.OK() || a.Wait != 0 || a.Over != 0 {
		t.Fatalf("%+v: %+v, want all counted", charges, a)
	}
}

// denies wants one denied, to come again after a wait that was exactly so long at a time before.
func (w *World) denies(t testing.TB, since time.Time, denied int, wait time.Duration, charges ...limit.Charge) {
	t.Helper()
	a := w.take(t, charges...)
	drift := w.Now().Sub(since) + time.Microsecond
	if a.Denied != denied || a.Over&(1<<denied) == 0 {
		t.Fatalf("%+v: %+v, want %d denied", charges, a, denied)
	}
	if a.Wait > wait || a.Wait < max(wait-drift, time.Microsecond) {
		t.Fatalf("%+v: to wait %v, want %v, less at most %v", charges, a.Wait, wait, drift)
	}
}
