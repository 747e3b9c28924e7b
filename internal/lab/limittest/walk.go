package limittest

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gatepost/internal/limit"
)

// Oracle is the algorithm in big numbers, by the letter of ITU-T I.371 with a cost: slow, and without a bound that matters.
// Its time is given to it.
type Oracle struct {
	tats map[limit.Key]*big.Int
}

// NewOracle returns one that has counted nothing.
func NewOracle() *Oracle { return &Oracle{tats: map[limit.Key]*big.Int{}} }

// Take counts at a moment in microseconds, and sets Ahead.
func (o *Oracle) Take(now int64, charges []limit.Charge) limit.Answer {
	answer := limit.Answer{Denied: -1}
	at := big.NewInt(now)
	longest := new(big.Int)
	before, after := make([]*big.Int, len(charges)), make([]*big.Int, len(charges))
	for i, c := range charges {
		interval, burst, cost := big.NewInt(c.Rate.Interval), big.NewInt(c.Rate.Burst), big.NewInt(c.Cost)
		full := new(big.Int).Mul(interval, burst)
		most := new(big.Int).Add(at, full)
		tat := new(big.Int).Set(at)
		if kept := o.tats[c.Key]; kept != nil && kept.Cmp(at) > 0 {
			tat.Set(kept)
		}
		if tat.Cmp(most) > 0 {
			tat.Set(most)
		}
		if cost.Cmp(burst) > 0 {
			cost.Set(burst)
		}
		next := new(big.Int).Add(tat, cost.Mul(cost, interval))
		before[i], after[i] = tat, next
		wait := new(big.Int).Sub(next, most)
		if c.Asked {
			after[i] = tat
		}
		if wait.Sign() <= 0 {
			continue
		}
		after[i] = tat
		answer.Over |= 1 << i
		if !c.Observed && wait.Cmp(longest) > 0 {
			answer.Denied, answer.Wait = i, time.Duration(wait.Int64())*time.Microsecond
			longest.Set(wait)
		}
	}
	for i := range charges {
		tat := before[i]
		if answer.OK() {
			tat = after[i]
			if answer.Over&(1<<i) == 0 {
				o.tats[charges[i].Key] = tat
			}
		}
		charges[i].Ahead = time.Duration(new(big.Int).Sub(tat, at).Int64()) * time.Microsecond
	}
	return answer
}

// walk counts by chance beside the Oracle. All of the Oracle's times are whole intervals; a Store that is slower than that is
// later by less than one, which takes the same units back.
func walk(t testing.TB, w World) {
	r := rand.New(rand.NewPCG(1, 2)) // the same walk each time
	oracle, now, start := NewOracle(), int64(0), w.Now()
	passed := time.Duration(0)
	for step := range 400 {
		if r.IntN(3) == 0 {
			d := time.Duration(r.IntN(4)) * every
			w.Pass(d)
			passed += d
			now += d.Microseconds()
		}
		var charges []limit.Charge
		for _, k := range r.Perm(6)[:1+r.IntN(4)] {
			c := charge(string(rune('a'+k)), int64(1+k*2), int64(1+r.IntN(5)))
			c.Observed, c.Asked = r.IntN(4) == 0, r.IntN(4) == 0
			charges = append(charges, c)
		}
		wanted := slices.Clone(charges)
		want := oracle.Take(now, wanted)
		got := w.take(t, charges...)
		drift := w.Now().Sub(start) - passed + time.Microsecond
		if drift >= every {
			t.Fatalf("the walk took %v: the Store's time does not go by Pass", drift)
		}
		if got.Denied >= 0 && want.Denied >= 0 && !charges[got.Denied].Observed && waits(wanted[got.Denied]) == want.Wait {
			want.Denied = got.Denied // they wait equally long, but for what passed between the calls
		}
		if got.Denied != want.Denied || got.Over != want.Over || got.Wait > want.Wait || got.Wait < want.Wait-drift {
			t.Fatalf("step %d: %+v: %+v, want %+v", step, charges, got, want)
		}
		for i := range charges {
			if got, want := charges[i].Ahead, wanted[i].Ahead; got > want || got < want-drift {
				t.Fatalf("step %d: charge %d is %v ahead, want %v, less at most %v", step, i, got, want, drift)
			}
		}
	}
}

// waits is how long a charge of a call that was denied has to wait by itself.
func waits(c limit.Charge) time.Duration {
	return c.Ahead + time.Duration((min(c.Cost, c.Rate.Burst)-c.Rate.Burst)*c.Rate.Interval)*time.Microsecond
}
