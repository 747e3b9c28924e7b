package addrpool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// slot is the right to make one call.
type slot[T any] struct {
	member *member[T] // nil: no address works
	trial  bool       // the call finds out whether the address works again
}

// waiter is a call that waits for a slot of any address but one.
type waiter[T any] struct {
	not *member[T]
	got chan slot[T] // has room for one: granting never blocks
}

// Do calls fn with the client of a working address, once, and once more with
// another address when the error was Repeatable; fn must then be able to start
// anew. Both calls share ctx. It returns fn's error as it is, ErrNoAddress when
// no address works (with what went wrong last), or the context's error when no
// slot became free in time.
func (p *Pool[T]) Do(ctx context.Context, fn func(ctx context.Context, client T) error) error {
	s, err := p.acquire(ctx, nil)
	if err != nil {
		return err
	}
	if s.member == nil {
		return p.noAddress()
	}
	err = p.call(ctx, s, fn)
	if err == nil || ctx.Err() != nil || !p.cfg.Repeatable(err) {
		return err
	}
	s, again := p.acquire(ctx, s.member)
	if again != nil || s.member == nil {
		return err // what the only address said explains more
	}
	return p.call(ctx, s, fn)
}

// noAddress words ErrNoAddress with the failure that is the youngest. That is text only: it is not the error of this call.
func (p *Pool[T]) noAddress() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := &p.members[0].health
	for _, m := range p.members {
		if m.health.LastErrorAt.After(last.LastErrorAt) {
			last = &m.health
		}
	}
	if last.LastError == nil {
		return ErrNoAddress
	}
	return fmt.Errorf("%w; %s was left out after: %v", ErrNoAddress, last.Address, last.LastError)
}

// errPanicked is what a call that panicked counts as.
var errPanicked = errors.New("addrpool: call panicked")

// call runs fn and gives the slot back, also when fn panics.
func (p *Pool[T]) call(ctx context.Context, s slot[T], fn func(context.Context, T) error) error {
	err := errPanicked
	defer func() { p.release(s, err) }()
	err = fn(ctx, s.member.client)
	return err
}

// acquire takes a slot of a working address other than not, and waits while they
// all are busy. The slot has no member when there is no such address.
func (p *Pool[T]) acquire(ctx context.Context, not *member[T]) (slot[T], error) {
	if err := ctx.Err(); err != nil {
		return slot[T]{}, fmt.Errorf("addrpool: waiting for a free slot: %w", err)
	}
	w := &waiter[T]{not: not, got: make(chan slot[T], 1)}
	p.mu.Lock()
	p.waiting = append(p.waiting, w)
	p.grant()
	p.mu.Unlock()

	select {
	case s := <-w.got:
		return s, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	} else if s := <-w.got; s.member != nil {
		s.member.health.Calls--
		p.giveBack(s)
	}
	return slot[T]{}, fmt.Errorf("addrpool: waiting for a free slot: %w", ctx.Err())
}

// grant hands free slots to those who wait, first come first served. It is called
// with the lock held, whenever a slot or the state of an address changes.
func (p *Pool[T]) grant() {
	kept := p.waiting[:0]
	full := false // nobody else can get a slot either
	for _, w := range p.waiting {
		if full {
			kept = append(kept, w)
			continue
		}
		s, busy := p.pick(w.not)
		if s.member == nil && busy {
			full = w.not == nil
			kept = append(kept, w)
			continue
		}
		w.got <- s
	}
	clear(p.waiting[len(kept):])
	p.waiting = kept
}

// pick takes a slot of the next working address; busy says that an address works
// but has no free slot. It is called with the lock held.
func (p *Pool[T]) pick(not *member[T]) (s slot[T], busy bool) {
	for i := range p.members {
		at := (p.next + i) % len(p.members)
		m := p.members[at]
		if m == not || !p.usable(m) {
			continue
		}
		if m.health.InFlight >= p.cfg.PerAddress {
			busy = true
			continue
		}
		p.next = at + 1
		s = slot[T]{member: m, trial: m.health.State == Open}
		if s.trial {
			m.health.State = HalfOpen
		}
		m.health.InFlight++
		m.health.Calls++
		return s, false
	}
	return slot[T]{}, busy
}

// usable says whether a call may go to m: its breaker is closed, or its pause is
// over and there is no probe that would find out whether it works again.
func (p *Pool[T]) usable(m *member[T]) bool {
	switch m.health.State {
	case Closed:
		return true
	case Open:
		return p.probers == 0 && !time.Now().Before(m.health.RetryAt)
	default:
		return false
	}
}

func (p *Pool[T]) release(s slot[T], err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		s.member.health.Errors++
	}
	switch {
	case err == nil:
		p.worked(s)
	case p.cfg.Blames(err) || p.cfg.Distrusts(err):
		p.failed(s, err)
	}
	p.giveBack(s)
}

// giveBack frees a slot. A trial that said nothing leaves the breaker open for
// the next one. It is called with the lock held.
func (p *Pool[T]) giveBack(s slot[T]) {
	s.member.health.InFlight--
	if s.trial && s.member.health.State == HalfOpen {
		s.member.health.State = Open
	}
	p.grant()
}
