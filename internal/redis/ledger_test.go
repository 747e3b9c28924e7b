package redis

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/ledger"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// nodes are two ledgers over one Redis, each with a client of its own.
func ledgers(t *testing.T, settings func() Settings) (out [2]*ledger.Ledger) {
	for i := range out {
		out[i] = ledger.New(ledger.Options{Key: []byte("the secret of a test"), Shared: open(t, settings())})
		ctx, stop := context.WithCancel(t.Context())
		t.Cleanup(stop)
		go out[i].Run(ctx)
	}
	return out
}

func begin(t *testing.T, l *ledger.Ledger, n int, rcpts ...string) gateway.Claim {
	t.Helper()
	c, err := l.Begin(t.Context(), sha256.Sum256(fmt.Append(nil, n)), rcpts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// known asks a node again and again until it says what is wanted.
func known(t *testing.T, l *ledger.Ledger, n int, want bool) {
	t.Helper()
	for ctx := labtest.Context(t); ; time.Sleep(5 * time.Millisecond) {
		c := begin(t, l, n, "a@x")
		got := c.Done()[0]
		c.End(nil)
		if got == want {
			return
		}
		must(t, ctx.Err())
	}
}

// TestLedger shows what one node knows of the deliveries of another, on one server and on a Cluster.
func TestLedger(t *testing.T) {
	single := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	many := cluster(t)
	for name, settings := range map[string]func() Settings{
		"single": func() Settings {
			s := patient(single)
			s.User, s.Password = "gatepost", "p-of-a-test"
			return s
		},
		"cluster": func() Settings {
			s := patient(many[0])
			s.Addrs, s.Cluster, s.User, s.Password = []string{many[0].Addr}, true, "gatepost", "p-of-a-test"
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := ledgers(t, settings)
			for n := range 20 { // of a Cluster's nodes, each has some
				begin(t, l[0], n, "a@x", "b@x", "c@x").End([]bool{true, false, true})
				c := begin(t, l[1], n, "c@x", "b@x", "a@x")
				if got := c.Done(); !slices.Equal(got, []bool{true, false, true}) {
					t.Fatalf("message %d: the other node says %v", n, got)
				}
				c.End([]bool{true, true, true})
				if got := begin(t, l[0], n, "b@x").Done(); !got[0] {
					t.Errorf("message %d: the first node does not know of the second", n)
				}
			}
			c := begin(t, l[0], 100, "a@x")
			c.End([]bool{true})
			known(t, l[1], 100, true)
			c.Heard(true)
			known(t, l[1], 100, false)
			if s := l[0].Stats(); s.Faults != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestLedgerKeys shows for how long Redis keeps a delivery, how many round trips it costs, and that no name stands in it.
func TestLedgerKeys(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	var n counted
	s := patient(r)
	s.User, s.Password, s.dial = "gatepost", "p-of-a-test", n.dial
	c := open(t, s)
	must(t, c.Ping(context.Background()))
	l := ledger.New(ledger.Options{Key: []byte("the secret of a test"), Shared: c})
	before := n.trips.Load()
	claim := begin(t, l, 1, "somebody@served.example", "b@x")
	if got := n.trips.Load() - before; got != 1 {
		t.Errorf("%d round trips at the beginning", got)
	}
	claim.End([]bool{true, true})
	if got := n.trips.Load() - before; got != 2 {
		t.Errorf("%d round trips in all", got)
	}
	ttl := func(least, most time.Duration) {
		t.Helper()
		keys := strings.Fields(do(t, r, "KEYS", "gp:d:*"))
		if len(keys) != 2 || strings.Contains(strings.Join(keys, ""), "somebody") {
			t.Errorf("keys %q", keys)
		}
		for _, k := range keys {
			var ms int64
			_, _ = fmt.Sscan(do(t, r, "PTTL", k), &ms)
			if d := time.Duration(ms) * time.Millisecond; d < least || d > most {
				t.Errorf("%s lives %v", k, d)
			}
		}
	}
	ttl(ledger.Unsaid-time.Minute, ledger.Unsaid)
	claim.Heard(false)
	ctx, stop := context.WithCancel(t.Context())
	go l.Run(ctx)
	for wait := labtest.Context(t); n.trips.Load()-before < 3; time.Sleep(5 * time.Millisecond) {
		must(t, wait.Err())
	}
	stop()
	must(t, c.Ping(context.Background()))
	ttl(ledger.Unheard-time.Minute, ledger.Unheard)
}

// TestLedgerBelievesNobody shows that nobody without the secret can make a node take mail for delivered: neither by a value
// of his own, nor by that of another recipient.
func TestLedgerBelievesNobody(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	l := ledgers(t, func() Settings {
		s := patient(r)
		s.User, s.Password = "gatepost", "p-of-a-test"
		return s
	})
	begin(t, l[0], 1, "a@x", "b@x").End([]bool{true, true})
	keys := strings.Fields(do(t, r, "KEYS", "gp:d:*"))
	if len(keys) != 2 {
		t.Fatalf("keys %q", keys)
	}
	first, second := do(t, r, "GET", keys[0]), do(t, r, "GET", keys[1])
	for _, lie := range [][2]string{{"1", "1"}, {"", ""}, {second, first}} {
		for i, key := range keys {
			do(t, r, "SET", key, lie[i])
		}
		c := begin(t, l[1], 1, "a@x", "b@x")
		if got := c.Done(); slices.Contains(got, true) {
			t.Errorf("%q: the other node believes %v", lie, got)
		}
		c.End(nil)
	}
}

// TestLedgerWithoutRedis shows that mail goes on, and what this node knows counts, while Redis is away.
func TestLedgerWithoutRedis(t *testing.T) {
	l := ledgers(t, func() Settings {
		s := Settings{Addrs: []string{labtest.ClosedAddr(t)}, Secret: []byte("the secret of a test"), Timeout: time.Second, Wait: time.Hour}
		return s
	})
	begin(t, l[0], 1, "a@x").End([]bool{true})
	known(t, l[0], 1, true)
	known(t, l[1], 1, false)
	if s := l[0].Stats(); s.Faults == 0 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}
