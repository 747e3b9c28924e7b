package gateway

import (
	"context"
	"io"
	"net/netip"
	"time"
)

// NextHop relays to the MTA behind the gateway.
type NextHop interface {
	// Carries returns what the next hops of a route were last seen to carry. It never waits.
	Carries(route string) Carries
	// Relay hands a message over in one transaction. It never reports Delivered unless the next hop said 250 after the
	// end of the message.
	Relay(ctx context.Context, d *Delivery) Relayed
}

// Carries is what a next hop can take, as its EHLO last said; the zero value is a next hop of which nothing is known.
type Carries struct {
	Known    bool
	Size     int64 // its SIZE; 0 for no limit said
	EightBit bool
	UTF8     bool
	Chunking bool
	DSN      bool
	// RequireTLS says that it is reached over verified TLS, and offers REQUIRETLS there: of a route, that all its next hops
	// do. One that was not reached since the start does not.
	RequireTLS bool
	Recipients int // the most it takes in a transaction (RFC 9422); 0 for no limit said
	// Defer is why a message would most likely not be taken if it came now (NextHopBusy, NextHopAway), so that it is
	// better told 451 before its body is taken; "" when it may come. It changes from one moment to the next.
	Defer Reason
}

// Vault keeps quarantined mail. Where there is none, or policy wants none, quarantined mail is delivered with its mark.
type Vault interface {
	// Prepare stores the message durably and invisibly; the copy appears only by Publish. A message that it holds for the same
	// recipients already, as a retry of the sender brings it, becomes no second copy: what is returned is that of the first.
	Prepare(ctx context.Context, k *Keeping) (Kept, error)
}

// Keeping is a message that is to be kept in the vault, and all that is to be known of it.
type Keeping struct {
	Envelope *Envelope // its body is kept octet for octet as it came in
	Verdict  *Verdict
	Rcpts    []Recipient // for whom; each was accepted
	// Trace are our own trace fields, each with its CRLF, for the day on which somebody lets the message go.
	Trace []byte
	// Cut are the parts of the header section that do not go out with it then, as offsets into it, in their order: what
	// only we may write.
	Cut [][2]int
	// Message is its name in the ledger, in hexadecimal, by which a retry is known; "" for mail that has none. Keys are the
	// names of Rcpts there, in their order.
	Message string
	Keys    []string
}

// Kept is a message in the vault that nobody sees yet.
type Kept interface {
	Publish() error
	Drop()
}

// Sealer signs for what was verified of a message, so that the next hops can know it although the message was changed
// here (RFC 8617). It is absent unless policy asks for seals.
type Sealer interface {
	// Wants reports whether a message is to be sealed, by whether the gateway changed it.
	Wants(changed bool) bool
	// Seal returns fields to be written above all others, each with its CRLF, and how the journal tells of them; no fields
	// where the message is rightly left without, as told. It must neither wait nor change anything; whoever calls it goes on
	// without the fields when it fails.
	Seal(ctx context.Context, m *Sealing) (fields []byte, told string, err error)
}

// Sealing is a message that is to be sealed.
type Sealing struct {
	Envelope *Envelope // as it came in
	Header   []byte    // the header section as it goes out, without the empty line
	Body     io.Reader // what stands behind the empty line as it goes out; read once
	Results  string    // the value of our Authentication-Results
}

// Spool takes the responsibility for a message: after Put returned nil the message survives a power cut, and whoever asks
// for it hears what became of it.
type Spool interface {
	// Takes is why no message of that many octets would be taken now (NoStorage); "" when one would be. It never waits.
	Takes(size int64) Reason
	// Put keeps a message and delivers it when its route can take it. An error means that it was not taken, and nothing of it
	// is left.
	Put(ctx context.Context, d *Delivery, c Custody) error
}

// Custody is what is to be known of a message that is in the spool, besides what is delivered.
type Custody struct {
	Arrived time.Time `json:"arrived"`
	// Notify says that its reverse-path was authenticated (its domain passed SPF or DMARC), so that a notice of failure goes
	// to who sent it, and to nobody who did not.
	Notify  bool   `json:"notify,omitempty"`
	Subject string `json:"subject,omitempty"` // as the domain's policy lets it be kept
	Why     string `json:"why,omitempty"`     // why it did not go through
	// Message is its name in the ledger, in hexadecimal, so that a crash between the spool and the ledger makes no second copy
	// of a retry; "" for mail that is never in the ledger.
	Message string `json:"message,omitempty"`
}

