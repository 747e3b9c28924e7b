package tlsrpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// ErrNoReport says that a document is no report about TLS.
var ErrNoReport = errors.New("no TLS report")

// document is a report as others write it: what they get wrong must not cost the rest.
type document struct {
	Organization string `json:"organization-name"`
	Range        struct {
		Start string `json:"start-datetime"`
		End   string `json:"end-datetime"`
	} `json:"date-range"`
	Contact  string `json:"contact-info"`
	ID       string `json:"report-id"`
	Policies []struct {
		Policy struct {
			Kind    string          `json:"policy-type"`
			Strings json.RawMessage `json:"policy-string"` // a list, or one text
			Domain  string          `json:"policy-domain"`
			MXHost  json.RawMessage `json:"mx-host"` // likewise
		} `json:"policy"`
		Summary struct {
			Successful json.Number `json:"total-successful-session-count"`
			Failed     json.Number `json:"total-failure-session-count"`
		} `json:"summary"`
		Failures []struct {
			Result      string      `json:"result-type"`
			SendingIP   string      `json:"sending-mta-ip"`
			MXHostname  string      `json:"receiving-mx-hostname"`
			ReceivingIP string      `json:"receiving-ip"`
			Count       json.Number `json:"failed-session-count"`
			Additional  string      `json:"additional-information"`
			Code        string      `json:"failure-reason-code"`
		} `json:"failure-details"`
	} `json:"policies"`
}

// Read reads a report (RFC 8460 section 4.4), as tolerantly as the reports of the world need. Everything of it is a
// stranger's word; texts are cut and cleaned, and what is beyond MaxPolicies and MaxDetails is left out. It fails with
// ErrNoReport on what is JSON and no report, and with other errors on what is no JSON.
func Read(r io.Reader) (*Report, error) {
	var in document
	if err := json.NewDecoder(r).Decode(&in); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			return nil, fmt.Errorf("%w: %s is a %s", ErrNoReport, clean(typed.Field, 60), typed.Value)
		}
		return nil, err
	}
	if len(in.Policies) == 0 || in.Range.Start == "" {
		return nil, ErrNoReport
	}
	out := &Report{Organization: clean(in.Organization, maxCode), Contact: clean(in.Contact, maxCode), ID: clean(in.ID, maxCode),
		Range: DateRange{instant(in.Range.Start), instant(in.Range.End)}}
	for i := range in.Policies[:min(len(in.Policies), MaxPolicies)] {
		p := &in.Policies[i]
		domain := strings.ToLower(clean(strings.TrimSuffix(strings.TrimSpace(p.Policy.Domain), "."), maxDomain))
		policy := PolicyReport{Policy: Policy{Kind: Kind(clean(strings.ToLower(p.Policy.Kind), 40)), Domain: domain, Strings: cleanAll(texts(p.Policy.Strings), maxString),
			MXHost: cleanAll(texts(p.Policy.MXHost), maxDomain)}, Summary: Summary{count(p.Summary.Successful), count(p.Summary.Failed)}}
		for k := range p.Failures[:min(len(p.Failures), MaxDetails)] {
			f := &p.Failures[k]
			policy.Failures = append(policy.Failures, Detail{Result: Result(clean(strings.ToLower(f.Result), 60)), SendingIP: address(f.SendingIP), ReceivingIP: address(f.ReceivingIP),
				MXHostname: clean(strings.ToLower(f.MXHostname), maxDomain), Count: count(f.Count), Code: clean(f.Code, maxCode), Additional: clean(f.Additional, maxCode)})
		}
		out.Policies = append(out.Policies, policy)
	}
	return out, nil
}

// texts reads a list of texts, or one text, as some write it.
func texts(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		return []string{one}
	}
	return nil
}

// count reads a number of sessions; 0 for what is none.
func count(n json.Number) int64 {
	v, err := n.Int64()
	if err != nil || v < 0 || v > 1<<40 {
		return 0
	}
	return v
}

func address(text string) netip.Addr {
	a, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// instant reads a time (RFC 3339), of which some leave out the zone. Zero: it is none.
func instant(text string) time.Time {
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
