package dane

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// Outcome is what a validating resolver said of the TLSA records of a host. The zero value is that it could not tell.
type Outcome uint8

// The outcomes of a question.
const (
	Failed Outcome = iota // no answer that says anything
	Bogus                 // there is one, and its signatures do not hold
	Absent                // there are none
	Found
)

// Observed is what a validating resolver said of a host of ours.
type Observed struct {
	Outcome Outcome
	Secure  bool          // it was validated, also where it says that there are none
	Records []Record      //
	TTL     time.Duration // that is left of what it said
	Detail  string        // of Failed and Bogus
}

// Watch remembers since when which TLSA records of our hosts are seen, so that it can be told when a key may be shown. It is
// safe for concurrent use; the zero value knows nothing.
type Watch struct {
	mu    sync.Mutex
	hosts map[string]*Seen
}

// Seen is what is remembered of a host.
type Seen struct {
	At    time.Time            `json:"at"`              // when it was last told what there is
	TTL   time.Duration        `json:"ttl"`             // the longest that was seen: what may lie in the caches of others
	Since map[string]time.Time `json:"since,omitempty"` // of each record that is there, since when it is seen without a gap
	Gone  map[string]time.Time `json:"gone,omitempty"`  // of those that went, when; until no cache can have them any more

	last Observed // the last one, whatever its outcome; of this process
	came time.Time
}

// Bounds of what is remembered and believed.
const (
	mostHosts   = 256
	mostRecords = 100
	leastTTL    = time.Second
	mostTTL     = 7 * 24 * time.Hour // what caches keep at most
)

// Saw is told each answer. Answers that say nothing change nothing but what is known of now.
func (w *Watch) Saw(host string, a Observed, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.hosts[host]
	if s == nil {
		if len(w.hosts) >= mostHosts {
			return
		}
		if w.hosts == nil {
			w.hosts = map[string]*Seen{}
		}
		s = &Seen{}
		w.hosts[host] = s
	}
	s.last, s.came = a, now
	if a.Outcome != Found && a.Outcome != Absent {
		return
	}
	s.learn(a, now)
}

// learn keeps an answer that tells what there is. Whoever did not look for longer than records may lie in caches does not know
// what was published meanwhile, and begins anew.
func (s *Seen) learn(a Observed, now time.Time) {
	gap := now.Sub(s.At) > 2*s.ttl() || now.Before(s.At)
	if a.Outcome == Found {
		s.TTL = max(s.TTL, min(max(a.TTL, leastTTL), mostTTL))
	}
	there := make(map[string]time.Time, len(a.Records))
	for _, r := range a.Records[:min(len(a.Records), mostRecords)] {
		since, before := s.Since[r.String()]
		if !before || gap {
			since = now
		}
		there[r.String()] = since
	}
	gone := map[string]time.Time{}
	for text, at := range s.Gone {
		if _, again := there[text]; !again && now.Sub(at) < 2*s.ttl() && len(gone) < mostRecords {
			gone[text] = at
		}
	}
	for text := range s.Since {
		if _, still := there[text]; !still && len(gone) < mostRecords {
			gone[text] = now
		}
	}
	s.Since, s.Gone, s.At = there, gone, now
	if len(there) == 0 && len(gone) == 0 {
		s.TTL = 0 // whoever publishes anew begins with a TTL of his own
	}
}

// ttl is that of the rules: never nothing.
func (s *Seen) ttl() time.Duration { return max(s.TTL, leastTTL) }

// Again is when a host should be looked at again: often enough to see a record go, at least every hour, and when what lies in
// the resolver's cache has run out, which tells the whole TTL.
func (w *Watch) Again(host string, now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.hosts[host]
	if s == nil || s.came.IsZero() {
		return now
	}
	pause := time.Hour
	switch s.last.Outcome {
	case Found:
		pause = min(pause, max(s.last.TTL, leastTTL)/2)
	case Failed, Bogus:
		pause = time.Minute
	}
	if len(s.Since)+len(s.Gone) > 0 {
		pause = min(pause, s.ttl()/2)
	}
	return s.came.Add(max(pause, leastTTL/2))
}

// State returns what is to be kept over a restart.
func (w *Watch) State() map[string]Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string]Seen, len(w.hosts))
	for host, s := range w.hosts {
		if s.At.IsZero() {
			continue
		}
		out[host] = Seen{At: s.At, TTL: s.TTL, Since: maps.Clone(s.Since), Gone: maps.Clone(s.Gone)}
	}
	return out
}

// Restore takes what was kept. What cannot be true, of a clock that was turned back or of a damaged file, is left out: then the
// two TTLs begin anew.
func (w *Watch) Restore(kept map[string]Seen, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hosts == nil {
		w.hosts = map[string]*Seen{}
	}
	for _, host := range slices.Sorted(maps.Keys(kept)) {
		s := kept[host]
		future := func(_ string, at time.Time) bool { return at.After(now) || at.After(s.At) }
		if len(w.hosts) >= mostHosts || w.hosts[host] != nil || s.At.After(now) || len(s.Since) > mostRecords || len(s.Gone) > mostRecords {
			continue
		}
		s.TTL = min(max(s.TTL, 0), mostTTL)
		maps.DeleteFunc(s.Since, future)
		maps.DeleteFunc(s.Gone, future)
		w.hosts[host] = &s
	}
}

// Forget drops the hosts that are not ours any more.
func (w *Watch) Forget(ours func(host string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.hosts, func(host string, _ *Seen) bool { return !ours(host) })
}

// records are those of an answer in a fixed order, as resolvers give them in any.
func (a *Observed) records() []Record {
	out := slices.Clone(a.Records)
	slices.SortFunc(out, func(x, y Record) int { return cmp.Compare(x.String(), y.String()) })
	return slices.CompactFunc(out, func(x, y Record) bool { return x.String() == y.String() })
}
