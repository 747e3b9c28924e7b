package author

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Of tells who a message says it is from. The header section is taken as it lies, lines ending in CRLF, without the empty
// line; smtputf8 says that the client announced SMTPUTF8 (RFC 6531), without which an address is ASCII.
func Of(header []byte, smtputf8 bool) Author {
	var a Author
	var cut []byte // the first line above From that is no field
	fields := 0
	below := false // a From field stands right above
	for at := 0; at < len(header); {
		end := fieldEnd(header, at)
		field := header[at:end]
		first := at == 0
		at = end
		broken := below && !isField(field) && len(bytes.TrimSpace(field)) > 0
		below = false
		a.Mbox = a.Mbox || first && isMbox(field)
		if fields == 0 && cut == nil && !isField(field) && !(first && a.Mbox) {
			cut = field
		}
		if c := field[0]; c > ' ' && c < 0x7f && c|0x20 != 'f' && !broken {
			continue // no way to read this as From
		}
		switch value, is := from(field); {
		case is:
			below = true
			if fields++; fields <= maxAddresses {
				a.value(value, smtputf8)
			}
			if cut != nil && !a.Has(Disguised) { // which tells the same line
				a.wrong(BrokenAbove, start(cut))
			}
		case first && a.Mbox:
		case resembles(field):
			a.wrong(Disguised, start(field))
		case broken:
			a.wrong(BrokenBelow, start(field))
		}
	}
	switch {
	case fields == 0:
		a.wrong(NoField, "")
	case fields > 1:
		a.wrong(SeveralFields, strconv.Itoa(fields))
	}
	if len(a.Problems) == 0 {
		a.Domain = a.Addresses[0].Domain
	}
	return a
}

// fieldEnd returns the end of the field that begins at at, with its folded lines.
func fieldEnd(header []byte, at int) int {
	for {
		i := bytes.IndexByte(header[at:], '\n')
		if i < 0 {
			return len(header)
		}
		at += i + 1
		if at >= len(header) || header[at] != ' ' && header[at] != '\t' {
			return at
		}
	}
}

// from returns what stands behind the colon of a From field that is written as every reader knows it.
func from(field []byte) (value []byte, is bool) {
	const name = "from:"
	if len(field) < len(name) || !bytes.EqualFold(field[:len(name)], []byte(name)) {
		return nil, false
	}
	return field[len(name):], true
}

// start is the beginning of a field, to be shown.
func start(field []byte) string { return string(bytes.TrimRight(field[:min(len(field), 40)], "\r\n")) }

// isField reports whether a field begins as one (RFC 5322 section 2.2), white space before the colon (section 4.5) allowed.
// At a line that does not, some mail servers and clients end the header section, and what stands below is text to them.
func isField(field []byte) bool {
	n := 0
	for n < len(field) && field[n] > ' ' && field[n] < 0x7f && field[n] != ':' {
		n++
	}
	name := n
	for n < len(field) && (field[n] == ' ' || field[n] == '\t') {
		n++
	}
	return name > 0 && n < len(field) && field[n] == ':'
}

// isMbox reports a line such as "From a@b.example Tue Nov 24 00:00:00 2026", as it is or as it is quoted.
func isMbox(field []byte) bool {
	line, is := bytes.CutPrefix(bytes.TrimPrefix(field, []byte(">")), []byte("From "))
	if !is {
		return false
	}
	words := bytes.SplitN(line, []byte(" "), 3)
	if len(words) < 3 {
		return false
	}
	switch string(words[1]) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

// resembles reports whether a reader that drops white space, control octets, invisible or broken characters, folds
// compatibility forms or letters of other scripts, or cuts a line at a NUL, could take the name of the field for From. A
// line that begins with the word From and has no colon behind it is such a field too.
func resembles(field []byte) bool {
	want := "from"
	spaced := false
	for len(field) > 0 {
		r, n := utf8.DecodeRune(field)
		field = field[n:]
		if r == 0 && want == "" {
			return true
		}
		if r == utf8.RuneError && n <= 1 || ignorable(r) {
			spaced = spaced || want == "" && (r == ' ' || r == '\t')
			continue
		}
		if r = letter(r); want == "" {
			return r == ':' || spaced
		}
		if r != rune(want[0]) {
			return false
		}
		want = want[1:]
	}
	return want == ""
}

// ignorable reports what a reader may drop or does not show.
func ignorable(r rune) bool {
	if r < 0x80 {
		return r <= ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Mn, unicode.Me, unicode.Zs, unicode.Zl, unicode.Zp, unicode.Co) ||
		r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 || r == 0x2800 // fillers and the empty braille cell
}

// letter folds a rune to the lower-case ASCII letter or sign that it looks like, as far as "from:" needs it.
func letter(r rune) rune {
	if r >= 0x80 {
		r = compatible(r)
	}
	switch r {
	case 'ϝ', 'Ϝ', 'ғ', 'Ғ', 'ꬵ', 'ẝ', 'ƒ', 'ꓝ', 'Ꞙ', 'ꞙ', 'ⅎ', 'Ⅎ':
		return 'f'
	case 'г', 'ᴦ', 'ꭇ', 'ꭈ', 'ʀ', 'ꮁ', 'Ꭱ', 'Ꮢ', 'ꓣ', 'я', 'Я', 'ɼ', 'ɾ':
		return 'r'
	case 'о', 'О', 'ο', 'Ο', 'օ', 'Օ', 'ဝ', 'ᴏ', 'ჿ', 'σ', 'ⲟ', 'Ⲟ', 'ꓳ', 'ס', 'ه', 'ଠ', '০', '०', '๐', 'ø', 'Ø', 'ɵ':
		return 'o'
	case 'м', 'М', 'Μ', 'ϻ', 'Ϻ', 'ᴍ', 'Ꮇ', 'ꓟ', 'Ⲙ', 'ɱ':
		return 'm'
	case '։', '׃', '܃', '܄', '∶', 'ː', '꞉', 'ⵓ':
		return ':'
	}
	return unicode.ToLower(r)
}

// compatible returns the first rune of a rune's compatibility decomposition: full-width, small, mathematical, circled and
// accented letters become plain ones.
func compatible(r rune) rune {
	var buf [utf8.UTFMax]byte
	if d := norm.NFKD.Properties(buf[:utf8.EncodeRune(buf[:], r)]).Decomposition(); len(d) > 0 {
		r, _ = utf8.DecodeRune(d)
	}
	return r
}
