package journal

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendText appends a JSON string. What is not printable is escaped (control octets, but also what turns the direction of
// text around or hides it), and what is no UTF-8 reads as U+FFFD: a line in a log is read on terminals.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		if i += verbatim(s[i:]); i == len(s) {
			break
		}
		c := s[i]
		r, n := utf8.DecodeRuneInString(s[i:])
		if c >= utf8.RuneSelf && !(r == utf8.RuneError && n == 1) && strconv.IsPrint(r) {
			i += n
			continue
		}
		b = append(b, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case r > 0xffff:
			r -= 0x10000
			b = appendHex(appendHex(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
		default:
			b = appendHex(b, r)
		}
		i += n
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// verbatim returns how many octets of s stand for themselves.
func verbatim(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

func appendHex(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// object writes one JSON object, field by field, in the order it is asked to.
type object struct {
	b    []byte
	any  bool
	most int // octets of a text of unknown length
}

func (o *object) key(name string) {
	if o.any {
		o.b = append(o.b, ',')
	} else {
		o.b, o.any = append(o.b, '{'), true
	}
	if n := len(name); verbatim(name) == n {
		o.b = append(append(append(o.b, '"'), name...), '"', ':') // all but what attributes are named
		return
	}
	o.b = append(appendText(o.b, name), ':')
}

// text writes a field unless it is empty.
func (o *object) text(name, value string) {
	if value != "" {
		o.always(name, value)
	}
}

func (o *object) always(name, value string) {
	o.key(name)
	o.b = appendText(o.b, value)
}

// number writes a field unless it is zero.
func (o *object) number(name string, v int64) {
	if v != 0 {
		o.key(name)
		o.b = strconv.AppendInt(o.b, v, 10)
	}
}

func (o *object) float(name string, v float64) {
	o.key(name)
	o.b = appendFloat(o.b, v)
}

func (o *object) texts(name string, values []string) {
	if len(values) == 0 {
		return
	}
	o.key(name)
	for i, v := range values {
		o.b = appendText(append(o.b, "[,"[min(i, 1)]), v)
	}
	o.b = append(o.b, ']')
}

func (o *object) moment(name string, t time.Time) {
	o.key(name)
	o.b = append(appendMoment(append(o.b, '"'), t), '"')
}

// appendMoment appends RFC 3339 with milliseconds, UTC; by hand, since it stands in every line.
func appendMoment(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	}
	hour, minute, second := t.Clock()
	b = appendPadded(b, year, 4)
	b = appendPadded(append(b, '-'), int(month), 2)
	b = appendPadded(append(b, '-'), day, 2)
	b = appendPadded(append(b, 'T'), hour, 2)
	b = appendPadded(append(b, ':'), minute, 2)
	b = appendPadded(append(b, ':'), second, 2)
	b = appendPadded(append(b, '.'), t.Nanosecond()/1e6, 3)
	return append(b, 'Z')
}

// appendPadded appends a number of so many digits.
func appendPadded(b []byte, n, digits int) []byte {
	at := len(b) + digits
	b = append(b, "0000"[:digits]...)
	for ; n > 0; n /= 10 {
		at--
		b[at] = byte('0' + n%10)
	}
	return b
}

// end closes the object and the line.
func (o *object) end() []byte {
	if !o.any {
		o.b = append(o.b, '{')
	}
	return append(o.b, '}', '\n')
}

// appendFloat appends a number that JSON can say: what is none reads as null.
func appendFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e15) {
		return strconv.AppendFloat(b, v, 'g', 6, 64)
	}
	n := math.Round(v * 1000)
	if math.Abs(n) >= 1e12 {
		return strconv.AppendFloat(b, n/1000, 'f', -1, 64)
	}
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	b = strconv.AppendInt(b, int64(n)/1000, 10)
	if rest := int(int64(n) % 1000); rest > 0 {
		b = appendPadded(append(b, '.'), rest, 3)
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
