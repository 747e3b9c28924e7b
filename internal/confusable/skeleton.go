package confusable

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Skeleton is what a label looks like: two labels that look alike have the same (UTS 39 section 4). It is of use for
// comparing only, and never shown.
func Skeleton(label string) string {
	var room [64]byte
	out := room[:0]
	for i := range len(label) {
		if label[i] >= utf8.RuneSelf {
			label = norm.NFKD.String(strings.ToLower(label))
			break
		}
	}
	for _, r := range label {
		if r < utf8.RuneSelf {
			out = append(out, plain(byte(r)))
			continue
		}
		switch p := prototype(r); {
		case p != "":
			for i := range len(p) {
				out = append(out, plain(p[i]))
			}
		case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Cf, r): // a diacritic, or nothing that is seen
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return pairs(out)
}

// plain is what an ASCII letter is taken for.
func plain(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	switch c {
	case '0':
		return 'o'
	case '1', 'i', '|':
		return 'l'
	case '3':
		return 'e'
	case '4':
		return 'a'
	case '5':
		return 's'
	case '7':
		return 't'
	case '8':
		return 'b'
	case '9':
		return 'g'
	case '_':
		return '-'
	}
	return c
}

// pairs joins pairs of letters that look like one.
func pairs(b []byte) string {
	n := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		if i+1 < len(b) {
			switch {
			case c == 'r' && b[i+1] == 'n':
				c, i = 'm', i+1
			case c == 'v' && b[i+1] == 'v':
				c, i = 'w', i+1
			case c == 'c' && b[i+1] == 'l':
				c, i = 'd', i+1
			case c == 'u' && b[i+1] == 'u':
				c, i = 'w', i+1
			}
		}
		b[n] = c
		n++
	}
	return string(b[:n])
}

// look is what letters of other scripts are taken for.
type look struct{ to, from string }

// looks is the table, by what is seen. It was made from what the letters look like in the fonts that browsers and mail clients
// use, for small letters, since names are shown in them; no data of Unicode lies behind it.
var looks = [...]look{
	// Cyrillic, Greek, Armenian, Cherokee and phonetic letters, in this order.
	{"a", "аαɑᴀ"},
	{"ae", "ӕæ"},
	{"b", "ьƅɓʙ"},
	{"c", "сςϲᴄ"},
	{"d", "ԁδđɖɗᴅժ"},
	{"e", "еєεҽɛəᴇ"},
	{"f", "ғƒք"},
	{"g", "ɡɢցġ"},
	{"h", "һհɦʜ"},
	{"i", "іιıɩɪ"},
	{"j", "јϳյȷ"},
	{"k", "кκҝқӄᴋ"},
	{"l", "ӏłŀɭʟℓ"},
	{"m", "мɱᴍ"},
	{"n", "пηոռŋɴ"},
	{"o", "оοσօøɔᴏסه๐໐೦൦"},
	{"p", "рρթþᴘ"},
	{"q", "ԛգզɋ"},
	{"r", "гɼʀᴦ"},
	{"s", "ѕʂꜱƽ"},
	{"ss", "ßẞ"},
	{"t", "тτŧᴛ"},
	{"u", "υսцʋᴜμ"},
	{"v", "νѵᴠ"},
	{"w", "ԝωшաɯᴡѡ"},
	{"x", "хχҳ"},
	{"y", "уγүұყʏ"},
	{"z", "зᴢʐ"},
	{"h", "нң"},
	{"oe", "œ"},
	{"lo", "ю"},
	{"bl", "ы"},
	{"-", "‐‑‒–—−·ーㅡ一"},
	{".", "․。"},
	{"/", "⁄∕╱"},
}

// prototype is the Latin letters that a letter of another script is taken for; "" where it is taken for none. Diacritics and
// compatibility forms (full-width and mathematical letters) were taken off before.
func prototype(r rune) string {
	for i := range looks {
		if strings.ContainsRune(looks[i].from, r) {
			return looks[i].to
		}
	}
	return ""
}
