package dmarc

import "strings"

// Method is how organizations are told apart, and so which of the two RFCs holds.
type Method uint8

// The methods. The zero value is the current standard.
const (
	TreeWalk Method = iota // RFC 9989: a walk up the DNS tree; tags np, psd and t
	PSL                    // RFC 7489: the public suffix list that is compiled in; tag pct
)

func (m Method) String() string {
	if m == PSL {
		return "psl"
	}
	return "treewalk"
}

// Policy is what an owner asks for mail that fails. The zero value is that nothing was said.
type Policy uint8

// The policies, in rising severity.
const (
	Unsaid Policy = iota
	None
	Quarantine
	Reject
)

func (p Policy) String() string { return [...]string{"", "none", "quarantine", "reject"}[p&3] }

// PSD is what a record says of its name (RFC 9989 section 4.7).
type PSD uint8

// Whether the name is a public suffix. The zero value is the default, that it may or may not be an organization's.
const (
	PSDUnsaid PSD = iota
	PSDYes        // others register names below it
	PSDNo         // it is the organization's domain, whatever is above
)

// Bounds of a record. The longest that are seen in practice have some hundred octets.
const (
	maxText = 4096 // octets; a longer one is broken
	maxURIs = 20   // of each tag; those behind are not read
)

// Record is one policy record (RFC 9989 section 4.7, RFC 7489 section 6.3).
type Record struct {
	Text        string // as published, the strings joined
	Policy      Policy // p
	Sub         Policy // sp; Unsaid if p holds for sub-domains too
	Nonexistent Policy // np; Unsaid if what holds for other sub-domains holds. TreeWalk only
	StrictDKIM  bool   // adkim=s
	StrictSPF   bool   // aspf=s
	PSD         PSD    // TreeWalk only
	Testing     bool   // t=y: every policy counts one level less. TreeWalk only
	Percent     int    // pct, 0 to 100: how much of what fails the policy is for. PSL only; 100 otherwise
	Options     string // fo, as written; "" for the default
	Aggregate   []URI  // rua
	Failure     []URI  // ruf
	// Broken says why the record cannot be used, though it is one: DMARC cannot be told then. "" for a good one.
	Broken string
}

// URI is where reports are wanted.
type URI struct {
	Text string // without the size; commas and exclamation marks are percent-encoded in it
	Max  uint64 // octets, of the obsolete "!10m" behind it (RFC 7489 section 6.2); 0 for no limit
}

// IsRecord reports whether a text is a policy record: its first tag is v, and DMARC1 its exact value. Others at the same
// name are none of ours.
func IsRecord(text string) bool {
	first, _, _ := strings.Cut(text, ";")
	name, value, ok := cutTag(first)
	return ok && strings.EqualFold(name, "v") && value == "DMARC1"
}

// Parse reads a policy record; nil if the text is none. What it cannot read is left at its default, as both RFCs want; the
// first of two tags of a name counts.
//
// A record whose p, sp or np cannot be read asks for nothing ("p=none") if somebody is to hear of it by rua, and is broken
// otherwise (RFC 9989 section 4.10.1, RFC 7489 section 6.6.3). One without p is the same under PSL, and asks for nothing
// under TreeWalk (RFC 9989 section 4.7).
func Parse(text string, m Method) *Record {
	if !IsRecord(text) {
		return nil
	}
	r := &Record{Text: text, Percent: 100}
	if len(text) > maxText {
		r.Broken = "longer than 4096 octets"
		return r
	}
	var seen [len(tagNames)]bool
	var wrong string
	_, rest, _ := strings.Cut(text, ";")
	for rest != "" {
		var tag string
		tag, rest, _ = strings.Cut(rest, ";")
		name, value, ok := cutTag(tag)
		if !ok {
			continue
		}
		i := tagOf(name)
		if i < 0 || seen[i] {
			continue
		}
		seen[i] = true
		if !r.set(tagNames[i], value, m) && wrong == "" {
			wrong = tagNames[i] + " is none of none, quarantine and reject"
		}
	}
	if wrong == "" && r.Policy == Unsaid {
		if m == TreeWalk {
			r.Policy = None
		} else {
			wrong = "no p"
		}
	}
	if wrong != "" {
		r.Policy, r.Sub, r.Nonexistent = None, Unsaid, Unsaid
		if len(r.Aggregate) == 0 {
			r.Broken = wrong
		}
	}
	return r
}

// tagNames are the tags that are read.
var tagNames = [...]string{"p", "sp", "np", "adkim", "aspf", "psd", "t", "pct", "fo", "rua", "ruf"}

func tagOf(name string) int {
	for i, n := range tagNames {
		if strings.EqualFold(n, name) {
			return i
		}
	}
	return -1
}

// cutTag cuts "name = value"; blanks around either do not count.
func cutTag(tag string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(tag, "=")
	return strings.Trim(name, blanks), strings.Trim(value, blanks), ok
}

// blanks are what may stand around names and values: white space, and line ends that people paste.
const blanks = " \t\r\n"

// set takes one tag over. It is false for a policy that cannot be read, the one thing that matters.
func (r *Record) set(name, value string, m Method) bool {
	yes := strings.EqualFold(value, "y")
	switch name {
	case "p":
		return r.Policy.read(value)
	case "sp":
		return r.Sub.read(value)
	case "adkim":
		r.StrictDKIM = strings.EqualFold(value, "s")
	case "aspf":
		r.StrictSPF = strings.EqualFold(value, "s")
	case "fo":
		r.Options = value
	case "rua":
		r.Aggregate = uris(value)
	case "ruf":
		r.Failure = uris(value)
	case "pct":
		if n, ok := digits(value, 100); ok && m == PSL {
			r.Percent = int(n)
		}
	}
	if m == PSL {
		return true
	}
	switch name {
	case "np":
		return r.Nonexistent.read(value)
	case "t":
		r.Testing = yes
	case "psd":
		switch {
		case yes:
			r.PSD = PSDYes
		case strings.EqualFold(value, "n"):
			r.PSD = PSDNo
		}
	}
	return true
}

func (p *Policy) read(value string) bool {
	for _, known := range [...]Policy{None, Quarantine, Reject} {
		if strings.EqualFold(value, known.String()) {
			*p = known
			return true
		}
	}
	return false
}

// digits reads a decimal number up to max.
func digits(s string, max uint64) (n uint64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n = n*10 + uint64(s[i]-'0'); n > max {
			return 0, false
		}
	}
	return n, s != ""
}
