package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// fakeStore keeps what it is given, or fails.
type fakeStore struct {
	mu     sync.Mutex
	kept   map[netip.Prefix]gateway.Remembered
	saves  int
	broken error
}

func (f *fakeStore) Load(_ context.Context, yield func(netip.Prefix, gateway.Remembered)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, r := range f.kept {
		yield(p, r)
	}
	return f.broken
}

func (f *fakeStore) Save(_ context.Context, clients map[netip.Prefix]gateway.Remembered) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saves++
	if f.broken != nil {
		return f.broken
	}
	if f.kept == nil {
		f.kept = map[netip.Prefix]gateway.Remembered{}
	}
	maps.Copy(f.kept, clients)
	return nil
}

func (f *fakeStore) Forget(_ context.Context, after time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.kept, func(_ netip.Prefix, r gateway.Remembered) bool {
		return !r.Pregreet.After(after) && !r.Protocol.After(after) && !r.Bad.After(after)
	})
	return nil
}

func (f *fakeStore) count() (kept, saves int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.kept), f.saves
}

func (f *fakeStore) breaks(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestLearn: what is learned of one address holds for what counts as the same client, the later time wins, and times end.
func TestLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		now := time.Now()
		c.Learn(addr("192.0.2.1"), gateway.Remembered{Pregreet: now.Add(time.Hour)})
		c.Learn(addr("192.0.2.1"), gateway.Remembered{Pregreet: now.Add(time.Minute), Protocol: now.Add(2 * time.Hour)})
		c.Learn(addr("2001:db8::1"), gateway.Remembered{Bad: now.Add(time.Hour)})
		c.Learn(netip.Addr{}, gateway.Remembered{Bad: now.Add(time.Hour)})
		c.Learn(addr("192.0.2.9"), gateway.Remembered{})
		if c.Len() != 2 {
			t.Errorf("%d clients", c.Len())
		}
		for _, tt := range []struct {
			of                 string
			after              time.Duration
			known, proven, bad bool
		}{
			{"192.0.2.1", 0, true, true, false},
			{"::ffff:192.0.2.1", 59 * time.Minute, true, true, false},
			{"192.0.2.1", time.Hour, false, true, false},
			{"192.0.2.1", 2 * time.Hour, false, false, false},
			{"192.0.2.2", 0, false, false, false},
			{"2001:db8::ffff", 0, false, false, true},
			{"2001:db8:0:1::1", 0, false, false, false},
			{"::192.0.2.1", 0, false, false, false}, // no IPv4 address
		} {
			r, at := c.Recall(addr(tt.of)), now.Add(tt.after)
			if r.Known(at) != tt.known || r.Proven(at) != tt.proven || r.IsBad(at) != tt.bad {
				t.Errorf("%s after %v: %+v", tt.of, tt.after, r)
			}
		}
		if r := c.Recall(netip.Addr{}); r != (gateway.Remembered{}) {
			t.Errorf("no address: %+v", r)
		}
	})
}

// TestBound: a flood of clients fills the memory and no more.
func TestBound(t *testing.T) {
	c := New(Options{Most: 640})
	until := time.Now().Add(time.Hour)
	for i := range 20000 {
		c.Learn(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), gateway.Remembered{Pregreet: until})
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].list)
		if len(c.shards[i].changed) > len(c.shards[i].list) {
			t.Errorf("shard %d has %d changes of %d clients", i, len(c.shards[i].changed), len(c.shards[i].list))
		}
	}
	if n > 640 || n < 600 || c.Len() != n {
		t.Errorf("%d clients, %d by its own count", n, c.Len())
	}
}

// TestRestart: what was learned is there after a restart, a second later even without a last save; what is over is not.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{}
		c := New(Options{Store: store})
		ctx, stop := context.WithCancel(t.Context())
		go c.Run(ctx)
		until := time.Now().Add(time.Hour)
		for i := range 100 {
			c.Learn(addr(fmt.Sprintf("192.0.2.%d", i)), gateway.Remembered{Pregreet: until})
			c.Learn(addr(fmt.Sprintf("2001:db8:0:%x::1", i)), gateway.Remembered{Bad: until})
		}
		time.Sleep(saveEvery + time.Millisecond)
		killed := New(Options{Store: store})
		killed.Load(t.Context())
		if killed.Len() != 200 || !killed.Recall(addr("192.0.2.7")).Known(time.Now()) || !killed.Recall(addr("2001:db8:0:7::9")).IsBad(time.Now()) {
			t.Errorf("after a kill: %d", killed.Len())
		}
		time.Sleep(10 * saveEvery)
		if _, saves := store.count(); saves != 1 {
			t.Errorf("%d saves of one change", saves)
		}
		c.Learn(addr("198.51.100.1"), gateway.Remembered{Pregreet: until})
		stop()
		synctest.Wait()
		ended := New(Options{Store: store})
		ended.Load(t.Context())
		if ended.Len() != 201 {
			t.Errorf("after an end in order: %d", ended.Len())
		}
		time.Sleep(time.Hour)
		late := New(Options{Store: store})
		late.Load(t.Context())
		if late.Len() != 0 {
			t.Errorf("an hour later: %d", late.Len())
		}
	})
}

// TestStoreFails: a store that fails costs nothing but what it would have kept; when it works again all of it is there.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{broken: errors.New("disk full")}
		c := New(Options{Store: store})
		c.Load(t.Context())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go c.Run(ctx)
		c.Learn(addr("192.0.2.1"), gateway.Remembered{Pregreet: time.Now().Add(2 * time.Hour)})
		time.Sleep(5 * time.Second)
		if kept, saves := store.count(); kept != 0 || saves < 4 || !c.Recall(addr("192.0.2.1")).Known(time.Now()) {
			t.Errorf("%d kept, %d tries", kept, saves)
		}
		store.breaks(nil)
		time.Sleep(2 * time.Second)
		if kept, _ := store.count(); kept != 1 {
			t.Errorf("%d kept", kept)
		}
		time.Sleep(4 * time.Hour)
		if kept, _ := store.count(); kept != 0 || c.Len() != 0 {
			t.Errorf("what is over is kept: %d, %d", kept, c.Len())
		}
	})
}

// TestRace lets everything happen at once.
func TestRace(t *testing.T) {
	c := New(Options{Most: 1000, Store: &fakeStore{}})
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { c.Run(ctx) })
	var work sync.WaitGroup
	for g := range 8 {
		work.Go(func() {
			for i := range 2000 {
				a := netip.AddrFrom4([4]byte{10, byte(g), byte(i >> 8), byte(i)})
				c.Learn(a, gateway.Remembered{Pregreet: time.Now().Add(time.Hour)})
				c.Recall(a)
				if i%500 == 0 {
					c.expire(time.Now())
				}
			}
		})
	}
	work.Wait()
	stop()
	all.Wait()
	if c.Len() > 1000+shards {
		t.Errorf("%d clients", c.Len())
	}
}

func BenchmarkRecall(b *testing.B) {
	c := New(Options{})
	a := addr("192.0.2.1")
	c.Learn(a, gateway.Remembered{Pregreet: time.Now().Add(time.Hour)})
	b.ReportAllocs()
	for b.Loop() {
		if c.Recall(a).Pregreet.IsZero() {
			b.Fatal("forgotten")
		}
	}
}
