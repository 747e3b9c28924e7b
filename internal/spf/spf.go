// Package spf tells whether the owner of a domain lets an address send its mail (SPF, RFC 7208).
//
// Check is the function check_host() of the RFC. A record is parsed whole before anything of it is evaluated, so that a
// syntax error anywhere is one; terms, void lookups and names are limited as section 4.6.4 asks; what DNS could not tell
// is temperror and what the owner must mend is permerror, never one for the other. While a record is evaluated the
// lookups that its other terms need are already under way, which changes how long it takes and nothing else.
//
// It knows nothing of what a result costs, keeps nothing, logs nothing, and asks nobody but the Resolver it is given.
package spf

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Resolver is the DNS that is asked, in the shape of net.Resolver. Names have no final dot and may hold any printable
// octet. An error of *net.DNSError with IsNotFound says that there are no such records, as does an empty answer; any
// other error that it could not be told. Methods are called from several goroutines and must return soon after ctx ends.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error) // most preferred first
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Result is what SPF says (RFC 7208 section 2.6). The zero value is TempError: an Outcome that nobody filled tells nothing.
type Result uint8

// The results.
const (
	TempError Result = iota // DNS could not tell; another time it may
	None                    // no record, or no domain that could have one
	Neutral                 // the owner does not say
	Pass
	Fail
	SoftFail  // between Neutral and Fail
	PermError // the owner must mend the record
)

// String returns the word of RFC 8601 section 2.7.2.
func (r Result) String() string {
	words := [...]string{"temperror", "none", "neutral", "pass", "fail", "softfail", "permerror"}
	if int(r) >= len(words) {
		return "temperror"
	}
	return words[r]
}

// Query is what is asked.
type Query struct {
	IP       netip.Addr // of the client; one mapped into IPv6 counts as IPv4
	Domain   string     // whose record it is: A-label, without brackets
	Sender   string     // local@domain for macros, split at its last @; without a local part it is postmaster's; "": postmaster of Domain
	Helo     string     // as the client said it, for macros
	Receiver string     // our own name, for the macro r in explanations; "" is "unknown"
	Now      time.Time  // for the macro t in explanations
}

// Outcome is the result with its evidence. All text of strangers is printable US-ASCII and short.
type Outcome struct {
	Result Result
	Domain string // that was asked about
	Record string // its record as published, at most 2048 octets; "" for none
	// Mechanism is the one that matched, as written; "" where none did. Chain leads to it, outermost first: each include
	// with its qualifier and each redirect, as written. Where something is broken Chain leads to the record that is.
	Mechanism   string
	Chain       []string
	Explanation string // what the owner says of Fail (exp=, section 6.2), at most 500 octets; "" for nothing
	Problem     string // of TempError and PermError: what is broken, and which term
	Lookups     int    // terms that needed DNS, at most 11: the one over the limit is counted
	Voids       int    // of them, those whose name had nothing, at most 3
	Never       bool   // the record is `v=spf1 -all` and nothing else: the domain sends no mail at all
}

// The limits of section 4.6.4, and of what is kept as evidence.
const (
	maxLookups     = 10
	maxVoids       = 2
	maxNames       = 10 // of MX, and of PTR
	maxRecordShown = 2048
	maxExplanation = 500
	maxValue       = 512 // octets of what one macro stands for
)

// Check evaluates the record of a domain for a client. It returns soon after ctx ends, with TempError unless the result
// was there, and leaves no goroutine behind.
func Check(ctx context.Context, r Resolver, q Query) Outcome {
	return check(ctx, r, q, maxAhead)
}

func check(ctx context.Context, r Resolver, q Query, most int) Outcome {
	c := checker{ctx: ctx, r: r, q: &q, most: most, ip: q.IP.Unmap().WithZone("")}
	c.identities()
	defer c.close()
	c.out.Domain = q.Domain
	if !c.ip.IsValid() {
		c.out.Result, c.out.Problem = PermError, "the client has no address"
		return c.out
	}
	result, trouble := c.host(strings.TrimSuffix(q.Domain, "."), true)
	c.out.Result = result
	if trouble != nil {
		c.out.Problem = trouble.text
	}
	return c.out
}

// identities takes the sender apart at its last @ (section 4.3: without a local part it is that of postmaster), and bounds
// what macros stand for: no name that can be looked up holds more.
func (c *checker) identities() {
	c.local, c.origin = "postmaster", c.q.Domain
	if i := strings.LastIndexByte(c.q.Sender, '@'); i >= 0 {
		c.local, c.origin = cmp.Or(c.q.Sender[:i], c.local), cmp.Or(c.q.Sender[i+1:], c.origin)
	}
	c.unnamed = len(c.local) > maxValue || !isASCII(c.local)
	c.origin, c.helo = head(c.origin, maxValue), head(c.q.Helo, maxValue)
	c.receiver = head(cmp.Or(c.q.Receiver, "unknown"), maxValue)
}

func head(s string, most int) string { return s[:min(len(s), most)] }

// trouble is why there is no result: TempError or PermError.
type trouble struct {
	result Result
	text   string
}

func temporary(text string) *trouble { return &trouble{TempError, text} }
func permanent(text string) *trouble { return &trouble{PermError, text} }

// quote is a term or name of a stranger as it may be shown.
func quote(s string) string { return strconv.Quote(clean(s, 100)) }

// clean makes text of strangers printable US-ASCII of at most so many octets.
func clean(s string, most int) string {
	cut := len(s) > most
	if cut {
		s = s[:most]
	}
	if !cut && printable(s) {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	if cut {
		b = append(b[:most-3], "..."...)
	}
	return string(b)
}

// printable reports whether text is printable US-ASCII.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// lookable reports whether a name can be asked for: labels of 1 to 63 octets, 253 in all. What is no host name may still
// have records that SPF asks for.
func lookable(name string) bool {
	if name == "" || len(name) > 253 || !printable(name) {
		return false
	}
	label := 0
	for i := 0; i < len(name); i++ {
		if name[i] != '.' {
			label++
			if label > 63 {
				return false
			}
			continue
		}
		if label == 0 {
			return false
		}
		label = 0
	}
	return label > 0
}

// hasRecords reports whether a domain could have a record: section 4.3 asks for several labels and no address literal.
func hasRecords(domain string) bool {
	return lookable(domain) && domain[0] != '[' && strings.IndexByte(domain, '.') > 0
}
