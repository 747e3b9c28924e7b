package dmarcreport

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// MaxRecords is how many records of a report are read. The largest receivers send some ten thousand for a domain that sends
// much.
const MaxRecords = 100_000

// ErrNoReport says that a document is no aggregate report.
var ErrNoReport = errors.New("no DMARC aggregate report")

// Read reads an aggregate report of either format (RFC 7489 appendix C, RFC 9990 section 3). It is as tolerant as the
// reports of the world need: elements may come in any order, be missing or be unknown, and words that are none of the
// format are left out. Everything of it is a stranger's word. It fails with ErrNoReport on what has no feedback element as
// its root, and with other errors where the document ends early, is no XML, or has more than MaxRecords records; what was
// read before is returned with them.
func Read(r io.Reader) (*Feedback, error) {
	d := xml.NewDecoder(r)
	d.Strict = false
	d.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) { return in, nil } // domain names and numbers; texts are cleaned
	if err := root(d); err != nil {
		return nil, err
	}
	f := &Feedback{}
	for {
		t, err := d.Token()
		if err != nil {
			return f, fmt.Errorf("feedback: %w", whole(err))
		}
		switch e := t.(type) {
		case xml.EndElement:
			return f, nil
		case xml.StartElement:
			if err := f.element(d, &e); err != nil {
				return f, fmt.Errorf("%s: %w", clean(e.Name.Local, 40), whole(err))
			}
		}
	}
}

// whole calls an end within the document what it is.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// root finds the root element.
func root(d *xml.Decoder) error {
	for {
		t, err := d.Token()
		if err != nil {
			return ErrNoReport
		}
		switch e := t.(type) {
		case xml.StartElement:
			if e.Name.Local != "feedback" {
				return ErrNoReport
			}
			return nil
		case xml.EndElement:
			return ErrNoReport
		}
	}
}

// What stands in the document.
type (
	xmlMetadata struct {
		Org       string   `xml:"org_name"`
		Email     string   `xml:"email"`
		Contact   string   `xml:"extra_contact_info"`
		ID        string   `xml:"report_id"`
		Begin     string   `xml:"date_range>begin"`
		End       string   `xml:"date_range>end"`
		Errors    []string `xml:"error"`
		Generator string   `xml:"generator"`
	}
	xmlPolicy struct {
		Domain  string `xml:"domain"`
		Method  string `xml:"discovery_method"`
		ADKIM   string `xml:"adkim"`
		ASPF    string `xml:"aspf"`
		P       string `xml:"p"`
		SP      string `xml:"sp"`
		NP      string `xml:"np"`
		Pct     string `xml:"pct"`
		FO      string `xml:"fo"`
		Testing string `xml:"testing"`
	}
	xmlRecord struct {
		Source      string `xml:"row>source_ip"`
		Count       string `xml:"row>count"`
		Disposition string `xml:"row>policy_evaluated>disposition"`
		DKIM        string `xml:"row>policy_evaluated>dkim"`
		SPF         string `xml:"row>policy_evaluated>spf"`
		Reasons     []struct {
			Type    string `xml:"type"`
			Comment string `xml:"comment"`
		} `xml:"row>policy_evaluated>reason"`
		EnvelopeFrom string `xml:"identifiers>envelope_from"`
		HeaderFrom   string `xml:"identifiers>header_from"`
		Signatures   []struct {
			Domain   string `xml:"domain"`
			Selector string `xml:"selector"`
			Result   string `xml:"result"`
		} `xml:"auth_results>dkim"`
		Checked []struct {
			Domain string `xml:"domain"`
			Scope  string `xml:"scope"`
			Result string `xml:"result"`
		} `xml:"auth_results>spf"`
	}
)

