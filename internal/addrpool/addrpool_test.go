package addrpool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// server stands for one address; the tests say what it answers.
type server struct {
	name string
	mu   sync.Mutex
	err  error
	hits int
}

func (s *server) answer() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits++
	return s.err
}

func (s *server) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits
}

var (
	errDown  = errors.New("down")
	errBlind = errors.New("blind")
	errInput = errors.New("input")
)

// newPool makes a pool of n servers named a, b, c.
func newPool(t *testing.T, n int, change func(*Config[*server])) (*Pool[*server], []*server) {
	t.Helper()
	var servers []*server
	cfg := Config[*server]{
		Open: func(address string) (*server, error) {
			s := &server{name: address}
			servers = append(servers, s)
			return s, nil
		},
		Repeatable: func(err error) bool { return errors.Is(err, errDown) },
		Blames:     func(err error) bool { return !errors.Is(err, errInput) && !errors.Is(err, context.Canceled) },
		Distrusts:  func(err error) bool { return errors.Is(err, errBlind) },
	}
	for i := range n {
		cfg.Addresses = append(cfg.Addresses, string(rune('a'+i)))
	}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p, servers
}

func ask(_ context.Context, s *server) error { return s.answer() }

func states(p *Pool[*server]) (all []State) {
	for _, h := range p.Health() {
		all = append(all, h.State)
	}
	return all
}

func TestNewRefuses(t *testing.T) {
	open := func(a string) (int, error) {
		if a == "bad" {
			return 0, errDown
		}
		return 1, nil
	}
	for name, cfg := range map[string]Config[int]{
		"no address":  {Open: open},
		"no open":     {Addresses: []string{"a"}},
		"twice":       {Addresses: []string{"a", "b", "a"}, Open: open},
		"bad address": {Addresses: []string{"a", "bad"}, Open: open},
	} {
		if p, err := New(cfg); err == nil || p != nil {
			t.Errorf("%s: want an error, got %v, %v", name, p, err)
		}
	}
}

func TestRoundRobin(t *testing.T) {
	p, servers := newPool(t, 3, nil)
	for range 9 {
		if err := p.Do(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range servers {
		if s.count() != 3 {
			t.Errorf("address %s got %d calls, want 3", s.name, s.count())
		}
	}
}

func TestRepeatsOnceElsewhere(t *testing.T) {
	p, servers := newPool(t, 3, nil)
	servers[0].set(errDown)
	if err := p.Do(t.Context(), ask); err != nil {
		t.Fatalf("want the second address's answer, got %v", err)
	}
	servers[1].set(errDown)
	servers[2].set(errDown)
	before := servers[0].count() + servers[1].count() + servers[2].count()
	if err := p.Do(t.Context(), ask); !errors.Is(err, errDown) {
		t.Fatalf("got %v, want %v", err, errDown)
	}
	if n := servers[0].count() + servers[1].count() + servers[2].count() - before; n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestDoesNotRepeatOtherErrors(t *testing.T) {
	p, servers := newPool(t, 2, nil)
	servers[0].set(errInput)
	if err := p.Do(t.Context(), ask); !errors.Is(err, errInput) {
		t.Fatalf("got %v, want %v", err, errInput)
	}
	if servers[1].count() != 0 {
		t.Error("an error that is not repeatable was repeated")
	}
	if h := p.Health()[0]; h.Failures != 0 || h.Errors != 1 {
		t.Errorf("an error of the input was blamed on the address: %+v", h)
	}
}

func TestOnlyAddressIsNotRepeated(t *testing.T) {
	p, servers := newPool(t, 1, nil)
	servers[0].set(errDown)
	if err := p.Do(t.Context(), ask); err != errDown {
		t.Fatalf("got %v, want %v as it is", err, errDown)
	}
	if servers[0].count() != 1 {
		t.Errorf("%d calls, want 1", servers[0].count())
	}
}

func TestBreakerByCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 1, nil)
		s := servers[0]
		s.set(errDown)
		for i := range 3 {
			if err := p.Do(t.Context(), ask); !errors.Is(err, errDown) {
				t.Fatalf("call %d: got %v", i, err)
			}
		}
		// Pauses double from 2 s to 30 s; in each, nothing is asked.
		for _, pause := range []time.Duration{2, 4, 8, 16, 30, 30} {
			hits := s.count()
			time.Sleep(pause*time.Second - time.Millisecond)
			if err := p.Do(t.Context(), ask); !errors.Is(err, ErrNoAddress) {
				t.Fatalf("in a pause of %d s: got %v, want %v", pause, err, ErrNoAddress)
			}
			if s.count() != hits {
				t.Fatalf("in a pause of %d s: the address was asked", pause)
			}
			time.Sleep(time.Millisecond)
			if err := p.Do(t.Context(), ask); !errors.Is(err, errDown) {
				t.Fatalf("after a pause of %d s: got %v, want a trial", pause, err)
			}
		}
		s.set(nil)
		time.Sleep(30 * time.Second)
		if err := p.Do(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
		h := p.Health()[0]
		if h.State != Closed || h.Failures != 0 || !h.RetryAt.IsZero() || h.LastError == nil {
			t.Errorf("after recovery: %+v", h)
		}
		// The next pause begins at the first step again.
		s.set(errDown)
		for range 3 {
			_ = p.Do(t.Context(), ask)
		}
		if h := p.Health()[0]; time.Until(h.RetryAt) != 2*time.Second {
			t.Errorf("pause is %v, want 2s", time.Until(h.RetryAt))
		}
	})
}

func TestHalfOpenLetsOneThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 1, nil)
		servers[0].set(errDown)
		for range 3 {
			_ = p.Do(t.Context(), ask)
		}
		time.Sleep(2 * time.Second)
		servers[0].set(nil)
		hold := make(chan struct{})
		trial := make(chan error)
		go func() {
			trial <- p.Do(t.Context(), func(ctx context.Context, s *server) error { <-hold; return s.answer() })
		}()
		synctest.Wait()
		if got := states(p)[0]; got != HalfOpen {
			t.Fatalf("state %v, want half-open", got)
		}
		if err := p.Do(t.Context(), ask); !errors.Is(err, ErrNoAddress) {
			t.Fatalf("beside a trial: got %v, want %v", err, ErrNoAddress)
		}
		close(hold)
		if err := <-trial; err != nil {
			t.Fatal(err)
		}
		if err := p.Do(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTrialThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 1, nil)
		servers[0].set(errDown)
		for range 3 {
			_ = p.Do(t.Context(), ask)
		}
		time.Sleep(2 * time.Second)
		servers[0].set(errInput)
		_ = p.Do(t.Context(), ask)
		if got := states(p)[0]; got != Open {
			t.Fatalf("state %v, want open", got)
		}
		servers[0].set(nil)
		if err := p.Do(t.Context(), ask); err != nil {
			t.Fatalf("the next trial must be let through at once: %v", err)
		}
	})
}

// A success that began before the breaker opened does not close it.
func TestOldSuccessDoesNotCloseBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 1, nil)
		hold := make(chan struct{})
		old := make(chan error)
		go func() {
			old <- p.Do(t.Context(), func(context.Context, *server) error { <-hold; return nil })
		}()
		synctest.Wait()
		servers[0].set(errDown)
		for range 3 {
			_ = p.Do(t.Context(), ask)
		}
		close(hold)
		if err := <-old; err != nil {
			t.Fatal(err)
		}
		if got := states(p)[0]; got != Open {
			t.Errorf("state %v, want open", got)
		}
	})
}

func TestPanicGivesSlotBack(t *testing.T) {
	p, _ := newPool(t, 1, func(c *Config[*server]) { c.PerAddress = 1 })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = p.Do(t.Context(), func(context.Context, *server) error { panic("boom") })
	}()
	h := p.Health()[0]
	if h.InFlight != 0 || h.Failures != 1 || h.Errors != 1 {
		t.Errorf("%+v", h)
	}
}

func TestStress(t *testing.T) {
	p, servers := newPool(t, 3, func(c *Config[*server]) { c.PerAddress = 2; c.RetryAfter = time.Microsecond })
	servers[2].set(errDown)
	var calls sync.WaitGroup
	for i := range 200 {
		calls.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i%7 == 0 {
				go cancel()
			}
			defer cancel()
			err := p.Do(ctx, ask)
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errDown) {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	for _, h := range p.Health() {
		if h.InFlight != 0 {
			t.Errorf("a slot was lost: %+v", h)
		}
	}
	if len(p.waiting) != 0 {
		t.Errorf("%d still waiting", len(p.waiting))
	}
}

func ExampleState_String() {
	fmt.Println(Closed, Open, HalfOpen, State(9))
	// Output: closed open half-open unknown
}
