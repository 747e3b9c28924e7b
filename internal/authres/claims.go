package authres

import (
	"io"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

const fieldName = "authentication-results"

// Limits of what is decoded, in octets: decoding encoded words and internationalized names takes time with the square of
// their length.
const (
	maxEncoded = 8 << 10
	maxName    = 4 * 255
)

// Named returns what stands behind the colon of a header field, given whole, if its name is Authentication-Results, or one
// that a reader could take for it that drops white space, control octets and invisible characters, or folds compatibility
// forms. ARC-Authentication-Results is another field.
func Named(field []byte) (value []byte, is bool) {
	if len(field) == 0 || field[0] > ' ' && field[0] < 0x7f && field[0]|0x20 != 'a' {
		return nil, false
	}
	want := fieldName
	for i := 0; i < len(field); {
		r, n := rune(field[i]), 1
		if r >= 0x80 {
			if r, n = utf8.DecodeRune(field[i:]); r == utf8.RuneError && n == 1 {
				r = 0 // dropped
			}
		}
		i += n
		if ignorable(r) {
			continue
		}
		if r = letter(r); want == "" {
			return field[i:], r == ':'
		}
		if r != rune(want[0]) {
			return nil, false
		}
		want = want[1:]
	}
	return nil, false
}

// ignorable reports what a reader may drop or does not show.
func ignorable(r rune) bool {
	if r < 0x80 {
		return r <= ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Mn, unicode.Me, unicode.Zs, unicode.Zl, unicode.Zp, unicode.Co)
}

// letter folds case and compatibility forms.
func letter(r rune) rune {
	if r < 0x80 {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	var buf [utf8.UTFMax]byte
	if d := norm.NFKD.Properties(buf[:utf8.EncodeRune(buf[:], r)]).Decomposition(); len(d) > 0 {
		r, _ = utf8.DecodeRune(d)
	}
	if r >= '‐' && r <= '―' || r == '−' { // hyphens and dashes
		return '-'
	}
	return unicode.ToLower(r)
}

// Claims reports whether a reader, a careless one too, could take an Authentication-Results with this value for one of the
// host id, whose words it trusts: our id stands where an authserv-id could, in whatever case, quotes, comments, folds,
// encoded words or Unicode form, with a trailing dot or a version; or there is no authserv-id at all, so that a reader that
// does without one believes what follows. In doubt it claims: what is removed by mistake was a stranger's word.
func Claims(value, id string) bool {
	id = canonical(id)
	if claims(value, id) {
		return true
	}
	switch {
	case !strings.Contains(value, "=?"):
		return false
	case len(value) > maxEncoded:
		return true // no honest one is so, and decoding takes more than its share
	}
	d := mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}
	decoded, err := d.DecodeHeader(strings.ReplaceAll(value, "\r\n", ""))
	return err == nil && claims(decoded, id)
}

func claims(value, id string) bool {
	value = skeleton(value)
	bare, whole := withoutComments(value)
	if !whole && hasWord(value, id) {
		return true // where a comment or quote ends is up to the reader
	}
	if first, rest, _ := strings.Cut(bare, ";"); strings.Contains(first, "=") || strings.TrimSpace(first) == "" && strings.Contains(rest, "=") {
		return true // no id
	}
	for _, reading := range [...]string{bare, value} {
		at := 0
		for segment := range strings.SplitSeq(reading, ";") {
			if at++; at > 1 {
				segment, _, _ = strings.Cut(segment, "=")
			}
			if hasWord(segment, id) {
				return true
			}
		}
	}
	return false
}

// skeleton folds a text for comparison: compatibility forms and case, without folds, quotes, backslashes' escapes and
// invisible characters.
func skeleton(s string) string {
	if !isASCII(s) {
		s = norm.NFKC.String(strings.ToValidUTF8(s, ""))
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r' || r == '\n' || r == ' ':
			return ' '
		case unicode.Is(unicode.Zs, r):
			return ' '
		case ignorable(r):
			return -1
		case r == '。' || r == '｡': // dots of a domain (RFC 3490 section 3.1)
			return '.'
		}
		return unicode.ToLower(r)
	}, s)
}

// withoutComments drops comments, nested ones too, quotes and backslashes. It reports whether all of them end. A reader that
// sees a space in the place of a comment is one that parts words there, as the whole text does.
func withoutComments(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			if i++; depth == 0 {
				b = append(b, s[i])
			}
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
		case c == ')' && !quoted && depth > 0:
			depth--
		case depth == 0:
			b = append(b, c)
		}
	}
	return string(b), depth == 0 && !quoted
}

// hasWord reports whether a folded text holds the id as a word.
func hasWord(s, id string) bool {
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool {
		return r < 0x80 && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	}) {
		if word == id || (word[0] == '.' || word[len(word)-1] == '.' || !isASCII(word)) && canonical(word) == id {
			return true
		}
	}
	// Quotes and backslashes may stand within a word: m"x.exam"ple.org.
	if strings.ContainsAny(s, `"\`) {
		return hasWord(strings.NewReplacer(`"`, "", `\`, "").Replace(s), id)
	}
	return false
}

// canonical is a host name to compare: lower-case A-labels without a dot around it.
func canonical(name string) string {
	name = strings.Trim(strings.ToLower(name), ".")
	if isASCII(name) || len(name) > maxName {
		return name
	}
	if a, err := idna.Lookup.ToASCII(name); err == nil {
		return a
	}
	return name
}
