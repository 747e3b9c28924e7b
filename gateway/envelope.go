package gateway

import (
	"strings"
	"sync"
	"time"
)

// Address is a mailbox as an envelope names it, already parsed by the RFCs. The zero value is the null reverse-path `<>`.
type Address struct {
	Text   string // as it is written on the wire, quoted exactly; "" for the null reverse-path
	Local  string // unquoted local part; its case is kept
	Domain string // A-label, lower case, or an address literal in brackets; "" for the null path and for <postmaster>
	UTF8   bool   // cannot be written without SMTPUTF8 (RFC 6531)
}

// IsNull reports whether it is the null reverse-path.
func (a Address) IsNull() bool { return a.Text == "" }

// Path returns the address in angle brackets.
func (a Address) Path() string { return "<" + a.Text + ">" }

// Key is the address as a key of caches and lists: the domain folded, the local part as it is.
func (a Address) Key() string {
	if a.Domain == "" {
		return strings.ToLower(a.Local)
	}
	return a.Local + "@" + a.Domain
}

// RoleOf returns "postmaster" or "abuse" for the mailboxes that must be reachable (RFC 5321 section 4.5.1, RFC 2142).
func (a Address) RoleOf() string {
	for _, role := range [...]string{"postmaster", "abuse"} {
		if strings.EqualFold(a.Local, role) {
			return role
		}
	}
	return ""
}

// MarshalText writes the wire form, and behind a space the domain where it cannot be read off the wire form: an
// internationalized one, whose A-label the contract cannot make.
func (a Address) MarshalText() ([]byte, error) {
	if i := strings.LastIndexByte(a.Text, '@'); i >= 0 && strings.ToLower(a.Text[i+1:]) != a.Domain {
		return []byte(a.Text + " " + a.Domain), nil
	}
	return []byte(a.Text), nil
}

// UnmarshalText reads what MarshalText wrote. It is no parser of hostile input: the text was parsed before it was written.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	*a = Address{Text: s, Local: s}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		wire, domain, told := strings.Cut(s[i+1:], " ")
		if !told {
			domain = strings.ToLower(wire)
		}
		a.Text, a.Local, a.Domain = s[:i+1]+wire, s[:i], domain
		a.UTF8 = strings.ContainsFunc(s[:i], func(r rune) bool { return r > 126 })
		if l := len(a.Local); l > 1 && a.Local[0] == '"' {
			a.Local = unquote(a.Local[1 : l-1])
		}
	}
	return nil
}

func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// MailOptions are the parameters of MAIL that were given.
type MailOptions struct {
	Size     int64  // SIZE=, octets (RFC 1870); 0 when absent
	EightBit bool   // BODY=8BITMIME (RFC 6152)
	UTF8     bool   // SMTPUTF8 (RFC 6531)
	Return   string // RET=FULL or HDRS (RFC 3461 section 4.3)
	EnvID    string // ENVID=, as xtext
	// RequireTLS is REQUIRETLS (RFC 8689): the message goes only to servers that are encrypted, verified, and know it too.
	RequireTLS bool
}

// RcptOptions are the parameters of RCPT that were given.
type RcptOptions struct {
	Notify   []string // NEVER, or any of SUCCESS, FAILURE, DELAY (RFC 3461 section 4.1)
	Original string   // ORCPT=, address type and xtext
}

// Recipient is one recipient of an envelope and what was said about it.
type Recipient struct {
	Address Address
	Options RcptOptions
	Route   string // the route of its mail; "" where we serve none
	// To are the addresses that its mail is sent on to, of one route all of them, where policy says that it is another
	// (aliases, domains that stand for others); nil: Address itself.
	To []Address
	// Named is of a Delivery: the address that the sender named, where Address is one that stands in for it; zero: Address.
	Named Address
	Reply Reply // what RCPT was answered
	// Verified says that a next hop or a directory was asked whether it exists, and said yes.
	Verified bool
}

// Final returns the addresses that the next hop is told.
func (r *Recipient) Final() []Address {
	if r.To != nil {
		return r.To
	}
	return []Address{r.Address}
}

// Accepted reports whether RCPT was answered with 250.
func (r *Recipient) Accepted() bool { return r.Reply.Code == 250 }

// Envelope is what is true of one transaction. It is born at MAIL and dropped whole at RSET or at its end.
type Envelope struct {
	ID       ID
	Session  *Session
	Started  time.Time
	From     Address // the reverse-path
	Options  MailOptions
	Rcpts    []Recipient // in the order of RCPT, the refused ones as well
	Route    string      // of the first accepted recipient; one transaction has one route
	Body     Body        // nil before the message was read whole
	Header   *Header     // of the body; nil before
	Measured Measured
	Facts    Facts
	Findings []Finding
	front    []Finding      // what lies in front of the room of Findings; see Gather
	ahead    sync.WaitGroup // what was begun before its stage; see Pipeline.AheadMail
	// aheadData says that what the Data stage would like to know was begun; see Pipeline.AheadData.
	aheadData bool
}

// Gather makes room for so many findings of the envelope, with those of its session in front, so that its records need not
// copy them all.
func (e *Envelope) Gather(n int) {
	of := len(e.Session.Findings)
	e.front = make([]Finding, of, of+n)
	e.Findings = append(e.front[of:], e.Findings...)
}

// behind returns the findings of the session and the envelope in one list: the room of Gather, as long as all are in it.
func (e *Envelope) behind(front []Finding) []Finding {
	n, all := len(e.front), len(front)+len(e.Findings)
	if n != len(front) || n == cap(e.front) || len(e.Findings) == 0 || &e.front[:n+1][n] != &e.Findings[0] {
		return append(append(make([]Finding, 0, all), front...), e.Findings...)
	}
	copy(e.front, front)
	return e.front[:all:all] // what is appended to it is not appended to the envelope's
}

// Measured is what the reader of the body counted on the way in.
type Measured struct {
	Octets      int64 // message size by RFC 1870
	Lines       int64
	LongestLine int
	EightBit    bool
	Normalised  bool // bare CR or LF became CRLF, by exception
	Chunked     bool // came by BDAT
	// Clean says that the body has CRLF at the end of each line, the last one too, and nowhere else a CR, an LF or a NUL,
	// and that Dots are all the offsets at which one of its lines begins with a dot. Only the strict reader can say so, and
	// only of a body that nobody changed since.
	Clean bool
	Dots  []int64
}

// AcceptedRcpts returns the recipients that were accepted at RCPT.
func (e *Envelope) AcceptedRcpts() []Recipient {
	var out []Recipient
	for i := range e.Rcpts {
		if e.Rcpts[i].Accepted() {
			out = append(out, e.Rcpts[i])
		}
	}
	return out
}

// Texts are the addresses as they were written.
func Texts(all []Address) (out []string) {
	for _, a := range all {
		out = append(out, a.Text)
	}
	return out
}
