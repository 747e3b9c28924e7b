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
	c, err := redis.Open(settings(r))
	if err != nil {
		t.Fatal(err)
	}
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
