// Package storetest holds a greylist.Store against greylist.Decide: what any of them has to do, in a map or behind a
// network. Only tests import it.
//
// Its clock is the now it passes, which goes on by weeks, back by years, and starts at the time of the test. A store whose
// records end by a clock of its own must therefore let them end after a duration, not at a time.
package storetest

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"gatepost/greylist"
)

// Run runs the suite. open returns a store that is empty and has room for 10,000 pairs, and closes it by Cleanup.
func Run(t *testing.T, open func(testing.TB) greylist.Store) {
	for _, c := range []struct {
		name string
		test func(testing.TB, greylist.Store)
	}{
		{"Story", story},
		{"Passes", passes},
		{"ClockGoesBack", clockGoesBack},
		{"OwnClock", ownClock},
		{"Console", console},
		{"Listing", listing},
		{"AnyKey", anyKey},
		{"AtOnce", atOnce},
		{"Ended", ended},
		{"Model", model},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// story is one pair from its first try until it is forgotten.
func story(t testing.TB, store greylist.Store) {
	w, k := newWorld(t, store), key(1, 1)
	w.want(k, greylist.First, 2*minute, 0)
	w.want(k, greylist.Early, 2*minute, 0)
	w.pass(30 * time.Second)
	w.want(k, greylist.Early, 90*time.Second, 0)
	w.pass(90*time.Second - time.Millisecond)
	w.want(k, greylist.Early, time.Millisecond, 0) // tries do not start the clock anew
	w.pass(time.Millisecond)
	w.want(k, greylist.Passed, 0, 2*minute)
	w.want(k, greylist.Known, 0, 0)
	for range 3 { // kept by use
		w.pass(36*day - time.Millisecond)
		w.want(k, greylist.Known, 0, 0)
	}
	w.pass(36 * day)
	w.want(k, greylist.First, 2*minute, 0)
	w.pass(48*hour - time.Millisecond)
	w.want(k, greylist.Passed, 0, 48*hour-time.Millisecond)

	late := key(2, 1)
	w.want(late, greylist.First, 2*minute, 0)
	w.pass(48 * hour)
	w.want(late, greylist.First, 2*minute, 0)

	// The settings are those of the try.
	w.settings = greylist.Settings{Delay: 10 * minute}
	w.pass(2 * minute)
	w.want(late, greylist.Early, 8*minute, 0)
	w.settings = greylist.Settings{Delay: time.Second}
	w.want(late, greylist.Passed, 0, 2*minute)
}

// passes is the identity that has earned its way.
func passes(t testing.TB, store greylist.Store) {
	w := newWorld(t, store)
	earn := func(identity byte, pairs ...byte) {
		t.Helper()
		for _, p := range pairs {
			w.want(key(identity, p), greylist.First, 2*minute, 0)
		}
		w.pass(2 * minute)
		for i, p := range pairs {
			w.want(key(identity, p), greylist.Passed, 0, 2*minute+time.Duration(i)*minute)
			w.pass(minute)
		}
		w.pass(-minute)
	}
	earn(1, 1)
	w.want(key(1, 1), greylist.Known, 0, 0) // the same pair earns once
	w.want(key(1, 2), greylist.First, 2*minute, 0)
	w.pass(24*hour - time.Millisecond)
	w.want(key(1, 2), greylist.Passed, 0, 24*hour-time.Millisecond)
	w.want(key(1, 3), greylist.Exempt, 0, 0)
	w.want(key(2, 3), greylist.First, 2*minute, 0) // another identity
	w.pass(36*day - time.Millisecond)
	w.want(key(1, 4), greylist.Exempt, 0, 0) // kept by use
	w.pass(36*day - time.Millisecond)
	w.want(key(1, 1), greylist.Exempt, 0, 0)
	w.pass(36 * day)
	w.want(key(1, 1), greylist.First, 2*minute, 0)

	earn(3, 1) // the second comes too late, and is the first of the next count
	w.pass(24*hour - 2*minute)
	earn(3, 2)
	w.want(key(3, 3), greylist.First, 2*minute, 0)
	w.pass(hour)
	w.want(key(3, 3), greylist.Passed, 0, hour)
	w.want(key(3, 4), greylist.Exempt, 0, 0)

	for p := range byte(20) { // one message to many
		w.want(key(7, p), greylist.First, 2*minute, 0)
	}
	w.pass(2 * minute)
	for p := range byte(10) {
		w.want(key(7, p), greylist.Passed, 0, 2*minute)
	}
	w.pass(minute - time.Millisecond)
	w.want(key(7, 10), greylist.Passed, 0, 3*minute-time.Millisecond)
	w.want(key(7, 20), greylist.First, 2*minute, 0)
	w.pass(time.Millisecond)
	w.want(key(7, 11), greylist.Passed, 0, 3*minute)
	w.want(key(7, 12), greylist.Exempt, 0, 0)

	w.settings = greylist.Settings{Passes: -1} // never, whatever was earned
	w.want(key(3, 5), greylist.First, 2*minute, 0)
	earn(4, 1, 2, 3)
	w.want(key(4, 4), greylist.First, 2*minute, 0)
	w.settings = greylist.Settings{} // nor was anything earned meanwhile
	w.want(key(4, 4), greylist.Early, 2*minute, 0)
	w.settings = greylist.Settings{Passes: greylist.MaxPasses}
	earn(5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
	w.want(key(5, 15), greylist.First, 2*minute, 0)
	w.pass(3 * minute)
	w.want(key(5, 15), greylist.Passed, 0, 3*minute)
	w.want(key(5, 16), greylist.Exempt, 0, 0)
	w.settings = greylist.Settings{Passes: 1}
	earn(6, 1)
	w.want(key(6, 2), greylist.Exempt, 0, 0)
}

// clockGoesBack shows that a clock that goes back, or nodes whose clocks differ, lock nobody out.
func clockGoesBack(t testing.TB, store greylist.Store) {
	for _, back := range []time.Duration{time.Millisecond, time.Second, hour, 40 * day, 10 * 365 * day} {
		w := newWorld(t, store)
		identity := byte(back / time.Millisecond % 251)
		waits, known := key(identity, 1), key(identity, 2)
		w.want(known, greylist.First, 2*minute, 0)
		w.pass(2 * minute)
		w.want(known, greylist.Passed, 0, 2*minute)
		w.want(waits, greylist.First, 2*minute, 0)
		w.pass(-back)
		w.want(known, greylist.Known, 0, 0)
		w.want(waits, greylist.Early, 2*minute, 0)
		if one := w.waiting()[waits]; !one.Since.Equal(w.now) || !one.Pass.Equal(w.now.Add(2*minute)) {
			t.Errorf("back by %v: waits since %v until %v, now is %v", back, one.Since, one.Pass, w.now)
		}
		w.pass(2 * minute)
		w.want(waits, greylist.Passed, 0, 2*minute)
		w.want(key(identity, 3), greylist.Exempt, 0, 0) // the count goes on
		w.pass(-back)
		w.want(key(identity, 4), greylist.Exempt, 0, 0)
		if _, err := store.ForgetIdentity(context.Background(), waits.Tag); err != nil {
			t.Fatal(err)
		}
	}
}

// ownClock shows that without a now, the store's clock runs, and runs with ours.
func ownClock(t testing.TB, store greylist.Store) {
	w, k := newWorld(t, store), key(1, 1)
	w.now = time.Time{}
	before := time.Now()
	w.want(k, greylist.First, 2*minute, 0)
	one, ok := w.waiting()[k]
	if off := one.Since.Sub(before).Abs(); !ok || off > hour {
		t.Errorf("waits since %v: %v from the clock here", one.Since, off)
	}
	if a := w.try(k); a.Outcome != greylist.Early || a.Wait <= 0 || a.Wait > 2*minute {
		t.Errorf("the second try: %+v", a)
	}
	released, err := store.Release(context.Background(), k, w.settings, w.now)
	if !released || err != nil {
		t.Errorf("released: %v, %v", released, err)
	}
	w.want(k, greylist.Known, 0, 0)
}

// console is what a person does.
func console(t testing.TB, store greylist.Store) {
	w, ctx := newWorld(t, store), context.Background()
	release := func(k greylist.Key, want bool) {
		t.Helper()
		if got, err := store.Release(ctx, k, w.settings, w.now); got != want || err != nil {
			t.Errorf("released %s: %v, %v, want %v", k, got, err, want)
		}
	}
	forget := func(k greylist.Key, want bool) {
		t.Helper()
		if got, err := store.Forget(ctx, k); got != want || err != nil {
			t.Errorf("forgot %s: %v, %v, want %v", k, got, err, want)
		}
	}
	forgetIdentity := func(id greylist.Tag, want int) {
		t.Helper()
		if got, err := store.ForgetIdentity(ctx, id); got != want || err != nil {
			t.Errorf("forgot %s: %d, %v, want %d", id, got, err, want)
		}
	}
	release(key(1, 1), false) // nobody
	w.want(key(1, 1), greylist.First, 2*minute, 0)
	w.want(key(1, 2), greylist.First, 2*minute, 0)
	w.want(key(1, 3), greylist.First, 2*minute, 0)
	release(key(1, 1), true)
	release(key(1, 1), false)
	release(key(1, 2), true)
	w.want(key(1, 1), greylist.Known, 0, 0)
	w.want(key(1, 2), greylist.Known, 0, 0)
	w.want(key(1, 4), greylist.First, 2*minute, 0) // what was released earned nothing
	w.pass(48 * hour)
	release(key(1, 3), false) // its window is over

	forget(key(1, 1), true)
	forget(key(1, 1), false)
	release(key(1, 1), false)
	w.want(key(1, 1), greylist.First, 2*minute, 0)
	forget(key(1, 1), true)
	w.want(key(1, 1), greylist.First, 2*minute, 0)

	w.want(key(2, 1), greylist.First, 2*minute, 0)
	w.want(key(2, 2), greylist.First, 2*minute, 0)
	w.want(key(3, 1), greylist.First, 2*minute, 0)
	w.pass(2 * minute)
	w.want(key(2, 1), greylist.Passed, 0, 2*minute)
	w.pass(minute)
	w.want(key(2, 2), greylist.Passed, 0, 3*minute)
	w.want(key(2, 3), greylist.Exempt, 0, 0)
	forgetIdentity(key(2, 0).Tag, 3) // two pairs, and the passes
	forgetIdentity(key(2, 0).Tag, 0)
	w.want(key(2, 1), greylist.First, 2*minute, 0)
	w.want(key(3, 1), greylist.Passed, 0, 3*minute)
}

// listing is many that wait.
func listing(t testing.TB, store greylist.Store) {
	w := newWorld(t, store)
	want := map[greylist.Key]greylist.Waiting{}
	for identity := range byte(20) {
		for pair := range byte(20) {
			k := key(identity, pair)
			w.want(k, greylist.First, 2*minute, 0)
			since := w.now.UTC()
			want[k] = greylist.Waiting{Key: k, Since: since, Pass: since.Add(2 * minute), End: since.Add(48 * hour)}
			w.pass(time.Millisecond)
		}
	}
	if got := w.waiting(); !maps.Equal(got, want) {
		t.Errorf("%d wait, or they are told in another way; want %d", len(got), len(want))
	}
	n := 0
	err := store.Waiting(context.Background(), w.settings, w.now, func(greylist.Waiting) bool { n++; return n < 7 })
	if n != 7 || err != nil {
		t.Errorf("%d after an end at 7, %v", n, err)
	}
	// What is told can be released while it is told.
	n = 0
	err = store.Waiting(context.Background(), w.settings, w.now, func(one greylist.Waiting) bool {
		if ok, err := store.Release(context.Background(), one.Key, w.settings, w.now); ok && err == nil {
			n++
		}
		return true
	})
	if n != len(want) || err != nil || len(w.waiting()) != 0 {
		t.Errorf("%d of %d released, %v; %d wait", n, len(want), err, len(w.waiting()))
	}
	w.want(key(30, 1), greylist.First, 2*minute, 0)
	w.pass(48*hour - time.Millisecond)
	if len(w.waiting()) != 1 {
		t.Error("gone before its time")
	}
	w.pass(time.Millisecond)
	if len(w.waiting()) != 0 {
		t.Error("told after its time")
	}
}

// anyKey shows that each octet of a key counts, whatever it is.
func anyKey(t testing.TB, store greylist.Store) {
	w := newWorld(t, store)
	var keys []greylist.Key
	for _, c := range []byte{0, '\n', '*', '?', '[', '\\', '{', '}', ':', 0xff} {
		for i := range len(greylist.Key{}.Pair) {
			var k greylist.Key
			for j := range k.Tag {
				k.Tag[j] = c
			}
			for j := range k.Pair {
				k.Pair[j] = c
			}
			k.Pair[i] ^= 1
			keys = append(keys, k)
		}
	}
	for _, k := range keys {
		w.want(k, greylist.First, 2*minute, 0)
	}
	if all := w.waiting(); len(all) != len(keys) {
		t.Errorf("%d wait, not %d", len(all), len(keys))
	}
	if n, err := store.ForgetIdentity(context.Background(), keys[20].Tag); n != len(greylist.Key{}.Pair) || err != nil {
		t.Errorf("%d forgotten of one identity, %v", n, err)
	}
}

// atOnce shows that a try is one step: of many at once, one is the first, and one passes.
func atOnce(t testing.TB, store greylist.Store) {
	w := newWorld(t, store)
	crowd := func(k greylist.Key) map[greylist.Outcome]int {
		var mu sync.Mutex
		got := map[greylist.Outcome]int{}
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				a, err := store.Try(context.Background(), k, w.settings, w.now)
				mu.Lock()
				defer mu.Unlock()
				if got[a.Outcome]++; err != nil {
					t.Errorf("try: %v", err)
				}
			})
		}
		wg.Wait()
		return got
	}
	for pair := range byte(2) {
		if got := crowd(key(1, pair)); got[greylist.First] != 1 || got[greylist.Early] != 31 {
			t.Errorf("first tries: %v", got)
		}
		w.pass(2 * minute)
		if got := crowd(key(1, pair)); got[greylist.Passed] != 1 || got[greylist.Known]+got[greylist.Exempt] != 31 || pair == 0 && got[greylist.Exempt] != 0 {
			t.Errorf("tries after the delay: %v", got)
		}
	}
	if got := crowd(key(1, 9)); got[greylist.Exempt] != 32 {
		t.Errorf("two passed, and then: %v", got)
	}
}

// ended shows that a caller who has gone is told, or is answered as any other: never something else.
func ended(t testing.TB, store greylist.Store) {
	w := newWorld(t, store)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a, err := store.Try(ctx, key(1, 1), w.settings, w.now)
	if err != nil && a != (greylist.Answer{}) || err == nil && a.Outcome != greylist.First {
		t.Errorf("%+v, %v", a, err)
	}
}
