package memory

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// table is what is remembered of one kind of thing: bounded, in shards, and written behind into a store. Its methods are
// safe for concurrent use and never wait for the store. The fields before shards are set once.
type table[K comparable, V any] struct {
	name  string // in the log
	loses string // in the log: what it costs that the store could not be read
	most  int
	hash  func(K) uint64
	own   func(K) K             // the key without anything that it would keep alive; nil: it keeps nothing
	rank  func(*V) int64        // what has the least is forgotten first
	ended func(*V, int64) bool  // whether it tells nothing any more, at a Unix second
	merge func(into *V, old *V) // joins what was learned since the start with what the store kept
	log   *slog.Logger
	store rows[K, V] // nil: nothing survives a restart
	// forgets says that the store is told of each that goes. Else rows.forget drops them when their time is over.
	forgets bool

	shards [shards]shard[K, V]
	count  atomic.Int64
	leaked atomic.Bool // the store keeps some that are gone
	broken bool        // of run: the store fails
}

// rows is the store of a table. Only the goroutine of run, and load before it, call it.
type rows[K comparable, V any] interface {
	load(ctx context.Context, yield func(K, *V)) error // nil: what was kept cannot be read
	save(ctx context.Context, changed map[K]*V) error  // nil: it is forgotten
	forget(ctx context.Context, now time.Time) error
}

const (
	shards     = 64
	sample     = 8 // entries that are looked at to make room for one
	saveEvery  = time.Second
	minorEvery = time.Minute
	sweepEvery = time.Hour
	saveTime   = 10 * time.Second
)

// shard has its entries in a list beside the map, so that each is as likely as another to be looked at when there is no room:
// a walk over a map begins at random and then goes on to neighbours.
type shard[K comparable, V any] struct {
	mu      sync.Mutex
	index   map[K]int32
	list    []row[K, V]
	changed map[K]bool // since the last save, and those that went, where the store is told; true: soon
}

type row[K comparable, V any] struct {
	key   K
	value V
}

// get returns what is remembered of one, or the zero value. It is called with the lock held, as add and remove are.
func (s *shard[K, V]) get(k K) (v V, known bool) {
	i, known := s.index[k]
	if known {
		v = s.list[i].value
	}
	return v, known
}

func (s *shard[K, V]) add(k K, v V) {
	if s.index == nil {
		s.index = make(map[K]int32)
	}
	s.index[k] = int32(len(s.list))
	s.list = append(s.list, row[K, V]{k, v})
}

// remove takes one out that is there. The last of the list takes its place.
func (s *shard[K, V]) remove(k K) {
	i, last := s.index[k], len(s.list)-1
	s.list[i] = s.list[last]
	s.index[s.list[i].key] = i
	s.list[last] = row[K, V]{} // it keeps nothing alive
	s.list = s.list[:last]
	delete(s.index, k)
}

// change says what became of what is remembered.
type change uint8

const (
	same  change = iota
	minor        // one more of what is known: saved within a minute, and lost by a kill
	major        // saved within about a second
)

func (t *table[K, V]) shard(k K) *shard[K, V] {
	return &t.shards[t.hash(k)>>58]
}

// get returns what is remembered, or the zero value.
func (t *table[K, V]) get(k K) V {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, _ := s.get(k)
	return v
}

// update changes what is remembered: learn says how much it did, and gets the zero value of what is not known.
func (t *table[K, V]) update(k K, learn func(v *V, known bool) change) {
	t.put(k, learn, false)
}

// loaded takes over what the store kept. What was learned meanwhile is joined with it and saved anew.
func (t *table[K, V]) loaded(k K, old *V) {
	t.put(k, func(v *V, known bool) change {
		if known {
			t.merge(v, old)
		} else {
			*v = *old
		}
		return major
	}, true)
}

func (t *table[K, V]) put(k K, learn func(v *V, known bool) change, kept bool) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, known := s.get(k)
	changed := learn(&v, known)
	if changed == same {
		return
	}
	if known {
		s.list[s.index[k]].value = v
	} else {
		if t.own != nil {
			k = t.own(k)
		}
		if len(s.list) >= (t.most+shards-1)/shards {
			t.drop(s, time.Now().Unix())
		} else {
			t.count.Add(1)
		}
		s.add(k, v)
	}
	if !kept || known {
		t.mark(s, k, changed == major || !known)
	}
}

// mark has the next save look at a key, or one within a minute. It is called with the lock held.
func (t *table[K, V]) mark(s *shard[K, V], k K, soon bool) {
	if t.store == nil {
		return
	}
	if s.changed == nil {
		s.changed = make(map[K]bool)
	}
	s.changed[k] = soon || s.changed[k]
}

