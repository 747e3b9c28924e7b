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
	Known      bool
	Size       int64 // its SIZE; 0 for no limit said
	EightBit   bool
	UTF8       bool
	Chunking   bool
	DSN        bool
	Recipients int // the most it takes in a transaction (RFC 9422); 0 for no limit said
	// Defer is why a message would most likely not be taken if it came now (NextHopBusy, NextHopAway), so that it is
	// better told 451 before its body is taken; "" when it may come. It changes from one moment to the next.
	Defer Reason
}

// Delivery is one message for one route.
type Delivery struct {
	ID      ID
	Route   string
	From    Address
	Options MailOptions
	Rcpts   []Recipient
	Content Content
}

// Content is the message as it goes out: our fields, then what came in without the fields that were removed.
type Content struct {
	Parts []io.Reader // each read once, in order
	Size  int64
	// Clean says of the last part what Measured.Clean says of a body: it begins at the beginning of a line, and Dots are
	// offsets in it. It can then be sent without being looked at once more, and straight from where it lies (see Rest).
	Clean bool
	Dots  []int64
	// EightBit and UTF8 say what the next hop must carry.
	EightBit, UTF8 bool
}

// RelayResult is how a relay ended.
type RelayResult uint8

// The ends of a relay. The zero value is the one after which the sender must come back.
const (
	NotDelivered   RelayResult = iota // nothing was taken; the sender is told 451
	Delivered                         // the next hop said 250 after the end of the message
	RefusedByHop                      // the next hop refused with 5xx
	DeferredByHop                     // the next hop refused with 4xx
	MixedByHop                        // its replies to RCPT differed; no body octet was sent; each was learned
	OutcomeUnknown                    // the end of the message was sent, and no answer came: 451, and a duplicate is possible
)

var relayNames = []string{"not delivered", "delivered", "refused", "deferred", "mixed", "unknown"}

func (r RelayResult) String() string                { return name(relayNames, r) }
func (r RelayResult) MarshalText() ([]byte, error)  { return []byte(r.String()), nil }
func (r *RelayResult) UnmarshalText(b []byte) error { return parse(relayNames, "relay result", b, r) }

// Relayed is what came of a relay.
type Relayed struct {
	Result  RelayResult   `json:"result"`
	Reply   Reply         `json:"reply"`              // what the sender is told; mapped from the next hop's, cleaned
	NextHop string        `json:"next_hop,omitempty"` // host:port that answered
	Said    string        `json:"said,omitempty"`     // the next hop's own reply, cleaned
	At      string        `json:"at,omitempty"`       // the step that decided: "dial", "ehlo", "mail", "rcpt", "data", "body", "dot"
	TLS     string        `json:"tls,omitempty"`
	Took    time.Duration `json:"took"`
	Rcpts   []Reply       `json:"rcpts,omitempty"` // the replies to RCPT, where they decided
}

// Vault keeps quarantined mail. It is absent until the quarantine is built; a policy that needs it is refused by check
// only where marking cannot stand in for it.
type Vault interface {
	// Prepare stores the message durably and invisibly; the copy appears only by Publish.
	Prepare(ctx context.Context, e *Envelope, v *Verdict, rcpts []Recipient) (Kept, error)
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
	Envelope *Envelope // its body goes out as it came in
	Header   []byte    // the header section as it goes out, without the empty line
	Results  string    // the value of our Authentication-Results
}

// Spool takes the responsibility for a message: after Put returned nil the message survives a power cut.
type Spool interface {
	Put(ctx context.Context, d *Delivery) error
}

// Ledger remembers what was delivered, so that a retry of the sender is no second copy. It may forget; then a duplicate
// is possible, and never a loss.
type Ledger interface {
	// Begin claims the digest. When the message was delivered before it returns done; when it is on its way, it waits.
	Begin(ctx context.Context, digest [32]byte) (done bool, finish func(delivered bool), err error)
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
	Replies   []Reply  // what each RCPT was answered
	Removed   []string // incoming fields that were removed
	Edits     []string // what else was done to it on its way out: its subject, its seal
	ScannedBy []string

	// Evidence is that of the findings of the Record, in their order.
	Evidence [][]Evidence
}

// Outcome is what became of a message in the end: the verdict, or what the next hop made of it where the verdict let it
// pass. A help desk that looks for deferred mail means both.
func (e *Event) Outcome() Outcome {
	switch r := e.Relayed; {
	case e.Verdict.Outcome.Refuses() || r == nil || r.Result == Delivered:
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
