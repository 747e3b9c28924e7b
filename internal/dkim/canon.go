package dkim

import (
	"bytes"
	"fmt"
	"strings"
)

// Canon is a canonicalisation (RFC 6376 section 3.4).
type Canon uint8

// The canonicalisations.
const (
	Simple Canon = iota
	Relaxed
)

func (c Canon) String() string {
	if c == Relaxed {
		return "relaxed"
	}
	return "simple"
}

// ParseCanon reads the value of c=, header before body; without a second word the body's is simple (section 3.5).
func ParseCanon(value string) (header, body Canon, err error) {
	h, b, two := strings.Cut(value, "/")
	if header, err = parseCanon(h); err == nil && two {
		body, err = parseCanon(b)
	}
	return header, body, err
}

func parseCanon(word string) (Canon, error) {
	switch {
	case strings.EqualFold(word, "simple"):
		return Simple, nil
	case strings.EqualFold(word, "relaxed"):
		return Relaxed, nil
	}
	return Simple, fmt.Errorf("c=: %.20q is no canonicalisation", word)
}

// AppendField appends a whole header field in its canonical form, with CRLF at its end (sections 3.4.1 and 3.4.2).
func AppendField(to, raw []byte, c Canon) []byte {
	if c == Simple {
		return append(to, raw...)
	}
	to, colon := appendName(to, raw)
	if colon < 0 {
		return append(to, '\r', '\n')
	}
	return append(appendRelaxed(to, raw[colon+1:]), '\r', '\n')
}

// AppendUnsigned appends a signature's own field in its canonical form: the value of b= removed with the white space
// around it, without CRLF at its end (section 3.7). from and to are where that value stands in raw.
func AppendUnsigned(out, raw []byte, c Canon, from, to int) []byte {
	end := len(bytes.TrimSuffix(raw, []byte("\r\n")))
	from, to = min(from, end), min(to, end)
	if c == Simple {
		return append(append(out, raw[:from]...), raw[to:end]...)
	}
	out, colon := appendName(out, raw)
	if colon < 0 || colon >= from {
		return out
	}
	// No white space is left on either side of the gap: an = stands before it, and a semicolon or the end behind.
	return appendRelaxed(appendRelaxed(out, raw[colon+1:from]), raw[to:end])
}

// appendName appends the name in lower case and the colon, and returns where the colon is in raw, or -1 without one: then
// the whole line is taken for the name.
func appendName(to, raw []byte) ([]byte, int) {
	colon := bytes.IndexByte(raw, ':')
	name := raw
	if colon >= 0 {
		name = raw[:colon]
	}
	for _, c := range bytes.TrimRight(name, " \t\r\n") {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	if colon >= 0 {
		to = append(to, ':')
	}
	return to, colon
}

// appendRelaxed appends the text of a field: unfolded, white space made one space, none at its ends.
func appendRelaxed(to, text []byte) []byte {
	space, start := false, len(to)
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\r' && i+1 < len(text) && text[i+1] == '\n':
			if c == '\r' {
				i++
			} else {
				space = true
			}
			i++
		default:
			if space && len(to) > start {
				to = append(to, ' ')
			}
			space = false
			from := i
			for i++; i < len(text) && text[i] != ' ' && text[i] != '\t' && text[i] != '\r'; i++ {
			}
			to = append(to, text[from:i]...)
		}
	}
	return to
}