// gone takes one out. It is called with the lock held.
func (t *table[K, V]) gone(s *shard[K, V], k K) {
	s.remove(k)
	if t.forgets && t.remembersGone(s) {
		t.mark(s, k, true)
	} else {
		delete(s.changed, k)
	}
}

// remembersGone reports whether the store can be told of one more that went. A flood, or a store that fails for long, is
// more than that: what it then keeps in vain is found by the next sweep.
func (t *table[K, V]) remembersGone(s *shard[K, V]) bool {
	if len(s.changed) <= 2*t.most/shards {
		return true
	}
	t.leaked.Store(true)
	return false
}

// drop makes room for one: of a few, that of the least rank. It is called with the lock held.
func (t *table[K, V]) drop(s *shard[K, V], now int64) {
	var victim K
	least := int64(0)
	for n := range sample {
		e := &s.list[rand.IntN(len(s.list))]
		ended := t.ended(&e.value, now)
		if rank := t.rank(&e.value); ended || n == 0 || rank < least {
			victim, least = e.key, rank
		}
		if ended {
			break
		}
	}
	t.gone(s, victim)
}

// len returns how many are remembered.
func (t *table[K, V]) len() int { return int(t.count.Load()) }

// each calls a function with a copy of each.
func (t *table[K, V]) each(do func(k K, v *V)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for _, e := range s.list {
			do(e.key, &e.value)
		}
		s.mu.Unlock()
	}
}

// load takes over what the store kept. A store that cannot be read costs the memory and nothing else.
func (t *table[K, V]) load(ctx context.Context) {
	if t.store == nil {
		return
	}
	now := time.Now().Unix()
	err := t.store.load(ctx, func(k K, v *V) {
		if v != nil && !t.ended(v, now) {
			t.loaded(k, v)
		} else if t.forgets {
			t.reclaim(k, nil)
		}
	})
	if err != nil {
		t.log.Warn(t.name+": not all could be read; "+t.loses, "error", err)
	}
}

// run saves what changed, about every second, within a minute what changed little, and once more all at the end, until ctx
// is done.
func (t *table[K, V]) run(ctx context.Context) {
	save, all, sweep := time.NewTicker(saveEvery), time.NewTicker(minorEvery), time.NewTicker(sweepEvery)
	defer save.Stop()
	defer all.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			t.save(context.WithoutCancel(ctx), true)
			return
		case <-save.C:
			t.save(ctx, false)
		case <-all.C:
			t.save(ctx, true)
		case now := <-sweep.C:
			t.sweep(ctx, now)
		}
	}
}

// save hands the store what changed, or only what changed much. What it does not take is tried again.
func (t *table[K, V]) save(ctx context.Context, all bool) {
	if t.store == nil {
		return
	}
	batch := map[K]*V{}
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for k, soon := range s.changed {
			if !soon && !all {
				continue
			}
			batch[k] = nil
			if v, ok := s.get(k); ok {
				batch[k] = &v
			}
			delete(s.changed, k)
		}
		s.mu.Unlock()
	}
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	err := t.store.save(ctx, batch)
	t.tell(err)
	if err == nil {
		return
	}
	for k := range batch {
		s := t.shard(k)
		s.mu.Lock()
		if _, ok := s.index[k]; ok || t.forgets && t.remembersGone(s) {
			t.mark(s, k, true)
		}
		s.mu.Unlock()
	}
}

// tell says once that the store fails, and once that it works again.
func (t *table[K, V]) tell(err error) {
	switch {
	case err != nil && !t.broken:
		t.log.Warn(t.name+": cannot be saved; a restart would forget", "error", err)
	case err == nil && t.broken:
		t.log.Info(t.name + ": is saved again")
	}
	t.broken = err != nil
}

// sweep forgets what is over, here and in the store.
func (t *table[K, V]) sweep(ctx context.Context, now time.Time) {
	t.expire(now)
	if t.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	err := t.store.forget(ctx, now)
	if err == nil && t.leaked.Swap(false) {
		if err = t.store.load(ctx, t.reclaim); err != nil {
			t.leaked.Store(true)
		}
	}
	t.tell(err)
}

// reclaim has the store forget what is gone.
func (t *table[K, V]) reclaim(k K, _ *V) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.index[k]; !ok {
		t.mark(s, k, true)
	}
}

func (t *table[K, V]) expire(now time.Time) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for j := len(s.list) - 1; j >= 0; j-- { // the last takes the place of one that goes, and was looked at
			if e := &s.list[j]; t.ended(&e.value, now.Unix()) {
				t.gone(s, e.key)
				t.count.Add(-1)
			}
		}
		s.mu.Unlock()
	}
}

// second and moment turn times into seconds and back; a zero time is 0.
func second(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func moment(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}

// forget takes one out, and reports whether it was there.
func (t *table[K, V]) forget(k K) bool {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.index[k]
	if known {
		t.gone(s, k)
		t.count.Add(-1)
	}
	return known
}
