package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// zone is a Resolver that a test writes.
type zone struct {
	mu    sync.Mutex
	mx    map[string][]Hop
	srv   map[string][]Hop
	a     map[string][]netip.Addr
	err   error
	ttl   time.Duration
	asked int
}

func (z *zone) answer(hops []Hop) ([]Hop, time.Duration, error) {
	z.asked++
	if z.err != nil {
		return nil, 0, z.err
	}
	return hops, z.ttl, nil
}

func (z *zone) MX(_ context.Context, domain string) ([]Hop, time.Duration, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.answer(z.mx[domain])
}

func (z *zone) SRV(_ context.Context, name string) ([]Hop, time.Duration, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.answer(z.srv[name])
}

func (z *zone) Addresses(_ context.Context, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.err != nil {
		return nil, z.err
	}
	return slices.Clone(z.a[host]), nil
}

func (z *zone) change(f func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	f()
}

func ips(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// network leads each address to a fake; others are unreachable, or hang where they are named so.
type network struct {
	mu    sync.Mutex
	to    map[string]*fake
	hang  map[string]bool
	dials []string
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dials = append(n.dials, address)
	f, hangs := n.to[address], n.hang[address]
	n.mu.Unlock()
	switch {
	case hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case f == nil:
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	go f.serve(theirs)
	return ours, nil
}

// Which next hops a name in DNS stands for, and when it stands for none.
func TestUsable(t *testing.T) {
	mx, srv := source{Hop: Hop{MX: "example.org", Port: 2525}}, source{Hop: Hop{SRV: "_smtp._tcp.example.org"}}
	for _, tt := range []struct {
		name string
		s    source
		in   []Hop
		want string // host:port order weight
	}{
		{"preference", mx, []Hop{{Host: "b.example", Order: 20}, {Host: "A.example.", Order: 10}}, "a.example:2525 10, b.example:2525 20"},
		{"twice", mx, []Hop{{Host: "a.example", Order: 20}, {Host: "A.example", Order: 10}}, "a.example:2525 10"},
		{"ourselves behind others", mx, []Hop{{Host: "a.example", Order: 10}, {Host: "MX.example", Order: 20}, {Host: "c.example", Order: 30}}, "a.example:2525 10"},
		{"ourselves beside others", mx, []Hop{{Host: "a.example", Order: 10}, {Host: "b.example", Order: 20}, {Host: "mx.example", Order: 20}}, "a.example:2525 10"},
		{"ourselves first", mx, []Hop{{Host: "a.example", Order: 20}, {Host: "mx.example", Order: 10}}, "error: " + errLoop.Error()},
		{"no mail", mx, []Hop{{Host: ".", Order: 0}}, "error: DNS says that it takes no mail"},
		{"no host", mx, []Hop{{Host: "a b", Order: 0}, {Host: "[::1]", Order: 0}}, "error: none of the 2 hosts that DNS names can be used"},
		{"one of two", mx, []Hop{{Host: "unix:/run/x", Order: 0}, {Host: "a.example", Order: 1}}, "a.example:2525 1"},
		{"service", srv, []Hop{{Host: "b.example", Port: 26, Order: 1, Weight: 3}, {Host: "a.example", Port: 27}, {Host: "a.example", Port: 28}},
			"a.example:27 0, a.example:28 0, b.example:26 1"},
		{"service that is ourselves", srv, []Hop{{Host: "mx.example", Port: 26}}, "mx.example:26 0"},
		{"no service", srv, []Hop{{Host: "."}}, "error: DNS says that it takes no mail"},
		{"nothing", srv, nil, "error: no such record in DNS"},
	} {
		got := ""
		hops, err := tt.s.usable(tt.in, "mx.example")
		for i, h := range hops {
			if got += fmt.Sprintf("%s %d", h.Address(), h.Order); i < len(hops)-1 {
				got += ", "
			}
			if !h.found {
				t.Errorf("%s: %+v is not of DNS", tt.name, h)
			}
		}
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// A route by MX over its life: found, asked again by TTL, kept while DNS fails, followed when it changes, without losing
// the connections of what stays.
func TestRouteByMX(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := quietFake(everything...), quietFake(everything...)
		n := &network{to: map[string]*fake{"192.0.2.1:25": a, "[2001:db8::2]:25": b}}
		z := &zone{err: errors.New("no name server answers"), ttl: 5 * time.Minute, mx: map[string][]Hop{"example.org": {{Host: "a.example", Order: 10}}},
			a: map[string][]netip.Addr{"a.example": ips("192.0.2.1"), "b.example": ips("2001:db8::2"), "example.org": ips("2001:db8::2")}}
		pools := NewPools(n.dial, nil)
		pools.Find(z)
		r, err := New(pools, []Route{{Name: "inner", Hostname: "mx.example", Hops: []Hop{{MX: "example.org"}}, TLS: None,
			Timeouts: Timeouts{Idle: time.Hour}}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { close(a.done); close(b.done) }()
		ctx, cancel := context.WithCancel(t.Context())
		var tending sync.WaitGroup
		tending.Go(func() { r.Tend(ctx) })
		send := func(want gateway.RelayResult, hop string) {
			t.Helper()
			if got := r.Relay(t.Context(), delivery(small)); got.Result != want || got.NextHop != hop {
				t.Fatalf("got %+v", got)
			}
		}
		synctest.Wait()
		if got := r.Relay(t.Context(), delivery(small)); !got.Unreached() || !strings.Contains(got.Said, "mx:example.org: no name server answers") || got.Reply.Code != 451 {
			t.Errorf("nothing is known: %+v", got)
		}
		if h := r.Health(); len(h) != 1 || h[0].NextHop != "mx:example.org" || h[0].Usable() || h[0].LastError != "no name server answers" {
			t.Errorf("health %+v", h)
		}
		if c := r.Carries("inner"); c.Defer != gateway.NextHopAway {
			t.Errorf("carries %+v", c)
		}
		z.change(func() { z.err = nil })
		time.Sleep(longPause)
		send(gateway.Delivered, "a.example:25")
		asked := z.asked
		time.Sleep(4 * time.Minute)
		if z.asked != asked {
			t.Errorf("asked %d times within the TTL", z.asked-asked)
		}
		z.change(func() { z.err = errors.New("SERVFAIL") })
		time.Sleep(10 * time.Minute)
		send(gateway.Delivered, "a.example:25")
		z.change(func() {
			z.err = nil
			z.mx["example.org"] = []Hop{{Host: "a.example", Order: 10}, {Host: "b.example", Order: 5}}
		})
		time.Sleep(2 * time.Minute)
		send(gateway.Delivered, "b.example:25")
		if _, _, conns := a.seen(); conns != 2 { // the second when the first was too old
			t.Errorf("%d connections to what stayed", conns)
		}
		z.change(func() { z.mx = nil }) // the domain itself then
		time.Sleep(6 * time.Minute)
		send(gateway.Delivered, "example.org:25")
		if h := r.Health(); len(h) != 1 || h[0].NextHop != "example.org:25" {
			t.Errorf("health %+v", h)
		}
		cancel()
		tending.Wait()
		r.Close()
		if len(pools.hops) != 0 {
			t.Errorf("%d hops are kept", len(pools.hops))
		}
	})
}

// Without anybody in the background the first message asks, and those that come meanwhile wait for it.
func TestFindsOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake(everything...)
		n := &network{to: map[string]*fake{"192.0.2.1:2525": f}}
		z := &zone{ttl: time.Second, srv: map[string][]Hop{"_smtp._tcp.example.org": {{Host: "a.example", Port: 2525}}},
			a: map[string][]netip.Addr{"a.example": ips("192.0.2.1")}}
		pools := NewPools(n.dial, nil)
		pools.Find(z)
		r, err := New(pools, []Route{{Name: "inner", Hostname: "mx.example", Hops: []Hop{{SRV: "_smtp._tcp.example.org"}}, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		defer close(f.done)
		defer r.Close()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
					t.Errorf("got %+v", got)
				}
			})
		}
		wg.Wait()
		if z.asked != 1 {
			t.Errorf("asked %d times", z.asked)
		}
		time.Sleep(soonest)
		r.Relay(t.Context(), delivery(small))
		if z.asked != 2 {
			t.Errorf("asked %d times after the shortest time that an answer is kept", z.asked)
		}
	})
}

