package mime

import (
	"strconv"
	"strings"
)

// value is a field of the form "word; name=value; ..." (RFC 2045 section 5.1, RFC 2183), read as far as it can be.
type value struct {
	word   string // before the first semicolon, without comments and blanks, lower case
	params []param
	broken bool // it cannot be read by the RFC
}

// param is one parameter as it is written.
type param struct {
	name  string // lower case, without the marks of RFC 2231
	text  string // unquoted; of an extended one as it is written
	raw   string // of a quoted one with backslashes: the text with them; otherwise ""
	short string // of one that is not quoted and has blanks in it: what stands before the first; otherwise ""

	section  int  // of RFC 2231: which; -1 for a plain parameter
	extended bool // "*" at the end of its name: per cent escapes, and in the first section charset and language
}

// maxParams bounds how many parameters of a field are looked at.
const maxParams = 1000

// parse reads the value of Content-Type or Content-Disposition.
func parse(text string) value {
	s := scanner{in: text}
	s.space()
	v := value{word: strings.ToLower(s.word())}
	v.broken = v.word == ""
	for s.space(); s.at < len(s.in); s.space() {
		if s.in[s.at] != ';' {
			v.broken = true
			s.until(";")
			continue
		}
		s.at++
		s.space()
		if s.at == len(s.in) || s.in[s.at] == ';' {
			continue // "; ;" and one at the end: nobody minds
		}
		if len(v.params) == maxParams {
			v.broken = true
			break
		}
		p, ok := s.param()
		if !ok {
			v.broken = true
			continue
		}
		v.params = append(v.params, p)
	}
	v.broken = v.broken || s.broken
	return v
}

// scanner reads a structured field from left to right.
type scanner struct {
	in     string
	at     int
	broken bool
}

// space passes over blanks and comments (RFC 5322 section 3.2.2).
func (s *scanner) space() {
	for s.at < len(s.in) {
		switch s.in[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		case '(':
			s.comment()
		default:
			return
		}
	}
}

func (s *scanner) comment() {
	depth := 0
	for ; s.at < len(s.in); s.at++ {
		switch s.in[s.at] {
		case '\\':
			s.at++
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 {
				s.at++
				return
			}
		}
	}
	s.at, s.broken = len(s.in), true
}

// until returns what stands before the first of some octets, trimmed.
func (s *scanner) until(stop string) string {
	from := s.at
	if i := strings.IndexAny(s.in[from:], stop); i >= 0 {
		s.at = from + i
	} else {
		s.at = len(s.in)
	}
	return strings.Trim(s.in[from:s.at], " \t\r\n")
}

// word reads up to a semicolon, without comments and blanks: "text / html" is what it looks like.
func (s *scanner) word() string {
	var out string
	for s.at < len(s.in) && s.in[s.at] != ';' {
		if piece := s.until(";( \t"); out == "" {
			out = piece
		} else if piece != "" {
			if !strings.HasSuffix(out, "/") && piece[0] != '/' {
				s.broken = true // "multipart/mixed boundary=x": the semicolon was forgotten
				s.until(";")
				return out
			}
			out += piece
		}
		s.space()
	}
	return out
}

// param reads "name=value"; what is none is passed over up to the next semicolon.
func (s *scanner) param() (p param, ok bool) {
	from := s.at
	if i := strings.IndexAny(s.in[from:], "=;("); i < 0 || s.in[from+i] != '=' {
		return s.commented(from)
	}
	p.named(s.until("="))
	s.at++
	return s.value(p)
}

// commented reads a parameter with a comment behind its name.
func (s *scanner) commented(from int) (p param, ok bool) {
	name := s.until("=;( \t")
	s.space()
	if s.at == len(s.in) || s.in[s.at] != '=' {
		s.at = from
		s.until(";")
		return p, false
	}
	s.at++
	p.named(name)
	return s.value(p)
}

// value reads what is behind the equals sign.
func (s *scanner) value(p param) (param, bool) {
	s.space()
	if s.at < len(s.in) && s.in[s.at] == '"' {
		p.text, p.raw = s.quoted()
		return p, p.name != ""
	}
	p.text = s.until(";")
	if i := strings.IndexByte(p.text, '('); i > 0 && strings.HasSuffix(p.text, ")") {
		p.text = strings.TrimRight(p.text[:i], " \t") // a comment behind a token
	}
	if i := strings.IndexAny(p.text, " \t"); i > 0 {
		p.short = p.text[:i]
	}
	return p, p.name != ""
}

// quoted reads a quoted string; raw is what it would be if backslashes meant nothing, where there are any.
func (s *scanner) quoted() (text, raw string) {
	from := s.at + 1
	escaped := false
	for s.at = from; s.at < len(s.in); s.at++ {
		switch s.in[s.at] {
		case '\\':
			escaped = true
			s.at++
		case '"':
			text = s.in[from:s.at]
			s.at++
			if escaped {
				return unescape(text), text
			}
			return text, ""
		}
	}
	s.at, s.broken = len(s.in), true
	return s.in[from:], ""
}

func unescape(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// named takes the name of a parameter apart (RFC 2231 sections 3 and 4).
func (p *param) named(name string) {
	p.name, p.section = strings.ToLower(name), -1
	base, rest, star := strings.Cut(p.name, "*")
	if !star {
		return
	}
	p.name = base
	if rest == "" {
		p.extended = true
		return
	}
	number, last, _ := strings.Cut(rest, "*")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || last != "" {
		p.name = base + "*" + rest // no name that means anything
		return
	}
	p.section, p.extended = n, strings.HasSuffix(rest, "*")
}
