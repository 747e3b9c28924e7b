package greylist

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is a Store in the process. It is bounded and never waits; a restart forgets it, unless a Keeper keeps it. Of what
// is remembered, that goes first for what is new whose time is over soonest: a flood of strangers forgets strangers, and
// what passed stays. Of a flood's own strangers those go first who are many of one identity, so that others can come again.
type Memory struct {
	pairs      table[Key, Record]
	identities table[Tag, Passes]
	keeper     Keeper      // nil: a restart forgets it
	loaded     atomic.Bool // the Keeper has told all that it had
}

const (
	shards = 64
	sample = 64 // entries that are looked at to make room for one, at most
	// lately is how long ago all that waits began to where somebody floods the memory: a quarter of the window at most.
	lately = 6 * time.Hour

	// LeastMemory is the least number of pairs of a Memory.
	LeastMemory = 1024
	// An identity is remembered only when a pair of it passes, so there are fewer.
	pairsPerIdentity = 4
)

// NewMemory returns a Memory of at most so many pairs, LeastMemory at least, and a quarter as many identities. A pair takes
// 55 to 75 octets.
func NewMemory(most int) *Memory {
	most = max(most, LeastMemory)
	m := &Memory{}
	m.pairs.most = (most + shards - 1) / shards
	m.identities.most = (most/pairsPerIdentity + shards - 1) / shards
	m.pairs.at, m.pairs.end = Record.at, Record.End
	m.pairs.tag = func(k Key) Tag { return k.Tag }
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
	_, _, a := m.step(k, s, now, Decide)
	return a, nil
}

// Learn takes over what a shared store answered to a try, as the function Learn does, and returns the more lenient answer
// and what is remembered now.
func (m *Memory) Learn(k Key, a Answer, s Settings, now time.Time) (Record, Passes, Answer) {
	return m.step(k, s, now, func(r Record, p Passes, s Settings, now time.Time) (Record, Passes, Answer) {
		return Learn(r, p, a, s, now)
	})
}

// TryKnown is Try where somebody else remembers too, but is away: a pair of which nothing is known is Unknown, and nothing
// is remembered of it.
func (m *Memory) TryKnown(k Key, s Settings, now time.Time) Answer {
	_, _, a := m.step(k, s, now, func(r Record, p Passes, s Settings, now time.Time) (Record, Passes, Answer) {
		newR, newP, a := Decide(r, p, s, now)
		if a.Outcome == First {
			return r, p, Answer{}
		}
		return newR, newP, a
	})
	return a
}

