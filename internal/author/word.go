package author

import (
	"encoding/base64"
	"strings"
)

// maxWord bounds one encoded word; RFC 2047 section 2 has 75.
const maxWord = 1000

// encodedWord returns the length of the encoded word (RFC 2047 section 2) at the start of s, 0 if there is none. Its text
// may hold what the RFC keeps out of it, but for question marks, and white space only where spaced says so: some write it,
// and some decode it.
func encodedWord(s string, spaced bool) int {
	if !strings.HasPrefix(s, "=?") {
		return 0
	}
	marks := 0
	for i := 2; i < len(s) && i < maxWord; i++ {
		switch c := s[i]; {
		case c <= ' ' && (c != ' ' || !spaced || marks < 2) || c == '"':
			return 0
		case c != '?':
		case marks < 2:
			marks++
		case i+1 < len(s) && s[i+1] == '=':
			return i + 2
		default:
			return 0
		}
	}
	return 0
}

// decode returns a text with its encoded words as a mail client shows them, whether they stand where they may or not, and
// the text of the encoded words alone. Words with nothing but white space between them are one (RFC 2047 section 6.2).
func decode(s string) (all, hidden string) {
	if !strings.Contains(s, "=?") {
		return s, ""
	}
	var a, h strings.Builder
	from := 0
	behind := false // a word was decoded just before from
	for {
		i := strings.Index(s[from:], "=?")
		if i < 0 {
			break
		}
		i += from
		n := encodedWord(s[i:], true)
		text, ok := "", false
		if n > 0 {
			text, ok = decodeWord(s[i : i+n])
		}
		if !ok {
			a.WriteString(s[from : i+2])
			from, behind = i+2, false
			continue
		}
		if between := s[from:i]; !behind || strings.Trim(between, " \t") != "" {
			a.WriteString(between)
			h.WriteByte(' ')
		}
		a.WriteString(text)
		h.WriteString(text)
		from, behind = i+n, true
	}
	a.WriteString(s[from:])
	return a.String(), h.String()
}

// decodeWord decodes one encoded word. Charsets are not converted: what matters here are ASCII signs, and all that mail
// clients know have them where ASCII has; where one octet of a pair could look like a sign, the pair is left out.
func decodeWord(word string) (string, bool) {
	parts := strings.SplitN(word[2:len(word)-2], "?", 3)
	charset, _, _ := strings.Cut(strings.ToLower(parts[0]), "*") // RFC 2231 section 5: a language
	text := parts[2]
	switch parts[1] {
	case "b", "B":
		// Padding is forgotten often, and then decoded all the same.
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
		if err != nil {
			raw, _ = base64.RawStdEncoding.DecodeString(text[:validBase64(text)])
		}
		text = string(raw)
	case "q", "Q":
		text = decodeQ(text)
	default:
		return "", false
	}
	return unconverted(charset, text), true
}

// unconverted returns what of a text in a charset can hold ASCII signs.
func unconverted(charset, text string) string {
	switch charset {
	case "utf-8", "utf8", "us-ascii", "iso-8859-1", "windows-1252":
		return text
	case "shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "cp932", "windows-31j":
		return withoutPairs(text, func(c byte) bool { return c > 0x80 && c < 0xa0 || c >= 0xe0 })
	case "big5", "big5-hkscs", "cp950", "gbk", "gb2312", "gb18030", "gb_2312-80", "cp936", "x-gbk", "cp949", "uhc", "johab", "ks_c_5601-1987":
		return withoutPairs(text, func(c byte) bool { return c > 0x80 })
	case "utf-7", "unicode-1-1-utf-7":
		return decodeUTF7(text)
	case "utf-16", "utf-16be", "utf-16le", "utf-32", "utf-32be", "utf-32le":
		return strings.ReplaceAll(text, "\x00", "")
	}
	if strings.HasPrefix(charset, "iso-2022") {
		return withoutShifted(text)
	}
	return text
}

// validBase64 returns how much of a text from its start can be decoded, in whole groups.
func validBase64(s string) int {
	n := 0
	for n < len(s) && strings.IndexByte(alphabet, s[n]) >= 0 {
		n++
	}
	return n &^ 3
}

// decodeQ decodes the "Q" encoding; what is no code stays as it is.
func decodeQ(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			b = append(b, ' ')
		case c == '=' && i+2 < len(s) && hex(s[i+1]) >= 0 && hex(s[i+2]) >= 0:
			b = append(b, byte(hex(s[i+1])<<4|hex(s[i+2])))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// withoutShifted drops the two-octet text of ISO-2022, which consists of ASCII octets behind an escape sequence.
func withoutShifted(s string) string {
	b := make([]byte, 0, len(s))
	shifted := false
	for i := 0; i < len(s); i++ {
		if s[i] == 0x1b && i+2 < len(s) {
			shifted = s[i+1] == '$'
			i += 2
			continue
		}
		if !shifted {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// withoutPairs drops characters of two octets, of which the second one can be an ASCII octet.
func withoutPairs(s string, leads func(byte) bool) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if leads(s[i]) && i+1 < len(s) && (s[i+1] >= 0x40 || s[i+1] >= '0' && s[i+1] <= '9') {
			i++
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

// decodeUTF7 decodes UTF-7 (RFC 2152).
func decodeUTF7(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		bits, have, start := uint32(0), 0, i+1
		for i+1 < len(s) {
			v := strings.IndexByte(alphabet, s[i+1])
			if v < 0 {
				break
			}
			i++
			bits, have = bits<<6|uint32(v), have+6
			if have >= 16 {
				have -= 16
				b.WriteRune(rune(bits >> have & 0xffff))
			}
		}
		if i+1 < len(s) && s[i+1] == '-' {
			if i++; i == start {
				b.WriteByte('+')
			}
		}
	}
	return b.String()
}

// alphabet is that of Base64.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
