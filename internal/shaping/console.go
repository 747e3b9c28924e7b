package shaping

import (
	"context"
	"fmt"
	"time"

	"gatepost/greylist"
)

// sharedGreylist is the greylist of all nodes and that of this process as one. What is forgotten in Redis and here other nodes
// still remember; Redis tells them of it when they ask for it next.
type sharedGreylist struct{ s *Stores }

var _ greylist.Store = sharedGreylist{}

// Try is as in greylist.Store.
func (g sharedGreylist) Try(ctx context.Context, k greylist.Key, s greylist.Settings, now time.Time) (greylist.Answer, error) {
	a := Ask{Tries: []Try{{Key: k, Settings: s}}}
	g.s.shared.do(ctx, g.s, &a, now)
	return a.Tries[0].Answer, a.Tries[0].Err
}

// Waiting is as in greylist.Store: of Redis, or of this process while it is away.
func (g sharedGreylist) Waiting(ctx context.Context, s greylist.Settings, now time.Time, yield func(greylist.Waiting) bool) error {
	begun := false
	err := g.s.shared.client.Greylist().Waiting(ctx, s, now, func(w greylist.Waiting) bool {
		begun = true
		return yield(w)
	})
	if err == nil || begun || ctx.Err() != nil {
		return err
	}
	return g.s.greylist.Waiting(ctx, s, now, yield)
}

// errHere says that something was done, but here only.
const errHere = "done at this node, and not in Redis: %w"

// Release is as in greylist.Store. With an error it may have been done here.
func (g sharedGreylist) Release(ctx context.Context, k greylist.Key, s greylist.Settings, now time.Time) (bool, error) {
	waited, err := g.s.shared.client.Greylist().Release(ctx, k, s, now)
	own, _ := g.s.greylist.Release(ctx, k, s, now) // never fails
	if waited && !own {
		g.s.greylist.Learn(k, greylist.Answer{Outcome: greylist.Known}, s, now)
	}
	if err == nil && own && !waited { // Redis lost it
		row := g.s.shared.client.Row()
		at := now
		if at.IsZero() {
			at = time.Now()
		}
		row.Teach(k, greylist.Record(-greylist.Millis(at)), 0, s, now)
		err = row.Do(ctx)
	}
	return waited || own, here(err)
}

// Forget is as in greylist.Store.
func (g sharedGreylist) Forget(ctx context.Context, k greylist.Key) (bool, error) {
	known, err := g.s.shared.client.Greylist().Forget(ctx, k)
	own, _ := g.s.greylist.Forget(ctx, k) // never fails
	return known || own, here(err)
}

// ForgetIdentity is as in greylist.Store.
func (g sharedGreylist) ForgetIdentity(ctx context.Context, id greylist.Tag) (int, error) {
	n, err := g.s.shared.client.Greylist().ForgetIdentity(ctx, id)
	own, _ := g.s.greylist.ForgetIdentity(ctx, id) // never fails
	return max(n, own), here(err)
}

func here(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(errHere, err)
}
