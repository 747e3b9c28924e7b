package limittest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/internal/limit"
)

func burst(t testing.TB, w World) {
	start := w.Now()
	for range 5 {
		w.passes(t, charge("a", 5, 1))
	}
	w.denies(t, start, 0, every, charge("a", 5, 1))
	w.denies(t, start, 0, every, charge("a", 5, 1)) // what was denied was not counted
}

func refill(t testing.TB, w World) {
	start := w.Now()
	w.passes(t, charge("a", 3, 3))
	for range 4 {
		w.Pass(every)
		w.passes(t, charge("a", 3, 1))
	}
	w.denies(t, start, 0, 5*every, charge("a", 3, 1))
}

func rest(t testing.TB, w World) {
	w.passes(t, charge("a", 4, 4))
	w.Pass(4 * every)
	start := w.Now()
	w.passes(t, charge("a", 4, 4))
	w.denies(t, start, 0, every, charge("a", 4, 1))
	w.Pass(100 * every) // rest saves nothing up
	start = w.Now()
	w.passes(t, charge("a", 4, 4))
	w.denies(t, start, 0, every, charge("a", 4, 1))
}

func cost(t testing.TB, w World) {
	start := w.Now()
	w.passes(t, charge("a", 5, 3))
	w.denies(t, start, 0, every, charge("a", 5, 3))
	w.passes(t, charge("a", 5, 2))
	w.denies(t, start, 0, 5*every, charge("a", 5, 5))
}

func beyond(t testing.TB, w World) {
	start := w.Now()
	w.passes(t, charge("a", 5, 1<<62))
	w.denies(t, start, 0, every, charge("a", 5, 1))
	w.denies(t, start, 0, 5*every, charge("a", 5, 6))
	w.Pass(5 * every)
	w.passes(t, charge("a", 5, 6))
}

func allOrNothing(t testing.TB, w World) {
	start := w.Now()
	w.passes(t, charge("full", 2, 2))
	both := []limit.Charge{charge("free", 3, 1), charge("full", 2, 1), charge("other", 1, 1)}
	for range 5 {
		w.denies(t, start, 1, every, both...)
		if both[0].Ahead != 0 || both[2].Ahead != 0 {
			t.Fatalf("of a call that was denied, %v and %v are counted", both[0].Ahead, both[2].Ahead)
		}
		if a := both[1].Ahead; a > 2*every || a < 2*every-w.Now().Sub(start)-time.Microsecond {
			t.Fatalf("the full one is %v ahead", a)
		}
	}
	w.passes(t, charge("free", 3, 3))
	w.passes(t, charge("other", 1, 1))
}

func longest(t testing.TB, w World) {
	start := w.Now()
	w.passes(t, charge("a", 2, 2), charge("b", 2, 2), charge("c", 2, 2), charge("d", 9, 1))
	all := []limit.Charge{charge("a", 2, 1), charge("b", 2, 2), charge("c", 2, 1), charge("d", 9, 1)}
	w.denies(t, start, 1, 2*every, all...)
	if a := w.take(t, all...); a.Over != 0b0111 {
		t.Fatalf("over: %b", a.Over)
	}
	w.Pass(2 * every)
	w.passes(t, all...)
}

func observed(t testing.TB, w World) {
	start := w.Now()
	seen := charge("seen", 2, 1)
	seen.Observed = true
	for range 2 {
		w.passes(t, seen, charge("b", 9, 1))
	}
	for range 3 {
		if a := w.take(t, seen, charge("b", 9, 1)); !a.OK() || a.Wait != 0 || a.Over != 1 {
			t.Fatalf("%+v, want all counted but the first, which is over", a)
		}
	}
	w.denies(t, start, 0, every, charge("seen", 2, 1))
	w.denies(t, start, 0, every, charge("b", 9, 5))
	w.passes(t, charge("b", 9, 4))
}

