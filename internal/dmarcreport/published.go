package dmarcreport

import (
	"strconv"
	"strings"
)

// Published is a policy record as reports tell of it: each tag that it does not have, or that has no possible value, has its
// default.
type Published struct {
	Domain  string // where the record was found
	Method  string // how: "psl" or "treewalk"; "" is not told
	P       string
	SP      string
	NP      string
	ADKIM   string
	ASPF    string
	FO      string
	Pct     int // of RFC 7489
	Testing bool
	RUA     string // the list of addresses as it stands there; "" asks for no reports
}

// tag is one tag of a record.
type tag struct{ name, value string }

// maxTags bounds the tags of a record that are looked at.
const maxTags = 50

// tags reads a record as RFC 9989 section 4.8 writes it. Not ok: it does not begin with v=DMARC1, or something between two
// semicolons is no tag.
func tags(record string) (list []tag, ok bool) {
	for part := range strings.SplitSeq(record, ";") {
		part = strings.Trim(part, " \t\r\n")
		if part == "" {
			continue
		}
		name, value, is := strings.Cut(part, "=")
		if !is || len(list) == maxTags {
			return nil, false
		}
		t := tag{strings.ToLower(strings.TrimRight(name, " \t\r\n")), strings.TrimLeft(value, " \t\r\n")}
		if len(list) == 0 && t != (tag{"v", "DMARC1"}) {
			return nil, false
		}
		list = append(list, t)
	}
	return list, len(list) > 0
}

// ParsePublished reads the record that a message was judged by. Not ok: it is no policy record.
func ParsePublished(domain, method, record string) (p Published, ok bool) {
	list, ok := tags(record)
	if !ok {
		return p, false
	}
	p = Published{Domain: domain, Method: method, ADKIM: "r", ASPF: "r", FO: "0", Pct: 100}
	seen := make(map[string]bool, len(list))
	for _, t := range list {
		if !seen[t.name] { // the first of two counts
			seen[t.name] = true
			p.set(t.name, t.value)
		}
	}
	if p.P == "" {
		p.P = "none"
	}
	if p.SP == "" {
		p.SP = p.P
	}
	if p.NP == "" {
		p.NP = p.SP
	}
	return p, true
}

func (p *Published) set(name, value string) {
	lower := strings.ToLower(value)
	switch name {
	case "p":
		p.P = oneOf(lower, "", "none", "quarantine", "reject")
	case "sp":
		p.SP = oneOf(lower, "", "none", "quarantine", "reject")
	case "np":
		p.NP = oneOf(lower, "", "none", "quarantine", "reject")
	case "adkim":
		p.ADKIM = oneOf(lower, "r", "r", "s")
	case "aspf":
		p.ASPF = oneOf(lower, "r", "r", "s")
	case "fo":
		if options(lower) {
			p.FO = lower
		}
	case "pct":
		if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= 100 {
			p.Pct = n
		}
	case "t":
		p.Testing = lower == "y"
	case "rua":
		p.RUA = value
	}
}

// options reports whether a text is what fo can be (RFC 9989 section 4.7).
func options(fo string) bool {
	for o := range strings.SplitSeq(fo, ":") {
		if oneOf(strings.TrimSpace(o), "", "0", "1", "d", "s") == "" {
			return false
		}
	}
	return len(fo) <= 40
}

// oneOf returns the word if it is one of those allowed, else what stands for it.
func oneOf(word, otherwise string, allowed ...string) string {
	for _, a := range allowed {
		if word == a {
			return word
		}
	}
	return otherwise
}
