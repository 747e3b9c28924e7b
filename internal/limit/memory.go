package limit

import (
	"context"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"time"
)

// Memory is a Store in this process: what is counted is lost with it. It holds a bounded number of keys whatever is asked of
// it; table.go says which are forgotten first. Its clock does not jump when the machine's is set.
type Memory struct {
	start  time.Time
	seed   maphash.Seed // a stranger cannot choose names that meet in one shard
	most   int          // keys of a shard
	shards [shards]shard
}

const shards = 64 // as a set of them is a uint64

var _ Store = (*Memory)(nil)

// DefaultKeys is how many keys a Memory holds by default: about 85 MB of networks, and 125 MB of the longest names.
const DefaultKeys = 1 << 19

// NewMemory returns a Memory of at most so many keys, rounded up to a multiple of 64; 0 is DefaultKeys.
func NewMemory(keys int) *Memory {
	if keys < 1 {
		keys = DefaultKeys
	}
	return &Memory{start: time.Now(), seed: maphash.MakeSeed(), most: (keys-1)/shards + 1}
}

// now is in microseconds since 1970, by the monotonic clock.
func (m *Memory) now() int64 {
	return m.start.UnixMicro() + time.Since(m.start).Microseconds()
}

func (m *Memory) shard(k *Key) int {
	return int(maphash.Comparable(m.seed, *k) % shards)
}

// Take counts all charges or none; see Store. It waits for nothing; a context that is over counts nothing.
func (m *Memory) Take(ctx context.Context, charges []Charge) (Answer, error) {
	if err := Check(charges); err != nil {
		return Answer{}, err
	}
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	var where [MostCharges]int
	var set uint64
	for i := range charges {
		where[i] = m.shard(&charges[i].Key)
		set |= 1 << where[i]
	}
	m.lock(set)
	defer m.unlock(set)

	now := m.now()
	answer := Answer{Denied: -1}
	var steps [MostCharges]step
	for i := range charges {
		c := &charges[i]
		steps[i] = count(m.shards[where[i]].tat(&c.Key), now, c.Rate, c.Cost)
		wait := time.Duration(steps[i].wait) * time.Microsecond
		if wait == 0 {
			continue
		}
		answer.Over |= 1 << i
		if !c.Observed && wait > answer.Wait {
			answer.Denied, answer.Wait = i, wait
		}
	}
	for i := range charges {
		c, tat := &charges[i], steps[i].before
		if answer.OK() && steps[i].wait == 0 && !c.Asked {
			tat = steps[i].after
			m.shards[where[i]].set(&c.Key, tat, now, c.Rate, m.most)
		}
		c.Ahead = time.Duration(tat-now) * time.Microsecond
	}
	return answer, nil
}

// Learn takes over what another Store answered: the Ahead of its charges. So this one knows who was at a limit when it has
// to stand in for a shared one, and Top tells of both.
func (m *Memory) Learn(charges []Charge) {
	for i := range charges {
		c := &charges[i]
		if c.Ahead <= 0 || !c.Rate.Valid() {
			continue
		}
		s := &m.shards[m.shard(&c.Key)]
		s.mu.Lock()
		now := m.now()
		s.set(&c.Key, now+min(c.Ahead.Microseconds(), c.Rate.full()), now, c.Rate, m.most)
		s.mu.Unlock()
	}
}

// Len returns how many keys are held, those at rest that were not forgotten yet among them.
func (m *Memory) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.index)
		s.mu.Unlock()
	}
	return n
}

// Held returns how far the key's TAT is ahead: 0 for one that is at rest or not known.
func (m *Memory) Held(k Key) time.Duration {
	s := &m.shards[m.shard(&k)]
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(max(s.tat(&k)-m.now(), 0)) * time.Microsecond
}

// lock locks a set of shards, always in the same order.
func (m *Memory) lock(set uint64) {
	for ; set != 0; set &= set - 1 {
		m.shards[bits.TrailingZeros64(set)].mu.Lock()
	}
}

func (m *Memory) unlock(set uint64) {
	for ; set != 0; set &= set - 1 {
		m.shards[bits.TrailingZeros64(set)].mu.Unlock()
	}
}

// shard is a table with its lock.
type shard struct {
	mu sync.Mutex
	table
}

// own is the key without the line or message that its subject may be a part of.
func (k Key) own() Key {
	k.Subject = strings.Clone(k.Subject)
	return k
}
