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
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
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
	o.b = append(t.UTC().AppendFormat(append(o.b, '"'), "2006-01-02T15:04:05.000Z07:00"), '"')
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
	return strconv.AppendFloat(b, math.Round(v*1000)/1000, 'f', -1, 64)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
