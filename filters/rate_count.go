package filters

import (
	"cmp"
	"slices"
	"sync"

	"gatepost/internal/limit"
)

// RateCounts counts how often limits were met, for the metrics. It is safe for concurrent use; a nil one counts nothing.
type RateCounts struct {
	mu    sync.Mutex
	limit map[limit.Key]*RateCount // by key without a subject: there are few
}

// RateCount is how often one limit was met.
type RateCount struct {
	Limit    string // "connections/client/unknown"
	Denied   int64  // it refused, or would have where another refused first; allowed clients and soft modes are counted too
	Observed int64  // it is only observed
}

// over counts a charge that was over its limit.
func (r *RateCounts) over(c *limit.Charge) {
	if r == nil {
		return
	}
	key := c.Key
	key.Subject = ""
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.limit[key]
	if n == nil {
		if r.limit == nil {
			r.limit = make(map[limit.Key]*RateCount)
		}
		n = &RateCount{Limit: key.Limit()}
		r.limit[key] = n
	}
	if c.Observed {
		n.Observed++
	} else {
		n.Denied++
	}
}

// All returns the limits that were met, by name.
func (r *RateCounts) All() []RateCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]RateCount, 0, len(r.limit))
	for _, n := range r.limit {
		out = append(out, *n)
	}
	slices.SortFunc(out, func(a, b RateCount) int { return cmp.Compare(a.Limit, b.Limit) })
	return out
}
