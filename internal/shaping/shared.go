package shaping

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"gatepost/greylist"
	"gatepost/internal/limit"
	"gatepost/internal/redis"
)

// Options say how to do without Redis.
type Options struct {
	Nodes int // how many share it; each counts for its part of a rate while it is away. 0 is 1
	// Pass lets a pair pass unknown of which this process knows nothing, while Redis is away: it might have waited at
	// another node. Else it waits as if it were new.
	Pass bool
	// PassFull lets it pass also while Redis is out of memory. Strangers can bring that about, with pairs: they would be rid
	// of the greylist.
	PassFull bool
}

// Counts are how often this process stood in for Redis. They only grow.
type Counts struct {
	Takes, Tries uint64 // that Redis did not answer
	Unknown      uint64 // tries of those of which nobody knew anything
	Rescued      uint64 // tries that Redis would have held, and this process knew better
	Taught       uint64 // records that Redis took over from this process
}

// shared is Redis beside the stores of this process.
type shared struct {
	client  *redis.Client
	options Options
	probed  atomic.Bool // Redis was asked by Run
	// settings are those of the last try: what a record tells depends on them.
	settings atomic.Pointer[greylist.Settings]

	takes, tries, unknown, rescued, taught atomic.Uint64
}

// Share asks Redis first from now on. It is called before anything else; a client from before is closed.
func (s *Stores) Share(c *redis.Client, o Options) {
	if s.shared != nil {
		_ = s.shared.client.Close()
	}
	s.shared = &shared{client: c, options: o}
}

// do asks Redis everything in one round trip. Of what it answers this process learns; what it does not answer this process
// answers by itself. A zero now is the time.
func (sh *shared) do(ctx context.Context, s *Stores, a *Ask, now time.Time) {
	row := sh.client.Row()
	taken, tried := make([]*redis.Taken, len(a.Takes)), make([]*redis.Tried, len(a.Tries))
	for i := range a.Takes {
		taken[i] = row.Take(a.Takes[i].Charges)
	}
	for i := range a.Tries {
		tried[i] = row.Try(a.Tries[i].Key, a.Tries[i].Settings, now)
	}
	_ = row.Do(ctx) // each call has its error
	for i, got := range taken {
		t := &a.Takes[i]
		if t.Answer, t.Err = got.Answer, got.Err; t.Err == nil {
			s.limits.Learn(t.Charges)
		} else if ctx.Err() == nil && !errors.Is(t.Err, limit.ErrCharge) {
			sh.takes.Add(1)
			t.Alone = true
			t.Answer, t.Err = s.limits.Instead(ctx, t.Charges, sh.options.Nodes)
		}
	}
	lost := sh.client.Row() // what Redis lost
	var told []*redis.Told
	for i, got := range tried {
		t := &a.Tries[i]
		if t.Answer, t.Err = got.Answer, got.Err; t.Err != nil {
			if ctx.Err() == nil {
				sh.alone(ctx, s, t, now)
			}
			continue
		}
		s.greylist.ForgetOlder(t.Key, got.Pair, got.Identity)
		r, p, own := s.greylist.Learn(t.Key, t.Answer, t.Settings, now)
		if own == t.Answer || t.Hold() && own.Hold() && t.Wait-own.Wait < near {
			continue
		}
		if t.Hold() && !own.Hold() {
			sh.rescued.Add(1)
		}
		t.Answer, t.Alone = own, true
		told = append(told, lost.Teach(t.Key, r, p, t.Settings, now))
	}
	if told != nil {
		_ = lost.Do(ctx) // what it does not take now, it is told at the next try
		sh.count(told)
	}
	if n := len(a.Tries); n > 0 {
		if last := a.Tries[n-1].Settings; sh.settings.Load() == nil || *sh.settings.Load() != last {
			sh.settings.Store(&last)
		}
	}
}

// count counts what Redis took over.
func (sh *shared) count(told []*redis.Told) {
	for _, t := range told {
		sh.taught.Add(uint64(t.Changed))
	}
}

// near is how far apart two answers may be that say the same: the clock of a server, and the way there, are not ours.
const near = time.Second

// alone answers a try that Redis did not.
func (sh *shared) alone(ctx context.Context, s *Stores, t *Try, now time.Time) {
	sh.tries.Add(1)
	t.Alone = true
	if !sh.options.Pass || !sh.options.PassFull && sh.full(t.Err) {
		t.Answer, t.Err = s.greylist.Try(ctx, t.Key, t.Settings, now)
		return
	}
	if a := s.greylist.TryKnown(t.Key, t.Settings, now); a.Outcome != greylist.Unknown {
		t.Answer, t.Err = a, nil
		return
	}
	sh.unknown.Add(1)
}

// full reports whether Redis did not answer since it is out of memory.
func (sh *shared) full(err error) bool {
	kind := redis.KindOf(err)
	return kind == redis.Full || kind == redis.Held && sh.client.Health().Kind == redis.Full
}

// Health is how Redis fares, and ok whether there is one and it was asked.
func (s *Stores) Health() (h redis.Health, ok bool) {
	if s.shared == nil || !s.shared.probed.Load() {
		return h, false
	}
	return s.shared.client.Health(), true
}

// Counts are how often this process stood in for Redis.
func (s *Stores) Counts() Counts {
	sh := s.shared
	if sh == nil {
		return Counts{}
	}
	return Counts{Takes: sh.takes.Load(), Tries: sh.tries.Load(), Unknown: sh.unknown.Load(), Rescued: sh.rescued.Load(), Taught: sh.taught.Load()}
}

// Close ends the connections.
func (s *Stores) Close() error {
	if s.shared == nil {
		return nil
	}
	return s.shared.client.Close()
}
