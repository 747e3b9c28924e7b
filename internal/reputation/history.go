package reputation

import (
	"fmt"
	"time"
)

// Outcome is what came of mail.
type Outcome uint8

// The outcomes that are counted.
const (
	Accepted Outcome = iota // let in, with nothing found against it
	Spam                    // what is written in it was spam
	Virus                   // malware
	NoSuch                  // a recipient that does not exist
	Waited                  // told by the greylist to come again, and it did
	outcomes
)

var outcomeNames = [outcomes]string{"accepted", "spam", "virus", "no such recipient", "waited"}

// String is the word of an outcome.
func (o Outcome) String() string {
	if o < outcomes {
		return outcomeNames[o]
	}
	return "?"
}

// One is a whole message or recipient: counts are in thousandths, since what fades is no whole number.
const One = 1000

// Counts are how many of each outcome, in thousandths.
type Counts [outcomes]uint32

// Add returns the sum of two.
func (c Counts) Add(o Counts) Counts {
	for i := range c {
		c[i] = add(c[i], o[i])
	}
	return c
}

// Lesson is what one message, or some of them, teach of a subject.
type Lesson struct {
	Subject Subject
	Counts  Counts
}

// History is what is remembered of a subject. Its zero value is nothing. It is as of Seen; At tells what it says later.
type History struct {
	First    int64    `json:"first"`         // Unix seconds of the first lesson
	Seen     int64    `json:"seen"`          // and of the last
	Day      int64    `json:"day,omitempty"` // the last day on which one was accepted, since 1970
	Counts   Counts   `json:"counts"`        // halved every 30 days
	Days     uint32   `json:"days,omitempty"`
	Good     uint32   `json:"good,omitempty"` // of the last days: halved every day
	Bad      uint32   `json:"bad,omitempty"`  // likewise, weighed
	Standing Standing `json:"standing,omitempty"`
}

// Keep is how long a history is kept of which nothing new is learned.
const Keep = 90 * 24 * time.Hour

const (
	daySeconds  = 24 * 60 * 60
	keepSeconds = int64(Keep / time.Second)
	most        = 1 << 30 // of any count; with it no product of the arithmetic exceeds 2^53, which is what Lua counts to
	mostTime    = 1 << 40
)

// Second returns a time as histories hold it.
func Second(t time.Time) int64 { return min(max(t.Unix(), 1), mostTime) }

// Over reports whether the history tells nothing any more, or never did.
func (h *History) Over(now time.Time) bool { return h.Seen == 0 || Second(now)-h.Seen >= keepSeconds }

// Learn returns the history with what was seen now. Lessons without a count change nothing.
func (h History) Learn(c Counts, now time.Time) History {
	if c == (Counts{}) {
		return h
	}
	t := Second(now)
	h = h.at(t)
	if h.First == 0 {
		h.First = t
	}
	h.Counts = h.Counts.Add(c)
	if today := t / daySeconds; c[Accepted] > 0 && h.Day != today {
		h.Day, h.Days = today, add(h.Days, One)
	}
	h.Good, h.Bad = add(h.Good, c[Accepted]), add(h.Bad, uint32(min(weigh(c), most)))
	h.Seen = t
	h.Standing = h.next()
	return h
}

// At returns what the history says at a time, faded; the zero value when it is over. What it returns is for reading: to
// learn, a history is taken as it was kept.
func (h History) At(now time.Time) History {
	h = h.at(Second(now))
	h.Standing = h.next()
	return h
}

// at fades the counts. A time ahead, of a clock that went back or of another node, is now.
func (h History) at(t int64) History {
	if h.Seen == 0 || t-h.Seen >= keepSeconds {
		return History{}
	}
	h.First, h.Seen, h.Day = min(h.First, t), min(h.Seen, t), min(h.Day, t/daySeconds)
	n := t/slowStep - h.Seen/slowStep
	for o := range h.Counts {
		h.Counts[o] = fade(h.Counts[o], n)
	}
	h.Days = fade(h.Days, n)
	n = t/fastStep - h.Seen/fastStep
	h.Good, h.Bad = fade(h.Good, n), fade(h.Bad, n)
	return h
}

// Join returns a history of what two say that learned apart, of different mail: that of a process which began before it had
// read what was kept.
func (h History) Join(o History) History {
	t := max(h.Seen, o.Seen)
	sameDay := h.Day == o.Day && h.Day != 0
	h, o = h.at(t), o.at(t)
	if h.Seen == 0 {
		return o
	}
	if o.Seen == 0 {
		return h
	}
	h.First, h.Seen, h.Day = min(h.First, o.First), t, max(h.Day, o.Day)
	h.Counts = h.Counts.Add(o.Counts)
	h.Days, h.Good, h.Bad = add(h.Days, o.Days), add(h.Good, o.Good), add(h.Bad, o.Bad)
	if sameDay {
		h.Days -= min(h.Days, One)
	}
	h.Standing = max(h.Standing, o.Standing)
	h.Standing = h.next()
	return h
}

func add(a, b uint32) uint32 { return uint32(min(uint64(a)+uint64(b), most)) }

// numbers is how many numbers a history is.
const numbers = 12

// Numbers returns the history as a script holds it.
func (h *History) Numbers() [numbers]int64 {
	n := [numbers]int64{h.First, h.Seen, h.Day}
	for o := range h.Counts {
		n[3+o] = int64(h.Counts[o])
	}
	n[8], n[9], n[10], n[11] = int64(h.Days), int64(h.Good), int64(h.Bad), int64(h.Standing)
	return n
}

// Parsed returns the history of what Numbers returned, and whether it is one: nothing that a script answers is believed
// that Learn could not have made.
func Parsed(n []int64) (h History, ok bool) {
	if len(n) != numbers || n[11] < 0 || n[11] > int64(Bad) {
		return History{}, false
	}
	h = History{First: n[0], Seen: n[1], Day: n[2], Standing: Standing(n[11])}
	for _, c := range n[3:11] {
		if c < 0 || c > most {
			return History{}, false
		}
	}
	for o := range h.Counts {
		h.Counts[o] = uint32(n[3+o])
	}
	h.Days, h.Good, h.Bad = uint32(n[8]), uint32(n[9]), uint32(n[10])
	if h.Sane() != nil {
		return History{}, false
	}
	return h, true
}

// Sane says what is wrong with a history that was read, whatever made it; nil for one that Learn could have made.
func (h *History) Sane() error {
	if *h == (History{}) {
		return nil
	}
	for _, c := range append(h.Counts[:], h.Days, h.Good, h.Bad) {
		if c > most {
			return fmt.Errorf("reputation: a count of %d", c)
		}
	}
	if h.First < 1 || h.Seen < h.First || h.Seen > mostTime || h.Day < 0 || h.Day > h.Seen/daySeconds || h.Standing > Bad {
		return fmt.Errorf("reputation: a history from %d to %d, day %d, %s", h.First, h.Seen, h.Day, h.Standing)
	}
	return nil
}
