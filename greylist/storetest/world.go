package storetest

import (
	"context"
	"testing"
	"time"

	"gatepost/greylist"
)

// world is a store, its clock, and settings.
type world struct {
	testing.TB
	store    greylist.Store
	now      time.Time
	settings greylist.Settings
}

func newWorld(t testing.TB, store greylist.Store) *world {
	return &world{TB: t, store: store, now: time.Now().Truncate(time.Millisecond)}
}

// key returns the key of a pair of an identity, of small numbers.
func key(identity, pair byte) greylist.Key {
	return greylist.Key{Tag: greylist.Tag{'i', identity}, Pair: [9]byte{pair * 37, pair}}
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

func (w *world) try(k greylist.Key) greylist.Answer {
	w.Helper()
	a, err := w.store.Try(context.Background(), k, w.settings, w.now)
	if err != nil {
		w.Fatalf("try: %v", err)
	}
	return a
}

// want tries and compares.
func (w *world) want(k greylist.Key, outcome greylist.Outcome, wait, waited time.Duration) {
	w.Helper()
	want := greylist.Answer{Outcome: outcome, Wait: wait, Waited: waited}
	if got := w.try(k); got != want {
		w.Errorf("%s: %+v, want %+v", k, got, want)
	}
}

func (w *world) waiting() map[greylist.Key]greylist.Waiting {
	w.Helper()
	all := map[greylist.Key]greylist.Waiting{}
	err := w.store.Waiting(context.Background(), w.settings, w.now, func(one greylist.Waiting) bool {
		if _, twice := all[one.Key]; twice {
			w.Errorf("%s waits twice", one.Key)
		}
		one.Since, one.Pass, one.End = one.Since.UTC(), one.Pass.UTC(), one.End.UTC()
		all[one.Key] = one
		return true
	})
	if err != nil {
		w.Fatalf("waiting: %v", err)
	}
	return all
}

const minute, hour, day = time.Minute, time.Hour, 24 * time.Hour
