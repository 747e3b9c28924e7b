package addrpool

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func probing(c *Config[*server]) {
	c.Probe = func(_ context.Context, s *server) (string, error) { return "version of " + s.name, s.answer() }
}

// start runs the probe loop until the test ends.
func start(t *testing.T, p *Pool[*server]) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()
	synctest.Wait()
	return func() { cancel(); <-ended }
}

func TestRunProbesAtOnceAndEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 2, probing)
		defer start(t, p)()
		for i, h := range p.Health() {
			if h.Info != "version of "+servers[i].name || h.Probes != 1 || h.LastProbeAt.IsZero() || h.LastOKAt.IsZero() {
				t.Errorf("after the first probe: %+v", h)
			}
		}
		time.Sleep(29 * time.Second)
		if n := servers[0].count(); n != 1 {
			t.Errorf("%d probes after 29 s, want 1", n)
		}
		time.Sleep(2 * time.Second)
		if n := servers[0].count(); n != 2 {
			t.Errorf("%d probes after 31 s, want 2", n)
		}
	})
}

func TestProbeClosesBreakerAndCallsDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 1, probing)
		defer start(t, p)()
		s := servers[0]
		s.set(errDown)
		for range 3 {
			_ = p.Do(t.Context(), ask)
		}
		synctest.Wait()
		// Probes at 2, 4, 8, 16, 30, 30 s after one another.
		for _, pause := range []time.Duration{2, 4, 8, 16, 30, 30} {
			hits := s.count()
			time.Sleep(pause*time.Second - time.Millisecond)
			if err := p.Do(t.Context(), ask); !errors.Is(err, ErrNoAddress) || s.count() != hits {
				t.Fatalf("in a pause of %d s: %v, %d calls", pause, err, s.count()-hits)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if s.count() != hits+1 {
				t.Fatalf("after a pause of %d s: %d probes, want 1", pause, s.count()-hits)
			}
		}
		s.set(nil)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if err := p.Do(t.Context(), ask); err != nil {
			t.Fatalf("after recovery: %v", err)
		}
	})
}

func TestDistrustOpensAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 2, probing)
		servers[0].set(errBlind)
		defer start(t, p)()
		if got := states(p); !slices.Equal(got, []State{Open, Closed}) {
			t.Fatalf("states %v", got)
		}
		if p.Health()[0].Usable() || !p.Health()[1].Usable() {
			t.Error("usable does not follow the state")
		}
		for range 4 {
			if err := p.Do(t.Context(), ask); err != nil {
				t.Fatal(err)
			}
		}
		if servers[0].count() != 1 {
			t.Error("an address that is not trusted was used")
		}
	})
}

func TestHungProbeIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 2, func(c *Config[*server]) {
			c.Probe = func(ctx context.Context, s *server) (string, error) {
				if s.name == "a" {
					<-ctx.Done()
					return "", ctx.Err()
				}
				return "", s.answer()
			}
		})
		defer start(t, p)()
		time.Sleep(16 * time.Second)
		if h := p.Health()[0]; h.Failures != 1 || !errors.Is(h.LastError, context.DeadlineExceeded) {
			t.Errorf("hung probe: %+v", h)
		}
		if servers[1].count() != 1 {
			t.Error("the other address was not probed meanwhile")
		}
	})
}

func TestPanicInProbeIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, 1, func(c *Config[*server]) {
			c.Probe = func(context.Context, *server) (string, error) { panic("boom") }
		})
		defer start(t, p)()
		if h := p.Health()[0]; h.Failures != 1 || h.ProbeErrors != 1 {
			t.Errorf("%+v", h)
		}
	})
}

func TestStoppingIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, 1, func(c *Config[*server]) {
			c.Probe = func(ctx context.Context, _ *server) (string, error) { <-ctx.Done(); return "", ctx.Err() }
		})
		start(t, p)()
		if h := p.Health()[0]; h.Failures != 0 || h.Probes != 0 || h.State != Closed {
			t.Errorf("%+v", h)
		}
	})
}

func TestRunWithoutProbeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, servers := newPool(t, 1, nil)
		stop := start(t, p)
		time.Sleep(time.Minute)
		stop()
		if servers[0].count() != 0 {
			t.Error("something was asked")
		}
	})
}
