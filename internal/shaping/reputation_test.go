package shaping

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/redis"
	"gatepost/internal/reputation"
)

// plain are the simplest Histories that can be.
type plain struct {
	mu   sync.Mutex
	kept map[reputation.Subject]reputation.History
}

func newPlain() *plain { return &plain{kept: map[reputation.Subject]reputation.History{}} }

func (p *plain) Learn(_ context.Context, lessons []reputation.Lesson, _ time.Time) (out []reputation.History, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range lessons {
		p.kept[l.Subject] = p.kept[l.Subject].Learn(l.Counts, time.Now())
		out = append(out, p.kept[l.Subject])
	}
	return out, reputation.Check(reputation.SubjectsOf(lessons))
}

func (p *plain) Look(_ context.Context, subjects []reputation.Subject, _ time.Time) (out []reputation.History, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range subjects {
		out = append(out, p.kept[s])
	}
	return out, reputation.Check(subjects)
}

func (p *plain) Forget(_ context.Context, s reputation.Subject) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.kept[s]
	delete(p.kept, s)
	return known, nil
}

func (p *plain) Told(s reputation.Subject, h reputation.History) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[s] = h
}

func (p *plain) Each(do func(reputation.Subject, reputation.History)) {
	p.mu.Lock()
	kept := maps.Clone(p.kept)
	p.mu.Unlock()
	for s, h := range kept {
		do(s, h)
	}
}

// pastNode is a process that shares the histories of a Redis. Its Run is not called: what it tells is told by flush.
func pastNode(t testing.TB, r *lab.Redis, change func(*redis.Settings)) *Reputation {
	t.Helper()
	s := settings(r)
	if change != nil {
		change(&s)
	}
	c, err := redis.Open(s)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	n := NewReputation(newPlain())
	n.Share(c)
	return n
}

func spam(name string, n uint32) []reputation.Lesson {
	return []reputation.Lesson{{Subject: reputation.Named(reputation.Domain, name), Counts: reputation.Counts{reputation.Spam: n * reputation.One}}}
}

// looks is how much spam a node knows of a domain, and what its own memory has.
func looks(t testing.TB, n *Reputation, name string) (spam, own uint32) {
	t.Helper()
	s := reputation.Named(reputation.Domain, name)
	h, err := n.Look(context.Background(), []reputation.Subject{s})
	must(t, err)
	whole := func(h reputation.History) uint32 {
		return (h.Counts[reputation.Spam] + reputation.One/2) / reputation.One
	}
	return whole(h[0]), whole(n.Own(s))
}

// TestSharedReputation shows that one node knows what another learned, that a process which looked remembers, and that what a
// person forgets at one of them is forgotten.
func TestSharedReputation(t *testing.T) {
	r, ctx := server(t), context.Background()
	a, b := pastNode(t, r, nil), pastNode(t, r, nil)
	a.Learn(spam("a.example", 6))
	a.Learn(spam("a.example", 1))
	if got, own := looks(t, b, "a.example"); got != 0 || own != 0 {
		t.Errorf("before it was told: %d, %d", got, own)
	}
	if calls := a.client.Health().Calls; calls != 0 {
		t.Errorf("%d calls to learn: who learns waits", calls)
	}
	a.flush(ctx)
	if calls := a.client.Health().Calls; calls != 1 || len(a.Pending()) != 0 {
		t.Errorf("%d calls, %v waits", calls, a.Pending())
	}
	if got, own := looks(t, b, "a.example"); got != 7 || own != 7 {
		t.Errorf("afterwards: %d, %d", got, own)
	}
	if b.Own(reputation.Named(reputation.Domain, "a.example")).At(time.Now()).Standing != reputation.Bad {
		t.Error("not bad at the other node")
	}
	b.Learn(spam("a.example", 1))
	a.Learn(spam("a.example", 1))
	if known, err := b.Forget(ctx, reputation.Named(reputation.Domain, "a.example")); !known || err != nil || len(b.Pending()) != 0 {
		t.Errorf("%v, %v", known, err)
	}
	if got, own := looks(t, b, "a.example"); got != 0 || own != 0 {
		t.Errorf("forgotten: %d, %d", got, own)
	}
	a.flush(ctx)
	if got, own := looks(t, b, "a.example"); got != 1 || own != 1 {
		t.Errorf("learned anew: %d, %d", got, own)
	}
	if got, own := looks(t, a, "a.example"); got != 1 || own != 1 {
		t.Errorf("at the other: %d, %d", got, own)
	}
	for range 3 { // more than a row
		var many []reputation.Lesson
		for i := range 100 {
			many = append(many, spam(fmt.Sprint(i, ".example"), 1)...)
		}
		a.Learn(many)
	}
	a.flush(ctx)
	for _, i := range []int{0, 50, 99} {
		if got, _ := looks(t, b, fmt.Sprint(i, ".example")); got != 3 {
			t.Errorf("%d of %d", got, i)
		}
	}
}

