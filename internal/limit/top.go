package limit

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// Standing is how close a key is to its limit.
type Standing struct {
	Key  Key
	Rate Rate
	// Used is how many units of the burst are not given back yet, those begun among them: 1 to Rate.Burst.
	Used int64
	// Rest is how long the key takes to come to rest.
	Rest time.Duration
	// Over says that one more unit would not pass now.
	Over bool
}

// compare orders by the part of the burst that is used, as Used and Rate.Burst tell it, the fullest first; of the same part
// the longest wait first.
func (s *Standing) compare(other *Standing) int {
	hi, lo := bits.Mul64(uint64(s.Used), uint64(other.Rate.Burst))
	hi2, lo2 := bits.Mul64(uint64(other.Used), uint64(s.Rate.Burst))
	return cmp.Or(cmp.Compare(hi2, hi), cmp.Compare(lo2, lo), cmp.Compare(other.Rest, s.Rest),
		cmp.Compare(s.Key.Limit(), other.Key.Limit()), cmp.Compare(s.Key.Subject, other.Key.Subject))
}

// Top returns who is closest to a limit now: at most n, the closest first. A key at rest is close to none. It holds up each
// shard for as long as it takes to look at it.
func (m *Memory) Top(n int) []Standing {
	var top []Standing
	if n < 1 {
		return nil
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		now := m.now()
		for j := range s.entries {
			e := &s.entries[j]
			if e.tat <= now {
				continue
			}
			ahead := min(e.tat-now, e.rate.full())
			one := Standing{
				Key: e.key, Rate: e.rate,
				Used: (ahead-1)/e.rate.Interval + 1,
				Rest: time.Duration(ahead) * time.Microsecond,
				Over: e.again() > now,
			}
			if len(top) == n && top[n-1].compare(&one) <= 0 {
				continue
			}
			at, _ := slices.BinarySearchFunc(top, one, func(a, b Standing) int { return a.compare(&b) })
			if len(top) == n {
				top = top[:n-1]
			}
			top = slices.Insert(top, at, one)
		}
		s.mu.Unlock()
	}
	return top
}
