package limit

import (
	"cmp"
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

	ahead int64
}

// compare orders by the part of the burst that is used, the fullest first. No sum here exceeds 2^37 times 2^20.
func (s *Standing) compare(other *Standing) int {
	if c := cmp.Compare(s.share(), other.share()); c != 0 {
		return -c
	}
	if c := cmp.Compare(s.Key.Limit(), other.Key.Limit()); c != 0 {
		return c
	}
	return cmp.Compare(s.Key.Subject, other.Key.Subject)
}

// share is the part of the burst that is used, of 2^20.
func (s *Standing) share() int64 { return s.ahead << 20 / s.Rate.full() }

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
				Key: e.key, Rate: e.rate, ahead: ahead,
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
