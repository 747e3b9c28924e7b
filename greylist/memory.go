package greylist

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is a Store in the process. It is bounded and never waits; a restart forgets it. Of what is remembered, that goes
// first for what is new whose time is over soonest: a flood of strangers forgets strangers, and what passed stays.
type Memory struct {
	pairs      table[Key, Record]
	identities table[Tag, Passes]
}

const (
	shards = 64
	sample = 8 // entries that are looked at to make room for one

	// LeastMemory is the least number of pairs of a Memory.
	LeastMemory = 1024
	// An identity is remembered only when a pair of it passes, so there are fewer.
	pairsPerIdentity = 4
)

// NewMemory returns a Memory of at most so many pairs, LeastMemory at least, and a quarter as many identities. A pair takes
// some 60 octets.
func NewMemory(most int) *Memory {
	most = max(most, LeastMemory)
	m := &Memory{}
	m.pairs.most = (most + shards - 1) / shards
	m.identities.most = (most/pairsPerIdentity + shards - 1) / shards
	m.pairs.at, m.pairs.end = Record.at, Record.End
	m.identities.at, m.identities.end = Passes.at, Passes.End
	return m
}

// Len returns how many pairs and identities are remembered.
func (m *Memory) Len() (pairs, identities int) {
	return int(m.pairs.count.Load()), int(m.identities.count.Load())
}

// pairShard and tagShard are of one HMAC each, whose octets nobody can choose. A pair's does not depend on its identity:
// one of them that floods fills all shards a little and none alone.
func (m *Memory) pairShard(k Key) *shard[Key, Record] { return &m.pairs.shards[k.Pair[0]%shards] }
func (m *Memory) tagShard(t Tag) *shard[Tag, Passes]  { return &m.identities.shards[t[0]%shards] }

// Try is as Store says. It returns no error.
func (m *Memory) Try(_ context.Context, k Key, s Settings, now time.Time) (Answer, error) {
	s, now = s.Filled(), clock(now)
	// Both locks, always in this order: the step is one.
	ids, pairs := m.tagShard(k.Tag), m.pairShard(k)
	ids.mu.Lock()
	defer ids.mu.Unlock()
	pairs.mu.Lock()
	defer pairs.mu.Unlock()
	r, p := pairs.entries[k], ids.entries[k.Tag]
	newR, newP, a := Decide(r, p, s, now)
	if newR != r {
		m.pairs.put(pairs, k, newR, s, now)
	}
	if newP != p {
		m.identities.put(ids, k.Tag, newP, s, now)
	}
	return a, nil
}

// Waiting is as Store says. yield may call the Memory's other methods.
func (m *Memory) Waiting(ctx context.Context, s Settings, now time.Time, yield func(Waiting) bool) error {
	s, now = s.Filled(), clock(now)
	var some []Waiting
	for i := range m.pairs.shards {
		if err := ctx.Err(); err != nil {
			return err
		}
		some = some[:0]
		sh := &m.pairs.shards[i]
		sh.mu.Lock()
		for k, r := range sh.entries {
			if w, ok := WaitingOf(k, r, s, now); ok {
				some = append(some, w)
			}
		}
		sh.mu.Unlock()
		for _, w := range some {
			if !yield(w) {
				return nil
			}
		}
	}
	return nil
}

// Release is as Store says.
func (m *Memory) Release(_ context.Context, k Key, s Settings, now time.Time) (bool, error) {
	sh := m.pairShard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r, ok := sh.entries[k].Release(s, clock(now))
	if ok {
		sh.entries[k] = r
	}
	return ok, nil
}

// Forget is as Store says.
func (m *Memory) Forget(_ context.Context, k Key) (bool, error) {
	sh := m.pairShard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, known := sh.entries[k]
	if known {
		m.pairs.drop(sh, k)
	}
	return known, nil
}

// ForgetIdentity is as Store says.
func (m *Memory) ForgetIdentity(_ context.Context, id Tag) (int, error) {
	n := 0
	sh := m.tagShard(id)
	sh.mu.Lock()
	if _, known := sh.entries[id]; known {
		m.identities.drop(sh, id)
		n++
	}
	sh.mu.Unlock()
	m.pairs.each(func(sh *shard[Key, Record], k Key, _ Record) {
		if k.Tag == id {
			m.pairs.drop(sh, k)
			n++
		}
	})
	return n, nil
}

// Sweep forgets what tells nothing any more, and returns how much that was. Its owner calls it now and then, once an hour
// say; without it, what is over goes when there is no room.
func (m *Memory) Sweep(s Settings, now time.Time) int {
	s, t := s.Filled(), Millis(clock(now))
	return m.pairs.sweep(s, t) + m.identities.sweep(s, t)
}

func clock(now time.Time) time.Time {
	if now.IsZero() {
		return time.Now()
	}
	return now
}

// table is what is remembered of pairs, or of identities.
type table[K comparable, V ~int64] struct {
	most   int // in a shard
	at     func(V, int64, Settings) V
	end    func(V, Settings) time.Time
	count  atomic.Int64
	shards [shards]shard[K, V]
}

type shard[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]V
}

// put remembers, or forgets what is 0. It is called with the lock held, as drop is.
func (t *table[K, V]) put(sh *shard[K, V], k K, v V, s Settings, now time.Time) {
	_, known := sh.entries[k]
	if v == 0 {
		if known {
			t.drop(sh, k)
		}
		return
	}
	if !known {
		if len(sh.entries) >= t.most {
			t.makeRoom(sh, s, Millis(now))
		}
		t.count.Add(1)
	}
	if sh.entries == nil {
		sh.entries = map[K]V{}
	}
	sh.entries[k] = v
}

// makeRoom forgets that of a few whose time is over soonest.
func (t *table[K, V]) makeRoom(sh *shard[K, V], s Settings, now int64) {
	var victim K
	var soonest time.Time
	n := 0
	for k, v := range sh.entries {
		if end := t.end(t.at(v, now, s), s); n == 0 || end.Before(soonest) {
			victim, soonest = k, end
		}
		if n++; n == sample {
			break
		}
	}
	t.drop(sh, victim)
}

func (t *table[K, V]) drop(sh *shard[K, V], k K) {
	delete(sh.entries, k)
	t.count.Add(-1)
}

// sweep also takes back times ahead: one of a clock that was a year ahead would else stay for a year.
func (t *table[K, V]) sweep(s Settings, now int64) int {
	n := 0
	t.each(func(sh *shard[K, V], k K, v V) {
		if is := t.at(v, now, s); is == 0 {
			t.drop(sh, k)
			n++
		} else if is != v {
			sh.entries[k] = is
		}
	})
	return n
}

// each calls a function with each, and with the lock held.
func (t *table[K, V]) each(do func(sh *shard[K, V], k K, v V)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for k, v := range sh.entries {
			do(sh, k, v)
		}
		sh.mu.Unlock()
	}
}
