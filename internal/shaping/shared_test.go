package shaping

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/greylist/storetest"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/limit"
	"gatepost/internal/redis"
)

// settings are of a test that is not about time.
func settings(r *lab.Redis) redis.Settings {
	return redis.Settings{Addrs: []string{r.Socket}, User: "gatepost", Password: "p-of-a-test", Secret: []byte("the secret of a test"),
		Timeout: time.Second, Wait: time.Nanosecond, LongestWait: time.Nanosecond}
}

// node is a process that shares the Redis.
func node(t testing.TB, r *lab.Redis, o Options) *Stores {
	t.Helper()
	return nodeWithin(t, r, o, time.Second)
}

// nodeWithin is one whose calls take so long at most.
func nodeWithin(t testing.TB, r *lab.Redis, o Options, timeout time.Duration) *Stores {
	t.Helper()
	with := settings(r)
	with.Timeout, with.Probed = timeout, true // a call that fails is followed by none until the test probes
	c, err := redis.Open(with)
	must(t, err)
	s := New(limit.NewMemory(0), greylist.NewMemory(1<<15))
	s.Share(c, o)
	t.Cleanup(func() { s.Close() })
	return s
}

func server(t testing.TB) *lab.Redis {
	return labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
}

func do(t testing.TB, r *lab.Redis, words ...string) string {
	t.Helper()
	answer, err := r.Do(words...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestSharedGreylist runs what every Store of the greylist must do, with Redis, and with one that is away all the time.
func TestSharedGreylist(t *testing.T) {
	r := server(t)
	t.Run("there", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) greylist.Store {
			do(t, r, "FLUSHALL")
			return node(t, r, Options{}).Greylist()
		})
	})
	r.Kill()
	t.Run("away", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) greylist.Store { return onlyHere{node(t, r, Options{}).Greylist()} })
	})
}

// onlyHere takes away the error that says so.
type onlyHere struct{ greylist.Store }

func (o onlyHere) Release(ctx context.Context, k greylist.Key, s greylist.Settings, now time.Time) (bool, error) {
	ok, err := o.Store.Release(ctx, k, s, now)
	return ok, whole(err)
}

func (o onlyHere) Forget(ctx context.Context, k greylist.Key) (bool, error) {
	ok, err := o.Store.Forget(ctx, k)
	return ok, whole(err)
}

func (o onlyHere) ForgetIdentity(ctx context.Context, id greylist.Tag) (int, error) {
	n, err := o.Store.ForgetIdentity(ctx, id)
	return n, whole(err)
}

func whole(err error) error {
	if err == nil || !strings.HasPrefix(err.Error(), "done at this node, and not in Redis: redis: ") {
		return fmt.Errorf("Redis is away, and the error is %w", err)
	}
	return nil
}

