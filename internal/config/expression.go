package config

import (
	"strings"
	"unicode/utf8"
)

// Expression is text in a language of its own. It knows where its characters stand in the document, so that who compiles
// it can tell where a mistake is.
type Expression struct {
	Text         string
	raw          string // the literal as written, with its quotes; "" where it was not read from a document
	line, column int    // where the literal begins, from 1
}

// UnmarshalText takes the text as it is, but for blanks around it.
func (e *Expression) UnmarshalText(text []byte) error {
	e.Text = string(text)
	if strings.ContainsFunc(e.Text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f }) {
		return &ValueError{"has a control character", "leave it out"}
	}
	return nil
}

// MarshalText writes the text.
func (e Expression) MarshalText() ([]byte, error) { return []byte(e.Text), nil }

// IsZero reports whether there is none.
func (e Expression) IsZero() bool { return strings.TrimSpace(e.Text) == "" }

// Place is where a character of the text stands in the document: line and column, both from 1. Where the text was not
// read from a document they are 0.
func (e Expression) Place(line, column int) (int, int) {
	if e.raw == "" {
		return 0, 0
	}
	w := literalWalk{raw: e.raw, line: e.line, column: e.column}
	w.open()
	for l, c := 1, 1; (l < line || l == line && c < column) && w.at < len(w.raw); {
		if w.next() == '\n' {
			l, c = l+1, 1
		} else {
			c++
		}
	}
	return w.line, w.column
}

// literalWalk goes through a string of TOML one decoded character at a time, and counts lines and columns of the document.
type literalWalk struct {
	raw          string
	at           int
	line, column int
	basic, multi bool
}

// open steps over the opening quotes, and the line end that may follow three of them.
func (w *literalWalk) open() {
	w.basic = strings.HasPrefix(w.raw, `"`)
	w.multi = strings.HasPrefix(w.raw, `"""`) || strings.HasPrefix(w.raw, "'''")
	n := 1
	if w.multi {
		n = 3
	}
	for range n {
		w.step()
	}
	if w.multi && strings.HasPrefix(w.raw[w.at:], "\r\n") {
		w.step()
	}
	if w.multi && strings.HasPrefix(w.raw[w.at:], "\n") {
		w.step()
	}
	w.joined()
}

// joined steps over the ends of lines that go on: blanks up to the next character are no text.
func (w *literalWalk) joined() {
	for w.basic && w.multi && w.at+1 < len(w.raw) && w.raw[w.at] == '\\' && strings.IndexByte(" \t\r\n", w.raw[w.at+1]) >= 0 {
		for w.step(); w.at < len(w.raw) && strings.IndexByte(" \t\r\n", w.raw[w.at]) >= 0; {
			w.step()
		}
	}
}

// step takes one character as it is written.
func (w *literalWalk) step() rune {
	if w.at >= len(w.raw) {
		return 0
	}
	r, size := utf8.DecodeRuneInString(w.raw[w.at:])
	w.at += size
	if w.column++; r == '\n' {
		w.line, w.column = w.line+1, 1
	}
	return r
}

// next takes one character of the text: an escape is one.
func (w *literalWalk) next() rune {
	defer w.joined()
	r := w.step()
	if r != '\\' || !w.basic {
		return r
	}
	digits := 0
	switch r = w.step(); r {
	case 'n':
		return '\n'
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	}
	for range digits {
		w.step()
	}
	return 'x'
}
