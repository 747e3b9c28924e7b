package smtpwire

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ParseDomain checks a domain (host name, IDN or address literal) and returns
// its canonical form: lower-case A-labels, or [1.2.3.4], or [IPv6:...]. A
// trailing dot, an underscore and a general address literal are errors.
func ParseDomain(s string) (ascii string, err error) {
	ascii, _, err = parseDomain(s)
	return ascii, err
}

func parseDomain(s string) (ascii string, literal netip.Addr, err error) {
	if len(s) > MaxDomain {
		return "", literal, fmt.Errorf("%w: domain", ErrAddressLength)
	}
	if strings.HasPrefix(s, "[") {
		return parseLiteral(s)
	}
	ascii = strings.ToLower(s)
	if !isASCII(s) || hasALabel(ascii) {
		if ascii, err = toASCII(s); err != nil {
			return "", literal, err
		}
	}
	// 253 is what a name may have in text (RFC 1035 section 3.1).
	if len(ascii) > MaxDomain-2 {
		return "", literal, fmt.Errorf("%w: domain", ErrAddressLength)
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if !isLabel(label) {
			return "", literal, fmt.Errorf("%w: label %q", ErrDomain, Clean(label, 64))
		}
	}
	return ascii, literal, nil
}

// parseLiteral reads an address literal of RFC 5321 section 4.1.3.
func parseLiteral(s string) (ascii string, literal netip.Addr, err error) {
	inner, closed := strings.CutSuffix(s[1:], "]")
	bad := fmt.Errorf("%w: address literal", ErrDomain)
	if !closed {
		return "", literal, bad
	}
	const tag = "IPv6:"
	if len(inner) > len(tag) && equalFold(inner[:len(tag)], tag) {
		literal, err = netip.ParseAddr(inner[len(tag):])
		if err != nil || !literal.Is6() || literal.Zone() != "" {
			return "", netip.Addr{}, bad
		}
		return "[IPv6:" + literal.String() + "]", literal, nil
	}
	literal, err = netip.ParseAddr(inner)
	if err != nil || !literal.Is4() {
		return "", netip.Addr{}, bad
	}
	return "[" + literal.String() + "]", literal, nil
}

// toASCII turns an IDN into A-labels (RFC 5891, with the mapping of UTS 46).
// Labels may not appear, vanish or become plain ASCII by the mapping: then a
// name would be shown as one thing and routed as another.
func toASCII(s string) (string, error) {
	profile := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(),
		idna.CheckJoiners(true), idna.CheckHyphens(false), idna.StrictDomainName(true), idna.VerifyDNSLength(true))
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: not UTF-8", ErrDomain)
	}
	ascii, err := profile.ToASCII(s)
	if err == nil {
		// What was mapped must itself be valid.
		_, err = profile.ToASCII(ascii)
	}
	if err != nil {
		return "", fmt.Errorf("%w: IDN: %v", ErrDomain, Clean(err.Error(), 100))
	}
	given, mapped := strings.Split(s, "."), strings.Split(ascii, ".")
	if len(given) != len(mapped) {
		return "", fmt.Errorf("%w: IDN: another kind of dot", ErrDomain)
	}
	for i, label := range given {
		if !isASCII(label) && !strings.HasPrefix(mapped[i], "xn--") {
			return "", fmt.Errorf("%w: IDN: label looks like ASCII", ErrDomain)
		}
	}
	return ascii, nil
}

func hasALabel(lower string) bool {
	return strings.HasPrefix(lower, "xn--") || strings.Contains(lower, ".xn--")
}

// isLabel tells whether s is a sub-domain of RFC 5321 section 4.1.2.
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
