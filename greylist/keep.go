package greylist

import (
	"context"
	"log/slog"
	"time"
)

// Keeper keeps what a Memory remembers over a restart. One goroutine at a time uses it.
type Keeper interface {
	// Load calls the functions with all that was kept.
	Load(ctx context.Context, pair func(Key, Record), identity func(Tag, Passes)) error
	// Save keeps what changed, all of it or nothing: a record in place of the one before, and none where it is 0.
	Save(ctx context.Context, c Changes) error
}

// Changes are records as they are now; 0 is one that went.
type Changes struct {
	Pairs      map[Key]Record
	Identities map[Tag]Passes
	Whole      bool // these are all; what is kept beside them goes
}

const (
	saveEvery  = time.Second
	sweepEvery = time.Hour
	saveTime   = 10 * time.Second // a disk that takes longer has failed
)

// Keep notes from now on what changes, so that Run saves it once Load has ended. It is called before anything else.
func (m *Memory) Keep(k Keeper) {
	m.keeper = k
	m.pairs.keeps, m.identities.keeps = true, true
}

// Load takes over what the Keeper has. It may run while the Memory is used: of a pair that came meanwhile the more lenient
// of both records holds. With an error some of it may have been taken over.
func (m *Memory) Load(ctx context.Context, s Settings) error {
	if m.keeper == nil {
		return nil
	}
	defer m.loaded.Store(true) // what was saved before would take the place of what is better
	now := time.Now()
	s, t := s.Filled(), Millis(now)
	return m.keeper.Load(ctx, func(k Key, r Record) {
		sh := m.pairShard(k)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		m.pairs.restore(sh, k, r.at(t, s).orBetter(sh.get(k)), r, s, now)
	}, func(id Tag, p Passes) {
		sh := m.tagShard(id)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		m.identities.restore(sh, id, p.at(t, s).orBetter(sh.get(id)), p, s, now)
	})
}

// Loaded reports whether all that was kept is known, or nothing was.
func (m *Memory) Loaded() bool { return m.keeper == nil || m.loaded.Load() }

// orBetter returns the more lenient of two records: what passed lately before what waits, what waits longer before what
// came later.
func (r Record) orBetter(other Record) Record {
	if r == 0 || other != 0 && other < r {
		return other
	}
	return r
}

// orBetter returns the more lenient of two counts: what passed often enough, else the higher one.
func (p Passes) orBetter(other Passes) Passes {
	switch {
	case p < 0 || other < 0:
		return min(p, other)
	case other&MaxPasses > p&MaxPasses:
		return other
	}
	return p
}

// restore puts what is better, of what is kept and what is there. What needs no saving, since it is kept so, is not noted.
// It is called with the lock held.
func (t *table[K, V]) restore(sh *shard[K, V], k K, better, kept V, s Settings, now time.Time) {
	_, noted := sh.dirty[k]
	if better == 0 {
		t.mark(sh, k) // its time is over: it goes there too
		return
	}
	t.put(sh, k, better, s, now)
	if better == kept && !noted {
		delete(sh.dirty, k)
	}
}

// mark notes what changed. It is called with the lock held.
func (t *table[K, V]) mark(sh *shard[K, V], k K) {
	if !t.keeps || sh.lost {
		return
	}
	if len(sh.dirty) >= t.most { // the Keeper fails for long, or there is a flood
		sh.lost, sh.dirty = true, nil
		return
	}
	if sh.dirty == nil {
		sh.dirty = map[K]struct{}{}
	}
	sh.dirty[k] = struct{}{}
}

// Run saves what changed, about every second and once more at the end, and sweeps every hour, until ctx is done. The
// settings are asked anew each time. A Keeper that fails, and one that works again, is told once each.
func (m *Memory) Run(ctx context.Context, settings func() Settings, log *slog.Logger) {
	save, sweep := time.NewTicker(saveEvery), time.NewTicker(sweepEvery)
	defer save.Stop()
	defer sweep.Stop()
	broken := false
	tell := func(err error) {
		switch {
		case err != nil && !broken:
			log.Warn("greylist: cannot be saved; a restart would forget", "error", err)
		case err == nil && broken:
			log.Info("greylist: is saved again")
		}
		broken = err != nil
	}
	for {
		select {
		case <-ctx.Done():
			tell(m.save(context.WithoutCancel(ctx)))
			return
		case <-save.C:
			tell(m.save(ctx))
		case <-sweep.C:
			m.Sweep(settings(), time.Now())
		}
	}
}

// save hands the Keeper what changed. What it does not take is tried again.
func (m *Memory) save(ctx context.Context) error {
	if !m.loaded.Load() {
		return nil
	}
	c := Changes{Whole: m.pairs.overflowed() || m.identities.overflowed()}
	c.Pairs, c.Identities = m.pairs.changed(c.Whole), m.identities.changed(c.Whole)
	if len(c.Pairs)+len(c.Identities) == 0 && !c.Whole {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	err := m.keeper.Save(ctx, c)
	if err != nil {
		m.pairs.again(c.Pairs, c.Whole, func(k Key) *shard[Key, Record] { return m.pairShard(k) })
		m.identities.again(c.Identities, c.Whole, func(id Tag) *shard[Tag, Passes] { return m.tagShard(id) })
	}
	return err
}

// overflowed reports whether more changed in a shard than was noted.
func (t *table[K, V]) overflowed() bool {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		lost := sh.lost
		sh.mu.Unlock()
		if lost {
			return true
		}
	}
	return false
}

// changed takes what was noted, or all there is.
func (t *table[K, V]) changed(all bool) map[K]V {
	out := map[K]V{}
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		if all {
			for _, e := range sh.list {
				out[e.key] = e.value
			}
			sh.lost = false
		} else {
			for k := range sh.dirty {
				out[k] = sh.get(k)
			}
		}
		clear(sh.dirty)
		sh.mu.Unlock()
	}
	return out
}

// again notes what could not be saved.
func (t *table[K, V]) again(changed map[K]V, all bool, of func(K) *shard[K, V]) {
	if all {
		sh := &t.shards[0]
		sh.mu.Lock()
		sh.lost, sh.dirty = true, nil
		sh.mu.Unlock()
		return
	}
	for k := range changed {
		sh := of(k)
		sh.mu.Lock()
		t.mark(sh, k)
		sh.mu.Unlock()
	}
}
