package replay

import (
	"slices"
	"sync"

	"gatepost/gateway"
	"gatepost/internal/api"
	"gatepost/internal/store"
)

// Live judges messages again by a draft as they come, and counts as Run does. It keeps nothing of a message but what it lists. It may be
// used by several goroutines.
type Live struct {
	mu  sync.Mutex
	run *run
}

// NewLive makes one for a question, whose window does not count.
func NewLive(q *Question) *Live {
	limit := DefaultLimit
	if q.Limit > 0 {
		limit = min(q.Limit, MaxLimit)
	}
	return &Live{run: newRun(q, limit)}
}

// See judges what came of a transaction; all other events are left out. The event is not changed.
func (l *Live) See(e *gateway.Event) {
	if e == nil || e.Record == nil || e.Kind != gateway.TransactionEvent {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.run.see(&store.Judged{Record: e.Record, Verdict: e.Verdict, Policy: e.Policy})
}

// Result is what there is so far.
func (l *Live) Result() *api.Simulation {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := *l.run.result()
	out.Matrix = slices.Clone(out.Matrix)
	out.Scores.Live, out.Scores.Draft = slices.Clone(out.Scores.Live), slices.Clone(out.Scores.Draft)
	return &out
}
