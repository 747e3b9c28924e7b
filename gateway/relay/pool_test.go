package relay

import (
	"context"
	"crypto/x509"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/gateway"
)

// Never more connections than the pool has, and every message gets its turn.
func TestPoolIsBounded(t *testing.T) {
	f := newFake(t, everything...)
	var now, most atomic.Int32
	f.set("DOT", func(s *fakeSession) bool {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
		return say("250 2.0.0 Ok")(s)
	})
	r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), PoolSize: 3})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
				t.Errorf("got %+v", got)
			}
		})
	}
	wg.Wait()
	if _, _, conns := f.seen(); conns > 3 || most.Load() > 3 || r.Health()[0].Idle > 3 {
		t.Errorf("%d connections, %d at once", conns, most.Load())
	}
}

// A full pool of one route holds nobody else up, and is no fault of its next hop.
func TestBusyPool(t *testing.T) {
	slow, quick := newFake(t, everything...), newFake(t, everything...)
	slow.set("DOT", hang)
	times := long()
	times.Slot = 50 * time.Millisecond
	pools := NewPools(nil, nil)
	r, err := New(pools, []Route{
		{Name: "inner", Hostname: "mx", Hops: []Hop{slow.hop()}, TLS: None, PoolSize: 1, Timeouts: times},
		{Name: "other", Hostname: "mx", Hops: []Hop{quick.hop()}, TLS: None, PoolSize: 1, Timeouts: times}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.Relay(ctx, delivery(small)) })
	for r.Health()[0].InUse+r.Health()[1].InUse == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 5 {
		if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.NotDelivered || !strings.HasPrefix(got.Reply.String(), "451 4.4.5") {
			t.Errorf("a full pool: %+v", got)
		}
		d := delivery(small)
		d.Route = "other"
		if got := r.Relay(t.Context(), d); got.Result != gateway.Delivered {
			t.Errorf("the other route: %+v", got)
		}
	}
	cancel()
	wg.Wait()
	for _, h := range r.Health() {
		if h.State != "closed" || h.InUse != 0 {
			t.Errorf("health %+v", h)
		}
	}
}

// What was learned and who is connected outlives a reload; what is no longer used is closed; a session that still holds
// the old routes can go on.
func TestReload(t *testing.T) {
	f := newFake(t, everything...)
	pools := NewPools(nil, nil)
	load := func(change func(r *Route)) *Relay {
		rt := Route{Name: "inner", Hostname: "mx", Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), RootCAs: x509.NewCertPool()}
		change(&rt)
		r, err := New(pools, []Route{rt})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	send := func(r *Relay) {
		t.Helper()
		if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
			t.Fatalf("got %+v", got)
		}
	}
	first := load(func(*Route) {})
	send(first)
	second := load(func(*Route) {})
	first.Close()
	send(second)
	send(first)
	if _, _, conns := f.seen(); conns != 1 {
		t.Errorf("%d connections over a reload that changed nothing", conns)
	}
	third := load(func(r *Route) { r.PoolSize = 7 })
	if !third.Carries("inner").Known {
		t.Error("what was learned is forgotten")
	}
	second.Close()
	if h := second.Health()[0]; h.Idle != 0 {
		t.Errorf("health of what is not used any more: %+v", h)
	}
	send(second)
	send(third)
	if h := second.Health()[0]; h.Idle != 0 || h.InUse != 0 {
		t.Errorf("health of what is not used any more: %+v", h)
	}
	third.Close()
	if n := len(pools.hops); n != 0 {
		t.Errorf("%d next hops are kept", n)
	}
}

