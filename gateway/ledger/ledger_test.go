package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

var _ gateway.Ledger = (*Ledger)(nil)

func message(n int) [32]byte { return sha256.Sum256([]byte(strconv.Itoa(n))) }

func short(n int) Key { m := message(n); return Key(m[:16]) }

// begin claims a message that nobody else has in flight.
func begin(t *testing.T, l *Ledger, n int, rcpts ...string) gateway.Claim {
	t.Helper()
	c, err := l.Begin(t.Context(), message(n), rcpts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// done is what the ledger says to an attempt that then comes to nothing.
func done(t *testing.T, l *Ledger, n int, rcpts ...string) []bool {
	t.Helper()
	c := begin(t, l, n, rcpts...)
	out := slices.Clone(c.Done())
	c.End(out)
	return out
}

// deliver makes one attempt that delivers to all.
func deliver(t *testing.T, l *Ledger, n int, rcpts ...string) gateway.Claim {
	t.Helper()
	c := begin(t, l, n, rcpts...)
	c.End(slices.Repeat([]bool{true}, len(rcpts)))
	return c
}

var key = []byte("0123456789abcdef0123456789abcdef")

func TestPerRecipient(t *testing.T) {
	l := New(Options{Key: key})
	c := begin(t, l, 1, "a@x", "b@x", "c@x")
	if !slices.Equal(c.Done(), []bool{false, false, false}) {
		t.Fatalf("%v before anything", c.Done())
	}
	c.End([]bool{true, false, true})
	if got := done(t, l, 1, "b@x", "c@x", "d@x", "a@x"); !slices.Equal(got, []bool{false, true, false, true}) {
		t.Errorf("the retry hears %v", got)
	}
	if got := done(t, l, 2, "a@x"); got[0] {
		t.Error("another message was delivered")
	}
	begin(t, l, 3, "a@x").End(nil)
	if got := done(t, l, 3, "a@x"); got[0] {
		t.Error("an attempt that came to nothing counts")
	}
	if s := l.Stats(); s.Entries != 2 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// TestHowLong shows for how long a delivery is remembered, by what is known of its sender.
func TestHowLong(t *testing.T) {
	for _, tt := range []struct {
		name string
		tell func(gateway.Claim)
		has  time.Duration // still known then
		not  time.Duration // and not then
	}{
		{"heard", func(c gateway.Claim) { c.Heard(true) }, 0, time.Second},
		{"not known", func(gateway.Claim) {}, Unsaid - 2*time.Minute, Unsaid + time.Second},
		{"not heard", func(c gateway.Claim) { c.Heard(false) }, Unheard - 2*time.Minute, Unheard + time.Second},
		{"told twice", func(c gateway.Claim) { c.Heard(false); c.Heard(true) }, Unheard - 2*time.Minute, Unheard + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(Options{Key: key})
				ctx, stop := context.WithCancel(t.Context())
				go l.Run(ctx)
				began := time.Now()
				tt.tell(deliver(t, l, 1, "a@x"))
				if tt.has > 0 {
					time.Sleep(tt.has)
					if s := l.Stats(); s.Entries != 1 {
						t.Errorf("forgotten after %v", time.Since(began))
					}
				}
				time.Sleep(tt.not - time.Since(began))
				if done(t, l, 1, "a@x")[0] {
					t.Errorf("known after %v", time.Since(began))
				}
				time.Sleep(sweepEvery)
				if s := l.Stats(); s.Entries != 0 {
					t.Errorf("still there after %v", time.Since(began))
				}
				stop()
			})
		})
	}
}

// TestJoin shows that a second attempt waits for the first, for any recipient that both have, and hears what came of it.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Key: key})
		first := begin(t, l, 1, "a@x", "b@x")
		other := begin(t, l, 1, "z@x") // has nothing in common, and waits for nobody
		other.End([]bool{true})
		var second gateway.Claim
		got := make(chan bool)
		go func() {
			second, _ = l.Begin(t.Context(), message(1), []string{"b@x", "c@x"})
			close(got)
		}()
		synctest.Wait()
		if s := l.Stats(); s.Joined != 1 || s.InFlight != 2 {
			t.Fatalf("%+v", s)
		}
		first.End([]bool{false, true})
		<-got
		if !slices.Equal(second.Done(), []bool{true, false}) {
			t.Errorf("the second hears %v", second.Done())
		}
		second.End([]bool{true, true})

		first = begin(t, l, 2, "a@x")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if _, err := l.Begin(ctx, message(2), []string{"a@x"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("one that waits for ever: %v after %v", err, time.Since(began))
		}
		first.End([]bool{true})
		if !done(t, l, 2, "a@x")[0] {
			t.Error("the first is forgotten, since one that waited went away")
		}
	})
}

