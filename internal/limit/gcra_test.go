package limit

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  Rate
		want  Rate
		valid bool
	}{
		{"30 a minute", Per(30, time.Minute), Rate{2_000_000, 30}, true},
		{"no whole interval", Per(7, time.Minute), Rate{8_571_428, 7}, true},
		{"200 an hour", Per(200, time.Hour), Rate{18_000_000, 200}, true},
		{"one a day", Per(1, 24*time.Hour), Rate{86_400_000_000, 1}, true},
		{"one in longer than a day", Per(1, 24*time.Hour+time.Microsecond), Rate{86_400_000_001, 1}, false},
		{"faster than microseconds", Per(1<<40, time.Second), Rate{0, 1 << 40}, false},
		{"none", Per(0, time.Minute), Rate{}, false},
		{"fewer than none", Per(-5, time.Minute), Rate{}, false},
		{"back in time", Per(5, -time.Minute), Rate{-12_000_000, 5}, false},
		{"product overflows", Rate{math.MaxInt64, math.MaxInt64}, Rate{math.MaxInt64, math.MaxInt64}, false},
		{"product overflows to something small", Rate{1 << 32, 1<<32 + 1}, Rate{1 << 32, 1<<32 + 1}, false},
	} {
		if c.rate != c.want || c.rate.Valid() != c.valid {
			t.Errorf("%s: %+v, valid %v; want %+v, %v", c.name, c.rate, c.rate.Valid(), c.want, c.valid)
		}
	}
	hour := Per(200, time.Hour)
	for _, c := range []struct{ a, b, want Rate }{
		{hour, Per(3000, time.Hour), Per(3000, time.Hour)},
		{hour, Per(50, time.Hour), hour},
		{hour, Per(200, time.Minute), Per(200, time.Minute)},
		{hour, Rate{}, hour},
		{hour, Rate{1 << 62, 1 << 62}, hour},
		{Rate{}, hour, hour},
	} {
		if got := c.a.Or(c.b); got != c.want {
			t.Errorf("%+v or %+v: %+v", c.a, c.b, got)
		}
	}
}

// TestClockSetBack: who was at the limit waits no longer than the burst takes, and no one gets a second burst.
func TestClockSetBack(t *testing.T) {
	rate, now := Per(30, time.Minute), time.Now().UnixMicro()
	tat := count(0, now, rate, 30).after
	for _, back := range []time.Duration{time.Millisecond, time.Minute, time.Hour, 20 * 365 * 24 * time.Hour} {
		s := count(tat, now-back.Microseconds(), rate, 1)
		if s.wait != rate.Interval {
			t.Errorf("%v back: a wait of %d us, want %d", back, s.wait, rate.Interval)
		}
		if s = count(s.before, now-back.Microseconds()+rate.Interval, rate, 1); s.wait != 0 {
			t.Errorf("%v back: still to wait %d us", back, s.wait)
		}
	}
	if s := count(tat, now+time.Hour.Microseconds(), rate, 30); s.wait != 0 {
		t.Errorf("a clock set forward denies for %d us", s.wait)
	}
}

// FuzzCount holds the algorithm against itself in big numbers, with anything in its registers.
func FuzzCount(f *testing.F) {
	for _, tat := range []int64{math.MinInt64, -1, 0, 1, 1 << 53, math.MaxInt64} {
		for _, now := range []int64{math.MinInt64, 0, 1_800_000_000_000_000, math.MaxInt64} {
			f.Add(tat, now, int64(2_000_000), int64(30), int64(1))
			f.Add(tat, now, int64(1), mostFull, int64(math.MaxInt64))
			f.Add(tat, now, mostFull, int64(1), int64(1))
		}
	}
	f.Fuzz(func(t *testing.T, tat, now, interval, burst, cost int64) {
		rate := Rate{interval, burst}
		product := new(big.Int).Mul(big.NewInt(interval), big.NewInt(burst))
		valid := interval > 0 && burst > 0 && product.Cmp(big.NewInt(mostFull)) <= 0
		if rate.Valid() != valid {
			t.Fatalf("%+v: valid %v", rate, !valid)
		}
		if !valid || cost < 1 {
			return
		}
		got := count(tat, now, rate, cost)
		at := min(max(now, 0), mostNow)
		end := new(big.Int).Add(big.NewInt(at), product)
		before := new(big.Int).Set(big.NewInt(max(tat, at)))
		if before.Cmp(end) > 0 {
			before.Set(end)
		}
		after := new(big.Int).Mul(big.NewInt(min(cost, burst)), big.NewInt(interval))
		after.Add(after, before)
		wait := new(big.Int).Sub(after, end)
		if wait.Sign() < 0 {
			wait.SetInt64(0)
		}
		if got.before != before.Int64() || got.after != after.Int64() || got.wait != wait.Int64() {
			t.Fatalf("%+v, want %v %v %v", got, before, after, wait)
		}
		if got.after > 1<<53 || got.wait > rate.full() || got.wait == 0 && got.after > at+rate.full() {
			t.Fatalf("%+v is out of bounds", got)
		}
	})
}

