package authres

import "strings"

// Limits of what is written, in octets.
const (
	usualLine  = 78  // RFC 5322 section 2.1.1
	maxValue   = 450 // of a property; a longer one is left out, since half a domain would be another one. With its escapes it stays below the hard limit of a line, 998
	maxText    = 200 // of a reason or comment, which are cut
	maxResults = 64
)

// Writer writes one Authentication-Results. It allocates nothing but what it appends to.
type Writer struct {
	b      []byte
	column int
	count  int
}

// Begin appends an authserv-id to b, which ends in what stands before it on its line: the name of the field and a space.
func Begin(b []byte, id string) Writer {
	w := Writer{b: b, column: len(b)}
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == '\n' {
			w.column = len(b) - i - 1
			break
		}
	}
	w.value(id)
	w.b = append(w.b, ';')
	w.column += 2
	return w
}

// Add appends a result. One whose method or result is no keyword is left out, as is a property with such a name.
func (w *Writer) Add(r *Result) {
	if !isKeyword(r.Method) || !isKeyword(r.Result) || w.count == maxResults {
		return
	}
	if w.count++; w.count > 1 {
		w.b = append(w.b, ';')
	}
	w.b = append(w.b, "\r\n\t"...)
	start := len(w.b)
	w.b = append(append(append(w.b, r.Method...), '='), r.Result...)
	w.column = 8 + len(w.b) - start
	if r.Comment != "" {
		start = w.space()
		w.b = append(w.b, '(')
		w.text(r.Comment)
		w.b = append(w.b, ')')
		w.fold(start)
	}
	if r.Reason != "" {
		start = w.space()
		w.b = append(w.b, `reason="`...)
		w.text(r.Reason)
		w.b = append(w.b, '"')
		w.fold(start)
	}
	for i := range r.Props {
		if p := &r.Props[i]; isKeyword(p.Type) && isKeyword(p.Name) && len(p.Value) <= maxValue {
			start = w.space()
			w.b = append(append(append(append(w.b, p.Type...), '.'), p.Name...), '=')
			w.value(p.Value)
			w.fold(start)
		}
	}
}

// End appends what says that nothing was checked, if there is no result, and returns the whole. A line end is the caller's.
func (w *Writer) End() []byte {
	if w.count == 0 {
		w.b = append(w.b, " none"...)
	}
	return w.b
}

// Format is the value of a whole field, folded as if it stood behind column octets.
func Format(id string, results []Result) string {
	w := Begin([]byte("Authentication-Results: "), id)
	from := len("Authentication-Results: ")
	for i := range results {
		w.Add(&results[i])
	}
	return string(w.End()[from:])
}

// space appends the space before a word, and returns where the word begins.
func (w *Writer) space() int {
	w.b = append(w.b, ' ')
	return len(w.b)
}

// fold begins a line before the word at start, if it ends too far to the right.
func (w *Writer) fold(start int) {
	n := len(w.b) - start
	if w.column += 1 + n; w.column > usualLine {
		w.b = append(w.b, 0, 0)
		copy(w.b[start+2:], w.b[start:])
		copy(w.b[start-1:], "\r\n\t")
		w.column = 8 + n
	}
}

// value appends a value: as it is where it is a plain word or address, else as a quoted string. Careful more than the RFC
// asks: a single quote, an equals sign or a slash are quoted too.
func (w *Writer) value(s string) {
	s = ascii(s)
	if isPlain(s) {
		w.b = append(w.b, s...)
		return
	}
	w.b = append(w.b, '"')
	for i := 0; i < len(s); i++ {
		c := safe(s, i)
		if c == '"' || c == '\\' {
			w.b = append(w.b, '\\')
		}
		w.b = append(w.b, c)
	}
	w.b = append(w.b, '"')
}

// text appends what is told in words. It holds nothing that a quoted string or a comment would have to escape.
func (w *Writer) text(s string) {
	for i := 0; i < len(s) && i < maxText; i++ {
		c := safe(s, i)
		if s[i] == ';' {
			c = ','
		}
		switch c {
		case '(':
			w.b = append(w.b, '[')
		case ')':
			w.b = append(w.b, ']')
		case '"':
			w.b = append(w.b, '\'')
		case '\\':
			w.b = append(w.b, '/')
		default:
			w.b = append(w.b, c)
		}
	}
}

// safe returns the octet at i, or a question mark for one that may not stand in a field, or that a careless reader could
// take for the end of a result or for a result: a semicolon, and the equals sign of "=pass".
func safe(s string, i int) byte {
	switch c := s[i]; {
	case c < ' ' || c > '~' || c == ';':
		return '?'
	case c == '=':
		if rest := strings.TrimLeft(s[i+1:min(len(s), i+20)], " "); len(rest) >= 4 && strings.EqualFold(rest[:4], "pass") || len(rest) == 0 && i+20 <= len(s) {
			return '?'
		}
		return c
	default:
		return c
	}
}

// isPlain reports what needs no quotes for any reader: letters, digits, dots, hyphens, and one "@".
func isPlain(s string) bool {
	ats := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '.', c == '-', c == '_', c == '+':
		case c == '@':
			ats++
		default:
			return false
		}
	}
	return s != "" && ats <= 1
}
