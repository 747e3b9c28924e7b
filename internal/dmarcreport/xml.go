package dmarcreport

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Namespace is that of the elements in reports by RFC 9990. Those by RFC 7489 have none: its schema names one, and no report
// that is sent has it.
const Namespace = "urn:ietf:params:xml:ns:dmarc-2.0"

// writer writes elements, indented by their depth.
type writer struct {
	bytes.Buffer
	format Format
	depth  int
}

func (w *writer) open(name string) {
	w.indent()
	w.WriteString("<" + name + ">\n")
	w.depth++
}

func (w *writer) close(name string) {
	w.depth--
	w.indent()
	w.WriteString("</" + name + ">\n")
}

func (w *writer) indent() {
	for range w.depth {
		w.WriteString("  ")
	}
}

// text writes an element of at most most octets of text.
func (w *writer) text(name, text string, most int) {
	w.indent()
	w.WriteString("<" + name + ">")
	_ = xml.EscapeText(&w.Buffer, []byte(clean(text, most))) // a buffer takes everything
	w.WriteString("</" + name + ">\n")
}

// word writes one of a fixed list, or what stands for everything else.
func (w *writer) word(name, word, otherwise string, allowed ...string) {
	w.text(name, oneOf(word, otherwise, allowed...), maxText)
}

// XML writes the report. Whatever is in it, it is valid by the schema of its format; what the schema has no room for is left
// out. A report without records is none, and is for the caller to avoid.
func (f *Feedback) XML(format Format) []byte {
	w := &writer{format: format}
	w.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	if format == RFC9990 {
		w.WriteString(`<feedback xmlns="` + Namespace + `">` + "\n")
	} else {
		w.WriteString("<feedback>\n")
	}
	w.depth++
	w.text("version", "1.0", maxText)
	w.metadata(f)
	w.published(&f.Policy)
	for i := range f.Records {
		w.record(&f.Records[i])
	}
	w.close("feedback")
	return w.Bytes()
}

func (w *writer) metadata(f *Feedback) {
	w.open("report_metadata")
	w.text("org_name", f.Org, maxText)
	w.text("email", f.Email, maxText)
	if f.Contact != "" {
		w.text("extra_contact_info", f.Contact, maxText)
	}
	w.text("report_id", f.ID, maxText)
	w.open("date_range")
	w.text("begin", strconv.FormatInt(f.Begin.Unix(), 10), maxText)
	w.text("end", strconv.FormatInt(f.End.Unix(), 10), maxText)
	w.close("date_range")
	if len(f.Errors) > 0 { // RFC 9990 has at most one
		w.text("error", strings.Join(f.Errors, "; "), maxText)
	}
	if w.format == RFC9990 && f.Generator != "" {
		w.text("generator", f.Generator, maxText)
	}
	w.close("report_metadata")
}

func (w *writer) published(p *Published) {
	policy := func(name, value string) { w.word(name, value, "none", "none", "quarantine", "reject") }
	w.open("policy_published")
	w.text("domain", p.Domain, maxDomain)
	if w.format == RFC9990 && oneOf(p.Method, "", "psl", "treewalk") != "" {
		w.text("discovery_method", p.Method, maxText)
	}
	if w.format == RFC7489 {
		w.word("adkim", p.ADKIM, "r", "r", "s")
		w.word("aspf", p.ASPF, "r", "r", "s")
	}
	policy("p", p.P)
	policy("sp", p.SP)
	if w.format == RFC7489 {
		w.text("pct", strconv.Itoa(p.Pct), maxText)
		w.text("fo", p.FO, maxText)
		w.close("policy_published")
		return
	}
	policy("np", p.NP)
	w.text("fo", p.FO, maxText)
	w.word("adkim", p.ADKIM, "r", "r", "s")
	w.word("aspf", p.ASPF, "r", "r", "s")
	testing := "n"
	if p.Testing {
		testing = "y"
	}
	w.text("testing", testing, maxText)
	w.close("policy_published")
}

func (w *writer) record(r *Record) {
	w.open("record")
	w.open("row")
	source := r.Source.Unmap().WithZone("")
	if w.format == RFC7489 { // whose schema has no "::"
		w.text("source_ip", source.StringExpanded(), maxText)
	} else {
		w.text("source_ip", source.String(), maxText)
	}
	w.text("count", strconv.FormatInt(r.Count, 10), maxText)
	w.open("policy_evaluated")
	did := oneOf(r.Disposition, "none", "none", "pass", "quarantine", "reject")
	if w.format == RFC7489 && did == "pass" {
		did = "none"
	}
	w.text("disposition", did, maxText)
	w.text("dkim", passed(r.DKIM), maxText)
	w.text("spf", passed(r.SPF), maxText)
	for _, why := range r.Reasons[:min(len(r.Reasons), maxReasons)] {
		w.reason(why)
	}
	w.close("policy_evaluated")
	w.close("row")
	w.open("identifiers")
	w.text("envelope_from", r.EnvelopeFrom, maxDomain)
	w.text("header_from", r.HeaderFrom, maxDomain)
	w.close("identifiers")
	w.open("auth_results")
	for _, s := range r.Signatures[:min(len(r.Signatures), MaxSignatures)] {
		w.open("dkim")
		w.text("domain", s.Domain, maxDomain)
		w.text("selector", s.Selector, maxDomain)
		w.word("result", s.Result, "neutral", "none", "pass", "fail", "policy", "neutral", "temperror", "permerror")
		w.close("dkim")
	}
	w.spf(r)
	w.close("auth_results")
	w.close("record")
}

func passed(yes bool) string {
	if yes {
		return "pass"
	}
	return "fail"
}

// reason writes why another thing was done; a word that the format does not have becomes "other", with itself as comment.
func (w *writer) reason(r Reason) {
	allowed := []string{"local_policy", "mailing_list", "other", "trusted_forwarder", "policy_test_mode"}
	if w.format == RFC7489 {
		allowed = []string{"local_policy", "mailing_list", "other", "trusted_forwarder", "forwarded", "sampled_out"}
	}
	kind := oneOf(r.Type, "other", allowed...)
	if kind != r.Type && r.Comment == "" {
		r.Comment = r.Type
	}
	w.open("reason")
	w.text("type", kind, maxText)
	if r.Comment != "" {
		w.text("comment", r.Comment, maxText)
	}
	w.close("reason")
}

// spf writes the result of SPF. RFC 7489 has always one.
func (w *writer) spf(r *Record) {
	s := r.Checked
	if s.Result == "" && w.format == RFC9990 {
		return
	}
	if s.Result == "" {
		s = SPFResult{Domain: r.EnvelopeFrom, Result: "none"}
	}
	w.open("spf")
	w.text("domain", s.Domain, maxDomain)
	scope := "mfrom" // the only one of RFC 9990: postmaster@HELO stands in for a null MAIL FROM
	if w.format == RFC7489 && s.Helo {
		scope = "helo"
	}
	w.text("scope", scope, maxText)
	if w.format == RFC7489 && s.Result == "policy" {
		s.Result = "fail"
	}
	w.word("result", s.Result, "neutral", "none", "pass", "fail", "softfail", "policy", "neutral", "temperror", "permerror")
	w.close("spf")
}

// clean makes any octets text of one line in XML: what is no character is gone, and at most most octets are left.
func clean(s string, most int) string {
	plain := len(s) <= most
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	var b strings.Builder
	for _, r := range s[:min(len(s), 4*most)] {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			r = ' '
		case r == utf8.RuneError || r == 0xfffe || r == 0xffff || unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			continue
		}
		if b.Len()+utf8.RuneLen(r) > most {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
