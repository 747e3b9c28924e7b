package limit_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/lab/limittest"
	"gatepost/internal/limit"
)

func TestAmong(t *testing.T) {
	for _, c := range []struct {
		rate  limit.Rate
		nodes int
		want  limit.Rate
	}{
		{limit.Per(30, time.Minute), 1, limit.Per(30, time.Minute)},
		{limit.Per(30, time.Minute), 2, limit.Per(23, time.Minute)},
		{limit.Per(30, time.Minute), 3, limit.Per(15, time.Minute)},
		{limit.Per(30, time.Minute), 0, limit.Per(30, time.Minute)},
		{limit.Per(30, time.Minute), -1, limit.Per(30, time.Minute)},
		{limit.Per(30, time.Minute), math.MaxInt, limit.Per(1, time.Minute)},
		{limit.Per(1, time.Minute), 2, limit.Per(1, time.Minute)},
		{limit.Rate{Interval: 1, Burst: 100}, 2, limit.Rate{Interval: 1, Burst: 75}},
		{limit.Rate{}, 2, limit.Rate{}},
		{limit.Rate{Interval: 1 << 62, Burst: 1 << 62}, 2, limit.Rate{Interval: 1 << 62, Burst: 1 << 62}},
	} {
		if got := c.rate.Among(c.nodes); got != c.want {
			t.Errorf("%+v among %d: %+v, want %+v", c.rate, c.nodes, got, c.want)
		}
	}
	r := rand.New(rand.NewPCG(7, 7))
	for range 20_000 {
		full := limit.MostFull.Microseconds()
		rate := limit.Rate{Interval: 1 + r.Int64N(1<<r.IntN(36))}
		rate.Burst = 1 + r.Int64N(full/rate.Interval)
		nodes := 1 + r.IntN(50)
		got := rate.Among(nodes)
		// All nodes together are never below the limit at once, but where an interval cannot be shorter.
		if !got.Valid() || got.Full() > rate.Full() || got.Interval > 1 && got.Burst*int64(nodes) < rate.Burst {
			t.Fatalf("%+v among %d: %+v", rate, nodes, got)
		}
		if most := rate.Burst*3/2 + int64(nodes); got.Burst*int64(nodes) > most {
			t.Fatalf("%+v among %d: %+v, more than %d", rate, nodes, got, most)
		}
	}
}

// TestInstead: the shared Store dies under a flood. Who was over stays over, others get their part, and nobody waits longer.
func TestInstead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, m, shared := context.Background(), limit.NewMemory(0), limittest.NewOracle()
		charges := func(cost int64) []limit.Charge {
			return []limit.Charge{{Key: limit.Key{Subject: "flood"}, Rate: limit.Per(40, time.Minute), Cost: cost}}
		}
		c := charges(40)
		if a := shared.Take(time.Now().UnixMicro(), c); !a.OK() {
			t.Fatalf("%+v", a)
		}
		m.Learn(c)
		c = charges(1)
		a, err := m.Instead(ctx, c, 3)
		if err != nil || a.OK() || a.Wait != 3*time.Second || c[0].Ahead != time.Minute || c[0].Rate != limit.Per(40, time.Minute) {
			t.Fatalf("%+v, %v, %+v", a, err, c)
		}
		time.Sleep(time.Minute)
		passed := 0
		for range 100 {
			if a, err = m.Instead(ctx, charges(1), 3); err == nil && a.OK() {
				passed++
			}
		}
		if passed != 20 {
			t.Fatalf("%d pass, want half of 40", passed)
		}
		other := charges(1)
		other[0].Key.Subject = "other"
		if a, err = m.Instead(ctx, other, 3); err != nil || !a.OK() || other[0].Ahead != 3*time.Second {
			t.Fatalf("%+v, %v, %+v", a, err, other)
		}
		if _, err = m.Instead(ctx, charges(0), 3); !errors.Is(err, limit.ErrCharge) {
			t.Fatal(err)
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		if _, err = m.Instead(over, charges(1), 3); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

// TestPart: a part of a rate is that part of its units, at least one, and comes to rest in no more time.
func TestPart(t *testing.T) {
	for _, c := range []struct {
		rate, want limit.Rate
		of         int64
	}{
		{limit.Per(200, time.Hour), limit.Per(50, time.Hour), 4},
		{limit.Per(201, time.Hour), limit.Rate{Interval: limit.Per(201, time.Hour).Interval * 201 / 51, Burst: 51}, 4},
		{limit.Per(1, time.Hour), limit.Per(1, time.Hour), 4},
		{limit.Per(200, time.Hour), limit.Per(200, time.Hour), 1},
		{limit.Rate{}, limit.Rate{}, 4},
	} {
		if got := c.rate.Part(c.of); got != c.want || got.Full() > c.rate.Full() {
			t.Errorf("%v of %v: %v, want %v", c.of, c.rate, got, c.want)
		}
	}
}
