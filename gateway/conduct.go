package gateway

import (
	"net/netip"
	"time"
)

// Conduct is what a client did that tells a bot from a mail server. The edge fills it while the session goes on; checks
// read it. The zero value is a client that did nothing wrong and was not tested either.
type Conduct struct {
	Known bool // passed the tests of the gate lately, and did nothing bad since
	Bad   bool // failed one of them lately

	// Of the test before the banner: a server speaks first (RFC 5321 section 3.1).
	Waited     time.Duration // how long it had to keep silent; 0: it did not have to wait
	Early      string        // the first octets that it sent before the banner, cleaned; "" for none
	EarlyAfter time.Duration // how long after the connection began they came
}

// ClientOf returns what counts as one client: an IPv4 address, or an IPv6 /64, since whoever has one address in it has all.
// It is the zero prefix for what is no address.
func ClientOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}

// Memory tells what is remembered of clients. It never waits and is safe for concurrent use. It may forget: then a client
// is tested again, and that is all.
type Memory interface {
	// Recall returns what is known of a client: of its IPv4 address, or of its IPv6 /64.
	Recall(client netip.Addr) Remembered
}

// Remembered is what is known of one client, as the ends of what was learned; a zero time is nothing.
type Remembered struct {
	Pregreet time.Time // it kept silent before the banner: not tested again until then
	Protocol time.Time // it passed the tests inside a session: not tested again until then
	Bad      time.Time // it failed a test: treated so until then
}

// Known reports whether the client passed the test before the banner lately and failed none since.
func (r Remembered) Known(now time.Time) bool { return r.Pregreet.After(now) && !r.IsBad(now) }

// Proven reports whether the client passed the tests inside a session lately and failed none since.
func (r Remembered) Proven(now time.Time) bool { return r.Protocol.After(now) && !r.IsBad(now) }

// IsBad reports whether the client failed a test lately.
func (r Remembered) IsBad(now time.Time) bool { return r.Bad.After(now) }
