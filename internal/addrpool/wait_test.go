package addrpool

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestConcurrencyBoundAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, 2, func(c *Config[*server]) { c.PerAddress = 2 })
		var mu sync.Mutex
		running, most := 0, 0
		var order []int
		var calls sync.WaitGroup
		for i := range 20 {
			calls.Go(func() {
				err := p.Do(t.Context(), func(context.Context, *server) error {
					mu.Lock()
					running++
					most = max(most, running)
					order = append(order, i)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					running--
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // they come one after the other
		}
		calls.Wait()
		if most != 4 {
			t.Errorf("%d calls at the same time, want 4", most)
		}
		// Those of one second may begin in any order, but none before an earlier second's.
		for i := 0; i < len(order); i += 4 {
			group := slices.Sorted(slices.Values(order[i : i+4]))
			if group[0] != i || group[3] != i+3 {
				t.Errorf("calls %v began when %d to %d were due", group, i, i+3)
			}
		}
		for _, h := range p.Health() {
			if h.InFlight != 0 || h.Calls != 10 {
				t.Errorf("%+v", h)
			}
		}
	})
}

func TestWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, 1, func(c *Config[*server]) { c.PerAddress = 1 })
		hold := make(chan struct{})
		first := make(chan error)
		go func() {
			first <- p.Do(t.Context(), func(context.Context, *server) error { <-hold; return nil })
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Do(ctx, ask); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		close(hold)
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		if h := p.Health()[0]; h.Calls != 1 || h.Failures != 0 || len(p.waiting) != 0 {
			t.Errorf("waiting in vain left a mark: %+v, %d waiting", h, len(p.waiting))
		}
		if err := p.Do(ctx, ask); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a context that has ended: got %v", err)
		}
	})
}

// Calls that wait for the last address are told when it goes away.
func TestWaitEndsWhenBreakerOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, 1, func(c *Config[*server]) { c.PerAddress = 1 })
		hold := make(chan struct{})
		first := make(chan error)
		go func() {
			first <- p.Do(t.Context(), func(context.Context, *server) error { <-hold; return errBlind })
		}()
		synctest.Wait()
		second := make(chan error)
		go func() { second <- p.Do(t.Context(), ask) }()
		synctest.Wait()
		close(hold)
		if err := <-first; !errors.Is(err, errBlind) {
			t.Errorf("got %v", err)
		}
		if err := <-second; !errors.Is(err, ErrNoAddress) {
			t.Errorf("got %v, want %v", err, ErrNoAddress)
		}
	})
}

// A repeat that waits for the other address does not hold up calls behind it.
func TestRepeatWaitsWithoutBlockingOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 2, func(c *Config[*server]) { c.PerAddress = 1 })
		hold := make(chan struct{})
		results := make(chan error, 3)
		servers[1].set(errDown)
		// a is held; the next call fails on b and waits for a; the third still reaches b.
		go func() {
			results <- p.Do(t.Context(), func(context.Context, *server) error { <-hold; return nil })
		}()
		synctest.Wait()
		go func() { results <- p.Do(t.Context(), ask) }()
		synctest.Wait()
		servers[1].set(nil)
		if err := p.Do(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
		if servers[1].count() != 2 {
			t.Errorf("b got %d calls, want 2", servers[1].count())
		}
		close(hold)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}