// TestReputationAway shows that with Redis away in each way a process answers by what it knows, learns on, and tells Redis when
// it is back; and that no call waits twice.
func TestReputationAway(t *testing.T) {
	for _, c := range []struct {
		name       string
		fall, rise func(t *testing.T, r *lab.Redis)
		lost       bool // what Redis had is gone
	}{
		{name: "stopped", fall: func(t *testing.T, r *lab.Redis) { must(t, r.Signal(syscall.SIGSTOP)) },
			rise: func(t *testing.T, r *lab.Redis) { must(t, r.Signal(syscall.SIGCONT)) }},
		{name: "killed", fall: func(t *testing.T, r *lab.Redis) { must(t, r.Kill()) },
			rise: func(t *testing.T, r *lab.Redis) { must(t, r.Restart(labtest.Context(t))) }, lost: true},
		{name: "another password", fall: func(t *testing.T, r *lab.Redis) {
			do(t, r, "ACL", "SETUSER", "gatepost", "resetpass", ">another")
			do(t, r, "CLIENT", "KILL", "USER", "gatepost")
		}, rise: func(t *testing.T, r *lab.Redis) { do(t, r, "ACL", "SETUSER", "gatepost", ">p-of-a-test") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := server(t)
			ctx := context.Background()
			n := pastNode(t, r, func(s *redis.Settings) { s.Timeout, s.Wait, s.LongestWait = 100*time.Millisecond, time.Hour, time.Hour })
			n.Learn(spam("a.example", 4))
			n.flush(ctx)
			if got, _ := looks(t, n, "a.example"); got != 4 {
				t.Fatalf("%d", got)
			}
			c.fall(t, r)
			for range 20 {
				if got, own := looks(t, n, "a.example"); got != 4 || own != 4 {
					t.Fatalf("while it is away: %d, %d", got, own)
				}
			}
			n.Learn(spam("a.example", 2))
			n.flush(ctx)
			n.flush(ctx)
			if got, own := looks(t, n, "a.example"); got != 6 || own != 6 || len(n.Pending()) != 1 {
				t.Errorf("learned while it is away: %d, %d; %v waits", got, own, n.Pending())
			}
			h := n.client.Health()
			if failed := h.Calls - 2; failed != 1 || n.Counts().Alone != 21 {
				t.Errorf("%d calls waited, %d were answered here", failed, n.Counts().Alone)
			}
			c.rise(t, r)
			back := pastNode(t, r, nil) // its breaker is closed
			n.client = back.client
			n.flush(ctx)
			want := uint32(6)
			if c.lost {
				want = 2
			}
			if got, own := looks(t, n, "a.example"); got != want || own != want || len(n.Pending()) != 0 {
				t.Errorf("when it is back: %d, %d, want %d; %v waits", got, own, want, n.Pending())
			}
		})
	}
}

// TestReputationFull shows that a Redis which takes nothing still answers, and what it did not take is told of.
func TestReputationFull(t *testing.T) {
	r, ctx := server(t), context.Background()
	n := pastNode(t, r, nil)
	n.Learn(spam("a.example", 4))
	n.flush(ctx)
	do(t, r, "CONFIG", "SET", "maxmemory", "1")
	n.Learn(spam("a.example", 1))
	n.flush(ctx)
	if got, own := looks(t, n, "a.example"); own != 5 && own != 4 || got != own || n.Counts().Dropped != 1 {
		t.Errorf("%d, %d, %+v", got, own, n.Counts())
	}
	do(t, r, "CONFIG", "SET", "maxmemory", "0")
	n.Learn(spam("a.example", 1))
	n.flush(ctx)
	if got, _ := looks(t, n, "a.example"); got != 5 {
		t.Errorf("%d", got)
	}
}

// TestReputationPending shows that what waits for Redis is bounded, and that it is told while Run runs and once more at the end.
func TestReputationPending(t *testing.T) {
	r := server(t)
	n := pastNode(t, r, func(s *redis.Settings) { s.Wait, s.LongestWait = time.Hour, time.Hour })
	must(t, r.Kill())
	n.Learn(spam("first.example", 1))
	n.flush(context.Background()) // one finds out
	for i := range mostPending + 100 {
		n.Learn(spam(fmt.Sprint("d", i, ".example"), 1))
	}
	if got := len(n.Pending()); got != mostPending || n.Counts().Dropped != 101 {
		t.Errorf("%d wait, %+v", got, n.Counts())
	}
	n.flush(context.Background())
	if got := len(n.Pending()); got != mostPending {
		t.Errorf("%d wait", got)
	}
	must(t, r.Restart(labtest.Context(t)))
	n.client = pastNode(t, r, nil).client
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n.Run(ctx)
	if got := len(n.Pending()); got != 0 {
		t.Errorf("%d wait at the end", got)
	}
	if size := do(t, r, "DBSIZE"); size != fmt.Sprint(mostPending) {
		t.Errorf("%s in Redis", size)
	}
}

// Pending returns a copy of what waits for Redis.
func (r *Reputation) Pending() map[reputation.Subject]reputation.Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.pending)
}
