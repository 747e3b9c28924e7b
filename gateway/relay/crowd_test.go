package relay

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// until waits for something that must come.
func until(t *testing.T, what string, there func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !there(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Messages and questions cannot take all connections from each other, and neither takes more than its share.
func TestLanes(t *testing.T) {
	for _, tt := range []struct{ size, mail, ask int }{{1, 1, 1}, {2, 1, 1}, {3, 2, 1}, {10, 9, 5}, {20, 18, 10}} {
		for full, other := range map[lane]lane{forMail: forAsking, forAsking: forMail} {
			s := newSlots(tt.size, 1)
			n := 0
			for ; s.room(full); n++ {
				if err := s.take(t.Context(), full, 0); err != nil {
					t.Fatal(err)
				}
			}
			if want := map[lane]int{forMail: tt.mail, forAsking: tt.ask}[full]; n != want || s.used() != n {
				t.Errorf("pool of %d, lane %d: %d connections, want %d", tt.size, full, n, want)
			}
			if s.room(other) != (tt.size > 1) {
				t.Errorf("pool of %d: room for the other lane is %v", tt.size, s.room(other))
			}
			for range n {
				s.give(full)
			}
			if s.used() != 0 || !s.room(full) {
				t.Errorf("pool of %d: %d are still used", tt.size, s.used())
			}
		}
	}
}

// Whoever waits gets the place that is given back; who may not wait is told at once, and nothing is lost of the pool
// however a wait ends.
func TestSlotsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(4, 2)
		held := 0
		for ; s.room(forMail); held++ {
			_ = s.take(t.Context(), forMail, 0)
		}
		errs := make(chan error, 3)
		wait := func(ctx context.Context, within time.Duration) {
			go func() { errs <- s.take(ctx, forMail, within) }()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		wait(ctx, time.Hour)
		if s.crowded(time.Minute) {
			t.Error("crowded with one that waits")
		}
		wait(t.Context(), time.Minute)
		if !s.crowded(time.Minute) {
			t.Error("not crowded with as many waiting as may")
		}
		wait(t.Context(), time.Minute)
		if err := <-errs; err != errFull {
			t.Errorf("the third that waits: %v", err)
		}
		cancel()
		if err := <-errs; err == nil || !strings.Contains(err.Error(), "canceled") {
			t.Errorf("one that gave up: %v", err)
		}
		if s.crowded(time.Minute) {
			t.Error("crowded as soon as one waits")
		}
		time.Sleep(31 * time.Second)
		if !s.crowded(time.Minute) {
			t.Error("not crowded though nothing moves")
		}
		time.Sleep(30 * time.Second)
		if err := <-errs; err != errBusy {
			t.Errorf("one that waited too long: %v", err)
		}
		wait(t.Context(), time.Minute)
		s.give(forMail)
		if err := <-errs; err != nil || s.crowded(time.Minute) || s.refused.Load() != 3 {
			t.Errorf("after a place was given back: %v, %d refused", err, s.refused.Load())
		}
		for range held {
			s.give(forMail)
		}
		if s.used() != 0 || len(s.lanes[forMail]) != 0 || s.waiting[forMail].Load() != 0 {
			t.Errorf("left: %d, %d, %d", s.used(), len(s.lanes[forMail]), s.waiting[forMail].Load())
		}
	})
}

// A next hop that hangs after the dot: so many messages wait and no more, the edge is told to defer, and recipients can
// still be asked for; another route notices nothing.
func TestCrowdedHop(t *testing.T) {
	slow, quick := newFake(t, everything...), newFake(t, everything...)
	slow.set("DOT", hang)
	pools := NewPools(nil, nil)
	r, err := New(pools, []Route{
		{Name: "inner", Hostname: "mx", Hops: []Hop{slow.hop()}, TLS: None, PoolSize: 4, Queue: 5, Timeouts: long()},
		{Name: "other", Hostname: "mx", Hops: []Hop{quick.hop()}, TLS: None, PoolSize: 1, Queue: 1, Timeouts: long()}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	health := func() (of Health) {
		for _, h := range r.Health() {
			if h.Route == "inner" {
				of = h
			}
		}
		return of
	}
	var wg sync.WaitGroup
	const have, wait = 3, 5
	for range have + wait {
		wg.Go(func() { r.Relay(ctx, delivery(small)) })
	}
	until(t, "the pool and the queue are full", func() bool { h := health(); return h.InUse == have && h.Waiting == wait })
	if c := r.Carries("inner"); c.Defer != gateway.NextHopBusy {
		t.Errorf("the edge is told %q", c.Defer)
	}
	for i := range 300 {
		if got := r.Relay(ctx, delivery(small)); got.Result != gateway.NotDelivered || !strings.HasPrefix(got.Reply.String(), "451 4.4.5") {
			t.Fatalf("message %d: %+v", i, got)
		}
	}
	for i := range 20 {
		if v := r.Verify(ctx, "inner", address("a@example.net"), address("b@example.org")); v.Result != Takes {
			t.Fatalf("question %d: %+v", i, v)
		}
		d := delivery(small)
		d.Route = "other"
		if got := r.Relay(ctx, d); got.Result != gateway.Delivered || r.Carries("other").Defer != "" {
			t.Fatalf("the other route: %+v", got)
		}
	}
	if h := health(); h.InUse != have || h.Waiting != wait || h.Busy != 300 || h.State != "closed" || h.InUse+h.Idle > h.Pool {
		t.Errorf("health %+v", h)
	}
	cancel()
	wg.Wait()
	if h := health(); h.InUse != 0 || h.Waiting != 0 || r.Carries("inner").Defer != "" {
		t.Errorf("afterwards: %+v", h)
	}
}

// Questions that hang leave room for messages.
func TestHungQuestions(t *testing.T) {
	f := newFake(t, everything...)
	f.rcpt["ask@example.org"] = hang
	r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, PoolSize: 2, Queue: 3, Timeouts: long()})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { r.Verify(ctx, "inner", address("a@example.net"), address("ask@example.org")) })
	}
	until(t, "questions wait", func() bool { h := r.Health()[0]; return h.InUse == 1 && h.Asking == 3 })
	for range 20 {
		if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
			t.Fatalf("got %+v", got)
		}
	}
	if v := r.Verify(t.Context(), "inner", address("a@example.net"), address("ask@example.org")); v.Result != Away || !strings.HasPrefix(v.Reply.String(), "451 4.4.5") {
		t.Errorf("one question too many: %+v", v)
	}
	cancel()
	wg.Wait()
}

