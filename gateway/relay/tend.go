package relay

import (
	"context"
	"sync"
	"time"
)

// Tend learns what every next hop carries, as Learn does, and from then on asks each one that rests after failures whether
// it works again, as soon as its pause is over: no message has to find out, and the first one after the failure finds a
// connection ready. It returns when ctx is done: run it in the background, one for each Relay in force.
func (r *Relay) Tend(ctx context.Context) {
	r.eachHop(ctx, func(ctx context.Context, h *hop) {
		h.reach(ctx)
		for ctx.Err() == nil {
			h.untilWell(ctx)
			select {
			case <-ctx.Done():
			case <-h.tripped:
			}
		}
	})
}

// eachHop runs f for each next hop, all at the same time, and waits for all of them. Of a route with names in DNS it never
// ends before ctx: those that appear later get theirs too, and those that go have theirs ended.
func (r *Relay) eachHop(ctx context.Context, f func(context.Context, *hop)) {
	var wg sync.WaitGroup
	for _, rt := range r.routes {
		wg.Go(func() { rt.each(ctx, f) })
	}
	wg.Wait()
}

// probe connects, and leaves the connection to the next message.
func (h *hop) probe(ctx context.Context) {
	if h.allow() {
		h.try(ctx, forAsking, func(*conn) attempt { return attempt{keep: true} })
	}
}

// reach connects until it was possible once.
func (h *hop) reach(ctx context.Context) {
	for pause := firstPause; !h.reached() && ctx.Err() == nil; pause = min(2*pause, longPause) {
		if h.probe(ctx); h.reached() {
			return
		}
		sleep(ctx, pause)
	}
}

// untilWell waits for the end of each pause and connects, until the next hop works again.
func (h *hop) untilWell(ctx context.Context) {
	for h.open() && ctx.Err() == nil {
		sleep(ctx, max(h.rest(), 50*time.Millisecond)) // somebody else may be finding out just now
		h.probe(ctx)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
