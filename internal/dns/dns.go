// Package dns is a stub resolver for a mail gateway: it asks the configured
// recursive name servers over UDP with EDNS and over TCP when a reply is
// truncated (RFC 1035, RFC 6891, RFC 7766), checks that a reply belongs to its
// question, and keeps what it learned for as long as the records allow
// (RFC 2308 for negative answers, RFC 9520 for failures).
//
// Each lookup has one of four outcomes: Found, None, Failed or Bogus. Only a
// well-formed reply that says so is None; a timeout, an error code, a lame
// referral or a packet that cannot be read is Failed, so that "I could not
// tell" never looks like "there is nothing".
//
// It never validates DNSSEC itself: it carries the AD bit (RFC 6840 section
// 5.7) of servers it was told to trust, and reads a validator's refusal as
// Bogus. It never applies search domains, never asks for a name that was not
// checked, and never reads a host file.
package dns

import (
	"net"
	"time"
)

// Status is the outcome of a lookup. The zero value is Failed: a check that
// was never run cannot tell.
type Status int

const (
	// Failed means that nothing is known: no usable reply came in time.
	Failed Status = iota
	// Found means that there are records of the type asked for.
	Found
	// None means that there are none, as Kind says: NXDomain, NoData or InvalidName.
	None
	// Bogus means that a validating server refused to hand out the records
	// because their signatures do not hold.
	Bogus
)

// String returns the lower-case word used in logs and metrics.
func (s Status) String() string {
	switch s {
	case Found:
		return "found"
	case None:
		return "none"
	case Bogus:
		return "bogus"
	default:
		return "failed"
	}
}

// Kind says more about a Status other than Found. The list is closed: it may
// be a metrics label.
type Kind int

const (
	// NoKind belongs to Found.
	NoKind Kind = iota
	// NXDomain: the name does not exist, nor does any name below it (None).
	NXDomain
	// NoData: the name exists, but has no record of this type (None).
	NoData
	// InvalidName: the name cannot be a host or mail name, and was not asked
	// for: empty, over 253 octets, an empty label or one over 63, or a
	// character other than letters, digits, hyphen and underscore (None). With
	// Failed it is a name that is not ASCII: the caller forgot the A-label.
	InvalidName
	// Timeout: no usable reply before the deadline (Failed).
	Timeout
	// ServFail: the servers could not resolve the name (Failed).
	ServFail
	// Refused: the servers do not serve us, or not this kind of query (Failed).
	Refused
	// Malformed: replies came, but were broken, contradictory or not ours (Failed).
	Malformed
	// Lame: the server referred us elsewhere instead of resolving (Failed).
	Lame
	// Loop: the CNAME chain loops or is longer than eight (Failed).
	Loop
	// Network: the server could not be reached at all (Failed).
	Network
	// Overload: too many lookups were under way (Failed).
	Overload
	// Canceled: the caller gave up (Failed).
	Canceled
	// BadSignature: validation failed (Bogus).
	BadSignature
)

// String returns the lower-case word used in logs and metrics.
func (k Kind) String() string {
	words := [...]string{"", "nxdomain", "nodata", "invalid-name", "timeout", "servfail", "refused",
		"malformed", "lame", "loop", "network", "overload", "canceled", "bad-signature"}
	if k < 0 || int(k) >= len(words) {
		return "unknown"
	}
	return words[k]
}

// Answer is what a lookup brought. The caller owns all of it.
type Answer[T any] struct {
	Status Status
	Kind   Kind
	// Name is the name that was asked for, lower case, without the final dot.
	Name string
	// Records is empty unless Status is Found, and then has 1 to 100 of them.
	Records []T
	// Cut means that Records is not all there is: the answer had over 100
	// records, or one of the two address families could not be looked up.
	Cut bool
	// AD means that a trusted server validated the answer, also a negative one.
	AD bool
	// TTL is how long the answer may be kept from now on. It is the lowest of
	// the records and of the CNAMEs on the way to them; 0 means not at all.
	TTL time.Duration
	// Server is the host:port that answered, if one did.
	Server string
	// Duration is what the lookup took; 0 when the answer was cached.
	Duration time.Duration
	// Cached means that no query was sent for this answer.
	Cached bool
	// Chain is the names that CNAMEs led to, the last one being the owner of Records.
	Chain []string
	// Detail is a few words for evidence, printable ASCII.
	Detail string
}

// Err returns nil for Found, else a *net.DNSError as the standard library's
// resolver would give: IsNotFound for None, IsTemporary for Failed and Bogus,
// IsTimeout for a timeout. It is for libraries that look at nothing else.
func (a Answer[T]) Err() error {
	if a.Status == Found {
		return nil
	}
	// The server is left out: the words of an error go into header fields, and it is nobody's business outside.
	e := &net.DNSError{Name: a.Name, Err: a.Status.String() + ": " + a.Kind.String()}
	if a.Status == None {
		e.Err, e.IsNotFound = "no such host", true
		return e
	}
	e.IsTemporary = true
	e.IsTimeout = a.Kind == Timeout
	return e
}