func TestCarriesIsWhatAllCan(t *testing.T) {
	a := newFake(t, "PIPELINING", "SIZE 1000", "8BITMIME", "DSN", "LIMITS MAILMAX=5 RCPTMAX=50")
	b := newFake(t, "SIZE 2000", "8bitmime", "SMTPUTF8", "CHUNKING", "limits rcptmax=20")
	second := b.hop()
	second.Order = 1
	r := newRelay(t, Route{Hops: []Hop{a.hop(), second}, TLS: None, Timeouts: long()})
	if c := r.Carries("inner"); c != (gateway.Carries{}) {
		t.Errorf("before anything was learned: %+v", c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r.Learn(ctx)
	want := gateway.Carries{Known: true, Size: 1000, EightBit: true, Recipients: 20}
	if c := r.Carries("inner"); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if c := r.Carries("nowhere"); c != (gateway.Carries{}) {
		t.Errorf("no such route: %+v", c)
	}
	if got := r.Relay(t.Context(), &gateway.Delivery{Route: "nowhere"}); got.Result != gateway.NotDelivered || got.Reply.Code != 451 {
		t.Errorf("no such route: %+v", got)
	}
}

func TestVerify(t *testing.T) {
	for _, tt := range []struct {
		name string
		step string
		act  act
		want VerifyResult
		told string
		at   string
	}{
		{"takes", "RCPT", say("250 2.1.5 Ok"), Takes, "250 2.1.5 Ok", "rcpt"},
		{"forwards", "RCPT", say("251 2.1.5 Will forward"), Takes, "251 2.1.5", "rcpt"},
		{"unknown", "RCPT", say("550 5.1.1 No such user"), Refuses, "550 5.1.1 No such user", "rcpt"},
		{"bare", "RCPT", say("550 No such user"), Refuses, "550 5.0.0 No such user", "rcpt"},
		{"later", "RCPT", say("450 4.2.1 Full"), Postpones, "450 4.2.1 Full", "rcpt"},
		{"sender", "MAIL", say("550 5.7.1 Not you"), Refuses, "550 5.7.1 Not you", "mail"},
		{"sender later", "MAIL", say("451 4.7.1 Not now"), Postpones, "451 4.7.1 Not now", "mail"},
		{"421", "RCPT", say("421 Bye"), Away, "451 4.4.1", "rcpt"},
		{"421 at MAIL", "MAIL", say("421 Bye"), Away, "451 4.4.1", "mail"},
		{"maybe", "RCPT", say("252 2.1.5 Perhaps"), Away, "451 4.3.0", "rcpt"},
		{"354", "RCPT", say("354 Go on"), Away, "451 4.3.0", "rcpt"},
		{"locked out", "MAIL", say("530 5.7.0 Authenticate"), Away, "451 4.3.0", "mail"},
		{"close", "MAIL", closes, Away, "451 4.4.2", "mail"},
		{"banner", "banner", say("554 Go away"), Away, "451 4.4.1", "dial"},
		{"RSET", "RSET", closes, Takes, "250", "rcpt"},
	} {
		for _, offers := range [][]string{everything, nil} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				f := newFake(t, offers...)
				f.set(tt.step, tt.act)
				r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long()})
				for range 2 {
					v := r.Verify(t.Context(), "inner", address("a@example.net"), address("b@example.org"))
					if v.Result != tt.want || !strings.HasPrefix(v.Reply.String(), tt.told) || v.At != tt.at {
						t.Fatalf("got %+v", v)
					}
				}
				f.set(tt.step, nil)
				if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
					t.Errorf("a message after it: %+v", got)
				}
				_, commands, conns := f.seen()
				if again := tt.want == Takes || tt.want == Refuses || tt.want == Postpones; again && tt.step != "RSET" && conns != 1 {
					t.Errorf("%d connections", conns)
				}
				for _, c := range commands[:len(commands)-1] {
					if c == "DATA" && tt.want != Away && conns > 1 {
						t.Errorf("commands %q", commands)
					}
				}
			})
		}
	}
}

// A call-ahead is one flight too.
func TestVerifyInOneFlight(t *testing.T) {
	f := newFake(t, everything...)
	f.collects = 3
	r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long()})
	if v := r.Verify(t.Context(), "inner", gateway.Address{}, address("jürgen@example.org")); v.Result != Takes {
		t.Fatalf("got %+v", v)
	}
	_, commands, _ := f.seen()
	if got := strings.Join(commands[1:], "|"); got != "MAIL FROM:<> SMTPUTF8|RCPT TO:<jürgen@example.org>|RSET" {
		t.Errorf("commands %q", got)
	}
}

func TestRouteErrors(t *testing.T) {
	hop := []Hop{{Host: "a.example"}}
	for want, routes := range map[string][]Route{
		"without a name":           {{Hostname: "mx", Hops: hop}},
		"no next hop":              {{Name: "x", Hostname: "mx"}},
		"no name for EHLO":         {{Name: "x", Hops: hop}},
		"names no fingerprint":     {{Name: "x", Hostname: "mx", Hops: hop, TLS: Fingerprint}},
		"no such TLS mode":         {{Name: "x", Hostname: "mx", Hops: hop, TLS: 9}},
		"is there twice":           {{Name: "x", Hostname: "mx", Hops: hop}, {Name: "x", Hostname: "mx", Hops: hop}},
		"names a.example:25 twice": {{Name: "x", Hostname: "mx", Hops: []Hop{{Host: "a.example"}, {Host: "a.example", Port: 25}}}},
		"is no host":               {{Name: "x", Hostname: "mx", Hops: []Hop{{Host: "[::1]"}}}},
		"no port 70000":            {{Name: "x", Hostname: "mx", Hops: []Hop{{Host: "::1", Port: 70000}}}},
		"a pool of -1 connections": {{Name: "x", Hostname: "mx", Hops: hop, PoolSize: -1}},
		"weight -1":                {{Name: "x", Hostname: "mx", Hops: []Hop{{Host: "::1", Weight: -1}}}},
	} {
		pools := NewPools(nil, nil)
		if _, err := New(pools, routes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if len(pools.hops) > 0 {
			t.Errorf("%q left next hops behind", want)
		}
	}
}