// TestRun shows that a node finds out by itself that Redis lost everything, and tells it: another node then knows a stranger
// that it never saw.
func TestRun(t *testing.T) {
	r := server(t)
	ctx, cancel := context.WithCancel(labtest.Context(t))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var nodes []*Stores
	for range 2 {
		c := settings(r)
		c.Probed, c.Wait, c.LongestWait = true, 20*time.Millisecond, 50*time.Millisecond
		client, err := redis.Open(c)
		must(t, err)
		s := New(limit.NewMemory(0), greylist.NewMemory(0))
		s.Share(client, Options{Nodes: 2, Pass: true})
		defer s.Close()
		nodes = append(nodes, s)
		running.Go(func() { s.Run(ctx) })
	}
	awaited := func(what string, ok func() bool) {
		t.Helper()
		for !ok() {
			if ctx.Err() != nil {
				t.Fatal(what)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	awaited("not asked", func() bool { _, a := nodes[0].Health(); _, b := nodes[1].Health(); return a && b })
	k := greylist.Key{Tag: greylist.Tag{7}}
	began := time.Now().Add(-3 * time.Minute)
	if a, err := nodes[0].Greylist().Try(ctx, k, greylist.Settings{}, began); err != nil || a.Outcome != greylist.First {
		t.Fatalf("%+v, %v", a, err)
	}
	do(t, r, "FLUSHALL")
	awaited("Redis was not told", func() bool { return nodes[0].Counts().Taught > 0 })
	if a, err := nodes[1].Greylist().Try(ctx, k, greylist.Settings{}, time.Time{}); err != nil || a.Outcome != greylist.Passed || a.Waited < 3*time.Minute {
		t.Errorf("at the other node: %+v, %v", a, err)
	}

	// A server that is full is not taken for well, though it answers.
	do(t, r, "CONFIG", "SET", "maxmemory", "1")
	awaited("it was not found full", func() bool { h, _ := nodes[0].Health(); return h.Kind == redis.Full })
	opened := func() uint64 { h, _ := nodes[0].Health(); return h.Opened }
	before := opened()
	for range 200 { // none of these probes
		if a, err := nodes[0].Greylist().Try(ctx, k, greylist.Settings{}, time.Time{}); err != nil || a.Hold() {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	if h, _ := nodes[0].Health(); h.Kind != redis.Full || h.Opened != before || h.Held < 200 {
		t.Errorf("%+v", h)
	}
	do(t, r, "CONFIG", "SET", "maxmemory", "0")
	awaited("it was not found well", func() bool { h, _ := nodes[0].Health(); return h.Kind == redis.Fine })
}

// TestLimitsAlone shows that who is at a limit stays there when Redis goes away, in each way, and that others get what is
// theirs: all of it at the only node, a part of it at one of several. What was counted meanwhile Redis is not told.
func TestLimitsAlone(t *testing.T) {
	for _, f := range faults(t) {
		if f.fall == nil {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			r := server(t)
			for nodes, most := range map[int]int{1: 6, 2: 5, 3: 3} {
				if f.late && nodes == 2 {
					continue // each costs a call's time
				}
				f.rise(t, r)
				do(t, r, "FLUSHALL")
				s := nodeWithin(t, r, Options{Nodes: nodes}, f.timeout())
				passes := func(who string) (n int, alone bool) {
					t.Helper()
					for range 8 {
						a := Ask{Takes: []Take{{Charges: []limit.Charge{{Key: limit.Key{Subject: who}, Rate: limit.Per(6, time.Hour), Cost: 1}}}}}
						s.Do(t.Context(), &a)
						take := &a.Takes[0]
						if take.Err != nil {
							t.Fatal(take.Err)
						}
						if alone = take.Alone; take.OK() {
							n++
						}
					}
					return n, alone
				}
				if n, alone := passes("flood"); n != 6 || alone {
					t.Fatalf("%d passed, alone %v", n, alone)
				}
				f.fall(t, r)
				if n, _ := passes("flood"); n != 0 { // a full server and a replica may say so themselves
					t.Errorf("one of %d: %d more of a flood passed", nodes, n)
				}
				if n, alone := passes("other"); n != most || !alone {
					t.Errorf("one of %d: %d of another passed, want %d; alone %v", nodes, n, most, alone)
				}
				f.rise(t, r)
				awaitRedis(t, s)
				if n, alone := passes("other"); !f.late && n != 6 || alone {
					t.Errorf("one of %d: back, %d passed, alone %v", nodes, n, alone)
				}
			}
		})
	}
}

// awaitRedis waits until a node has found out that its connections were cut.
func awaitRedis(t *testing.T, s *Stores) {
	for ctx := labtest.Context(t); ; time.Sleep(time.Millisecond) {
		if _, err := s.shared.client.Probe(ctx); err == nil {
			return
		}
		must(t, ctx.Err())
	}
}

// TestPeace shows that Redis is told nothing while it loses nothing, though its clock is another than ours.
func TestPeace(t *testing.T) {
	s := node(t, server(t), Options{})
	for i := range 300 {
		a := Ask{Tries: []Try{{Key: greylist.Key{Tag: greylist.Tag{byte(i % 3)}}, Settings: greylist.Settings{Delay: time.Hour}}}}
		s.Do(t.Context(), &a)
		if tried := &a.Tries[0]; tried.Err != nil || !tried.Hold() || tried.Alone || (tried.Outcome == greylist.First) != (i < 3) {
			t.Fatalf("%d: %+v", i, tried)
		}
	}
	if h, c := s.shared.client.Health(), s.Counts(); c != (Counts{}) || h.Calls != 300 {
		t.Errorf("%+v, %d calls", c, h.Calls)
	}
}
