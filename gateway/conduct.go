package gateway

import (
	"net/netip"
	"slices"
	"time"
)

// Conduct is what a client did that tells a bot from a mail server. The edge fills it while the session goes on; checks
// read it. The zero value is a client that did nothing wrong and was not tested either.
type Conduct struct {
	Known  bool // passed the tests of the gate lately, and did nothing bad since
	Proven bool // had a message accepted lately, having passed the tests inside the session, and did nothing bad since
	Bad    bool // failed one of them lately

	// Of the test before the banner: a server speaks first (RFC 5321 section 3.1).
	Waited     time.Duration // how long it had to keep silent; 0: it did not have to wait
	Early      string        // the first octets that it sent before the banner, cleaned; "" for none
	EarlyAfter time.Duration // how long after the connection began they came

	// Of the tests inside the session. What repeats is noted once: no client fills the memory with its faults.
	Ahead  []Ahead  // input that came before it was allowed; the first of each kind
	BareLF string   // the first command that ended in a bare LF, cleaned; "" for none
	Mixed  bool     // some commands ended in CRLF and some in a bare LF
	Words  []string // what stood in place of a verb and is none, cleaned; the first MaxWords
	Alien  string   // the protocol that it spoke instead of SMTP: "HTTP", "TLS", "binary"; "" for none
	Failed bool     // a check found fault with one of these
}

// MaxWords is how many of the words that are no verbs are kept of a session.
const MaxWords = 32

// AheadKind says what a client did not wait for.
type AheadKind string

// The kinds of input that is sent too early (RFC 2920 section 3.1).
const (
	AheadGreeting  AheadKind = "greeting"  // behind HELO or EHLO: what is offered was not known yet
	AheadMessage   AheadKind = "message"   // behind DATA, before 354
	AheadSync      AheadKind = "sync"      // behind another command that must be the last of a group
	AheadUnoffered AheadKind = "unoffered" // behind any command where PIPELINING was not offered
)

// Ahead is input that was there before the reply that the client had to wait for was written.
type Ahead struct {
	Kind   AheadKind
	Behind string // the verb that was not answered yet
	Sent   string // the first octets of the input, cleaned
}

// Note keeps the first input of a kind, and reports whether it is new.
func (c *Conduct) Note(a Ahead) bool {
	for i := range c.Ahead {
		if c.Ahead[i].Kind == a.Kind {
			return false
		}
	}
	c.Ahead = append(c.Ahead, a)
	return true
}

// NoteWord keeps a word that is no verb, and reports whether it is new.
func (c *Conduct) NoteWord(word string) bool {
	if len(c.Words) >= MaxWords || slices.Contains(c.Words, word) {
		return false
	}
	c.Words = append(c.Words, word)
	return true
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
