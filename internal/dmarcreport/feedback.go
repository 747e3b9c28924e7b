package dmarcreport

import (
	"net/netip"
	"time"
)

// Format is which RFC a report is written by.
type Format uint8

// The formats. The zero value is that of RFC 9990.
const (
	RFC9990 Format = iota
	RFC7489
)

func (f Format) String() string {
	if f == RFC7489 {
		return "7489"
	}
	return "9990"
}

// Feedback is one report: what was seen of one policy record in one period.
type Feedback struct {
	Org       string    // who reports
	Email     string    // whom to ask about the report
	Contact   string    // more of that; "" for none
	ID        string    // letters and digits; see ID
	Begin     time.Time // of the period
	End       time.Time // its last second
	Errors    []string  // what the owner should know of the record or of the counting
	Generator string    // program and version; RFC 9990 only
	Policy    Published
	Records   []Record
}

// Record is one line of a report: all messages that were alike. It is what is counted, too: two messages belong to one line
// when all but Count is equal.
type Record struct {
	Source       netip.Addr  `json:"ip"`
	Disposition  string      `json:"disposition"` // "none", "pass", "quarantine" or "reject"
	DKIM         bool        `json:"dkim"`        // an aligned signature passed
	SPF          bool        `json:"spf"`         // SPF passed, aligned
	Reasons      []Reason    `json:"reasons,omitempty"`
	HeaderFrom   string      `json:"header_from"`
	EnvelopeFrom string      `json:"envelope_from,omitempty"` // "" for the null reverse-path
	Signatures   []Signature `json:"signatures,omitempty"`
	Checked      SPFResult   `json:"spf_result"`
	Count        int64       `json:"-"`
}

// Reason is why another thing was done than the record asks for.
type Reason struct {
	Type    string `json:"type"` // as RFC 9990 has it; what it does not have is written as "other"
	Comment string `json:"comment,omitempty"`
}

// Signature is the result of one DKIM signature.
type Signature struct {
	Domain   string `json:"d"`
	Selector string `json:"s"`
	Result   string `json:"result"` // a word of RFC 8601 section 2.7.1
}

// SPFResult is the result of SPF for MAIL FROM; the zero value says that there is none.
type SPFResult struct {
	Domain string `json:"domain,omitempty"`
	Helo   bool   `json:"helo,omitempty"`   // the domain is that of HELO, for the null reverse-path
	Result string `json:"result,omitempty"` // a word of RFC 8601 section 2.7.2
}

// The bounds of what a report says. Longer texts are cut.
const (
	maxDomain     = 253
	maxText       = 500
	maxReasons    = 5
	MaxSignatures = 20 // of one line; RFC 9990 section 3.1.4 allows 100
)
