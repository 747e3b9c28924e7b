package authres

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Field is what one Authentication-Results says.
type Field struct {
	ID      string // authserv-id, as written
	Version int    // 1 where none is given
	Results []Result
}

// Result is what one method says (RFC 8601 section 2.3).
type Result struct {
	Method  string // "spf", "dkim", lower case
	Result  string // "pass", "fail", lower case
	Reason  string
	Comment string // the first one behind the result
	Props   []Prop
}

// Prop is one property, as header.d=example.org. Of what is read, Type is "" for a key that is none, as action=none.
type Prop struct {
	Type  string // "smtp", "header", "policy", "body", lower case
	Name  string // lower case
	Value string
}

// Prop returns the value of a property, or "".
func (r *Result) Prop(kind, name string) string {
	for _, p := range r.Props {
		if p.Type == kind && p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Of returns the results of a method, in their order.
func (f *Field) Of(method string) []Result {
	var out []Result
	for _, r := range f.Results {
		if r.Method == method {
			out = append(out, r)
		}
	}
	return out
}

// isKeyword reports a Keyword of RFC 5321 section 4.1.2, of at most 64 octets.
func isKeyword(s string) bool {
	if s == "" || len(s) > 64 || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) && (c != '_' || i == 0) {
			return false
		}
	}
	return true
}

// ascii returns a text with a domain in it, alone or behind an "@", in A-labels. Anything else over ASCII stays.
func ascii(s string) string {
	if isASCII(s) || !utf8.ValidString(s) {
		return s
	}
	at := strings.LastIndexByte(s, '@') + 1
	if a, err := idna.Lookup.ToASCII(s[at:]); err == nil {
		return s[:at] + a
	}
	return s
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