func observedDenied(t testing.TB, w World) {
	start := w.Now()
	w.passes(t, charge("full", 1, 1))
	seen := charge("seen", 2, 1)
	seen.Observed = true
	w.denies(t, start, 1, every, seen, charge("full", 1, 1))
	seen.Observed = false
	w.passes(t, charge("seen", 2, 2))
}

func asked(t testing.TB, w World) {
	start := w.Now()
	ask := charge("asked", 2, 2)
	ask.Asked = true
	for range 3 {
		w.passes(t, ask, charge("b", 9, 1))
	}
	if w.Held(ask.Key) != 0 {
		t.Fatal("what was only asked is held")
	}
	w.passes(t, charge("asked", 2, 1))
	for range 3 {
		w.denies(t, start, 0, every, ask, charge("b", 9, 1))
	}
	ask.Cost = 1
	w.passes(t, ask)
	ask.Cost, ask.Observed = 2, true
	if a := w.take(t, charge("b", 9, 1), ask); !a.OK() || a.Over != 2 {
		t.Fatalf("%+v, want it counted, and told that the second is over", a)
	}
	w.denies(t, start, 0, every, charge("b", 9, 6))
	w.passes(t, charge("b", 9, 5), charge("asked", 2, 1))
}

func keys(t testing.TB, w World) {
	all := []limit.Key{
		key("a"), key("A"), key("a "), key(" a"), key("{a}"), key("a}"), key("{a"), key("a:b"), key("a\x00"), key("a\x00b"),
		key("a\r\nGET b"), key("\xff\xfe"), key("*"), key("%.0f"), key("ä"), key("192.0.2.0/26"), key("192.0.2.0/32"),
		key(strings.Repeat("x", limit.MostSubject)), key(strings.Repeat("x", limit.MostSubject-1)),
		{Subject: "a", Dimension: limit.Network}, {Subject: "a", Unit: limit.Messages}, {Subject: "a", Reputation: limit.Known},
		{Subject: "a", Reputation: limit.Bad}, {Subject: "a", Dimension: limit.ClientError, Unit: limit.Errors, Reputation: limit.Bad},
	}
	start := w.Now()
	for _, k := range all {
		w.passes(t, limit.Charge{Key: k, Rate: rate(1), Cost: 1})
	}
	for _, k := range all {
		w.denies(t, start, 0, every, limit.Charge{Key: k, Rate: rate(1), Cost: 1})
	}
}

func most(t testing.TB, w World) {
	var all []limit.Charge
	for i := range limit.MostCharges {
		all = append(all, charge(strings.Repeat("x", i+1), 2, 1))
	}
	start := w.Now()
	w.passes(t, all...)
	last := len(all) - 1
	w.passes(t, all[last])
	w.denies(t, start, last, every, all...)
}

func held(t testing.TB, w World) {
	c := []limit.Charge{charge("a", 5, 2), charge("b", 5, 1)}
	if w.Held(c[0].Key) != 0 {
		t.Fatal("held before it was counted")
	}
	start := w.Now()
	w.passes(t, c...)
	for i, want := range []time.Duration{2 * every, every} {
		drift := w.Now().Sub(start) + time.Microsecond
		if a := c[i].Ahead; a > want || a < want-drift {
			t.Fatalf("charge %d is %v ahead, want %v", i, a, want)
		}
		h := w.Held(c[i].Key)
		if drift = w.Now().Sub(start) + time.Microsecond; h > want+time.Millisecond || h < want-drift {
			t.Fatalf("key %d is held for %v, want %v", i, h, want)
		}
	}
	w.denies(t, start, 0, every, charge("b", 5, 5)) // denied: held no longer for it
	w.Pass(every + 2*time.Millisecond)
	if h := w.Held(c[1].Key); h != 0 {
		t.Fatalf("at rest, and held for %v", h)
	}
	if w.Held(c[0].Key) == 0 {
		t.Fatal("not held until at rest")
	}
	w.Pass(every)
	if h := w.Held(c[0].Key); h != 0 {
		t.Fatalf("at rest, and held for %v", h)
	}
}

