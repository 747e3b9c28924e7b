package shaping

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/internal/redis"
	"gatepost/internal/reputation"
)

// Histories are what this process keeps of what came of mail: what internal/memory has.
type Histories interface {
	reputation.Store
	// Told takes over what a store that is shared said of a subject.
	Told(s reputation.Subject, h reputation.History)
	// Each calls a function with each history, in no order.
	Each(do func(s reputation.Subject, h reputation.History))
}

// Reputation is what came of mail before: in this process, and with Redis what all nodes learned. What this process keeps
// then learns each answer and each lesson, and answers while Redis is away. Redis is what counts while it is there: a subject
// that was forgotten at one node is forgotten. Its methods are safe for concurrent use.
type Reputation struct {
	own    Histories
	client *redis.Client // nil without Redis

	mu      sync.Mutex
	pending map[reputation.Subject]reputation.Counts // what Redis was not told yet

	alone, dropped, taught atomic.Uint64
}

// ReputationCounts are what became of questions and lessons. They only grow.
type ReputationCounts struct {
	Taught  uint64 // lessons
	Alone   uint64 // questions that Redis did not answer, and this process did
	Dropped uint64 // lessons that Redis was never told, or may not have taken
}

const (
	// mostPending bounds what waits for Redis. What is more only this process learns.
	mostPending = 1 << 13
	flushEvery  = time.Second
)

// NewReputation makes it of what this process keeps.
func NewReputation(own Histories) *Reputation {
	return &Reputation{own: own, pending: map[reputation.Subject]reputation.Counts{}}
}

// Share asks Redis first from now on. It is called before anything else. Whoever opened the client closes it.
func (r *Reputation) Share(c *redis.Client) { r.client = c }

// Waits reports whether Look waits for somebody else, so that it is worth to be begun early.
func (r *Reputation) Waits() bool { return r.client != nil }

// Look returns the histories of subjects.
func (r *Reputation) Look(ctx context.Context, subjects []reputation.Subject) ([]reputation.History, error) {
	if r.client == nil {
		return r.own.Look(ctx, subjects, time.Time{})
	}
	got, err := r.client.Reputation().Look(ctx, subjects, time.Time{})
	if err == nil {
		for i, s := range subjects {
			r.own.Told(s, got[i])
		}
		return got, nil
	}
	if ctx.Err() == nil && !errors.Is(err, reputation.ErrSubject) {
		r.alone.Add(1)
		return r.own.Look(ctx, subjects, time.Time{})
	}
	return nil, err
}

// Own returns what this process knows of a subject. It never waits.
func (r *Reputation) Own(s reputation.Subject) reputation.History {
	h, err := r.own.Look(context.Background(), []reputation.Subject{s}, time.Time{})
	if err != nil { // nobody
		return reputation.History{}
	}
	return h[0]
}

// Learn takes what a message taught. It never waits: Redis is told by Run, within about a second.
func (r *Reputation) Learn(lessons []reputation.Lesson) {
	if len(lessons) == 0 {
		return
	}
	r.taught.Add(uint64(len(lessons)))
	_, _ = r.own.Learn(context.Background(), lessons, time.Time{}) // what is no lesson teaches nothing
	if r.client == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range lessons {
		r.wait(l)
	}
}

// wait has a lesson wait for Redis. It is called with the lock held.
func (r *Reputation) wait(l reputation.Lesson) {
	c, there := r.pending[l.Subject]
	if !there && len(r.pending) >= mostPending || !l.Subject.Valid() {
		r.dropped.Add(1)
		return
	}
	r.pending[l.Subject] = c.Add(l.Counts)
}

// Run tells Redis what was learned, until ctx is done, and then once more. Without Redis it ends at once.
func (r *Reputation) Run(ctx context.Context) {
	if r.client == nil {
		return
	}
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			r.flush(ctx)
		}
	}
}

// flush tells Redis what waits, a row at a time, until it is told or Redis does not take it. What was not sent waits on; what
// was sent and not answered may have been counted, and is not sent again.
func (r *Reputation) flush(ctx context.Context) {
	r.mu.Lock()
	pending := r.pending
	r.pending = map[reputation.Subject]reputation.Counts{}
	r.mu.Unlock()
	for len(pending) > 0 {
		row := make([]reputation.Lesson, 0, reputation.Most)
		for s, c := range pending {
			if row = append(row, reputation.Lesson{Subject: s, Counts: c}); len(row) == reputation.Most {
				break
			}
		}
		got, err := r.client.Reputation().Learn(ctx, row, time.Time{})
		if redis.KindOf(err) == redis.Held || ctx.Err() != nil {
			r.again(pending)
			return
		}
		for i := range row {
			delete(pending, row[i].Subject)
			if err == nil {
				r.own.Told(row[i].Subject, got[i])
			} else {
				r.dropped.Add(1)
			}
		}
	}
}

// again has what was not sent wait on.
func (r *Reputation) again(pending map[reputation.Subject]reputation.Counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	newer := r.pending
	r.pending = pending
	for s, c := range newer {
		r.wait(reputation.Lesson{Subject: s, Counts: c})
	}
}

// Each calls a function with each history that this process keeps, in no order.
func (r *Reputation) Each(do func(s reputation.Subject, h reputation.History)) { r.own.Each(do) }

// Forget forgets a subject, here and in Redis, and reports whether something was known. Another node that knows of it still
// learns that it is forgotten when it next asks Redis. With an error it was done here.
func (r *Reputation) Forget(ctx context.Context, s reputation.Subject) (bool, error) {
	known, err := r.own.Forget(ctx, s)
	if err != nil || r.client == nil {
		return known, err
	}
	r.mu.Lock()
	delete(r.pending, s)
	r.mu.Unlock()
	there, err := r.client.Reputation().Forget(ctx, s)
	return known || there, here(err)
}

// Counts are what became of questions and lessons.
func (r *Reputation) Counts() ReputationCounts {
	return ReputationCounts{Taught: r.taught.Load(), Alone: r.alone.Load(), Dropped: r.dropped.Load()}
}
