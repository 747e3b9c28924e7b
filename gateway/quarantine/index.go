package quarantine

import (
	"context"
	"time"

	"gatepost/gateway"
)

// State is what became of the copy of a recipient.
type State uint8

// The states.
const (
	Visible   State = iota // kept
	Releasing              // on its way out
	Released               // the next hop has it, or the spool
	Deleted                // for this recipient; others may still have it
)

func stateNames() []string { return []string{"visible", "releasing", "released", "deleted"} }

// String returns the name.
func (s State) String() string { return nameOf(stateNames(), s) }

// MarshalText writes the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name.
func (s *State) UnmarshalText(b []byte) error { return parseName(stateNames(), "state", b, s) }

// Row is what the index knows of a message. It is made from the file, and can be made anew at any time.
type Row struct {
	ID       gateway.ID     `json:"id"`
	Node     string         `json:"node,omitempty"` // that keeps it, where nodes show each other what they keep
	Arrived  time.Time      `json:"arrived"`
	From     string         `json:"from"`   // reverse-path; "" for the null one
	Author   string         `json:"author"` // of the field From
	Subject  string         `json:"subject,omitempty"`
	Class    Class          `json:"class"`
	Reason   gateway.Reason `json:"reason,omitempty"` // "": the sum of points
	Check    string         `json:"check,omitempty"`
	Score    float64        `json:"score"`
	Keep     time.Duration  `json:"keep,omitempty"`     // how long, where a rule of the policy says so
	Size     int64          `json:"size"`               // octets of the message
	Stored   int64          `json:"stored"`             // octets of its file
	Key      string         `json:"-"`                  // of the installation, by which it is encrypted
	Seq      int64          `json:"-"`                  // of what a person did to it
	Reported string         `json:"reported,omitempty"` // "spam" or "ham", as a person said
	Damaged  string         `json:"damaged,omitempty"`  // why it cannot be read
	Rcpts    []RowRcpt      `json:"rcpts"`
}

// RowRcpt is a recipient of a message.
type RowRcpt struct {
	Address string    `json:"address"`
	State   State     `json:"state"`
	At      time.Time `json:"at,omitzero"`    // of its last change
	Said    string    `json:"said,omitempty"` // why a release did not come about, or where it went
	Same    string    `json:"-"`              // by which the retry of a sender is known; "" for none
}

// Filter picks messages. The zero value picks all that are there.
type Filter struct {
	IDs      []gateway.ID
	From     string     // a part of the reverse-path or of From; "<>": the null reverse-path
	To       string     // a part of a recipient
	Rcpt     string     // a recipient, exactly but for case
	Domains  []string   // of a recipient: any of them, exactly; lower-case A-labels
	Subject  string     // a part
	Reason   string     // the beginning of a reason: "attachments." picks all of them
	Class    *Class     //
	State    *State     // of any recipient that the filter picks
	Reported string     // "spam", "ham"
	Damaged  bool       // those that cannot be read
	Since    time.Time  // arrived then or later
	Until    time.Time  // arrived before
	Before   gateway.ID // the page behind this message; 0: the first page
	Limit    int        // 0 is 100
}

// limit is how many the filter wants.
func (f *Filter) limit() int {
	if f.Limit <= 0 {
		return 100
	}
	return f.Limit
}

// Most returns how many messages the filter picks at most.
func (f *Filter) Most() int { return f.limit() }

// Sums are how many messages are there, and how many octets their files have.
type Sums struct {
	Messages int   `json:"messages"`
	Octets   int64 `json:"octets"`
}

// Index finds messages. It may be lost at any time: what it does not know is told to it again. Its methods are safe for
// concurrent use.
type Index interface {
	// Put takes a message, in place of what was known of it. What it returned nil for survives a power cut.
	Put(ctx context.Context, r *Row) error
	// Delete forgets messages, and that they were there.
	Delete(ctx context.Context, ids []gateway.ID) error
	// Find returns what a filter picks, the newest first.
	Find(ctx context.Context, f *Filter) ([]Row, error)
	// Same returns the messages of which a recipient is known by one of some names (RowRcpt.Same).
	Same(ctx context.Context, names []string) ([]Row, error)
	// Oldest returns messages of a class that arrived before a time, the oldest first; only their ID, Stored and Class need be
	// filled in.
	Oldest(ctx context.Context, c Class, before time.Time, limit int) ([]Row, error)
	// Short returns messages that are kept for a time of their own, Row.Keep, which is over.
	Short(ctx context.Context, now time.Time, limit int) ([]Row, error)
	// Sums counts messages of each class.
	Sums(ctx context.Context) (map[Class]Sums, error)
	// Keys counts messages by the key of the installation.
	Keys(ctx context.Context) (map[string]int, error)
	// Known tells of each message that the index knows its Row.Seq and Row.Stored.
	Known(ctx context.Context, each func(id gateway.ID, seq, stored int64)) error
}
