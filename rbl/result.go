package rbl

import (
	"net/netip"
	"strings"
	"time"
)

// Verdict is what a list said of one question. The zero value is Unknown: what was never asked is not known.
type Verdict uint8

// The verdicts. Only Listed has a weight; only NotListed says that the list was asked and has no entry.
const (
	Unknown   Verdict = iota // it could not be told: Cause
	NotListed                // there is no such name
	Listed                   // a documented return code
	Unhealthy                // the list does not work, or not for us: Cause
)

func (v Verdict) String() string {
	return [...]string{"unknown", "not listed", "listed", "unhealthy"}[v]
}

// Cause is why a verdict is Unknown or Unhealthy, and why a list is not used. The list is closed: it may be a metrics label.
type Cause uint8

// The causes.
const (
	NoCause      Cause = iota
	Late               // no answer before the deadline
	DNSFailure         // an error of DNS
	Canceled           // the caller stopped waiting
	Empty              // an answer without an address
	Undocumented       // return codes in 127.0.0.0/8 that the list does not document
	ErrorCode          // a return code that says that the question was not answered
	Foreign            // an address outside 127.0.0.0/8
	Flood              // more addresses than any list answers with
	Unaskable          // no public address or no domain name, or too long with the zone
	NoKey              // the list wants a key
	Bound              // too many questions at once
	NoUse              // the operator has not said what the use is: private or commercial
	NoLicence          // the list's terms forbid commercial use
	Unproved           // its test points have not answered yet
	Missing            // a test point that is always listed is not
	World              // a test point that is never listed is
	Breaker            // too many of the last answers were none
	Anomaly            // it suddenly lists nearly everybody, alone
)

func (c Cause) String() string {
	return [...]string{"", "late", "dns", "canceled", "empty", "undocumented", "error code", "foreign", "flood", "unaskable", "no key",
		"bound", "no use", "no licence", "unproved", "missing", "world", "breaker", "anomaly"}[c]
}

// Code is one return code with the rule that explains it.
type Code struct {
	Answer netip.Addr
	Label  string
	Weight int
}

// Result is what one list said of one address or domain. It never holds the list's key.
type Result struct {
	List    string
	Inputs  Input  // what was asked about; several where they are the same domain
	Subject string // the address or domain
	Verdict Verdict
	Codes   []Code // of Listed: in the order of the rules
	Weight  int    // of Listed: that of the strongest code, for a list has one voice, and above zero before below
	Cause   Cause  // of Unknown and Unhealthy
	Detail  string // for the operator, printable; may be ""
	Took    time.Duration

	asked question
}

// maxAnswers is more addresses than any documented list answers with.
const maxAnswers = 32

// classify fills in what an answer says. Nothing but a documented code makes Listed, and nothing here makes NotListed: an
// answer is never the absence of one.
func (l *List) classify(addrs []netip.Addr, res *Result) {
	if len(addrs) == 0 {
		res.Verdict, res.Cause = Unknown, Empty
		return
	}
	if len(addrs) > maxAnswers {
		res.Verdict, res.Cause = Unhealthy, Flood
		return
	}
	for _, a := range addrs {
		if cause, says := l.failure(a.Unmap()); cause != NoCause {
			res.Verdict, res.Cause, res.Detail = Unhealthy, cause, a.Unmap().String()+": "+says
			return
		}
	}
	strange := ""
	known := 0
	for _, a := range addrs {
		before := known
		for i := range l.Rules {
			if r := &l.Rules[i]; r.Answer.Match(a.Unmap()) {
				known++
				res.Codes = addCode(res.Codes, Code{a.Unmap(), r.Label, r.Weight})
			}
		}
		if known == before {
			strange = a.Unmap().String() + " is not documented"
		}
	}
	res.Detail = strange
	if known == 0 {
		res.Verdict, res.Cause = Unknown, Undocumented
		return
	}
	res.Verdict = Listed
	for _, c := range res.Codes {
		if max(c.Weight, -c.Weight) > max(res.Weight, -res.Weight) || c.Weight > 0 && c.Weight == -res.Weight {
			res.Weight = c.Weight
		}
	}
}

// failure tells an answer that says that the question was not answered.
func (l *List) failure(a netip.Addr) (Cause, string) {
	for i := range l.Errors {
		if l.Errors[i].Answer.Match(a) {
			return ErrorCode, l.Errors[i].Says
		}
	}
	if !a.Is4() || !a.IsLoopback() {
		return Foreign, "outside 127.0.0.0/8: the zone has another owner, or the resolver invents answers"
	}
	b := a.As4()
	if b[1] == 255 && b[2] == 255 {
		return ErrorCode, "an error code"
	}
	if b == [4]byte{127, 0, 0, 1} {
		for i := range l.Rules {
			if l.Rules[i].Answer.Match(a) {
				return NoCause, ""
			}
		}
		return ErrorCode, "127.0.0.1 is no return code, and what lists and resolvers answer that refuse"
	}
	return NoCause, ""
}

// addCode adds a code once for each label, the first answer that has it.
func addCode(codes []Code, c Code) []Code {
	for _, have := range codes {
		if have.Label == c.Label {
			return codes
		}
	}
	return append(codes, c)
}

// printable is text of others for the operator: printable ASCII, cut.
func printable(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), limit)]
}
