package filters

import (
	"sync"
	"time"
)

// Held remembers who was held since a list was late, so that a list that is late for the same one each time holds nobody for
// good: a list that fails refuses no mail. The zero value is ready; it outlives a policy.
type Held struct {
	mu         sync.Mutex
	young, old map[string]time.Time // since when; the old ones are forgotten when the young become old
	turned     time.Time
}

const (
	// heldFor is how long somebody is held at most: a sender that comes again a minute later finds the answer in the cache.
	heldFor = 15 * time.Minute
	// heldKept is how long that is remembered at least, and twice as long at most: who was held long enough is not held again.
	heldKept = 12 * time.Hour
	// heldMost is how many are remembered at most, twice: about 10 MB.
	heldMost = 1 << 15
)

// over reports whether somebody was held long enough at now, and notes who was not held yet.
func (h *Held) over(who string, now time.Time) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.young) >= heldMost || now.Sub(h.turned) >= heldKept || now.Before(h.turned) {
		h.old, h.young, h.turned = h.young, map[string]time.Time{}, now
	}
	since, known := h.young[who]
	if !known {
		since, known = h.old[who]
	}
	if !known || now.Before(since) || now.Sub(since) >= 2*heldKept {
		since = now
	}
	h.young[who] = since
	return now.Sub(since) >= heldFor
}