// TestSliding holds it against what a limit means, without a TAT: an event passes if in no stretch of time that ends with it
// there were more units than the burst and what the stretch gives back. All that passed is looked at each time.
func TestSliding(t *testing.T) {
	type event struct{ at, cost int64 }
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		rate := Rate{1 + r.Int64N(5000), 1 + r.Int64N(20)}
		now, tat := int64(1_800_000_000_000_000), int64(0)
		var passed []event
		denied := 0
		for range 400 {
			now += r.Int64N(2 * rate.Interval)
			if r.IntN(40) == 0 {
				now += r.Int64N(2 * rate.full())
			}
			cost := 1 + r.Int64N(rate.Burst)
			if r.IntN(3) > 0 {
				cost = 1
			}
			fits, sum := true, big.NewInt(cost)
			room := func(since int64) *big.Int { // in units times the interval
				return big.NewInt(rate.full() + now - since)
			}
			taken := func() *big.Int { return new(big.Int).Mul(sum, big.NewInt(rate.Interval)) }
			fits = taken().Cmp(room(now)) <= 0
			for i := len(passed) - 1; i >= 0; i-- {
				sum.Add(sum, big.NewInt(passed[i].cost))
				fits = fits && taken().Cmp(room(passed[i].at)) <= 0
			}
			s := count(tat, now, rate, cost)
			if (s.wait == 0) != fits {
				t.Fatalf("seed %d: %+v at %d, cost %d: a wait of %d, fits %v", seed, rate, now, cost, s.wait, fits)
			}
			if !fits {
				denied++
				if count(tat, now+s.wait, rate, cost).wait != 0 || count(tat, now+s.wait-1, rate, cost).wait == 0 {
					t.Fatalf("seed %d: %d us is not how long to wait", seed, s.wait)
				}
				continue
			}
			tat = s.after
			passed = append(passed, event{now, cost})
		}
		if denied == 0 || len(passed) == 0 {
			t.Fatalf("seed %d: %d denied, %d passed", seed, denied, len(passed))
		}
	}
}

func BenchmarkCount(b *testing.B) {
	b.ReportAllocs()
	rate, now, tat := Per(30, time.Minute), time.Now().UnixMicro(), int64(0)
	for b.Loop() {
		now += 1_900_000
		if s := count(tat, now, rate, 1); s.wait == 0 {
			tat = s.after
		}
	}
}

// TestRateWords shows that a rate reads as it was given.
func TestRateWords(t *testing.T) {
	for want, r := range map[string]Rate{
		"30 per minute": Per(30, time.Minute), "7 per minute": Per(7, time.Minute), "1 per second": Per(1, time.Second),
		"1048577 per hour": Per(1<<20+1, time.Hour), "5 per day": Per(5, 24*time.Hour), "3 per 10 minutes": Per(3, 10*time.Minute), "200 per 90 minutes": Per(200, 90*time.Minute),
		"999983 per 2 seconds": Per(999983, 2*time.Second), "3 per 499.998ms": {Interval: 166666, Burst: 3}, "no limit": {},
	} {
		if got := r.String(); got != want {
			t.Errorf("%+v: %q, want %q", [2]int64{r.Interval, r.Burst}, got, want)
		}
	}
}