// TestManyAtOnce lets many attempts at few messages, for recipients that overlap, go on at once: each recipient gets each
// message once.
func TestManyAtOnce(t *testing.T) {
	l := New(Options{Key: key, File: t.TempDir() + "/ledger"})
	var got [7][5]atomic.Int32
	var all sync.WaitGroup
	for n := range 140 {
		all.Go(func() {
			m := n % len(got)
			var rcpts []string
			for i := range 3 {
				rcpts = append(rcpts, fmt.Sprintf("%d@x", (n+i)%len(got[0])))
			}
			c, err := l.Begin(t.Context(), message(m), rcpts)
			if err != nil {
				t.Error(err)
				return
			}
			took := slices.Clone(c.Done())
			for i := range took {
				if !took[i] && (n+i)%4 > 0 { // some attempts fail for some
					took[i] = true
					got[m][(n+i)%len(got[0])].Add(1)
				}
			}
			c.End(took)
			c.Heard(false)
		})
	}
	all.Wait()
	for m := range got {
		for r := range got[m] {
			if n := got[m][r].Load(); n > 1 {
				t.Errorf("message %d came to recipient %d %d times", m, r, n)
			}
		}
	}
	if s := l.Stats(); s.InFlight != 0 || s.Faults != 0 {
		t.Errorf("%+v", s)
	}
}

// TestForgetsOldest shows that room is found by forgetting what came first.
func TestForgetsOldest(t *testing.T) {
	l := New(Options{Key: key, Most: 10})
	for n := range 15 {
		deliver(t, l, n, "a@x").Heard(false)
	}
	for n := range 15 {
		if got := done(t, l, n, "a@x")[0]; got != (n >= 5) {
			t.Errorf("message %d: %v", n, got)
		}
	}
	if s := l.Stats(); s.Entries != 10 || s.Forgotten != 5 {
		t.Errorf("%+v", s)
	}
}

// TestTable holds the table against a slice in which everything is looked for.
func TestTable(t *testing.T) {
	table := newTable(64)
	type entry struct {
		k     Key
		until uint32
	}
	var want []entry
	find := func(k Key) int { return slices.IndexFunc(want, func(e entry) bool { return e.k == k }) }
	state := uint32(1)
	for step := range uint32(20_000) {
		state = state*1664525 + 1013904223
		k := Key{byte(state >> 24 % 100)}
		switch state >> 16 % 4 {
		case 0, 1:
			if i := find(k); i >= 0 {
				want = slices.Delete(want, i, i+1)
			}
			forgot := len(want) == 64
			if forgot {
				want = want[1:]
			}
			want = append(want, entry{k, step + state%500})
			if got := table.put(k, step, step+state%500); got != forgot {
				t.Fatalf("step %d: forgot %v, want %v", step, got, forgot)
			}
		case 2:
			i := find(k)
			if got := table.remove(k); got != (i >= 0) {
				t.Fatalf("step %d: removed %v", step, got)
			}
			if i >= 0 {
				want = slices.Delete(want, i, i+1)
			}
		default:
			if i := find(k); i >= 0 {
				want[i].until = max(want[i].until, step+700)
			}
			table.extend(k, step+700)
			if state%10 == 0 {
				want = slices.DeleteFunc(want, func(e entry) bool { return e.until <= step })
				table.sweep(step)
			}
		}
		i := find(k)
		if got := table.has(k, step); got != (i >= 0 && want[i].until > step) || table.len() != len(want) {
			t.Fatalf("step %d: has %v, %d entries, want %d", step, got, table.len(), len(want))
		}
	}
	i := 0
	for at := table.first; at != none; at = table.slots[at].next {
		if table.slots[at].key != want[i].k {
			t.Fatalf("place %d holds another", i)
		}
		i++
	}
}

// TestSweepGivesBack shows that the memory of a flood is given back when it is over.
func TestSweepGivesBack(t *testing.T) {
	table := newTable(1 << 20)
	for n := range 10_000 {
		table.put(short(n), 1, uint32(2+n/9_900))
	}
	table.sweep(2)
	if table.len() != 100 || len(table.slots) != 100 {
		t.Errorf("%d entries in %d slots", table.len(), len(table.slots))
	}
	if k := short(9_950); !table.has(k, 2) || !table.remove(k) {
		t.Error("one that lasts is gone")
	}
}
