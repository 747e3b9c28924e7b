package replay

import (
	"context"
	"time"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/store"
)

// Source is the message log.
type Source interface {
	// Judged gives each transaction of a time to see, which may keep nothing of it.
	Judged(ctx context.Context, w store.Window, see func(*store.Judged) error) ([]store.Gap, error)
}

// Limits of a list.
const (
	DefaultLimit = 50
	MaxLimit     = 1000
)

// Question is what is asked.
type Question struct {
	Draft  *Draft
	Was    func(version string) *Draft // the policy of a version, or nil; nil: none is at hand
	Window store.Window
	Domain string // only the copies of its recipients; "": all
	Limit  int    // of the list; 0: DefaultLimit
	Marks  map[gateway.ID]api.SimMark
}

// Run judges all messages of a time again.
func Run(ctx context.Context, from Source, q *Question) (*api.Simulation, error) {
	limit := DefaultLimit
	if q.Limit > 0 {
		limit = min(q.Limit, MaxLimit)
	}
	r := newRun(q, limit)
	began, pace := time.Now(), newPace()
	gaps, err := from.Judged(ctx, q.Window, func(j *store.Judged) error {
		r.see(j)
		return pace.rest(ctx)
	})
	if err != nil {
		return nil, err
	}
	out := r.result()
	out.Took = time.Since(began).Milliseconds()
	for _, g := range gaps {
		out.Gaps = append(out.Gaps, g.Day+": "+g.Why)
	}
	return out, nil
}

// pace leaves time to others: after work of some milliseconds it rests for a quarter as long.
type pace struct {
	n     int
	began time.Time
}

// The work between two rests, and how often the clock is looked at.
const (
	spell = 4 * time.Millisecond
	every = 64
)

func newPace() *pace { return &pace{began: time.Now()} }

// rest is called for each message. It answers the error of ctx.
func (p *pace) rest(ctx context.Context) error {
	if p.n++; p.n%every != 0 {
		return nil
	}
	worked := time.Since(p.began)
	if worked < spell {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(worked/4, 20*time.Millisecond)):
	}
	p.began = time.Now()
	return nil
}
