package links

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxHost is how long a host may be before it is made A-labels; what is longer is none.
const maxHost = 1024

// host reads a host as browsers do: percent-decoded, mapped by UTS 46, and an address wherever its last label is a number.
func (u *URI) host(s string) {
	if len(s) > maxHost {
		u.Host, u.Odd = strings.ToLower(strings.ToValidUTF8(s[:253], "")), u.Odd|OddInvalid
		return
	}
	if strings.HasPrefix(s, "[") {
		u.bracketed(s)
		return
	}
	if strings.IndexByte(s, '%') >= 0 {
		u.Odd |= OddPercent
		if d, err := url.PathUnescape(s); err == nil {
			s = d
		} else {
			u.Odd |= OddInvalid
		}
	}
	lower := strings.ToLower(s)
	if strings.Contains(lower, "xn--") || strings.IndexFunc(lower, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		lower = u.mapped(lower)
	}
	for i := range len(lower) {
		if c := lower[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`#/:<>?@[\]^|%"`, c) >= 0 {
			u.Odd |= OddInvalid
		}
	}
	lower = strings.TrimSuffix(lower, ".")
	if a, odd, ok := ipv4(lower); ok {
		u.Addr, u.Host = a, a.String()
		if odd {
			u.Odd |= OddNotation
		}
		return
	} else if odd {
		u.Odd |= OddInvalid
	}
	if lower == "" || lower[0] == '.' || strings.HasSuffix(lower, ".") || strings.Contains(lower, "..") {
		u.Odd |= OddInvalid
	}
	u.Host = lower
}

// bracketed reads an IPv6 address.
func (u *URI) bracketed(s string) {
	inner, _, _ := strings.Cut(s[1:], "]")
	a, err := netip.ParseAddr(inner)
	if err != nil || !a.Is6() || a.Zone() != "" {
		u.Odd |= OddInvalid
		u.Host = strings.ToLower(strings.ToValidUTF8(inner, ""))
		return
	}
	if a.Is4In6() {
		u.Odd |= OddNotation
		a = a.Unmap()
	}
	u.Addr, u.Host = a, a.String()
}

// mapped makes A-labels of a host that has letters beyond ASCII, or A-labels already.
func (u *URI) mapped(s string) string {
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
		case r >= 0xff00 && r <= 0xffef, r == 0x3002, r >= 0x2100 && r <= 0x214f, r >= 0x2460 && r <= 0x24ff, r >= 0x1d400 && r <= 0x1d7ff,
			r == 0xad, unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r):
			u.Odd |= OddLetters
		}
	}
	p := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false), idna.BidiRule())
	out, err := p.ToASCII(s)
	if err != nil {
		u.Odd |= OddInvalid
	}
	if out == "" || !utf8.ValidString(out) {
		out = strings.ToValidUTF8(s, "")
	}
	for label := range strings.SplitSeq(Unicode(out), ".") {
		if Mixed(label) {
			u.Odd |= OddMixed
		}
	}
	return strings.ToLower(out)
}

// Unicode returns a host with its A-labels as people see them. One that cannot be decoded stays as it is.
func Unicode(host string) string {
	if !strings.Contains(host, "xn--") {
		return host
	}
	labels := strings.Split(host, ".")
	for i, l := range labels {
		if strings.HasPrefix(l, "xn--") {
			if d, err := idna.Punycode.ToUnicode(l); err == nil {
				labels[i] = d
			}
		}
	}
	return strings.Join(labels, ".")
}

// Mixed reports whether a label has letters of two scripts of which one could be taken for the other: Latin, Greek, Cyrillic,
// Armenian, Cherokee, Coptic and Georgian. Latin beside Chinese, Japanese or Korean is usual (UTS 39 section 5.2).
func Mixed(label string) bool {
	scripts := [...]*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee, unicode.Coptic,
		unicode.Georgian, unicode.Lisu, unicode.Deseret}
	seen := -1
	for _, r := range label {
		for i, table := range scripts {
			if !unicode.Is(table, r) {
				continue
			}
			if seen >= 0 && seen != i {
				return true
			}
			seen = i
		}
	}
	return false
}

// ipv4 reads a host whose last label is a number as browsers do: one to four parts, each decimal, octal (0) or hexadecimal
// (0x), the last of which fills what is left. odd tells of any form but four decimal numbers, or of a number that is no
// address.
func ipv4(s string) (a netip.Addr, odd, ok bool) {
	parts := strings.Split(s, ".")
	last := parts[len(parts)-1]
	if !isNumber(last) {
		return a, false, false
	}
	if len(parts) > 4 {
		return a, true, false
	}
	var value uint64
	for i, p := range parts {
		n, strange, good := number(p)
		odd = odd || strange
		switch {
		case !good:
			return a, true, false
		case i < len(parts)-1:
			if n > 255 {
				return a, true, false
			}
			value |= n << (8 * (3 - i))
		default:
			if n >= 1<<(8*(5-len(parts))) {
				return a, true, false
			}
			value |= n
		}
	}
	four := [4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}
	return netip.AddrFrom4(four), odd || len(parts) != 4, true
}

// isNumber reports whether a label makes the host an address: digits, or a hexadecimal number.
func isNumber(s string) bool {
	if s == "" {
		return false
	}
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(s, "0123456789") == ""
}

func number(s string) (n uint64, strange, ok bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"):
		s, base, strange = s[2:], 16, true
	case len(s) > 1 && s[0] == '0':
		s, base, strange = s[1:], 8, true
	case s == "":
		return 0, false, false
	}
	if s == "" {
		return 0, true, true
	}
	n, err := strconv.ParseUint(s, base, 32)
	return n, strange, err == nil
}
