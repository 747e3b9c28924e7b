package dkim

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxTags bounds a tag list: the RFCs define fifteen.
const maxTags = 64

// Tags is a tag list (RFC 6376 section 3.2), in its order.
type Tags []Tag

// Tag is one tag of a list. Start and End are where its value stands in the text that was parsed, with the white space
// around it: what b= loses before a signature is verified (section 3.7).
type Tag struct {
	Name       string // its case counts
	Value      string // without white space around it; white space and folds within are kept
	Start, End int
}

// ParseTags reads a tag list strictly: names begin with a letter and consist of letters, digits and underscores, no name
// stands twice, values are printable (US-ASCII, or UTF-8 by RFC 8616) but for white space and folds within, and only
// the last tag may be an empty one. An empty list is an error.
func ParseTags(text string) (Tags, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("tag list: neither US-ASCII nor UTF-8")
	}
	tags := make(Tags, 0, 12)
	for at := 0; at < len(text); {
		end := strings.IndexByte(text[at:], ';')
		last := end < 0
		if end = at + end; last {
			end = len(text)
		}
		if last && len(tags) > 0 && trim(text[at:]) == "" {
			break
		}
		if len(tags) == maxTags {
			return nil, fmt.Errorf("tag list: more than %d tags", maxTags)
		}
		tag, err := parseTag(text, at, end)
		if err != nil {
			return nil, err
		}
		for i := range tags {
			if tags[i].Name == tag.Name {
				return nil, fmt.Errorf("tag list: %s= stands twice", tag.Name)
			}
		}
		tags = append(tags, tag)
		at = end + 1
	}
	if len(tags) == 0 {
		return nil, errors.New("tag list: empty")
	}
	return tags, nil
}

// parseTag reads the tag between two semicolons.
func parseTag(text string, at, end int) (Tag, error) {
	eq := strings.IndexByte(text[at:end], '=')
	if eq < 0 {
		return Tag{}, errors.New("tag list: a tag without =")
	}
	eq += at
	t := Tag{Name: trim(text[at:eq]), Value: trim(text[eq+1 : end]), Start: eq + 1, End: end}
	if !isTagName(t.Name) {
		return Tag{}, errors.New("tag list: a name that is none")
	}
	if !foldsWell(text[at:eq]) || !foldsWell(text[eq+1:end]) {
		return Tag{}, fmt.Errorf("tag list: %s= has an octet that may not stand there", t.Name)
	}
	return t, nil
}

func isTagName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || s[i] != '_' && (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return s != ""
}

// foldsWell reports whether a text is printable but for white space, and CRLF where white space or the end follows it.
func foldsWell(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c > ' ' && c != 0x7f || c == ' ' || c == '\t':
		case c == '\r' && i+1 < len(s) && s[i+1] == '\n':
			if i++; i+1 < len(s) && s[i+1] != ' ' && s[i+1] != '\t' {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// trim takes white space and folds off both ends.
func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// Get returns the value of a tag, and whether it stands there.
func (t Tags) Get(name string) (string, bool) {
	for i := range t {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	return "", false
}

// Find returns the tag of a name, or nil.
func (t Tags) Find(name string) *Tag {
	for i := range t {
		if t[i].Name == name {
			return &t[i]
		}
	}
	return nil
}

// SplitList cuts a list with colons (h=, q=, t=, s=) into its words, without white space around them. It returns nil when
// there are more than max or one is empty.
func SplitList(value string, max int) []string {
	if n := strings.Count(value, ":") + 1; n > max {
		return nil
	}
	out := make([]string, 0, strings.Count(value, ":")+1)
	for word := range strings.SplitSeq(value, ":") {
		if word = trim(word); word == "" {
			return nil
		}
		out = append(out, word)
	}
	return out
}
