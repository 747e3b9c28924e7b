package greylist

import (
	"context"
	"time"
)

// Store remembers pairs and identities. Its methods are safe for concurrent use. Try is called for each mail and is one
// atomic step; the others are for a person at a console. storetest holds a Store against Decide.
//
// A zero now means the store's own clock, which all nodes share if they share the store.
type Store interface {
	// Try does what Decide says to the record of the pair and the passes of its identity. With an error the Outcome is
	// Unknown, and whether something was written is not known: the caller tries again with the next mail, not at once.
	Try(ctx context.Context, k Key, s Settings, now time.Time) (Answer, error)
	// Waiting calls yield with each pair that waits, in no order, until it returns false. What changes meanwhile may be
	// told or not.
	Waiting(ctx context.Context, s Settings, now time.Time, yield func(Waiting) bool) error
	// Release lets a pair that waits pass from its next try on, as Record.Release does, and reports whether it waited.
	Release(ctx context.Context, k Key, s Settings, now time.Time) (bool, error)
	// Forget makes a stranger of a pair again, and reports whether something was known of it. An identity that passed
	// often enough still passes: ForgetIdentity is for it.
	Forget(ctx context.Context, k Key) (bool, error)
	// ForgetIdentity forgets what is known of an identity and all of its pairs, and returns how many records that were.
	ForgetIdentity(ctx context.Context, id Tag) (int, error)
}

// Waiting is a pair that waits.
type Waiting struct {
	Key   Key
	Since time.Time // its first try; now, if a clock is ahead
	Pass  time.Time // a try from then on passes
	End   time.Time // a try from then on is a first one again
}

// WaitingOf returns a pair as Waiting tells it, and whether it waits.
func WaitingOf(k Key, r Record, s Settings, now time.Time) (Waiting, bool) {
	since, ok := r.Waits(s, now)
	if !ok {
		return Waiting{}, false
	}
	s = s.Filled()
	return Waiting{Key: k, Since: since, Pass: since.Add(s.Delay), End: since.Add(s.Window)}, true
}
