package config

import (
	"encoding"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// setText reads one scalar from its text, without quotes, into v. The field's range, enum and format are obeyed.
func (f field) setText(v reflect.Value, text string) *ValueError {
	switch f.form {
	case formString:
		return f.setString(v, text)
	case formBool:
		if text != "true" && text != "false" {
			return &ValueError{Message: "is not true or false"}
		}
		v.SetBool(text == "true")
		return nil
	case formInt:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, 64)
		if err != nil {
			return &ValueError{Message: "is not a whole number of 64 bits"}
		}
		return f.setInt(v, n)
	case formSize:
		n, err := ParseSize(text)
		if err != nil {
			return &ValueError{Message: asValueError(err).Message} // the key's own example says more
		}
		return f.setInt(v, int64(n))
	case formDuration:
		d, err := ParseDuration(text)
		if err != nil {
			return &ValueError{Message: asValueError(err).Message}
		}
		return f.setInt(v, int64(d))
	case formFloat:
		n, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return &ValueError{Message: "is not a number"}
		}
		if bad := f.outside(n); bad != nil {
			return bad
		}
		v.SetFloat(n)
		return nil
	}
	return f.setOther(v, text)
}

func (f field) setString(v reflect.Value, text string) *ValueError {
	if text == "" && !f.required {
		v.SetString("")
		return nil
	}
	if len(f.enum) > 0 && !contains(f.enum, text) {
		bad := &ValueError{Message: "is not a value of this key"}
		if near := nearest(text, f.enum); near != "" {
			bad.Instead = "did you mean " + strconv.Quote(near) + "? The values are " + quoteAll(f.enum)
		}
		return bad
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return &ValueError{"has a control character", "leave it out"}
	}
	if bad := f.outside(float64(len(text))); bad != nil {
		return &ValueError{Message: "has a length of " + strconv.Itoa(len(text)) + " octets, which " + bad.Message, Instead: bad.Instead}
	}
	if f.format != "" {
		canonical, bad := checkFormat(f.format, text)
		if bad != nil {
			return bad
		}
		text = canonical
	}
	v.SetString(text)
	return nil
}

func (f field) setInt(v reflect.Value, n int64) *ValueError {
	if bad := f.outside(float64(n)); bad != nil {
		return bad
	}
	if v.CanUint() {
		if n < 0 || v.OverflowUint(uint64(n)) {
			return &ValueError{Message: "is out of range"}
		}
		v.SetUint(uint64(n))
		return nil
	}
	if v.OverflowInt(n) {
		return &ValueError{Message: "is out of range"}
	}
	v.SetInt(n)
	return nil
}

// setOther reads the types of net/netip, whose own error texts name Go functions, and any TextUnmarshaler.
func (f field) setOther(v reflect.Value, text string) *ValueError {
	if text == "" && !f.required {
		v.SetZero()
		return nil
	}
	switch p := v.Addr().Interface().(type) {
	case *netip.Prefix:
		return setPrefix(p, text)
	case *netip.Addr:
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return &ValueError{"is not an IP address", `write for example "192.0.2.1" or "2001:db8::1"`}
		}
		*p = a.Unmap()
		return nil
	case *netip.AddrPort:
		a, err := netip.ParseAddrPort(text)
		if err != nil {
			return &ValueError{"is not an IP address with a port", `write for example "127.0.0.1:9625" or "[::1]:9625"`}
		}
		*p = a
		return nil
	case encoding.TextUnmarshaler:
		if err := p.UnmarshalText([]byte(text)); err != nil {
			return asValueError(err)
		}
		return nil
	}
	return &ValueError{Message: "cannot be read"}
}

func setPrefix(p *netip.Prefix, text string) *ValueError {
	const example = `write for example "192.0.2.0/24" or "2001:db8::/32"`
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		*p = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return &ValueError{"is not a network", example}
	}
	if n.Addr().Is4In6() {
		return &ValueError{"is an IPv4 network written as IPv6", example}
	}
	if n != n.Masked() {
		return &ValueError{"has address bits behind the prefix length", "write " + strconv.Quote(n.Masked().String())}
	}
	*p = n
	return nil
}

// setDefault reads the text of a default or example tag: as setText, lists with commas.
func (f field) setDefault(v reflect.Value, text string) *ValueError {
	if f.form != formList {
		return f.setText(v, text)
	}
	e := f.element()
	for _, part := range strings.Split(text, ",") {
		item := reflect.New(e.typ).Elem()
		if bad := e.setText(item, strings.TrimSpace(part)); bad != nil {
			return bad
		}
		v.Set(reflect.Append(v, item))
	}
	return nil
}

// bound reads a min or max tag; NaN stands for none.
func (f field) bound(text string) (float64, error) {
	if text == "" {
		return math.NaN(), nil
	}
	kind := f.form
	if kind == formList || kind == formMap {
		kind = f.element().form
	}
	switch kind {
	case formSize:
		n, err := ParseSize(text)
		return float64(n), err
	case formDuration:
		d, err := ParseDuration(text)
		return float64(d), err
	}
	return strconv.ParseFloat(text, 64)
}

func (f field) outside(n float64) *ValueError {
	low, _ := f.bound(f.min)
	high, _ := f.bound(f.max)
	switch {
	case n < low:
		return &ValueError{"is too small", "write at least " + f.literal(f.min)}
	case n > high:
		return &ValueError{"is too large", "write at most " + f.literal(f.max)}
	}
	return nil
}

// literal shows a tag's text as the document would have it.
func (f field) literal(text string) string {
	switch f.form {
	case formBool, formInt, formFloat:
		return text
	case formString:
		if allDigits(text) && (text == f.min || text == f.max) {
			return text + " octets"
		}
		return strconv.Quote(text)
	case formList:
		e := f.element()
		parts := strings.Split(text, ",")
		for i, part := range parts {
			parts[i] = e.literal(strings.TrimSpace(part))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return strconv.Quote(text)
}

// text is the canonical text of a bound scalar: what setText reads back.
func (f field) text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(x)
	case netip.Addr:
		if !x.IsValid() {
			return ""
		}
	case netip.Prefix:
		if !x.IsValid() {
			return ""
		}
	case netip.AddrPort:
		if !x.IsValid() {
			return ""
		}
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err != nil {
			return ""
		}
		return string(b)
	}
	switch {
	case f.form == formSize && v.CanUint():
		return Size(v.Uint()).String()
	case f.form == formSize:
		return Size(v.Int()).String()
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return v.String()
}

func asValueError(err error) *ValueError {
	if v, ok := errors.AsType[*ValueError](err); ok {
		return v
	}
	return &ValueError{Message: "is refused: " + err.Error()}
}

// shown quotes a text of the operator's for a message, on one line and not too long.
func shown(s string) string {
	const most = 48
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "..."
	}
	return strconv.Quote(s)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = strconv.Quote(s)
	}
	return strings.Join(quoted, ", ")
}
