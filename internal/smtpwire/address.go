package smtpwire

import (
	"errors"
	"net/netip"
	"strings"
)

// Limits of RFC 5321 section 4.5.3.1, in octets.
const (
	MaxLocal  = 64
	MaxDomain = 255
	MaxPath   = 256 // with its angle brackets
)

// What can be wrong with an address. Errors of the parser wrap one of these.
var (
	// ErrAddress: not the syntax of RFC 5321 (501 5.1.3, or 5.1.7 at MAIL).
	ErrAddress = errors.New("address: bad syntax")
	// ErrBrackets: not between < and >.
	ErrBrackets = errors.New("address: no angle brackets")
	// ErrSourceRoute: <@a,@b:c@d>; RFC 5321 appendix C lets us refuse it.
	ErrSourceRoute = errors.New("address: source route")
	// ErrAddressLength: a part is longer than its limit.
	ErrAddressLength = errors.New("address: too long")
	// ErrDomain: the domain is no host name, IDN or address literal.
	ErrDomain = errors.New("address: bad domain")
	// ErrNeedsUTF8: an octet over 127 without SMTPUTF8 (553 5.6.7).
	ErrNeedsUTF8 = errors.New("address: needs SMTPUTF8")
)

// Address is a mailbox, or the null reverse-path (the zero value), or
// <postmaster> without a domain. Values that differ only in how they were
// quoted are equal by ==.
type Address struct {
	Local   string     // the local part, unquoted; case kept
	Domain  string     // as given: U-labels, A-labels or [literal]
	ASCII   string     // Domain as lower-case A-labels or canonical literal
	Literal netip.Addr // of an address literal, else the zero Addr
}

// IsNull tells whether a is the null reverse-path <>.
func (a Address) IsNull() bool { return a.Local == "" && a.Domain == "" }

// IsPostmaster tells whether the local part is postmaster in any case, in any
// domain or in none (RFC 5321 section 4.5.1).
func (a Address) IsPostmaster() bool { return equalFold(a.Local, "postmaster") }

// IsASCII tells whether a can be written without SMTPUTF8 as it was given.
func (a Address) IsASCII() bool { return isASCII(a.Local) && isASCII(a.Domain) }

// Routed tells whether the local part carries another route (user%host,
// host!user, user@host), which some MTA behind us could follow.
func (a Address) Routed() bool { return strings.ContainsAny(a.Local, "%!@") }

// Key is the address for caches and lists: the local part as it is, and
// quoted only where it must be, at the ASCII domain. Empty for the null
// reverse-path.
func (a Address) Key() string {
	if a.IsNull() {
		return ""
	}
	if a.Domain == "" {
		return QuoteLocal(a.Local)
	}
	return QuoteLocal(a.Local) + "@" + a.ASCII
}

// Equal tells whether a and b are one mailbox: same local part, same domain in
// whatever form. Only the case of postmaster without domain is ignored.
func (a Address) Equal(b Address) bool {
	if a.Domain == "" && b.Domain == "" {
		return equalFold(a.Local, b.Local)
	}
	return a.Local == b.Local && a.ASCII == b.ASCII
}

// String is the address without angle brackets, quoted exactly as far as
// needed; empty for the null reverse-path. Parsing it again gives a.
func (a Address) String() string {
	switch {
	case a.IsNull():
		return ""
	case a.Domain == "":
		return QuoteLocal(a.Local)
	}
	return QuoteLocal(a.Local) + "@" + a.Domain
}

// Wire is the path for MAIL and RCPT, in angle brackets. It needs SMTPUTF8
// unless IsASCII.
func (a Address) Wire() string {
	if a.Domain == "" {
		return "<" + a.String() + ">"
	}
	return "<" + QuoteLocal(a.Local) + "@" + a.Domain + ">"
}

// WireASCII is the path for a next hop without SMTPUTF8: the domain as
// A-labels. ok is false when the local part cannot be written so, or the path
// becomes too long.
func (a Address) WireASCII() (path string, ok bool) {
	if !isASCII(a.Local) {
		return "", false
	}
	if a.Domain != "" {
		a.Domain = a.ASCII
	}
	path = a.Wire()
	if len(path) > MaxPath {
		return "", false
	}
	return path, true
}

// QuoteLocal writes a local part as RFC 5321 section 4.1.2 asks: as it is if
// it is a dot-string, else as a quoted string.
func QuoteLocal(local string) string {
	if isDotString(local) {
		return local
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(local) {
		if local[i] == '"' || local[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(local[i])
	}
	b.WriteByte('"')
	return b.String()
}

func isDotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			if !isAtext(atom[i]) {
				return false
			}
		}
	}
	return true
}

// isAtext is atext of RFC 5322 section 3.2.3 with the octets of RFC 6531.
func isAtext(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c >= 0x80:
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// equalFold is strings.EqualFold for ASCII only: the long s is no s here.
func equalFold(s, word string) bool { return len(s) == len(word) && strings.EqualFold(s, word) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
