// Package mtasts knows MTA-STS (RFC 8461): the policy by which a domain says that its mail hosts can be verified, how it is
// published, fetched and kept, and what it asks of a connection.
//
// It never sends mail and never decides about any.
package mtasts

import "time"

// Mode is what a policy asks of senders (RFC 8461 section 5).
type Mode string

// The modes of a policy.
const (
	None    Mode = "none"    // there is no policy any more
	Testing Mode = "testing" // failures are reported, and mail is sent all the same
	Enforce Mode = "enforce" // mail goes to no host that does not match or cannot be verified
)

// Policy is what a domain publishes (RFC 8461 section 3.2).
type Policy struct {
	ID     string        // of the TXT record it belongs to
	Mode   Mode          //
	MX     []string      // host names, in lower case, or *.domain for one label more
	MaxAge time.Duration // that it may be kept; 0 to 31,557,600 seconds
}