// The addresses of a host are tried in turn, the families by turns, and one that hangs leaves time for the others.
func TestDialsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake(everything...)
		n := &network{to: map[string]*fake{"192.0.2.3:25": f}, hang: map[string]bool{"192.0.2.1:25": true, "[2001:db8::1]:25": true}}
		z := &zone{ttl: time.Hour, mx: map[string][]Hop{"example.org": {{Host: "a.example"}}},
			a: map[string][]netip.Addr{"a.example": ips("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2")}}
		pools := NewPools(n.dial, nil)
		pools.Find(z)
		r, err := New(pools, []Route{{Name: "inner", Hostname: "mx.example", Hops: []Hop{{MX: "example.org"}}, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		defer close(f.done)
		defer r.Close()
		began := time.Now()
		got := r.Relay(t.Context(), delivery(small))
		if got.Result != gateway.Delivered || time.Since(began) > 5*time.Second {
			t.Errorf("after %s: %+v", time.Since(began), got)
		}
		want := []string{"192.0.2.1:25", "[2001:db8::1]:25", "192.0.2.2:25", "[2001:db8::2]:25", "192.0.2.3:25"}
		if !slices.Equal(n.dials, want) {
			t.Errorf("tried %q", n.dials)
		}
		// While DNS fails the addresses of the last time are good.
		z.change(func() { z.err = errors.New("SERVFAIL") })
		f.hangUp()
		if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
			t.Errorf("while DNS fails: %+v", got)
		}
	})
}

// A host that DNS names and that greets by our own name is ourselves, whatever it is called.
func TestGreetsByOurName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake(everything...)
		f.set("banner", say("220 MX.example ESMTP"))
		n := &network{to: map[string]*fake{"192.0.2.1:25": f}}
		pools := NewPools(n.dial, nil)
		pools.Find(&zone{ttl: time.Hour, mx: map[string][]Hop{"example.org": {{Host: "alias.example"}}}, a: map[string][]netip.Addr{"alias.example": ips("192.0.2.1")}})
		r, err := New(pools, []Route{{Name: "inner", Hostname: "mx.example", Hops: []Hop{{MX: "example.org"}}, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		defer close(f.done)
		defer r.Close()
		if got := r.Relay(t.Context(), delivery(small)); !got.Unreached() || !strings.Contains(got.Said, "go round in a loop") {
			t.Errorf("got %+v", got)
		}
	})
}
