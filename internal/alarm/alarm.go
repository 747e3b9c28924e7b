package alarm

import (
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
)

// Severity is how bad it is.
type Severity string

// The severities, from the mildest.
const (
	Info     Severity = "info"     // to know
	Warning  Severity = "warning"  // to be looked at today
	Critical Severity = "critical" // mail stands still, or is in danger
)

// Severities are all of them, the mildest first.
func Severities() []Severity { return []Severity{Info, Warning, Critical} }

// Known reports whether it is one of Severities.
func (s Severity) Known() bool { return slices.Contains(Severities(), s) }

// AtLeast reports whether it is as bad as another, or worse. What is not known is as bad as Warning.
func (s Severity) AtLeast(least Severity) bool { return s.rank() >= least.rank() }

func (s Severity) rank() int {
	if i := slices.Index(Severities(), s); i >= 0 {
		return i
	}
	return 1
}

// Ack says that somebody knows of an alarm: it is not told again until it is over, or until a time.
type Ack struct {
	By    string    `json:"by"`
	At    time.Time `json:"at"`
	Note  string    `json:"note,omitempty"`
	Until time.Time `json:"until,omitzero"` // zero: until it is over
}

// Alarm is one thing that is or was wrong.
type Alarm struct {
	ID       string    `json:"id"` // kind and object with a colon between; it stays the same whenever the same thing goes wrong
	Kind     string    `json:"kind"`
	Object   string    `json:"object"`
	Severity Severity  `json:"severity"`
	Text     string    `json:"text"`            // what is wrong, as it was last seen; printable ASCII
	Do       string    `json:"do,omitempty"`    // what to do about it
	Since    time.Time `json:"since"`           // when it began, this time
	Seen     time.Time `json:"seen"`            // when it was last seen
	Over     time.Time `json:"over,omitzero"`   // when it ended; zero while it stands
	Count    int       `json:"count"`           // how often it began, as far as it is remembered
	Owner    string    `json:"owner,omitempty"` // who takes care of it
	Ack      *Ack      `json:"ack,omitempty"`
	Told     time.Time `json:"told,omitzero"` // when a notice last had it; zero: not since it began
}

// Standing reports whether it is not over.
func (a *Alarm) Standing() bool { return a.Over.IsZero() }

// clone is one that does not change with the other.
func (a *Alarm) clone() Alarm {
	c := *a
	if a.Ack != nil {
		ack := *a.Ack
		c.Ack = &ack
	}
	return c
}

// Report is what whoever finds something wrong says of it. Texts may hold what strangers wrote: they are cut and made printable.
type Report struct {
	Kind     string // a word: part, path, bypass
	Object   string // what it is about
	Severity Severity
	Text     string
	Do       string
}

// ID is the name of the alarm.
func (r *Report) ID() string { return IDOf(r.Kind, r.Object) }

// IDOf is the name of an alarm: its kind and object, without white space.
func IDOf(kind, object string) string {
	word := func(s string, most int) string { return strings.Join(strings.Fields(gateway.CleanText(s, most)), "-") }
	return word(kind, 40) + ":" + word(object, 120)
}

// Bounds of the texts of an alarm.
const (
	maxText = 500
	maxDo   = 500
	maxNote = 500
	maxName = 120
)
