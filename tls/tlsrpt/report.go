package tlsrpt

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Report is the document (RFC 8460 section 4.4).
type Report struct {
	Organization string         `json:"organization-name"`
	Range        DateRange      `json:"date-range"`
	Contact      string         `json:"contact-info"`
	ID           string         `json:"report-id"` // letters and digits: it is part of the file's name
	Policies     []PolicyReport `json:"policies"`
}

// DateRange is the period of a report, a UTC day from its first to its last second.
type DateRange struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

// PolicyReport is what came of the sessions under one policy.
type PolicyReport struct {
	Policy   Policy   `json:"policy"`
	Summary  Summary  `json:"summary"`
	Failures []Detail `json:"failure-details,omitempty"`
}

// Summary are the sessions under one policy.
type Summary struct {
	Successful int64 `json:"total-successful-session-count"`
	Failed     int64 `json:"total-failure-session-count"`
}

// Detail are sessions that failed alike (RFC 8460 section 4.4). What is not known is not written.
type Detail struct {
	Result      Result     `json:"result-type"`
	SendingIP   netip.Addr `json:"sending-mta-ip,omitzero"`
	MXHostname  string     `json:"receiving-mx-hostname,omitempty"`
	MXHelo      string     `json:"receiving-mx-helo,omitempty"` // not told: the banner's name is a stranger's word
	ReceivingIP netip.Addr `json:"receiving-ip,omitzero"`
	Count       int64      `json:"failed-session-count"`
	Additional  string     `json:"additional-information,omitempty"` // not told: an address of ours to read on at
	Code        string     `json:"failure-reason-code,omitempty"`
}

// The bounds of a report. What is over them is in the sums, without what tells it apart.
const (
	MaxPolicies = 100
	MaxDetails  = 1000 // of one policy
)

// Aggregate makes of a day's lines what a report tells of them: the same of the same lines, in whichever order. Each session
// is in the sums, whatever bound is reached: policies beyond MaxPolicies are told as one of their kind without its text, and
// failures beyond MaxDetails as one of their result without addresses.
func Aggregate(lines []Line) []PolicyReport {
	lines = slices.Clone(lines)
	slices.SortFunc(lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Policy.key(), b.Policy.key()), cmp.Compare(b.Count, a.Count), compareFailures(&a.Failure, &b.Failure))
	})
	var order []string
	of := map[string]*PolicyReport{}
	details := map[string]map[Failure]int{}
	for i := range lines {
		l := &lines[i]
		p := l.Policy
		if of[p.key()] == nil && len(of) >= MaxPolicies {
			p = Policy{Kind: p.Kind, Domain: p.Domain}
		}
		key := p.key()
		r := of[key]
		if r == nil {
			r = &PolicyReport{Policy: p}
			of[key], details[key] = r, map[Failure]int{}
			order = append(order, key)
		}
		if l.Failure.Result == "" {
			r.Summary.Successful += l.Count
			continue
		}
		r.Summary.Failed += l.Count
		r.fail(details[key], l)
	}
	slices.Sort(order)
	out := make([]PolicyReport, 0, len(order))
	for _, key := range order {
		out = append(out, *of[key])
	}
	return out
}

// fail adds sessions that failed.
func (r *PolicyReport) fail(known map[Failure]int, l *Line) {
	f := l.Failure
	at, ok := known[f]
	if !ok && len(known) >= MaxDetails {
		f = Failure{Result: f.Result}
		at, ok = known[f]
	}
	if !ok {
		at = len(r.Failures)
		known[f] = at
		r.Failures = append(r.Failures, Detail{Result: f.Result, SendingIP: f.SendingIP, MXHostname: f.MXHostname, ReceivingIP: f.ReceivingIP, Code: f.Code})
	}
	r.Failures[at].Count += l.Count
}

// key tells policies apart, and puts them in order.
func (p *Policy) key() string {
	return p.Domain + "\x00" + string(p.Kind) + "\x00" + strings.Join(p.Strings, "\x01") + "\x00" + strings.Join(p.MXHost, "\x01")
}

func compareFailures(a, b *Failure) int {
	return cmp.Or(cmp.Compare(a.Result, b.Result), cmp.Compare(a.MXHostname, b.MXHostname), a.ReceivingIP.Compare(b.ReceivingIP),
		a.SendingIP.Compare(b.SendingIP), cmp.Compare(a.Code, b.Code))
}

// JSON writes the document, in lines.
func (r *Report) JSON() []byte {
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	w.SetIndent("", "  ")
	_ = w.Encode(r) // a buffer takes everything, and no field can fail
	return b.Bytes()
}

// Domain is the policy domain that the report is about.
func (r *Report) Domain() string {
	if len(r.Policies) == 0 {
		return ""
	}
	return r.Policies[0].Policy.Domain
}

// Filename is the name of the report's file (RFC 8460 section 5.1). sender is the host that reports.
func (r *Report) Filename(sender string) string {
	return fmt.Sprintf("%s!%s!%d!%d!%s.json.gz", sender, r.Domain(), r.Range.Start.Unix(), r.Range.End.Unix(), r.ID)
}

// Gzip packs a report. The same report gives the same octets.
func Gzip(report []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(report) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}
