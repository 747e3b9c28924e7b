package mime

import (
	"strings"
	"unicode/utf8"
)

// maxWords bounds the octets of a field that are looked at for encoded words.
const maxWords = 64 << 10

// DecodeWords returns a text of a header section as people see it: encoded words (RFC 2047) wherever they stand, also where
// the RFC forbids them and clients show them nevertheless, and raw 8-bit text as UTF-8 or else Windows-1252. What is no
// encoded word stays as it is. Control characters stay; whoever shows the text cleans it.
func DecodeWords(s string) string {
	text, _ := decodeWords(s)
	return text
}

// decodeWords also reports whether something that looks like an encoded word cannot be decoded.
func decodeWords(s string) (text string, broken bool) {
	if len(s) > maxWords {
		s, broken = s[:maxWords], true
	}
	if !strings.Contains(s, "=?") {
		return readable(s), broken
	}
	var out strings.Builder
	var run []byte // decoded words of one charset that stand together: a character may be cut between two of them
	charset := ""
	flush := func() {
		if len(run) > 0 {
			out.Write(toUTF8(charset, run))
			run = run[:0]
		}
	}
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, ok := cutWord(s[i:])
		if !ok {
			broken = true
			flush()
			out.WriteString(readable(s[:i+2]))
			s = s[i+2:]
			continue
		}
		if before := s[:i]; len(run) == 0 || strings.Trim(before, " \t\r\n") != "" {
			flush()
			out.WriteString(readable(before))
		}
		if !strings.EqualFold(charset, w.charset) {
			flush()
			charset = w.charset
		}
		run = append(run, w.text...)
		broken = broken || w.broken
		s = s[i+w.length:]
	}
	flush()
	out.WriteString(readable(s))
	return out.String(), broken
}

// word is an encoded word.
type word struct {
	charset string
	text    []byte
	length  int
	broken  bool
}

// cutWord reads the encoded word at the beginning of s: "=?charset*language?B?text?=".
func cutWord(s string) (w word, ok bool) {
	charset, rest, ok := strings.Cut(s[2:min(len(s), 2+maxCharset)], "?")
	if !ok || charset == "" || len(rest) < 2 && len(s) < len(charset)+5 {
		return w, false
	}
	if strings.ContainsAny(charset, " \t\r\n=") {
		return w, false
	}
	w.charset, _, _ = strings.Cut(charset, "*") // RFC 2231 section 5
	rest = s[2+len(charset)+1:]
	if len(rest) < 2 || rest[1] != '?' {
		return w, false
	}
	end := strings.IndexByte(rest[2:], '?')
	if end < 0 || !strings.HasPrefix(rest[2+end:], "?=") {
		return w, false
	}
	text := rest[2 : 2+end]
	w.length = 2 + len(charset) + 1 + 2 + end + 2
	switch rest[0] {
	case 'B', 'b':
		d := decoder{kind: base64}
		w.text = d.end(d.decode(nil, []byte(text)))
		w.broken = d.broken
	case 'Q', 'q':
		w.text, w.broken = wordQ(text)
	default:
		return w, false
	}
	return w, true
}

// maxCharset is how long the name of a charset may be.
const maxCharset = 80

// wordQ undoes the encoding Q (RFC 2047 section 4.2).
func wordQ(s string) (out []byte, broken bool) {
	out = make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s) && hexDigit(s[i+1])|hexDigit(s[i+2]) < 16:
			out = append(out, hexDigit(s[i+1])<<4|hexDigit(s[i+2]))
			i += 2
		case c == '=':
			out, broken = append(out, c), true
		default:
			out = append(out, c)
		}
	}
	return out, broken
}

// readable is raw text of a header section: UTF-8 (RFC 6532), or what nearly everybody means who writes 8-bit text there.
func readable(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string(toUTF8("windows-1252", []byte(s)))
}