// step replaces what is remembered of a pair and its identity in one step.
func (m *Memory) step(k Key, s Settings, now time.Time, decide func(Record, Passes, Settings, time.Time) (Record, Passes, Answer)) (Record, Passes, Answer) {
	s, now = s.Filled(), clock(now)
	// Both locks, always in this order: the step is one.
	ids, pairs := m.tagShard(k.Tag), m.pairShard(k)
	ids.mu.Lock()
	defer ids.mu.Unlock()
	pairs.mu.Lock()
	defer pairs.mu.Unlock()
	r, p := pairs.get(k), ids.get(k.Tag)
	newR, newP, a := decide(r, p, s, now)
	if newR != r {
		m.pairs.put(pairs, k, newR, s, now)
	}
	if newP != p {
		m.identities.put(ids, k.Tag, newP, s, now)
	}
	return newR, newP, a
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
		for _, e := range sh.list {
			if w, ok := WaitingOf(e.key, e.value, s, now); ok {
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
	r, ok := sh.get(k).Release(s, clock(now))
	if ok {
		sh.list[sh.index[k]].value = r
		m.pairs.mark(sh, k)
	}
	return ok, nil
}

// Forget is as Store says.
func (m *Memory) Forget(_ context.Context, k Key) (bool, error) {
	sh := m.pairShard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, known := sh.index[k]
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
	if _, known := sh.index[id]; known {
		m.identities.drop(sh, id)
		n++
	}
	sh.mu.Unlock()
	m.pairs.each(func(sh *shard[Key, Record], e *entry[Key, Record]) {
		if e.key.Tag == id {
			m.pairs.drop(sh, e.key)
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
	most   int  // in a shard
	keeps  bool // what changes is noted for Save
	at     func(V, int64, Settings) V
	end    func(V, Settings) time.Time
	tag    func(K) Tag // whose it is; nil: each is another's
	count  atomic.Int64
	shards [shards]shard[K, V]
}

// shard has its entries in a list, so that each is as likely as another to be looked at: a walk over a map from a random
// place is not, and leaves whole stretches where nothing but what passed is left to forget.
type shard[K comparable, V ~int64] struct {
	mu    sync.Mutex
	index map[K]int32
	list  []entry[K, V]
	dirty map[K]struct{} // what changed since it was saved, or went
	lost  bool           // more changed than is noted: all of it has to be saved
}

type entry[K comparable, V ~int64] struct {
	key   K
	value V
}

// get returns 0 for what is not known. It is called with the lock held.
func (sh *shard[K, V]) get(k K) V {
	if i, known := sh.index[k]; known {
		return sh.list[i].value
	}
	return 0
}

// put remembers, or forgets what is 0. It is called with the lock held, as drop is.
func (t *table[K, V]) put(sh *shard[K, V], k K, v V, s Settings, now time.Time) {
	i, known := sh.index[k]
	switch {
	case known && v == 0:
		t.drop(sh, k)
		return
	case known:
		sh.list[i].value = v
	case v != 0:
		if len(sh.list) >= t.most {
			t.makeRoom(sh, s, Millis(now))
		}
		if sh.index == nil {
			sh.index = map[K]int32{}
		}
		sh.index[k] = int32(len(sh.list))
		sh.list = append(sh.list, entry[K, V]{k, v})
		t.count.Add(1)
	default:
		return
	}
	t.mark(sh, k)
}

// makeRoom forgets that of some whose time is over soonest. Where these all began to wait lately, somebody floods the memory,
// and whoever began first is no longer the one who will not come again, but a mail server that is about to.
func (t *table[K, V]) makeRoom(sh *shard[K, V], s Settings, now int64) {
	var all [sample]entry[K, V]
	some := all[:min(sample, len(sh.list))]
	at, stride := rand.IntN(len(sh.list)), 1+rand.IntN(len(sh.list)/len(some)) // so none comes twice
	victim, soonest := 0, time.Time{}
	for n := range some {
		e := &some[n]
		*e = sh.list[(at+n*stride)%len(sh.list)]
		e.value = t.at(e.value, now, s)
		if end := t.end(e.value, s); n == 0 || end.Before(soonest) {
			victim, soonest = n, end
		}
	}
	if t.tag != nil && some[victim].value > 0 && soonest.Sub(time.UnixMilli(now)) > s.Window-min(lately, s.Window/4) {
		victim = t.crowd(some, victim)
	}
	t.drop(sh, some[victim].key)
}

// crowd returns one of the identity that has most of those that wait: the flood's, most likely. Where none has two, it is any.
func (t *table[K, V]) crowd(some []entry[K, V], victim int) int {
	var seen [2 * sample]struct {
		tag Tag
		n   int
	}
	most := 0
	for i := range some {
		if some[i].value <= 0 {
			continue
		}
		tag := t.tag(some[i].key)
		at := int(tag[1]) % len(seen)
		for seen[at].n > 0 && seen[at].tag != tag {
			at = (at + 1) % len(seen)
		}
		seen[at].tag = tag
		if seen[at].n++; seen[at].n > most {
			victim, most = i, seen[at].n
		}
	}
	return victim
}

// drop forgets one that is known. The last of the list takes its place.
func (t *table[K, V]) drop(sh *shard[K, V], k K) {
	i, last := sh.index[k], len(sh.list)-1
	sh.list[i] = sh.list[last]
	sh.index[sh.list[i].key] = i
	sh.list = sh.list[:last]
	delete(sh.index, k)
	t.count.Add(-1)
	t.mark(sh, k)
}

// sweep also takes back times ahead: one of a clock that was a year ahead would else stay for a year.
func (t *table[K, V]) sweep(s Settings, now int64) int {
	n := 0
	t.each(func(sh *shard[K, V], e *entry[K, V]) {
		if e.value = t.at(e.value, now, s); e.value == 0 {
			t.drop(sh, e.key)
			n++
		}
	})
	return n
}

// each calls a function with each, and with the lock held. It may drop that one.
func (t *table[K, V]) each(do func(sh *shard[K, V], e *entry[K, V])) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for j := len(sh.list) - 1; j >= 0; j-- {
			do(sh, &sh.list[j])
		}
		sh.mu.Unlock()
	}
}
