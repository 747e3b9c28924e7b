package replay

import (
	"context"
	"time"

	"gatepost/gateway"
	"gatepost/internal/store"
)

// Source is the message log.
type Source interface {
	// Judged gives each transaction of a time to see, which may keep nothing of it.
	Judged(ctx context.Context, w store.Window, see func(*store.Judged) error) ([]store.Gap, error)
}

// Limits of a list.
const (
	DefaultLimit = 50
	MaxLimit     = 1000
)

// Mark is what people did with a message.
type Mark struct {
	Released bool   `json:"released,omitempty"` // out of quarantine
	Reported string `json:"reported,omitempty"` // "spam" or "ham"
}

// Good and bad are what people thought of it.
func (m Mark) good() bool { return m.Released || m.Reported == "ham" }
func (m Mark) bad() bool  { return m.Reported == "spam" }

// Question is what is asked.
type Question struct {
	Draft  *Draft
	Was    func(version string) *Draft // the policy of a version, or nil; nil: none is at hand
	Window store.Window
	Domain string // only the copies of its recipients; "": all
	Limit  int    // of the list; 0: DefaultLimit
	Marks  map[gateway.ID]Mark
}

// Result is what a draft would have done.
type Result struct {
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
	Matrix   []Line      `json:"matrix"` // a line for each live verdict, the mildest first
	Reasons  []Count     `json:"reasons"`
	Missing  []Count     `json:"missing"` // the checks for want of which it is not known; "content": the message never came
	Scores   Histogram   `json:"scores"`
	List     []Change    `json:"list"` // those that contradict what people said first, then the newest
	More     int         `json:"more"` // changed ones that are not in the list
	First    time.Time   `json:"first,omitzero"`
	Last     time.Time   `json:"last,omitzero"`
	Took     int64       `json:"took_ms"`        // milliseconds
	Gaps     []store.Gap `json:"gaps,omitempty"` // days that could not be read
}

// Line is the messages of one live verdict, by what the draft makes of them.
type Line struct {
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
func (l *Line) Of(o gateway.Outcome) *int {
	return [...]*int{&l.Accept, &l.Tag, &l.Quarantine, &l.Defer, &l.Reject, &l.Drop}[min(o, gateway.Drop)]
}

// Count is how often something was.
type Count struct {
	What string `json:"what"`
	N    int    `json:"n"`
}

// Histogram is how many messages had which score: Live[i] and Draft[i] those from Least+i up to one more; the first and the
// last have all beyond. Only messages that came to their end and of which the draft's score is known are in it.
type Histogram struct {
	Least int   `json:"least"`
	Live  []int `json:"live"`
	Draft []int `json:"draft"`
}

// Change is a message that would have had another verdict.
type Change struct {
	ID      gateway.ID `json:"id"`
	Time    time.Time  `json:"time"`
	From    string     `json:"from"`
	Author  string     `json:"author,omitempty"` // the field From
	Live    Told       `json:"live"`
	Draft   Told       `json:"draft"`
	Rcpts   []Rcpt     `json:"rcpts"`
	More    int        `json:"more,omitempty"` // recipients that are not named
	Mark    Mark       `json:"mark"`
	Against bool       `json:"against,omitempty"` // it contradicts the mark
}

// Told is a verdict in short.
type Told struct {
	Outcome gateway.Outcome `json:"outcome"`
	Reason  gateway.Reason  `json:"reason,omitempty"`
	Check   string          `json:"check,omitempty"`
	Line    string          `json:"line,omitempty"` // of the draft
	Score   float64         `json:"score"`
}

// Rcpt is what becomes of a recipient's copy.
type Rcpt struct {
	To    string          `json:"to"`
	Live  gateway.Outcome `json:"live"`
	Draft gateway.Outcome `json:"draft"`
}

// Run judges all messages of a time again.
func Run(ctx context.Context, from Source, q *Question) (*Result, error) {
	limit := DefaultLimit
	if q.Limit > 0 {
		limit = min(q.Limit, MaxLimit)
	}
	r := newRun(q, limit)
	began, pace := time.Now(), newPace()
	gaps, err := from.Judged(ctx, q.Window, func(j *store.Judged) error {
		r.see(j)
		return pace.rest(ctx)
	})
	if err != nil {
		return nil, err
	}
	out := r.result()
	out.Gaps, out.Took = gaps, time.Since(began).Milliseconds()
	return out, nil
}

// pace leaves time to others: after work of some milliseconds it rests for a quarter as long.
type pace struct {
	n     int
	began time.Time
}

// The work between two rests, and how often the clock is looked at.
const (
	spell = 4 * time.Millisecond
	every = 64
)

func newPace() *pace { return &pace{began: time.Now()} }

// rest is called for each message. It answers the error of ctx.
func (p *pace) rest(ctx context.Context) error {
	if p.n++; p.n%every != 0 {
		return nil
	}
	worked := time.Since(p.began)
	if worked < spell {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(worked/4, 20*time.Millisecond)):
	}
	p.began = time.Now()
	return nil
}
