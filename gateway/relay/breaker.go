package relay

import (
	"sync"
	"time"
)

// When a next hop rests, and for how long.
const (
	tripAfter  = 3
	firstPause = 2 * time.Second
	longPause  = 30 * time.Second
)

// breaker keeps calls away from a next hop that failed several times in a row. After a pause, which doubles, one call
// goes through to find out. The zero value is closed.
type breaker struct {
	mu       sync.Mutex
	failures int
	pause    time.Duration // 0: closed
	until    time.Time
	trial    bool // one call is finding out
	err      error
	errAt    time.Time
	okAt     time.Time
}

// allow reports whether a call may go through. Each one that may must end in worked, failed or skipped.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 {
		return true
	}
	if b.trial || time.Now().Before(b.until) {
		return false
	}
	b.trial = true
	return true
}

// worked closes the breaker and reports whether it was open.
func (b *breaker) worked() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := b.pause != 0
	b.failures, b.pause, b.trial, b.okAt = 0, 0, false, time.Now()
	return open
}

// failed counts a failure and reports whether it opened the breaker.
func (b *breaker) failed(err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.err, b.errAt = err, now
	b.failures++
	open := b.pause != 0
	if open && !b.trial || b.failures < tripAfter {
		return false
	}
	b.trial = false
	b.pause = min(max(2*b.pause, firstPause), longPause)
	b.until = now.Add(b.pause)
	return !open
}

// skipped ends a call that told nothing about the next hop.
func (b *breaker) skipped() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trial = false
}

// resting reports whether calls are kept away now. It is not when the pause is over, though no call found out yet: without
// one nobody would.
func (b *breaker) resting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pause != 0 && (b.trial || time.Now().Before(b.until))
}

// open reports whether it is, in whatever state.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pause != 0
}

// rest is how long calls are still kept away.
func (b *breaker) rest() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 {
		return 0
	}
	return time.Until(b.until)
}

// lastError is why it rests.
func (b *breaker) lastError() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// show fills what it knows in.
func (b *breaker) show(h *Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h.State, h.Failures, h.LastErrorAt, h.LastOKAt = "closed", b.failures, b.errAt, b.okAt
	if b.err != nil {
		h.LastError = b.err.Error()
	}
	if b.pause != 0 {
		h.State, h.RetryAt = "open", b.until
		if b.trial {
			h.State = "half-open"
		}
	}
}
