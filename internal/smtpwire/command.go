package smtpwire

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ErrCommand: no verb of letters at the start of the line, or octets that no
// command may have (500 5.5.2).
var ErrCommand = errors.New("command: bad syntax")

// maxVerb is longer than any verb in use (XFORWARD, STARTTLS).
const maxVerb = 16

// ParseCommand splits a line into its verb, in upper case, and its argument,
// without the space between them and spaces at the end (RFC 5321 section
// 4.1.1). The verb is exact: STARTTLSx and "EHLO\tname" are other verbs or
// none. Control octets anywhere are an error; octets over 127 are left to the
// argument's parser.
func ParseCommand(line []byte) (verb, arg string, err error) {
	v, a, _ := bytes.Cut(line, []byte{' '})
	if len(v) == 0 || len(v) > maxVerb {
		return "", "", ErrCommand
	}
	for _, c := range v {
		if c |= 0x20; c < 'a' || c > 'z' {
			return "", "", ErrCommand
		}
	}
	arg = strings.Trim(string(a), " \t")
	if hasControl(arg) {
		return "", "", fmt.Errorf("%w: control octet", ErrCommand)
	}
	return verbOf(v), arg, nil
}

// verbOf returns a verb in upper case; those of every message cost no memory.
func verbOf(v []byte) string {
	var upper [maxVerb]byte
	n := copy(upper[:], v)
	for i := range n {
		upper[i] &^= 0x20 // it has letters only
	}
	switch string(upper[:n]) {
	case "MAIL":
		return "MAIL"
	case "RCPT":
		return "RCPT"
	case "DATA":
		return "DATA"
	case "BDAT":
		return "BDAT"
	case "RSET":
		return "RSET"
	case "QUIT":
		return "QUIT"
	}
	return string(upper[:n])
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// Alien is a peer that speaks something other than SMTP.
type Alien uint8

// What Sniff can tell.
const (
	NotAlien Alien = iota
	AlienTLS       // a TLS or SSL 2 hello in place of a command
	AlienHTTP
	AlienBinary // a control octet at the start
)

// Sniff looks at the first octets of a line, or of a connection (see
// [Reader.Peek]: a TLS hello may have no line end to wait for), and tells what
// is no SMTP client. SMTP commands are never alien.
func Sniff(b []byte) Alien {
	if len(b) == 0 {
		return NotAlien
	}
	if b[0] == 0x16 || (b[0] == 0x80 && len(b) > 2 && b[2] == 1) {
		return AlienTLS
	}
	if (b[0] < ' ' && b[0] != '\r' && b[0] != '\n' && b[0] != '\t') || b[0] >= 0x7f {
		return AlienBinary
	}
	verb, _, _ := bytes.Cut(b, []byte{' '})
	switch string(verb) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI":
		return AlienHTTP
	}
	return NotAlien
}

// HeloFlaw says what is wrong with a HELO name that is taken all the same.
type HeloFlaw uint8

// The flaws.
const (
	HeloBareIP    HeloFlaw = 1 << iota // an address without brackets
	HeloNotDomain                      // not the syntax of a domain: underscore, empty label ...
	HeloDot                            // a dot at the end
	HeloSingle                         // one label only
	HeloMore                           // more words after the name; dropped
	HeloLiteral                        // begins with [ and is no address literal
)

// Helo is the argument of EHLO and HELO.
type Helo struct {
	Name    string     // the name as given, printable ASCII, at most 255 octets
	Domain  string     // lower case, when Name is a domain; else empty
	Literal netip.Addr // when Name is an address literal, or an address without brackets
	Flaws   HeloFlaw
}

// ParseHelo reads the argument of EHLO or HELO (RFC 5321 section 4.1.1.1).
// Names that are only sloppy are taken and flagged. An error is for what must
// not get into a log or a header: empty, too long, or other than printable
// ASCII (RFC 6531 section 3.7.1 asks for A-labels).
func ParseHelo(arg string) (Helo, error) {
	name, more, _ := strings.Cut(arg, " ")
	if name == "" {
		return Helo{}, fmt.Errorf("%w: no name", ErrCommand)
	}
	if len(name) > MaxDomain {
		return Helo{}, fmt.Errorf("%w: name over %d octets", ErrCommand, MaxDomain)
	}
	if hasControl(arg) || !isASCII(arg) {
		return Helo{}, fmt.Errorf("%w: name is not printable ASCII", ErrCommand)
	}
	h := Helo{Name: name}
	if more != "" {
		h.Flaws |= HeloMore
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.Zone() == "" {
		h.Literal = addr
		h.Flaws |= HeloBareIP
		return h, nil
	}
	ascii, literal, err := parseDomain(name)
	if dotless, found := strings.CutSuffix(name, "."); found && err != nil {
		h.Flaws |= HeloDot
		ascii, literal, err = parseDomain(dotless)
	}
	switch {
	case err != nil && name[0] == '[':
		h.Flaws |= HeloLiteral
	case err != nil:
		h.Flaws |= HeloNotDomain
	case literal.IsValid():
		h.Literal = literal
	default:
		h.Domain = ascii
		if !strings.Contains(ascii, ".") {
			h.Flaws |= HeloSingle
		}
	}
	return h, nil
}
