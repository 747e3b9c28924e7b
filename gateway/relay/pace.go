package relay

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Rate is how many messages a next hop is handed in a time, spread evenly, a tenth of them at once at most. The zero value
// is no limit.
type Rate struct {
	N      int
	Period time.Duration
}

// every is the time between two messages, and at once how many may come without it.
func (r Rate) every() time.Duration { return r.Period / time.Duration(r.N) }
func (r Rate) atOnce() int          { return max(r.N/10, 1) }

// pace keeps the messages to a next hop under its rate. The zero value is ready.
type pace struct {
	mu   sync.Mutex
	next time.Time // of a message after all that were given a time
}

// delay is how long a message that comes now has to wait.
func (p *pace) delay(r Rate, now time.Time) time.Duration {
	if !p.next.After(now) {
		return 0
	}
	return max(p.next.Sub(now)-time.Duration(r.atOnce()-1)*r.every(), 0)
}

// take gives a message its time, unless that is later than within.
func (p *pace) take(r Rate, within time.Duration) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if wait = p.delay(r, now); wait > within {
		return 0, false
	}
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(r.every())
	return wait, true
}

// full reports whether a message that comes now would not get its time.
func (p *pace) full(r Rate, within time.Duration) bool {
	if r.N == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay(r, time.Now()) > within
}

// inTurn waits until the rate of the next hop lets one more message go, as those wait that wait for a connection: so many,
// and no longer than so long.
func (h *hop) inTurn(ctx context.Context) error {
	if h.rate.N == 0 {
		return nil
	}
	wait, ok := h.pace.take(h.rate, h.timeouts.Slot)
	if ok && wait == 0 {
		return nil
	}
	n := h.slots.waiting[forMail].Add(1)
	defer h.slots.waiting[forMail].Add(-1)
	if !ok || n > h.slots.queue {
		h.slots.refused.Add(1)
		return errRate
	}
	if sleep(ctx, wait); ctx.Err() != nil {
		h.slots.refused.Add(1)
		return fmt.Errorf("%w: %w", errRate, ctx.Err())
	}
	return nil
}
