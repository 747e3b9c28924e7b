package tlsrpt

import (
	"net/netip"
	"strings"
)

// Kind is which policy a connection was under (RFC 8460 section 4.4, policy-type).
type Kind string

// The kinds of policies.
const (
	TLSA     Kind = "tlsa"            // DANE
	STS      Kind = "sts"             // MTA-STS
	NoPolicy Kind = "no-policy-found" // the domain publishes none
)

// Policy is what a connection was under, as reports tell of it.
type Policy struct {
	Kind    Kind     `json:"policy-type"`
	Strings []string `json:"policy-string,omitempty"` // TLSA records, or the lines of an MTA-STS policy
	Domain  string   `json:"policy-domain"`
	MXHost  []string `json:"mx-host,omitempty"` // the patterns of an MTA-STS policy
}

// Failure is what went wrong with a connection. Its zero value, without Result, is that nothing did.
type Failure struct {
	Result      Result     `json:"result,omitempty"`
	SendingIP   netip.Addr `json:"from,omitzero"`
	MXHostname  string     `json:"mx,omitempty"`
	ReceivingIP netip.Addr `json:"ip,omitzero"`
	Code        string     `json:"code,omitempty"` // the error; the same of the same, so that sessions are alike
}

// Line is what is counted: sessions that were alike, Count of them. Two sessions belong to one line when all but Count is
// equal.
type Line struct {
	Policy  Policy  `json:"policy"`
	Failure Failure `json:"failure,omitzero"`
	Count   int64   `json:"-"`
}

// The bounds of a line. Longer texts are cut, longer lists too.
const (
	maxStrings = 40
	maxString  = 1100 // octets: a TLSA record of an RSA key of 4096 bits fits
	maxCode    = 200
)

// Clean bounds and cleans what others said. ok is false where nobody can be told: the domain of the policy is no name of at
// least two labels.
func (l *Line) Clean() (ok bool) {
	p := &l.Policy
	p.Domain = strings.ToLower(strings.TrimSuffix(p.Domain, "."))
	p.Strings, p.MXHost = cleanAll(p.Strings, maxString), cleanAll(p.MXHost, maxDomain)
	f := &l.Failure
	if f.Result == "" {
		*f = Failure{}
		return ValidDomain(p.Domain)
	}
	f.SendingIP, f.ReceivingIP = f.SendingIP.Unmap().WithZone(""), f.ReceivingIP.Unmap().WithZone("")
	f.MXHostname, f.Code = clean(strings.ToLower(f.MXHostname), maxDomain), clean(f.Code, maxCode)
	return ValidDomain(p.Domain)
}

func cleanAll(all []string, most int) (out []string) {
	for _, s := range all[:min(len(all), maxStrings)] {
		out = append(out, clean(s, most))
	}
	return out
}