// element reads one element below the root.
func (f *Feedback) element(d *xml.Decoder, e *xml.StartElement) error {
	switch e.Name.Local {
	case "report_metadata":
		var m xmlMetadata
		if err := d.DecodeElement(&m, e); err != nil {
			return err
		}
		f.Org, f.Email, f.Contact = clean(m.Org, maxText), clean(m.Email, maxText), clean(m.Contact, maxText)
		f.ID, f.Generator = clean(m.ID, maxText), clean(m.Generator, maxText)
		f.Begin, f.End = seconds(m.Begin), seconds(m.End)
		for _, text := range m.Errors[:min(len(m.Errors), maxReasons)] {
			f.Errors = append(f.Errors, clean(text, maxText))
		}
	case "policy_published":
		var p xmlPolicy
		if err := d.DecodeElement(&p, e); err != nil {
			return err
		}
		f.Policy = p.published()
	case "record":
		var r xmlRecord
		if err := d.DecodeElement(&r, e); err != nil {
			return err
		}
		if len(f.Records) == MaxRecords {
			return fmt.Errorf("more than %d", MaxRecords)
		}
		if record, ok := r.record(); ok {
			f.Records = append(f.Records, record)
		}
	default:
		return d.Skip()
	}
	return nil
}

func (p *xmlPolicy) published() Published {
	policy := func(word string) string { return oneOf(lower(word), "", "none", "quarantine", "reject") }
	out := Published{Domain: lower(p.Domain), Method: oneOf(lower(p.Method), "", "psl", "treewalk"), P: policy(p.P), SP: policy(p.SP), NP: policy(p.NP),
		ADKIM: oneOf(lower(p.ADKIM), "r", "r", "s"), ASPF: oneOf(lower(p.ASPF), "r", "r", "s"), FO: clean(p.FO, 20), Pct: 100, Testing: lower(p.Testing) == "y"}
	if n, err := strconv.Atoi(strings.TrimSpace(p.Pct)); err == nil && n >= 0 && n <= 100 {
		out.Pct = n
	}
	return out
}

// record is the line; not ok where it counts nothing that can be told.
func (r *xmlRecord) record() (out Record, ok bool) {
	source, err := netip.ParseAddr(strings.TrimSpace(r.Source))
	count, countErr := strconv.ParseInt(strings.TrimSpace(r.Count), 10, 64)
	if err != nil || countErr != nil || count < 1 || count > maxCount {
		return out, false
	}
	out = Record{Source: source.Unmap().WithZone(""), Count: count, Disposition: oneOf(lower(r.Disposition), "none", "none", "pass", "quarantine", "reject"),
		DKIM: lower(r.DKIM) == "pass", SPF: lower(r.SPF) == "pass", HeaderFrom: lower(r.HeaderFrom), EnvelopeFrom: lower(r.EnvelopeFrom)}
	for _, why := range r.Reasons[:min(len(r.Reasons), maxReasons)] {
		out.Reasons = append(out.Reasons, Reason{Type: clean(lower(why.Type), 40), Comment: clean(why.Comment, maxText)})
	}
	for _, s := range r.Signatures[:min(len(r.Signatures), MaxSignatures)] {
		out.Signatures = append(out.Signatures, Signature{Domain: lower(s.Domain), Selector: clean(strings.TrimSpace(s.Selector), maxDomain), Result: clean(lower(s.Result), 20)})
	}
	if len(r.Checked) > 0 {
		s := r.Checked[0]
		out.Checked = SPFResult{Domain: lower(s.Domain), Helo: lower(s.Scope) == "helo", Result: clean(lower(s.Result), 20)}
	}
	return out, true
}

// maxCount is the most that one line is believed to count.
const maxCount = 1 << 40

func lower(s string) string { return clean(strings.ToLower(strings.TrimSpace(s)), maxDomain) }

// seconds reads a time in Unix seconds; some write it with a fraction. Zero: it is none.
func seconds(s string) time.Time {
	s, _, _ = strings.Cut(strings.TrimSpace(s), ".")
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > 1<<36 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
