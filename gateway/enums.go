package gateway

import (
	"fmt"
	"strings"
)

// Stage is a moment of a session at which checks run. Each check belongs to one.
type Stage uint8

// The stages, in the order of a session.
const (
	Connect Stage = iota // the client's address is known; nothing was said
	Helo                 // the name of HELO or EHLO is known; run again at each MAIL, since a second EHLO must not evade a check
	Mail                 // the reverse-path is known
	Rcpt                 // one recipient; run once for each
	Data                 // the whole message is in the body buffer
)

var stageNames = []string{"connect", "helo", "mail", "rcpt", "data"}

func (s Stage) String() string                { return name(stageNames, s) }
func (s Stage) MarshalText() ([]byte, error)  { return []byte(s.String()), nil }
func (s *Stage) UnmarshalText(b []byte) error { return parse(stageNames, "stage", b, s) }

// Outcome is what becomes of a recipient's copy of a message, in rising order of severity: the worst wins.
type Outcome uint8

// The outcomes (PRODUCT: words for the outcome).
const (
	Accept     Outcome = iota
	Tag                // accepted with marks
	Quarantine         // kept by the gateway, or delivered with a mark where policy wants no vault
	Defer              // 4xx: the sender comes back
	Reject             // 5xx: the sender is told
	Drop               // 421 or 554 and the connection is closed
)

var outcomeNames = []string{"accept", "tag", "quarantine", "defer", "reject", "drop"}

func (o Outcome) String() string                { return name(outcomeNames, o) }
func (o Outcome) MarshalText() ([]byte, error)  { return []byte(o.String()), nil }
func (o *Outcome) UnmarshalText(b []byte) error { return parse(outcomeNames, "outcome", b, o) }

// Refuses reports whether the sender keeps the message: the outcome is Defer, Reject or Drop.
func (o Outcome) Refuses() bool { return o >= Defer }

// Action is what policy wants done with what a check saw. Pass is only for what a check could not tell.
type Action uint8

// The actions, in rising order of severity.
const (
	ActionOff        Action = iota // the check does not run
	ActionObserve                  // runs, is shown, decides and costs nothing
	ActionPass                     // lets the message go on, with a mark that it was not checked
	ActionScore                    // its measures cost their points
	ActionTag                      // at least Tag
	ActionStrip                    // Tag, without the parts that the finding is about: a notice stands in their place
	ActionQuarantine               // at least Quarantine
	ActionDefer                    // at least Defer
	ActionReject                   // at least Reject
	ActionDrop                     // Drop
)

var actionNames = []string{"off", "observe", "pass", "score", "tag", "strip", "quarantine", "defer", "reject", "drop"}

func (a Action) String() string                { return name(actionNames, a) }
func (a Action) MarshalText() ([]byte, error)  { return []byte(a.String()), nil }
func (a *Action) UnmarshalText(b []byte) error { return parse(actionNames, "action", b, a) }

// Outcome returns what the action alone leads to; Accept for those that decide nothing.
func (a Action) Outcome() Outcome {
	switch {
	case a < ActionTag:
		return Accept
	case a <= ActionStrip:
		return Tag
	}
	return Outcome(a-ActionQuarantine) + Quarantine
}

// Mode is how much of the policy is in force while a site cuts over.
type Mode uint8

// The modes. What the classes relay, recipient, malware and protocol decide is in force in each of them.
const (
	Enforce     Mode = iota // the zero value, and the default of the file
	Soft                    // other refusals with 5xx become quarantine; limits and greylisting only count
	ObserveOnly             // everything is judged; nothing else is changed
)

var modeNames = []string{"enforce", "soft", "observe"}

func (m Mode) String() string                { return name(modeNames, m) }
func (m Mode) MarshalText() ([]byte, error)  { return []byte(m.String()), nil }
func (m *Mode) UnmarshalText(b []byte) error { return parse(modeNames, "mode", b, m) }

// Class groups checks by what may overrule them. The zero value may be overruled by everything.
type Class uint8

// The classes.
const (
	ClassOpinion   Class = iota // shape, reputation, spam: allow entries and modes overrule it
	ClassList                   // access and block lists: postmaster and abuse pass them, and allow entries overrule them
	ClassLimiting               // rates and greylisting: soft mode only counts them
	ClassDemand                 // what the operator asks of a sender's transport: postmaster and abuse pass it, and no allow entry overrules it
	ClassContent                // what a message holds and whom it poses as: no allow entry overrules it, modes soften it, postmaster and abuse do not pass it
	ClassMalware                // never overruled
	ClassRecipient              // does the recipient exist: never overruled
	ClassRelay                  // do we serve this domain: never overruled
	ClassProtocol               // the edge's own rules (RFC 5321): never overruled
)

var classNames = []string{"opinion", "list", "limiting", "demand", "content", "malware", "recipient", "relay", "protocol"}

func (c Class) String() string { return name(classNames, c) }

// name and parse serve the text forms of all enumerations above.
func name[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("unknown(%d)", v)
}

func parse[T ~uint8](names []string, what string, text []byte, into *T) error {
	for i, n := range names {
		if n == string(text) {
			*into = T(i)
			return nil
		}
	}
	return fmt.Errorf("%s: %q is not one of %s", what, text, strings.Join(names, ", "))
}
