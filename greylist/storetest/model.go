package storetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"gatepost/greylist"
)

// model does at random what can be done, and compares each answer with Decide on a plain map.
func model(t testing.TB, store greylist.Store) {
	w := newWorld(t, store)
	r := rand.New(rand.NewPCG(6647, 5321))
	records, earned := map[greylist.Key]greylist.Record{}, map[greylist.Tag]greylist.Passes{}
	settings := []greylist.Settings{{}, {}, {}, {Delay: time.Second, Passes: -1}, {Delay: hour, Window: 3 * hour, Keep: 2 * day, Passes: 3, Within: 5 * hour}}
	steps := []time.Duration{0, 0, time.Millisecond, time.Second, minute, 2 * minute, 10 * minute, hour, 5 * hour, 24 * hour, 36 * day, -time.Second, -3 * minute, -day, -100 * day}
	start := w.now
	for i := range 4000 {
		if w.pass(steps[r.IntN(len(steps))]); w.now.Sub(start).Abs() > 3000*day {
			w.now = start // a clock that is set
		}
		w.settings = settings[r.IntN(len(settings))]
		k := key(byte(r.IntN(3)), byte(r.IntN(4)))
		what := fmt.Sprintf("step %d, %s at %v with %+v", i, k, w.now, w.settings)
		switch op := r.IntN(60); {
		case op == 0:
			got, err := store.Forget(context.Background(), k)
			over := !records[k].End(w.settings).After(w.now) // whether a store keeps it still is its own affair
			if err != nil || got && records[k] == 0 || !got && !over {
				t.Fatalf("%s: forgot %v, %v; known was %d", what, got, err, records[k])
			}
			delete(records, k)
		case op == 1:
			if _, err := store.ForgetIdentity(context.Background(), k.Tag); err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(records, func(other greylist.Key, _ greylist.Record) bool { return other.Tag == k.Tag })
			delete(earned, k.Tag)
		case op <= 3:
			record, want := records[k].Release(w.settings, w.now)
			records[k] = record
			if got, err := store.Release(context.Background(), k, w.settings, w.now); got != want || err != nil {
				t.Fatalf("%s: released %v, %v, want %v", what, got, err, want)
			}
		case op <= 5:
			want := map[greylist.Key]greylist.Waiting{}
			for k, record := range records {
				if one, ok := greylist.WaitingOf(k, record, w.settings, w.now); ok {
					one.Since, one.Pass, one.End = one.Since.UTC(), one.Pass.UTC(), one.End.UTC()
					want[k] = one
				}
			}
			if got := w.waiting(); !maps.Equal(got, want) {
				t.Fatalf("%s: waiting %v, want %v", what, got, want)
			}
		default:
			var want greylist.Answer
			records[k], earned[k.Tag], want = greylist.Decide(records[k], earned[k.Tag], w.settings, w.now)
			if got := w.try(k); got != want {
				t.Fatalf("%s: %+v, want %+v", what, got, want)
			}
		}
	}
}