// While a next hop rests the edge is told, it is asked in the background as soon as its pause is over, and the first
// message after it came back finds a connection and pays for nothing.
func TestTend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake("PIPELINING")
		var dials atomic.Int32
		var up atomic.Bool
		up.Store(true)
		pools := NewPools(func(ctx context.Context, _, _ string) (net.Conn, error) {
			if dials.Add(1); !up.Load() {
				return nil, net.ErrClosed
			}
			return f.pipe(ctx, "", "")
		}, nil)
		r, err := New(pools, []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Tend(ctx); close(done) }()
		synctest.Wait()
		if h := r.Health()[0]; h.Idle != 1 || dials.Load() != 1 || r.Carries("inner").Defer != "" {
			t.Fatalf("after the start: %+v", h)
		}
		for round := range 3 {
			up.Store(false)
			f.hangUp()
			synctest.Wait()
			for range tripAfter {
				r.Relay(ctx, delivery(small))
			}
			before := dials.Load()
			if r.Carries("inner").Defer != gateway.NextHopAway || !r.Health()[0].Resting {
				t.Errorf("round %d: it rests, and nobody is told", round)
			}
			time.Sleep(firstPause + 2*firstPause + time.Second)
			if dials.Load() != before+2 {
				t.Errorf("round %d: asked %d times, want 2", round, dials.Load()-before)
			}
			up.Store(true)
			time.Sleep(longPause + time.Second)
			synctest.Wait()
			if h := r.Health()[0]; h.State != "closed" || h.Idle != 1 || r.Carries("inner").Defer != "" {
				t.Fatalf("round %d: it came back, and nobody noticed: %+v", round, h)
			}
			before = dials.Load()
			if got := r.Relay(ctx, delivery(small)); got.Result != gateway.Delivered || dials.Load() != before {
				t.Errorf("round %d: %+v, %d dials", round, got, dials.Load()-before)
			}
		}
		cancel()
		<-done
	})
}

// Without anybody who asks in the background the edge lets a message find out.
func TestNobodyTends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(NewPools(func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }, nil),
			[]Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range tripAfter {
			r.Relay(t.Context(), delivery(small))
		}
		if r.Carries("inner").Defer == "" {
			t.Error("it rests, and nobody is told")
		}
		time.Sleep(firstPause)
		if why := r.Carries("inner").Defer; why != "" {
			t.Errorf("after the pause: %s", why)
		}
	})
}

// An idle connection that a firewall forgot swallows what is written to it. It is asked first, and given up soon.
func TestForgottenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake("PIPELINING")
		f.set("NOOP", hang)
		r, err := New(NewPools(f.pipe, nil), []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i, tt := range []struct {
			idle, took time.Duration
			conns      int
		}{{0, 0, 1}, {checkAfter - time.Second, 0, 1}, {checkAfter, checkTime, 2}} {
			time.Sleep(tt.idle)
			got := r.Relay(t.Context(), delivery(small))
			if _, _, conns := f.seen(); got.Result != gateway.Delivered || got.Took != tt.took || conns != tt.conns {
				t.Errorf("message %d: %+v over %d connections", i, got, conns)
			}
		}
		if h := r.Health()[0]; h.State != "closed" || h.Failures != 0 || h.InUse != 0 {
			t.Errorf("health %+v", h)
		}
	})
}
