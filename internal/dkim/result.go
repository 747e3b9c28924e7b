package dkim

import (
	"slices"
	"strings"
	"time"
)

// Status is the result of one signature in the words of RFC 8601 section 2.7.1. The zero value is None.
type Status uint8

// The statuses. Only Pass says that the signature holds and may count.
const (
	None      Status = iota // no signature
	Pass                    // it holds
	Fail                    // the message is not what was signed
	Policy                  // it holds, but not by our policy: see Cause
	Neutral                 // beyond a bound of ours: not looked at
	TempError               // DNS or the body could not tell
	PermError               // it can never hold: syntax, key, time
)

func (s Status) String() string {
	return [...]string{"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}[s]
}

// Cause is why a signature does not pass.
type Cause uint8

// The causes.
const (
	NoCause       Cause = iota
	BadSyntax           // of the signature, or what it asks for is not known
	BadKey              // there is none, it was revoked, or it is not one for this signature
	KeyLookup           // DNS could not tell
	BadTime             // expired, or made in the future
	BodyChanged         // the body's hash differs
	HeaderChanged       // the signature does not match: the header was changed, or the key is another
	Uncovered           // octets of the body follow those that l= covers
	WeakKey             // too short, by RFC 8301 or by policy
	Doubled             // a From stands there that is not signed: RFC 6376 section 8.15
	Bound               // too much to look at
	BodyRead            // the body could not be read
)

func (c Cause) String() string {
	return [...]string{"", "syntax", "key", "dns", "time", "body", "signature", "length", "weak", "doubled", "bound", "read"}[c]
}

// Result is what was found of one signature.
type Result struct {
	Status Status
	Cause  Cause
	Reason string // of anything but Pass, in words; may hold what the signature says: printable

	Field       int    // number of the signature's field in the header
	Domain      string // d=: A-label, lower case; "" where it is no domain name
	Selector    string // s=, likewise
	Identity    string // i=, its domain likewise; of a signature without one "@" and d=
	Algorithm   Algorithm
	Bits        int // of the key; 0 where none was read
	HeaderCanon Canon
	BodyCanon   Canon
	Prefix      string // the beginning of b=, long enough to tell signatures of the message apart (RFC 6008)

	Names      []string // h= in lower case, each once
	Oversigned []string // those that are signed as not there (once more): adding one breaks the signature
	Duplicates []string // those that may stand once in a message, and of which one more stands there that is not signed
	Unsigned   []string // fields that may stand once, are there, and are not in h=: anybody may have changed them

	Length    int64     // l=; -1 without one
	Uncovered int64     // octets of the canonical body behind l=
	Testing   bool      // t=y of the key
	Time      time.Time // t=; zero without one
	Expires   time.Time // x=; zero without one
	// HeaderHolds says of a changed body that the signed header fields are as they were: somebody on the way added to the
	// body.
	HeaderHolds bool
	DNSError    error // why the key could not be looked up
}

// stop ends a result.
func (r *Result) stop(s Status, c Cause, reason string) {
	r.Status, r.Cause, r.Reason = s, c, reason
}

// onceFields are the fields that may stand once (RFC 5322 section 3.6, RFC 2045), in lower case.
func onceFields() [14]string {
	return [...]string{"from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject", "date",
		"mime-version", "content-type", "content-transfer-encoding"}
}

func once(name string) bool {
	for _, o := range onceFields() {
		if o == name {
			return true
		}
	}
	return false
}

// coverage tells what the choice of fields says.
func (r *Result) coverage(h *Header, names []string, chosen []int, own int) {
	r.Names = make([]string, 0, len(names))
	for i, name := range names {
		name = strings.ToLower(name)
		if !slices.Contains(r.Names, name) {
			r.Names = append(r.Names, name)
		}
		if chosen[i] < 0 && !slices.Contains(r.Oversigned, name) {
			r.Oversigned = append(r.Oversigned, name)
		}
		if chosen[i] < 0 || !once(name) {
			continue
		}
		above := h.Above(chosen[i])
		if above == own && above >= 0 {
			above = h.Above(above)
		}
		if above >= 0 && !slices.Contains(chosen, above) && !slices.Contains(r.Duplicates, name) {
			r.Duplicates = append(r.Duplicates, name)
		}
	}
	for _, name := range onceFields() {
		if h.Last(name) >= 0 && !slices.Contains(r.Names, name) {
			r.Unsigned = append(r.Unsigned, name)
		}
	}
}

// prefixes gives each result as much of b= as tells it apart, at least eight characters.
func prefixes(results []Result, values []string) {
	for i := range results {
		n := 8
		for j := range values {
			for j != i && n < len(values[i]) && strings.HasPrefix(values[j], values[i][:n]) && values[i] != values[j] {
				n++
			}
		}
		results[i].Prefix = values[i][:min(n, len(values[i]))]
	}
}