// Ledger remembers to whom a message was delivered, so that a retry of the sender is no second copy. It may forget; then a
// duplicate is possible, and never a loss.
type Ledger interface {
	// Begin claims a message for recipients. It waits while another attempt at the same message for one of them is on its
	// way. An error means that nothing is known, and nothing will be remembered.
	Begin(ctx context.Context, message [32]byte, rcpts []string) (Claim, error)
}

// Claim is an attempt at a message that others wait for.
type Claim interface {
	// Done says of each recipient, in the order of Begin, whether it was delivered to before.
	Done() []bool
	// End ends the attempt: delivered says of each recipient whether it has the message now. It is called once.
	End(delivered []bool)
	// Heard is called after End once it is known whether the sender read that its message was taken: then it will not come
	// again, and nothing need be remembered of it. What it may not have read is remembered for days.
	Heard(read bool)
}

// Journal takes what happened. It never makes the mail path wait: what it cannot keep it counts.
type Journal interface {
	// Write takes the event of a connection or a transaction.
	Write(e *Event)
	// Early counts a connection that was refused before the banner, by network, reason and minute.
	Early(client netip.Addr, reason Reason)
}

// EventKind tells the two kinds of event apart.
type EventKind uint8

// The kinds of event.
const (
	ConnectionEvent EventKind = iota
	TransactionEvent
)

var kindNames = []string{"connection", "transaction"}

func (k EventKind) String() string                { return name(kindNames, k) }
func (k EventKind) MarshalText() ([]byte, error)  { return []byte(k.String()), nil }
func (k *EventKind) UnmarshalText(b []byte) error { return parse(kindNames, "event kind", b, k) }

// Event is the whole story of one connection or one transaction. The journal owns it after Write.
type Event struct {
	Kind    EventKind
	Record  *Record
	Verdict Verdict
	Policy  string        // version
	Reply   Reply         // the last word to the client
	Took    time.Duration // from the beginning to the last word
	Session Summary

	// Of a transaction.
	Subject   string // as the domain's policy lets it be logged
	MessageID string
	Relayed   *Relayed
	Spooled   string   // why it went to the spool, which has it now; "" where it did not
	Again     bool     // all of it was delivered at an earlier attempt of the sender: nothing was relayed now
	Replies   []Reply  // what each RCPT was answered
	Removed   []string // incoming fields that were removed
	Edits     []string // what else was done to it on its way out: its subject, its seal
	ScannedBy []string

	// Evidence is that of the findings of the Record, in their order.
	Evidence [][]Evidence
}

// Outcome is what became of a message in the end: the verdict, or what the next hop made of it where the verdict let it
// pass and the spool did not take it. A help desk that looks for deferred mail means both.
func (e *Event) Outcome() Outcome {
	switch r := e.Relayed; {
	case e.Verdict.Outcome.Refuses() || r == nil || r.Result == Delivered || e.Spooled != "":
		return e.Verdict.Outcome
	case r.Result == RefusedByHop:
		return Reject
	}
	return Defer
}

// Summary is what a connection came to.
type Summary struct {
	Client       netip.AddrPort `json:"client"`
	Proxy        netip.AddrPort `json:"proxy,omitzero"`    // who forwarded the connection, by a PROXY header
	Reverse      string         `json:"reverse,omitempty"` // verified name
	TLS          TLS            `json:"tls"`
	End          string         `json:"end,omitempty"`
	Waited       time.Duration  `json:"waited,omitempty"` // how long it kept silent before the banner, where it had to
	Transactions int            `json:"transactions"`
	Accepted     int            `json:"accepted"`
	Errors       int            `json:"errors"`
	Commands     int            `json:"commands"`
	Octets       int64          `json:"octets"`
	Passed       bool           `json:"passed,omitempty"`  // no test inside the session failed, and a message got a 250
	Refused      []string       `json:"refused,omitempty"` // the first refused commands and their replies
}
