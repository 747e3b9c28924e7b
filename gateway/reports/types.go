package reports

import (
	"context"
	"time"
)

// Subject is what one report is about: of DMARC one policy record in one day, of TLS one policy domain.
type Subject struct {
	Day    Day
	Domain string // where the record was found; of TLS the policy domain
	Record string // its text; of TLS "", since it is asked for when the report is due
	Method string // how it was found: "psl", "treewalk" or ""
}

// Day is a UTC day, counted from 1970-01-01.
type Day int64

// DayOf returns the day of a moment.
func DayOf(t time.Time) Day { return Day(t.Unix() / 86400) }

// Begin is its first moment.
func (d Day) Begin() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

func (d Day) String() string { return d.Begin().Format(time.DateOnly) }

// Line are messages, or sessions, that were alike. Key says what they were, in the JSON of their kind.
type Line struct {
	Key   string
	Count int64
}

// Counted is a line of a subject.
type Counted struct {
	Subject
	Line
}

// Stored is a subject in the store.
type Stored struct {
	Subject
	ID       int64
	Lines    int
	Messages int64
	Lost     int64     // messages that found no room any more
	First    time.Time // when it was first tried to be sent; zero before
	Done     bool      // nothing is left to do; its lines are gone
}

// State is how far a delivery is.
type State string

// The states of a delivery.
const (
	Waiting State = "waiting" // for its time, or for another try
	Sent    State = "sent"    // the next hop took it
	Refused State = "refused" // the next hop refused it for good
	Expired State = "expired" // it was tried for a day
	Dropped State = "dropped" // it was not tried, as Said says: not allowed, too big, the destination rests
)

// Delivery is one mail or post of a report, or of a part of it, to one address.
type Delivery struct {
	Address     string    `json:"to"`
	First, Upto int       `json:"-"` // the lines in it, counted from 0; none while it is not known whether it may be sent
	ReportID    string    `json:"report_id,omitempty"`
	State       State     `json:"state"`
	Attempts    int       `json:"attempts,omitempty"`
	Next        time.Time `json:"next,omitzero"` // of a waiting one
	Last        time.Time `json:"last,omitzero"` // when it was last tried
	Octets      int       `json:"octets,omitempty"`
	Said        string    `json:"said,omitempty"` // the last answer, or why it is dropped
}

// Rest is what is remembered of a destination that failed. Key names it and the way there.
type Rest struct {
	Key      string
	Failures int // days in a row
	LastDay  Day
	Until    time.Time // nothing is sent before; zero for none
}

// Store keeps the counts until they are sent. It is used by several goroutines at once.
type Store interface {
	// Count adds messages to their lines. lost is how many found no room, which the subject remembers where it is there.
	Count(ctx context.Context, all []Counted) (lost int64, err error)
	// Open lists the subjects of days before a day for which something is left to do, the oldest first.
	Open(ctx context.Context, before Day) ([]int64, error)
	// All lists subjects of all days, the newest first; domain and day restrict it where set.
	All(ctx context.Context, domain string, day *Day, limit int) ([]int64, error)
	// Subject reads one.
	Subject(ctx context.Context, id int64) (Stored, error)
	// Lines reads its lines, always in the same order.
	Lines(ctx context.Context, id int64) ([]Line, error)
	Deliveries(ctx context.Context, id int64) ([]Delivery, error)
	// Plan puts deliveries in the place of the one that waited to be allowed to an address, or of none.
	Plan(ctx context.Context, id int64, address string, first time.Time, all []Delivery) error
	// Save changes one delivery that is there.
	Save(ctx context.Context, id int64, d Delivery) error
	// Finish marks a subject done and forgets its lines.
	Finish(ctx context.Context, id int64) error
	Rest(ctx context.Context, key string) (Rest, error)
	SaveRest(ctx context.Context, r Rest) error // one without failures is forgotten
	// Forget finishes what is older than lines, and removes what is older than all.
	Forget(ctx context.Context, lines, all Day) error
	Close() error
}

// The bounds of what a Store keeps.
const (
	MaxSubjects = 5000    // of one day
	MaxLines    = 5000    // of one subject
	MaxDayLines = 100_000 // of one day
	MaxRecord   = 4 << 10 // octets of a policy record; longer ones are not reported about
	keepLines   = 4       // days that a report waits to be sent
	keepAll     = 14      // days that is remembered what became of it
)
