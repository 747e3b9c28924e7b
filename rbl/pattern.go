package rbl

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Pattern says which answers are meant: four octets with dots between them, each a number ("2"), a range ("4-7"), any
// ("*") or a bit that is set in it ("&8"; the bit's value, 1 to 128). The zero value matches nothing.
type Pattern struct {
	octets [4]octet
	set    bool
}

// octet is a range, or a bit where bit is not zero.
type octet struct{ from, to, bit uint8 }

// ParsePattern reads a pattern. Error: it is none, or it does not begin with 127 (RFC 5782 section 2.1).
func ParsePattern(text string) (Pattern, error) {
	bad := func() (Pattern, error) {
		return Pattern{}, fmt.Errorf("rbl: %q is no pattern of answers: four octets, the first 127, each a number, a range (4-7), * or a bit (&8)", text)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 || parts[0] != "127" {
		return bad()
	}
	p := Pattern{set: true}
	for i, part := range parts {
		o, ok := parseOctet(part)
		if !ok {
			return bad()
		}
		p.octets[i] = o
	}
	return p, nil
}

func parseOctet(text string) (octet, bool) {
	if text == "*" {
		return octet{0, 255, 0}, true
	}
	if bit, isBit := strings.CutPrefix(text, "&"); isBit {
		n, ok := parseByte(bit)
		return octet{bit: n}, ok && n != 0 && n&(n-1) == 0
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	a, ok := parseByte(from)
	b, ok2 := parseByte(to)
	return octet{a, b, 0}, ok && ok2 && a <= b
}

// parseByte reads a decimal number without sign or leading zeros.
func parseByte(text string) (uint8, bool) {
	n, err := strconv.ParseUint(text, 10, 8)
	return uint8(n), err == nil && strconv.FormatUint(n, 10) == text
}

// Match reports whether an answer is meant.
func (p Pattern) Match(a netip.Addr) bool {
	if !p.set || !a.Is4() {
		return false
	}
	for i, b := range a.As4() {
		o := p.octets[i]
		if o.bit != 0 && b&o.bit == 0 || o.bit == 0 && (b < o.from || b > o.to) {
			return false
		}
	}
	return true
}

// String is what ParsePattern reads.
func (p Pattern) String() string {
	if !p.set {
		return ""
	}
	parts := make([]string, 4)
	for i, o := range p.octets {
		switch {
		case o.bit != 0:
			parts[i] = "&" + strconv.Itoa(int(o.bit))
		case o.from == 0 && o.to == 255:
			parts[i] = "*"
		case o.from != o.to:
			parts[i] = strconv.Itoa(int(o.from)) + "-" + strconv.Itoa(int(o.to))
		default:
			parts[i] = strconv.Itoa(int(o.from))
		}
	}
	return strings.Join(parts, ".")
}

// MarshalText is String.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParsePattern.
func (p *Pattern) UnmarshalText(text []byte) error {
	made, err := ParsePattern(string(text))
	if err == nil {
		*p = made
	}
	return err
}
