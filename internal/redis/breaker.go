package redis

import (
	"errors"
	"sync"
	"time"
)

// errOpen is what a call gets that the breaker held back.
var errOpen = errors.New("the breaker is open")

// breaker lets one failure stand for those that would follow. It opens at the first, since a hung server costs the caller
// of each call its whole time; after a wait one call probes. Each probe that fails doubles the wait.
//
// go-redis has a hook for it, Options.Limiter, but only for a standalone server: the options for Sentinel, Cluster and the
// universal client lack it. So it stands before the client.
type breaker struct {
	first, longest time.Duration // waits
	probed         bool          // only its owner's calls probe

	mu      sync.Mutex
	open    bool
	probing bool
	wait    time.Duration
	until   time.Time // no probe before
	h       Health
}

// Health is how Redis fares, for status and metrics. The counters only grow.
type Health struct {
	Kind  Kind      // what opened the breaker; Fine: it is closed
	Err   string    // of the last failure that opened it or kept it open; empty: it is closed
	Since time.Time // when Kind last turned from Fine or to Fine; zero: never
	Until time.Time // while open: no probe before

	Calls    uint64       // that were sent, with probes
	Held     uint64       // that the breaker held back
	Opened   uint64       // times that it opened
	Failures [Held]uint64 // of calls that were sent, by Kind; of Fine always 0
	Reloaded uint64       // calls that were sent again with their script, which the server had forgotten
}

// allow says whether a call may be sent, and whether it is the probe; prober says that it is its owner's. A call that was
// allowed must be reported.
func (b *breaker) allow(prober bool) (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		if b.probing || b.probed && !prober || time.Now().Before(b.until) {
			b.h.Held++
			return false, &Error{Kind: Held, Err: errOpen}
		}
		b.probing, probe = true, true
	}
	b.h.Calls++
	return probe, nil
}

// report tells how a call went. A nil error with Fine is a success; gone means that the caller went away, which says
// nothing about Redis.
func (b *breaker) report(probe bool, err error, kind Kind, gone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false // the next call may probe when this one told nothing
	}
	if gone {
		return
	}
	if kind != Fine {
		b.h.Failures[kind]++
	}
	if !kind.sick() {
		if probe {
			b.open, b.wait = false, 0
			b.h.Kind, b.h.Err, b.h.Since, b.h.Until = Fine, "", time.Now(), time.Time{}
		}
		return // a late success of a call from before it opened proves nothing
	}
	if b.open && !probe {
		return // sent before it opened
	}
	if !b.open {
		b.open = true
		b.h.Opened++
		b.h.Since = time.Now()
		b.wait = b.first
	} else {
		b.wait = min(2*b.wait, b.longest)
	}
	b.until = time.Now().Add(b.wait)
	b.h.Kind, b.h.Err, b.h.Until = kind, err.Error(), b.until
}

// reloaded counts a call whose script had to be sent again.
func (b *breaker) reloaded(calls int) {
	b.mu.Lock()
	b.h.Reloaded += uint64(calls)
	b.mu.Unlock()
}

func (b *breaker) health() Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.h
}
