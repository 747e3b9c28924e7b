package web

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
	"unicode/utf8"

	"gatepost/internal/unpack"
)

const (
	maxPacked  = 16  // what is packed in one page and looked into
	leastWhole = 128 // octets of a text in a script that may be a file
	leastPage  = 24  // and that may be a page
)

// packed is something that a page has in it.
type packed struct {
	name    string
	content []byte
}

// keep takes in something that is packed: each once, as many as may be, and never more than the page could hold.
func (l *look) keep(name string, content []byte) {
	if len(l.packed) == maxPacked || len(content) < 16 {
		return
	}
	for _, have := range l.packed {
		if bytes.Equal(have.content, content) {
			return
		}
	}
	l.packed = append(l.packed, packed{name, content})
}

// pieces has what was packed in the page looked into.
func (l *look) pieces() error {
	for _, p := range l.packed {
		e := unpack.Entry{Name: p.name, Size: int64(len(p.content))}
		if err := l.w.Enter(l.at, e, bytes.NewReader(p.content)); err != nil {
			return err
		}
	}
	return nil
}

// linked takes what a data: link holds. uri may be cut: the whole stands in the page.
func (l *look) linked(page, uri string) {
	kind, _, ok := strings.Cut(uri, ",")
	if !ok || len(kind) > 200 {
		return
	}
	if i := strings.Index(page, kind+","); i >= 0 { // as it stands there, up to its end
		rest := page[i:]
		if end := strings.IndexAny(rest, "\"'<> )"); end > len(uri) {
			uri = rest[:end]
		}
	}
	_, body, _ := strings.Cut(uri, ",")
	lower := strings.ToLower(kind)
	if strings.Contains(lower, "base64") {
		body = decode64(body)
	} else if d, err := url.PathUnescape(body); err == nil {
		body = d
	}
	if l.acts && !strings.HasPrefix(lower, "data:text/") && !strings.HasPrefix(lower, "data:image/") {
		l.w.Sign(l.at, unpack.Smuggling, "a link that is a file: "+kind)
	}
	l.keep(kind, []byte(body))
}

// decode64 decodes as browsers do, without what does not belong there. What is cut off gives what there is.
func decode64(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '-':
			return '+'
		case r == '_':
			return '/'
		case r == '+', r == '/', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, s)
	b, _ := base64.RawStdEncoding.DecodeString(s[:len(s)-bool1(len(s)%4 == 1)])
	return string(b)
}

func bool1(b bool) int {
	if b {
		return 1
	}
	return 0
}

// literals are the texts in a script that are something else in disguise: base64, percent-encoded, or escaped.
func (l *look) literals(code string) (out []string) {
	for len(code) > 0 && len(out) < maxPacked {
		i := strings.IndexAny(code, "\"'`")
		if i < 0 {
			return out
		}
		quote := code[i]
		code = code[i+1:]
		end := strings.IndexByte(code, quote)
		if end < 0 {
			return out
		}
		text := code[:end]
		code = code[end+1:]
		if len(text) < 8 || len(text) < leastPage && !strings.ContainsAny(text, "%<\\") {
			continue
		}
		if strings.Contains(text, `\x`) || strings.Contains(text, `\u00`) {
			text = unescaped(text)
		}
		switch {
		case strings.Count(text, "%") > 3:
			if d, err := url.PathUnescape(text); err == nil {
				out = append(out, d)
			}
		case isBase64(text):
			d := decode64(text)
			if strings.Contains(d, "<") && utf8.ValidString(d) {
				out = append(out, d)
			} else if len(text) >= leastWhole {
				l.keep("(in a script)", []byte(d))
			}
		case strings.Contains(text, "<"):
			out = append(out, strings.ReplaceAll(text, `\/`, "/"))
		}
	}
	return out
}

// isBase64 reports whether a text could be nothing but base64.
func isBase64(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '+', c == '/', c == '=', c == '-', c == '_', c == '\r', c == '\n', c == '\\':
		default:
			return false
		}
	}
	return true
}

// unescaped reads \xHH and \u00HH.
func unescaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		hex := ""
		switch {
		case s[i] != '\\':
		case strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s):
			hex, i = s[i+2:i+4], i+3
		case strings.HasPrefix(s[i:], `\u00`) && i+6 <= len(s):
			hex, i = s[i+4:i+6], i+5
		}
		if hex == "" {
			b.WriteByte(s[i])
			continue
		}
		if c, err := url.PathUnescape("%" + hex); err == nil {
			b.WriteString(c)
		}
	}
	return b.String()
}
