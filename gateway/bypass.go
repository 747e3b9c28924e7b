package gateway

import (
	"maps"
	"sync/atomic"
	"time"
)

// ScoringCheck is the name under which a Record says that points decided nothing, since an operator left that out: a finding
// NotRun for the reason LeftBypassed. No check has it.
const ScoringCheck = "scoring"

// Bypasses are the checks that an operator left out for a while, shared by all snapshots, so that a session that has begun sees
// them too. Its zero value, and nil, leave out none.
type Bypasses struct {
	until atomic.Pointer[map[string]time.Time]
}

// Set puts in force which checks are left out, and until when.
func (b *Bypasses) Set(until map[string]time.Time) {
	if len(until) == 0 {
		b.until.Store(nil)
		return
	}
	until = maps.Clone(until)
	b.until.Store(&until)
}

// Has reports whether a check is left out now.
func (b *Bypasses) Has(check string) bool {
	if b == nil {
		return false
	}
	all := b.until.Load()
	if all == nil {
		return false
	}
	until, ok := (*all)[check]
	return ok && time.Now().Before(until)
}

// Bypassable reports whether checks of a class may be left out: never what keeps malware out, tells who exists, whom we serve, or
// what the protocol asks for.
func (c Class) Bypassable() bool { return c < ClassMalware }

// unscored reports whether points decide nothing.
func (r *Record) unscored() bool {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Check == ScoringCheck && f.Result == NotRun && f.Reason == LeftBypassed {
			return true
		}
	}
	return false
}
