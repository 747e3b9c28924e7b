package gateway

import (
	"context"
	"sync"
	"time"
)

// Within returns a context that ends at the deadline, as context.WithDeadline does, but makes timer and channel only when
// somebody waits for it: most stages of most messages have their answers at hand, and wait for nothing. Its End must be
// called.
func Within(parent context.Context, until time.Time) *Deadline {
	if before, ok := parent.Deadline(); ok && before.Before(until) {
		until = before
	}
	return &Deadline{Context: parent, until: until}
}

// Deadline is a context with a deadline, of Within.
type Deadline struct {
	context.Context // the parent, for values
	until           time.Time

	mu     sync.Mutex
	real   context.Context // nil until somebody waits
	cancel context.CancelFunc
	ended  bool
}

// Alone reports whether nothing but its deadline can end the context before End, so that who keeps the deadline need not
// wait for Done.
func (w *Deadline) Alone() bool { return w.Context.Done() == nil }

// Deadline implements context.Context.
func (w *Deadline) Deadline() (time.Time, bool) { return w.until, true }

// Done implements context.Context.
func (w *Deadline) Done() <-chan struct{} { return w.make().Done() }

// AfterFunc lets a child of this context wait for it without a goroutine; package context looks for it.
func (w *Deadline) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(w.make(), f) }

// Err implements context.Context.
func (w *Deadline) Err() error {
	w.mu.Lock()
	real, ended := w.real, w.ended
	w.mu.Unlock()
	switch {
	case real != nil:
		return real.Err()
	case ended:
		return context.Canceled
	case w.Context.Err() != nil:
		return w.Context.Err()
	case !time.Now().Before(w.until):
		return context.DeadlineExceeded
	}
	return nil
}

func (w *Deadline) make() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.real == nil {
		w.real, w.cancel = context.WithDeadline(w.Context, w.until)
		if w.ended {
			w.cancel()
		}
	}
	return w.real
}

// End gives it back: it is cancelled, and with it what was made of it.
func (w *Deadline) End() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.cancel != nil {
		w.cancel()
	}
}
