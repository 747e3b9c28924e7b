package redis

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestTeach shows with any two that remember, of which one is Redis: what it holds after it was told is what is the more
// lenient, to the second, and it holds it no longer than it tells something.
func TestTeach(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	s := patient(r)
	s.User, s.Password, s.Timeout = "gatepost", "p-of-a-test", 100*time.Millisecond
	c := open(t, s)
	rnd := rand.New(rand.NewPCG(4, 4))
	some := func() (greylist.Record, greylist.Passes) {
		then := time.Now().Add(-time.Duration(rnd.Int64N(int64(50 * time.Hour)))).UnixMilli()
		return []greylist.Record{0, greylist.Record(then), greylist.Record(-then)}[rnd.IntN(3)],
			[]greylist.Passes{0, greylist.Passes(then<<4 | 1), greylist.Passes(-then)}[rnd.IntN(3)]
	}
	holds := func(key string, value int64, end time.Time) {
		t.Helper()
		if left := time.Until(end); value != 0 && left > 0 {
			do(t, r, "SET", key, strconv.FormatInt(value, 10), "PX", strconv.FormatInt(left.Milliseconds()+1, 10))
		}
	}
	number := func(key string) int64 {
		n, _ := strconv.ParseInt(do(t, r, "GET", key), 10, 64) // none is 0
		return n
	}
	for i := range 500 {
		k := greylist.Key{Tag: greylist.Tag{byte(i), byte(i >> 8)}}
		r1, p1 := some()
		r2, p2 := some()
		holds(c.pairKey(k), int64(r1), r1.End(greylist.Settings{}))
		holds(c.identityKey(k.Tag), int64(p1), p1.End(greylist.Settings{}))
		now := time.Now()
		_, _, far := greylist.Decide(r1, p1, greylist.Settings{}, now)
		_, _, own := greylist.Decide(r2, p2, greylist.Settings{}, now)
		row := c.Row()
		told := row.Teach(k, r2, p2, greylist.Settings{}, time.Time{})
		if err := row.Do(context.Background()); err != nil || told.Err != nil {
			t.Fatal(err, told.Err)
		}
		_, _, then := greylist.Decide(greylist.Record(number(c.pairKey(k))), greylist.Passes(number(c.identityKey(k.Tag))), greylist.Settings{}, now)
		if then.Hold() != (far.Hold() && own.Hold()) || then.Hold() && (then.Wait-min(far.Wait, own.Wait)).Abs() > 2*time.Second {
			t.Fatalf("%d %d and %d %d: Redis %+v, the node %+v, then %+v", r1, p1, r2, p2, far, own, then)
		}
		for _, key := range []string{c.pairKey(k), c.identityKey(k.Tag)} {
			if ms, _ := strconv.Atoi(do(t, r, "PTTL", key)); ms == -1 || ms > int(greylist.DefaultKeep.Milliseconds()) {
				t.Fatalf("%s lives %d ms", key, ms)
			}
		}
		again := c.Row()
		told = again.Teach(k, r2, p2, greylist.Settings{}, time.Time{})
		if err := again.Do(context.Background()); err != nil || told.Changed != 0 {
			t.Fatalf("told again, it changed %d: %v", told.Changed, err)
		}
	}
}

// TestMark shows that the mark stays while Redis keeps what it has, and is another one when it lost it, or what stands there
// is none.
func TestMark(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	s := patient(r)
	s.User, s.Password, s.Cell = "gatepost", "p-of-a-test", "x"
	c := open(t, s)
	probe := func() Mark {
		t.Helper()
		m, err := c.Probe(context.Background())
		if err != nil || m.ID == 0 || m.Age < 0 {
			t.Fatalf("%+v, %v", m, err)
		}
		return m
	}
	first := probe()
	if again := probe(); again.ID != first.ID || again.Age <= first.Age {
		t.Errorf("%+v, then %+v", first, again)
	}
	do(t, r, "FLUSHALL")
	second := probe()
	if second.ID == first.ID {
		t.Error("the mark outlived what was kept")
	}
	for _, odd := range []string{"x", "-1", "0", "1e300", "99999999999999999999", "nan"} {
		do(t, r, "SET", "gp:x:e", odd)
		if m := probe(); m.ID <= second.ID || m.Age > time.Minute {
			t.Errorf("of %q: %+v", odd, m)
		}
	}
}
