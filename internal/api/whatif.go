package api

import (
	"time"

	"gatepost/gateway"
)

// SimulateAsk is a what-if: recorded mail judged again under a draft of the policy.
type SimulateAsk struct {
	Text    string `json:"text,omitempty" secret:"true" doc:"The draft, a document as in policy.toml. Not set: version, or else what is in force, under which nothing changes but by mail that came under another"`
	Version int64  `json:"version,omitempty" min:"0" doc:"A version of the policy in the place of a draft"`
	Days    int    `json:"days,omitempty" default:"7" min:"1" max:"400" doc:"The mail of how many days, up to now"`
	Domain  string `json:"domain,omitempty" doc:"Only the copies of recipients of this domain"`
	Limit   int    `json:"limit,omitempty" default:"50" min:"1" max:"1000" doc:"How many changed messages are listed"`
}

// Simulation is what a draft would have done.
type Simulation struct {
	Messages   int `json:"messages"`   // that were judged again
	Unfinished int `json:"unfinished"` // whose client went away before there was one; not among them
	Changed    int `json:"changed"`    // another verdict, for all or for one recipient
	Milder     int `json:"milder"`     // of these
	Harder     int `json:"harder"`     //
	NotKnown   int `json:"not_known"`  // not among Changed
	Copies     int `json:"copies"`     // recipients of them all
	Moved      int `json:"moved"`      // recipients whose copy would have fared otherwise
	// Against are changed messages of which somebody said the contrary: released or reported as ham, and the draft keeps or
	// refuses them; reported as spam, and it lets them in. Released are those of the first that users released. With are
	// those of which somebody said the same.
	Against  int         `json:"against"`
	Released int         `json:"released"`
	With     int         `json:"with"`
	Matrix   []SimLine   `json:"matrix"` // a line for each live verdict, the mildest first
	Reasons  []SimCount  `json:"reasons"`
	Missing  []SimCount  `json:"missing"` // the checks for want of which it is not known; "content": the message never came
	Scores   SimScores   `json:"scores"`
	List     []SimChange `json:"list"` // those that contradict what people said first, then the newest
	More     int         `json:"more"` // changed ones that are not in the list
	First    time.Time   `json:"first,omitzero"`
	Last     time.Time   `json:"last,omitzero"`
	Took     int64       `json:"took_ms"` // milliseconds
	// Stale are the keys by which checks and routes look otherwise under the draft than under the policy in force: what they
	// found is judged as it was found.
	Stale []string `json:"stale,omitempty"`
	Gaps  []string `json:"gaps,omitempty"` // days that could not be read
}

// SimLine is the messages of one live verdict, by what the draft makes of them.
type SimLine struct {
	Live       gateway.Outcome `json:"live"`
	Accept     int             `json:"accept"`
	Tag        int             `json:"tag"`
	Quarantine int             `json:"quarantine"`
	Defer      int             `json:"defer"`
	Reject     int             `json:"reject"`
	Drop       int             `json:"drop"`
	NotKnown   int             `json:"not_known"`
}

// Of is the number of an outcome.
func (l *SimLine) Of(o gateway.Outcome) *int {
	return [...]*int{&l.Accept, &l.Tag, &l.Quarantine, &l.Defer, &l.Reject, &l.Drop}[min(o, gateway.Drop)]
}

// SimCount is how often something was.
type SimCount struct {
	What string `json:"what"`
	N    int    `json:"n"`
}

// SimScores is how many messages had which score: Live[i] and Draft[i] those from Least+i up to one more; the first and the
// last have all beyond. Only messages that came to their end and of which the draft's score is known are in it.
type SimScores struct {
	Least int   `json:"least"`
	Live  []int `json:"live"`
	Draft []int `json:"draft"`
}

// SimChange is a message that would have had another verdict.
type SimChange struct {
	ID      gateway.ID `json:"id"`
	Time    time.Time  `json:"time"`
	From    string     `json:"from"`
	Author  string     `json:"author,omitempty"` // the field From
	Live    SimTold    `json:"live"`
	Draft   SimTold    `json:"draft"`
	Rcpts   []SimRcpt  `json:"rcpts"`
	More    int        `json:"more,omitempty"` // recipients that are not named
	Mark    SimMark    `json:"mark"`
	Against bool       `json:"against,omitempty"` // it contradicts the mark
}

// SimTold is a verdict in short.
type SimTold struct {
	Outcome gateway.Outcome `json:"outcome"`
	Reason  gateway.Reason  `json:"reason,omitempty"`
	Check   string          `json:"check,omitempty"`
	Line    string          `json:"line,omitempty"` // of the draft
	Score   float64         `json:"score"`
}

// SimRcpt is what becomes of a recipient's copy.
type SimRcpt struct {
	To    string          `json:"to"`
	Live  gateway.Outcome `json:"live"`
	Draft gateway.Outcome `json:"draft"`
}

// SimMark is what people did with a message.
type SimMark struct {
	Released bool   `json:"released,omitempty"` // out of quarantine
	Reported string `json:"reported,omitempty"` // "spam" or "ham"
}

// Good and Bad are what people thought of it.
func (m SimMark) Good() bool { return m.Released || m.Reported == "ham" }

// Bad is the contrary.
func (m SimMark) Bad() bool { return m.Reported == "spam" }
