package rbl

import (
	"time"
)

// State is whether a list is used.
type State uint8

// The states. Only an Armed list is asked about mail.
const (
	Unarmed   State = iota // never proved, or not to be used: Cause
	Armed                  // its test points answered as they should
	Suspended              // it was armed, and no longer proves that it works
)

func (s State) String() string { return [...]string{"unarmed", "armed", "suspended"}[s] }

// Change is what an operator should hear of: a list's state, or the cause of it, is another than before; or Warning: its free
// quota is nearly used up.
type Change struct {
	List     string
	At       time.Time
	From, To State
	Cause    Cause  // why it is not armed; NoCause where it is
	Detail   string // printable; without keys
	Warning  bool   // the volume of the last 24 hours reached 80 % of the quota; the states are equal
}

const (
	// ProbeEvery is how often the test points of an armed list are asked.
	ProbeEvery = 15 * time.Minute
	// firstRetry is how long a list that does not prove itself waits for its next chance; each failure doubles it, up to
	// ProbeEvery. An armed list that could not be told about waits so long too.
	firstRetry = time.Minute
	// fresh is how old the proof may be on which a listing rests. A listing that was found later is held against the test
	// points first, so that a zone that begins to list the world refuses nobody. Where these answered lately it is held against
	// the control alone, if that was asked about longer ago than believed: one question, instead of three to six.
	fresh    = time.Minute
	believed = 5 * time.Second

	breakerOf     = 10              // the last outcomes
	breakerTrips  = 7               // of them without an answer
	probeRest     = 2 * time.Second // between two probes because questions about mail got no answer
	silentProbes  = 2               // without any answer, one after another and none to mail between them
	breakerBack   = 60              // seconds; a clock that goes back by more was set
	warnOf100     = 80              // of the quota
	hitWindow     = 128
	hitShare      = 0.9 // of the window, and
	hitBefore     = 0.5 // less than that before, of
	hitBeforeMin  = 500 // at least so many
	hitBeforeFull = 4000
	hitCleared    = 4096
)

// breaker keeps the last outcomes of ten networks or domains, of each its last: one listed client whose answer fails, and that
// tries again and again, must not switch off the list that would refuse it, nor one whose answer is in a cache hide that the
// list is dead. Networks that come in one second are one, and most of them say what: of a thousand clients at once all questions
// may be late together, and that they are many says no more of the list than the first; only that it is time for its test points.
type breaker struct {
	last    [breakerOf]outcome
	size    int
	next    int
	newest  int // made in the second
	made    int64
	n       int   // failures among them
	second  int64 // of the newest outcome
	ok, bad int   // in that second
	burst   bool  // many failed in one second, and none was answered in a later one
}

type outcome struct {
	who    uint64
	failed bool
}

// note adds an outcome of now and reports whether the breaker trips. A who of 0 is a test point.
func (b *breaker) note(now time.Time, failed bool, who uint64) bool {
	second := now.Unix()
	if second > b.second || second < b.second-breakerBack {
		b.second, b.ok, b.bad = second, 0, 0
	}
	at := -1
	for i := range b.last[:b.size] {
		if who != 0 && b.last[i].who == who {
			at = i
		}
	}
	if at < 0 && b.made != b.second {
		at = b.next
		b.next = (b.next + 1) % breakerOf
		b.size = max(b.size, at+1)
		b.n -= count(b.last[at].failed)
		b.newest, b.made, b.last[at] = at, b.second, outcome{who: who}
	}
	if at < 0 || at == b.newest && b.made == b.second {
		at, failed = b.newest, b.together(failed)
	}
	b.n += count(failed) - count(b.last[at].failed)
	b.last[at].failed = failed
	return b.n >= breakerTrips
}

// together counts an outcome with those of its second, and says what most of them were.
func (b *breaker) together(failed bool) bool {
	b.bad += count(failed)
	b.ok += count(!failed)
	if failed = b.bad > b.ok; !failed {
		b.burst = false
	} else if b.bad >= breakerTrips {
		b.burst = true
	}
	return failed
}

func count(failed bool) int {
	if failed {
		return 1
	}
	return 0
}

// meter counts queries of the last 24 hours, to the hour.
type meter struct {
	hours  [24]int
	last   int64 // hour of the newest
	warned bool
}

// add counts n queries and reports whether the warning of a quota is due: once, until the volume falls below it.
func (m *meter) add(now time.Time, n, quota int) bool {
	m.turn(now)
	m.hours[m.last%24] += n
	above := quota > 0 && m.sum()*100 >= quota*warnOf100
	due := above && !m.warned
	m.warned = above
	return due
}

// turn forgets the hours that are older than a day. A clock that goes back counts into the newest hour.
func (m *meter) turn(now time.Time) {
	hour := now.Unix() / 3600
	for i := 0; m.last < hour && i < 24; i++ {
		if hour-m.last > 24 {
			m.last = hour - 24
		}
		m.last++
		m.hours[m.last%24] = 0
	}
}

func (m *meter) sum() int {
	sum := 0
	for _, n := range m.hours {
		sum += n
	}
	return sum
}

// hits watches how much of the world a list lists. It counts networks and organizations, each once in the window: one listed
// client that connects all day, or a flood of names below one domain, must not get a list suspended. Of those that are listed
// only such count as the list cleared before: a list that begins to list the world turns against those who come every day,
// while a thousand listed hosts that nobody has seen yet are what the list is for, and would else switch it off.
type hits struct {
	window [hitWindow]hit
	n, at  int
	listed int     // in the window
	shared int     // of these, by another list too
	before float64 // answers that left the window, halved when there are many
	sum    float64 // of these, listed
	// cleared are those that were not listed, each in the place of its number until another takes it.
	cleared [hitCleared]uint64
}

type hit struct {
	who            uint64
	listed, shared bool
}

// note adds an answer and reports whether the list now lists nearly everybody, did not before, and does so alone. Where other
// lists agree it is the world that changed: an attack by listed hosts must not switch off the list that stops it.
func (h *hits) note(one hit) bool {
	if at := &h.cleared[one.who%hitCleared]; !one.listed {
		*at = one.who
	} else if *at != one.who {
		return false
	}
	for i := range h.window[:h.n] {
		if h.window[i].who == one.who {
			return false
		}
	}
	if h.n == hitWindow {
		h.leave(h.window[h.at])
	} else {
		h.n++
	}
	h.window[h.at] = one
	h.at = (h.at + 1) % hitWindow
	if one.listed {
		h.listed++
	}
	if one.shared {
		h.shared++
	}
	return h.n == hitWindow && float64(h.listed) >= hitShare*hitWindow &&
		h.before >= hitBeforeMin && h.sum < hitBefore*h.before && 2*h.shared < h.listed
}

func (h *hits) leave(old hit) {
	if h.before++; old.listed {
		h.sum++
		h.listed--
	}
	if old.shared {
		h.shared--
	}
	if h.before >= hitBeforeFull {
		h.before, h.sum = h.before/2, h.sum/2
	}
}

// clear empties the window and keeps what was before it.
func (h *hits) clear() { h.n, h.at, h.listed, h.shared = 0, 0, 0, 0 }
