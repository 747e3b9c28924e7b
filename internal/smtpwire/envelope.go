package smtpwire

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Offer is which extensions with parameters the server advertised. A
// parameter of one that was not offered is Unknown.
type Offer struct {
	Size         bool // RFC 1870
	EightBitMIME bool // RFC 6152
	SMTPUTF8     bool // RFC 6531
	DSN          bool // RFC 3461
	RequireTLS   bool // RFC 8689
}

// Mail is the argument of MAIL.
type Mail struct {
	From       Address // IsNull for <>
	Size       int64   // SIZE=, octets; 0 if not said. Absurd values are math.MaxInt64
	Body       string  // "7BIT", "8BITMIME" or, if not said, empty
	UTF8       bool    // SMTPUTF8 was asked for
	Ret        string  // "FULL", "HDRS" or, if not said, empty
	RequireTLS bool    // REQUIRETLS was asked for
	EnvID      string  // ENVID=, decoded, printable ASCII; write it with EncodeXtext
	Lax        Lax
	Unknown    []Param // what is not offered (555 5.5.4)
}

// ParseMail reads the argument of MAIL, "FROM:<path> parameters" (RFC 5321
// section 4.1.1.2). An address over ASCII without the parameter SMTPUTF8 is
// ErrNeedsUTF8.
func ParseMail(arg string, offer Offer) (Mail, error) {
	var m Mail
	s, lax, err := afterColon(arg, "FROM:")
	if err != nil {
		return m, err
	}
	// Whether SMTPUTF8 was asked for is only known behind the address.
	from, rest, pathLax, err := ParseReversePath(s, offer.SMTPUTF8)
	if err != nil {
		return m, err
	}
	params, paramLax, err := parseParams(rest)
	if err != nil {
		return m, err
	}
	m.From, m.Lax = from, lax|pathLax|paramLax
	for _, p := range params {
		if err := m.param(p, offer); err != nil {
			return Mail{}, err
		}
	}
	if !m.UTF8 && !from.IsASCII() {
		return Mail{}, ErrNeedsUTF8
	}
	return m, nil
}

func (m *Mail) param(p Param, offer Offer) error {
	good := true
	switch value := strings.ToUpper(p.Value); {
	case p.Keyword == "SIZE" && offer.Size:
		m.Size, good = parseSize(p.Value)
	case p.Keyword == "BODY" && offer.EightBitMIME:
		m.Body, good = value, value == "7BIT" || value == "8BITMIME"
	case p.Keyword == "SMTPUTF8" && offer.SMTPUTF8:
		m.UTF8, good = true, !p.Valued
	case p.Keyword == "REQUIRETLS" && offer.RequireTLS:
		m.RequireTLS, good = true, !p.Valued
	case p.Keyword == "RET" && offer.DSN:
		m.Ret, good = value, value == "FULL" || value == "HDRS"
	case p.Keyword == "ENVID" && offer.DSN:
		id, err := DecodeXtext(p.Value)
		m.EnvID, good = id, err == nil && id != "" && len(p.Value) <= maxEnvID && isASCII(id) && !hasControl(id)
	default:
		m.Unknown = append(m.Unknown, p)
	}
	return paramError(p, good)
}

// parseSize reads 1*20DIGIT of RFC 1870 section 4.
func parseSize(s string) (int64, bool) {
	if s == "" || len(s) > 20 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	return n, true
}

// Notify is the parameter NOTIFY of RFC 3461 section 4.1; 0 is not said.
type Notify uint8

// The values of NOTIFY. Never is never with another.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// notifyWord has the words of NOTIFY in the order they are written.
func notifyWord(i int) string { return [...]string{"NEVER", "SUCCESS", "FAILURE", "DELAY"}[i] }

// String is the value as it is written, empty for 0.
func (n Notify) String() string {
	var words []string
	for i := range 4 {
		if n&(1<<i) != 0 {
			words = append(words, notifyWord(i))
		}
	}
	return strings.Join(words, ",")
}

// Rcpt is the argument of RCPT.
type Rcpt struct {
	To        Address // without Domain for <postmaster>
	Notify    Notify
	ORCPT     string // the parameter as it came, checked; to be passed on
	ORCPTType string // its address type, upper case: RFC822, UTF-8
	ORCPTAddr string // its address, xtext decoded; no control octets
	Lax       Lax
	Unknown   []Param // what is not offered (555 5.5.4)
}

// ParseRcpt reads the argument of RCPT, "TO:<path> parameters" (RFC 5321
// section 4.1.1.3). utf8 says that this transaction's MAIL had SMTPUTF8.
func ParseRcpt(arg string, offer Offer, utf8 bool) (Rcpt, error) {
	var r Rcpt
	s, lax, err := afterColon(arg, "TO:")
	if err != nil {
		return r, err
	}
	to, rest, pathLax, err := ParseForwardPath(s, utf8)
	if err != nil {
		return r, err
	}
	params, paramLax, err := parseParams(rest)
	if err != nil {
		return r, err
	}
	r.To, r.Lax = to, lax|pathLax|paramLax
	for _, p := range params {
		if err := r.param(p, offer, utf8); err != nil {
			return Rcpt{}, err
		}
	}
	return r, nil
}

func (r *Rcpt) param(p Param, offer Offer, utf8 bool) error {
	good := true
	switch {
	case p.Keyword == "NOTIFY" && offer.DSN:
		r.Notify, good = parseNotify(p.Value)
	case p.Keyword == "ORCPT" && offer.DSN:
		good = r.orcpt(p.Value, utf8)
	default:
		r.Unknown = append(r.Unknown, p)
	}
	return paramError(p, good)
}

func parseNotify(s string) (n Notify, ok bool) {
	for word := range strings.SplitSeq(s, ",") {
		var bit Notify
		for i := range 4 {
			if equalFold(word, notifyWord(i)) {
				bit = 1 << i
			}
		}
		if bit == 0 || n&bit != 0 {
			return 0, false
		}
		n |= bit
	}
	return n, n&NotifyNever == 0 || n == NotifyNever
}

// orcpt reads type ; xtext (RFC 3461 section 4.2). For the type utf-8 the
// address may also have octets over 127 (RFC 6533 section 3), if utf8.
func (r *Rcpt) orcpt(s string, utf8 bool) bool {
	kind, encoded, found := strings.Cut(s, ";")
	if !found || !isKeyword(kind) || encoded == "" || len(s) > maxORCPT {
		return false
	}
	r.ORCPT, r.ORCPTType = s, strings.ToUpper(kind)
	if !isASCII(encoded) {
		r.ORCPTAddr = encoded
		return utf8 && r.ORCPTType == "UTF-8" && checkUTF8(encoded) == nil
	}
	addr, err := DecodeXtext(encoded)
	r.ORCPTAddr = addr
	return err == nil && !hasControl(addr)
}

func paramError(p Param, good bool) error {
	if good {
		return nil
	}
	return fmt.Errorf("%w: value of %s", ErrParam, p.Keyword)
}

// afterColon cuts FROM: or TO: off, and spaces behind it.
func afterColon(arg, word string) (rest string, lax Lax, err error) {
	if len(arg) < len(word) || !equalFold(arg[:len(word)], word) {
		return "", 0, fmt.Errorf("%w: no %s", ErrCommand, word)
	}
	rest = arg[len(word):]
	if trimmed := strings.TrimLeft(rest, " "); trimmed != rest {
		return trimmed, LaxSpace, nil
	}
	return rest, 0, nil
}
