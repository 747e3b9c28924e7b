package greylist

import "time"

// Record is what is remembered of a pair, in milliseconds of Unix time: over 0, it waits since then; below 0, it passed,
// and was last seen at the negated time; 0, nothing is known.
type Record int64

// Passes is what is remembered of an identity: over 0, the time in milliseconds of the first pass of the count, times 16,
// plus the count; below 0, all of its mail passes, and it was last seen at the negated time in milliseconds; 0, nothing.
// All of it, like a Record, is an integer that a float64 holds, since Lua has no other numbers.
type Passes int64

const countBits = 4 // MaxPasses fits

// Outcome says what came of a try.
type Outcome uint8

// What comes of a try. The numbers are what a script answers.
const (
	Unknown Outcome = iota // nobody was asked, or the store did not answer: neither passed nor to be held for it
	First                  // a stranger's first try, or the first after its window: it waits
	Early                  // a stranger's next try, too early: it waits
	Passed                 // a stranger that waited: it passes, for the first time
	Known                  // the pair passed before
	Exempt                 // the identity passed often enough
)

var outcomes = [...]string{"unknown", "first", "early", "passed", "known", "exempt"}

// String returns a word.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return outcomes[Unknown]
}

// Answer is what came of a try.
type Answer struct {
	Outcome Outcome
	// Wait is how long the client has to wait until a try passes: over 0 with First and Early, at most the delay; else 0.
	Wait time.Duration
	// Waited is, with Passed, how long ago the first try was: what greylisting cost this mail. Else 0.
	Waited time.Duration
}

// Hold reports whether the client is told to come again (451 4.7.1).
func (a Answer) Hold() bool { return a.Outcome == First || a.Outcome == Early }

// Apart is how far from each other passes of an identity are, on average, to count: one message to many recipients passes
// many pairs in one session, and shows no more than with one that its server tries again. The pass after n others counts
// from n times Apart after the first of them.
const Apart = time.Minute

// The times that records hold. What a clock says beyond them is taken for the nearest: 1 ms, and the year 10889.
const (
	leastTime = 1
	mostTime  = 1 << 48
)

// Millis returns a time as records hold it.
func Millis(t time.Time) int64 { return min(max(t.UnixMilli(), leastTime), mostTime) }

// Decide is greylisting: of what is remembered of a pair and its identity, what is to be remembered, and the answer. What
// comes back as it was need not be written, and 0 is a record that need not be kept. What is written holds until
// Record.End and Passes.End; a store may drop it then, and need not.
//
// A time ahead of now, after the clock went back or from a node whose clock is ahead, is taken for now. So nobody waits
// for a clock: what passed passes, and what waits, waits the delay at most.
func Decide(r Record, p Passes, s Settings, now time.Time) (Record, Passes, Answer) {
	s, t := s.Filled(), Millis(now)
	if p = p.at(t, s); p < 0 && s.Passes > 0 {
		return r, Passes(-t), Answer{Outcome: Exempt}
	}
	switch r = r.at(t, s); {
	case r == 0:
		return Record(t), p, Answer{Outcome: First, Wait: s.Delay}
	case r < 0:
		return Record(-t), p, Answer{Outcome: Known}
	}
	waited := time.Duration(t-int64(r)) * time.Millisecond
	if waited < s.Delay {
		return r, p, Answer{Outcome: Early, Wait: s.Delay - waited}
	}
	return Record(-t), p.count(t, s), Answer{Outcome: Passed, Waited: waited}
}

// Release returns a record that passes, of one that waits, and whether it did. The identity earns no pass by it.
func (r Record) Release(s Settings, now time.Time) (Record, bool) {
	t := Millis(now)
	if r.at(t, s.Filled()) <= 0 {
		return r, false
	}
	return Record(-t), true
}

// Waits returns since when a pair waits, and whether it does.
func (r Record) Waits(s Settings, now time.Time) (since time.Time, waits bool) {
	if r = r.at(Millis(now), s.Filled()); r <= 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(r)), true
}

// End returns when a record tells nothing any more; the zero time, if it never did.
func (r Record) End(s Settings) time.Time {
	s = s.Filled()
	switch {
	case r > 0:
		return time.UnixMilli(int64(r)).Add(s.Window)
	case r < 0:
		return time.UnixMilli(int64(-r)).Add(s.Keep)
	}
	return time.Time{}
}

// End returns when what is remembered of an identity tells nothing any more; the zero time, if it never did.
func (p Passes) End(s Settings) time.Time {
	s = s.Filled()
	switch {
	case p > 0:
		return time.UnixMilli(int64(p >> countBits)).Add(s.Within)
	case p < 0:
		return time.UnixMilli(int64(-p)).Add(s.Keep)
	}
	return time.Time{}
}

// at returns what a record tells at a time: 0 when its time is over, and no time ahead.
func (r Record) at(t int64, s Settings) Record {
	switch {
	case r > 0:
		if r = min(r, Record(t)); t-int64(r) >= s.Window.Milliseconds() {
			return 0
		}
	case r < 0:
		if r = max(r, Record(-t)); t+int64(r) >= s.Keep.Milliseconds() {
			return 0
		}
	}
	return r
}

// at is as that of a Record.
func (p Passes) at(t int64, s Settings) Passes {
	switch {
	case p > 0:
		since, n := min(int64(p>>countBits), t), p&MaxPasses
		if t-since >= s.Within.Milliseconds() {
			return 0
		}
		return Passes(since)<<countBits | n
	case p < 0:
		if p = max(p, Passes(-t)); t+int64(p) >= s.Keep.Milliseconds() {
			return 0
		}
	}
	return p
}

// count counts a pass, unless it comes too soon after those before.
func (p Passes) count(t int64, s Settings) Passes {
	if s.Passes < 0 {
		return p
	}
	if p <= 0 {
		p = Passes(t) << countBits
	}
	if n := int64(p & MaxPasses); t-int64(p>>countBits) < n*Apart.Milliseconds() {
		return p
	}
	if p++; int(p&MaxPasses) >= s.Passes {
		return Passes(-t)
	}
	return p
}