// slower shows that a TAT further ahead than a rate can put it counts as its burst: after a rate was made faster, or a clock
// was set back, nobody waits longer than the burst takes.
func slower(t testing.TB, w World) {
	start := w.Now()
	w.passes(t, charge("a", 100, 100))
	c := limit.Charge{Key: key("a"), Rate: rate(4), Cost: 1}
	if a := w.take(t, c); a.Denied != 0 || a.Wait != every {
		t.Fatalf("%+v, want a wait of %v", a, every)
	}
	c.Cost = 4
	if a := w.take(t, c); a.Denied != 0 || a.Wait != 4*every {
		t.Fatalf("%+v, want a wait of %v", a, 4*every)
	}
	w.denies(t, start, 0, every, charge("a", 100, 1)) // and nothing was changed
}

func none(t testing.TB, w World) {
	long := strings.Repeat("x", limit.MostSubject+1)
	for name, charges := range map[string][]limit.Charge{
		"nothing":      {},
		"too many":     make([]limit.Charge, limit.MostCharges+1),
		"no subject":   {charge("a", 1, 1), charge("", 1, 1)},
		"long subject": {charge("a", 1, 1), charge(long, 1, 1)},
		"no rate":      {charge("a", 1, 1), {Key: key("b"), Cost: 1}},
		"no cost":      {charge("a", 1, 1), charge("b", 1, 0)},
		"gain":         {charge("a", 1, 1), charge("b", 1, -1)},
		"twice":        {charge("a", 1, 1), charge("b", 1, 1), charge("a", 1, 1)},
		"overflow":     {charge("a", 1, 1), {Key: key("b"), Rate: limit.Rate{Interval: 1 << 62, Burst: 1 << 62}, Cost: 1}},
	} {
		if _, err := w.Store.Take(context.Background(), charges); !errors.Is(err, limit.ErrCharge) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	w.passes(t, charge("a", 1, 1))
}

func over(t testing.TB, w World) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.Store.Take(ctx, []limit.Charge{charge("a", 1, 1)}); err == nil || errors.Is(err, limit.ErrCharge) {
		t.Fatalf("an answer after the context was over: %v", err)
	}
	w.passes(t, charge("a", 1, 1))
}

func many(t testing.TB, w World) {
	const workers, each, allowed = 8, 40, 100
	var passed atomic.Int64
	parallel(t, workers, func(int) error {
		for range each {
			a, err := w.Store.Take(context.Background(), []limit.Charge{charge("a", allowed, 1)})
			if err != nil {
				return err
			}
			if a.OK() {
				passed.Add(1)
			}
		}
		return nil
	})
	if n := passed.Load(); n != allowed {
		t.Fatalf("%d of %d passed, want %d", n, workers*each, allowed)
	}
}

// manyPairs takes from two keys in both orders: none may wait for ever, and neither key loses what was not taken.
func manyPairs(t testing.TB, w World) {
	const workers, each, narrow, wide = 8, 30, 60, 140
	var passed atomic.Int64
	parallel(t, workers, func(n int) error {
		for range each {
			both := []limit.Charge{charge("narrow", narrow, 1), charge("wide", wide, 2)}
			if n%2 == 1 {
				both[0], both[1] = both[1], both[0]
			}
			a, err := w.Store.Take(context.Background(), both)
			if err != nil {
				return err
			}
			if a.OK() {
				passed.Add(1)
			}
		}
		return nil
	})
	if n := passed.Load(); n != narrow {
		t.Fatalf("%d passed, want %d", n, narrow)
	}
	w.passes(t, charge("wide", wide, wide-2*narrow))
	if w.take(t, charge("wide", wide, 1)).OK() {
		t.Fatal("more passed than there was")
	}
}

func parallel(t testing.TB, workers int, do func(n int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for n := range workers {
		wg.Go(func() {
			if err := do(n); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
}
