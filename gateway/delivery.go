package gateway

import (
	"io"
	"net/netip"
	"strings"
	"time"
)

// Delivery is one message for one route.
type Delivery struct {
	ID      ID
	Route   string
	From    Address
	Options MailOptions
	Rcpts   []Recipient // their Address is what the next hop is told, each once; Named is for whom
	Content Content
	Client  Client // for a next hop that is told whom the mail came from (XCLIENT, XFORWARD)
	// Late, when set, is called once where Relayed.Late says so: with how the relay ended after all. It is called from a
	// goroutine of the next hop's, up to Listen after the end of the message.
	Late func(Relayed)
}

// Listen is how long after the end of a message its answer is still listened for, when whoever relays went on after less
// (STATE 1.2): longer than any next hop takes, so that an answer that comes is an answer known.
const Listen = 720 * time.Second

// Client is whom a message came from, as a next hop may be told it.
type Client struct {
	Address netip.AddrPort `json:"address,omitzero"`
	Name    string         `json:"name,omitempty"` // verified reverse name; "" for none
	Helo    string         `json:"helo,omitempty"`
	ESMTP   bool           `json:"esmtp,omitempty"`
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
	MixedByHop                        // its replies differed between recipients: to RCPT, and no body octet was sent; or after the end of the message (LMTP), and those with 250 have it
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
	Rcpts   []Reply       `json:"rcpts,omitempty"` // the replies to each recipient of the Delivery, where they decided: to RCPT, or after the end of the message (LMTP)
	// To are the recipients that Rcpts are about, as the next hop was told them; only beside Rcpts.
	To []Address `json:"to,omitempty"`
	// Late says of an unknown outcome that the answer is still listened for: Delivery.Late will be called.
	Late bool `json:"late,omitempty"`
}

// TookFor reports whether the next hop took the message for the recipient at a place of the Delivery.
func (r *Relayed) TookFor(i int) bool {
	switch r.Result {
	case Delivered:
		return true
	case MixedByHop:
		return r.At == AtDot && i < len(r.Rcpts) && r.Rcpts[i].Code == 250
	}
	return false
}

// Unreached reports whether no next hop could be reached, so that another day may see it delivered: what a route with a
// spool keeps.
func (r *Relayed) Unreached() bool {
	return r.Result == NotDelivered && (r.At == AtDial || r.At == AtEHLO)
}

// AtStep returns words about the end of the relay with its step in front. What broke names its step itself.
func (r *Relayed) AtStep(words string) string {
	if strings.HasPrefix(words, r.At+": ") {
		return words
	}
	return r.At + ": " + words
}

// The steps of a relay, as Relayed.At names them.
const (
	AtDial = "dial" // up to the banner
	AtEHLO = "ehlo" // with STARTTLS
	AtMail = "mail"
	AtRcpt = "rcpt"
	AtData = "data"
	AtBody = "body"
	AtDot  = "dot"
)
