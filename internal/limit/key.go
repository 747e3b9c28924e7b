package limit

import (
	"crypto/sha256"
	"encoding/hex"
)

// Key is what is counted: something of one unit, for one subject of a dimension. Each reputation has a key of its own, so
// that a stranger or a bad host never uses up what a known one beside it may bring.
type Key struct {
	Dimension  Dimension
	Unit       Unit
	Reputation Reputation
	// Subject is the client, network, name or address: 1 to MostSubject octets, compared octet by octet. Names are lower
	// case, and as SubjectOf returns them.
	Subject string
}

// SubjectOf makes a name fit: of a longer one than MostSubject it keeps the end, by which a person knows a domain, and a
// digest that tells it from all others. So a stranger's names are no way to more memory.
func SubjectOf(name string) string {
	if len(name) <= MostSubject {
		return name
	}
	digest := sha256.Sum256([]byte(name))
	tag := hex.EncodeToString(digest[:16]) + "~"
	return tag + name[len(name)-(MostSubject-len(tag)):]
}

// Limit names the limit of a key, without its subject: "connections/network/unknown".
func (k Key) Limit() string {
	return k.Unit.String() + "/" + k.Dimension.String() + "/" + k.Reputation.String()
}

// Dimension says what a subject is.
type Dimension uint8

// The dimensions. Networks are nested: an IPv4 /32 in a /26 in a /21, an IPv6 /64 in a /56 in a /48.
const (
	Client           Dimension = iota // an address; in IPv6 a /64, which is what one host has
	Network                           // /26, /56
	WideNetwork                       // /21, /48
	Organisation                      // domain of the verified reverse name or HELO
	SenderDomain                      // of MAIL FROM
	Recipient                         // an address
	RecipientDomain                   //
	NullSender                        // a recipient, of mail from <>
	UnknownRecipient                  // a client, of recipients that do not exist: who harvests addresses
	ClientError                       // a client, of commands that were refused
	dimensions
)

// String is the word of the dimension in a limit's name.
func (d Dimension) String() string {
	return word(int(d), "client", "network", "wide-network", "organisation", "sender-domain", "recipient", "recipient-domain",
		"null-sender", "unknown-recipient", "client-error")
}

// Unit says what is counted.
type Unit uint8

// The units. Octets are counted in KiB, since a fast rate of single octets has no interval in whole microseconds.
const (
	Connections Unit = iota
	Messages
	Recipients
	KiB
	Errors
	units
)

// String is the word of the unit in a limit's name.
func (u Unit) String() string {
	return word(int(u), "connections", "messages", "recipients", "kib", "errors")
}

// Size returns the cost of octets in KiB, rounded up, and at least 1.
func Size(octets int64) int64 {
	if octets < 1 {
		return 1
	}
	return (octets-1)/1024 + 1
}

// Reputation says what is known of who asks.
type Reputation uint8

// The reputations.
const (
	Unknown Reputation = iota // a stranger
	Known                     // seen before, and well behaved
	Bad
	reputations
)

// String is the word of the reputation in a limit's name.
func (r Reputation) String() string { return word(int(r), "unknown", "known", "bad") }

func word(i int, words ...string) string {
	if i < len(words) {
		return words[i]
	}
	return "?"
}
