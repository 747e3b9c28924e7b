package dns

import (
	"net/netip"
	"strings"
)

const (
	maxName  = 253 // octets without the final dot (RFC 1035 section 3.1)
	maxLabel = 63  // octets (RFC 1035 section 2.3.4)
)

// ValidName reports whether name can be looked up: one or more labels of 1 to
// 63 letters, digits, hyphens and underscores, 253 octets in all, with or
// without a final dot. Internationalised names must come as A-labels.
func ValidName(name string) bool {
	_, status, _ := canonicalName(name)
	return status == Found
}

// canonicalName returns name in lower case without the final dot, and Found,
// or the status and kind that a lookup of it gets without asking anybody.
// A name that is not ASCII is Failed and not None, because it may well exist
// under its A-label, which the caller should have made of it.
func canonicalName(name string) (string, Status, Kind) {
	name = strings.TrimSuffix(name, ".")
	upper, bad, label := false, name == "" || len(name) > maxName, 0
	for i := 0; i < len(name) && i <= maxName; i++ {
		switch c := name[i]; {
		case c >= 0x80:
			return "", Failed, InvalidName
		case c == '.':
			bad = bad || label == 0
			label = 0
			continue
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			bad = true
		}
		label++
		bad = bad || label > maxLabel
	}
	if bad || label == 0 {
		return "", None, InvalidName
	}
	if upper {
		name = strings.ToLower(name)
	}
	return name, Found, NoKind
}

// fqdn is a name of ours as the wire library wants it.
func fqdn(name string) string {
	if name == "." {
		return name
	}
	return name + "."
}

// printable cuts what a stranger wrote to something that may stand in a log.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// ReverseName returns the name under in-addr.arpa or ip6.arpa that holds the
// PTR records of addr (RFC 1035 section 3.5, RFC 3596 section 2.5), without
// the final dot. An IPv4 address mapped into IPv6 counts as IPv4, a zone is
// ignored; an invalid address gives "".
func ReverseName(addr netip.Addr) string {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid():
		return ""
	case addr.Is4():
		return reverseDigits(addr) + "in-addr.arpa"
	default:
		return reverseDigits(addr) + "ip6.arpa"
	}
}

// reverseDigits returns the bytes of an IPv4 address, or the nibbles of an
// IPv6 address, last first, each followed by a dot.
func reverseDigits(addr netip.Addr) string {
	const hex = "0123456789abcdef"
	buf := make([]byte, 0, 64)
	if addr.Is4() {
		b := addr.As4()
		for i := 3; i >= 0; i-- {
			if b[i] >= 100 {
				buf = append(buf, '0'+b[i]/100)
			}
			if b[i] >= 10 {
				buf = append(buf, '0'+b[i]/10%10)
			}
			buf = append(buf, '0'+b[i]%10, '.')
		}
		return string(buf)
	}
	b := addr.As16()
	for i := 15; i >= 0; i-- {
		buf = append(buf, hex[b[i]&15], '.', hex[b[i]>>4], '.')
	}
	return string(buf)
}
