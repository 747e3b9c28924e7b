package dmarcreport

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Destination is an address that a record asks reports to be sent to.
type Destination struct {
	Local   string
	Domain  string // lower-case A-label
	MaxSize int64  // octets of mail, from the "!10m" of RFC 7489 section 6.2; 0 for no limit said
}

// Address is the destination as it stands in a mail.
func (d Destination) Address() string { return d.Local + "@" + d.Domain }

// The bounds of a list. RFC 9989 section 4.7 asks for two addresses at least.
const (
	MaxDestinations = 5
	maxList         = 8 << 10
)

// BadURI is an address of a list that cannot be used, and why.
type BadURI struct {
	URI string // cleaned and cut
	Err error
}

func (b BadURI) Error() string { return b.URI + ": " + b.Err.Error() }

// Errors of addresses.
var (
	errScheme  = errors.New("only mailto: is known")
	errSize    = errors.New("what follows the ! is no size")
	errEncoded = errors.New("broken percent encoding")
	errMailbox = errors.New("no plain address")
	errMore    = errors.New("more addresses than are used")
)

// ParseRUA reads the list of a rua tag: the first MaxDestinations different addresses, and what cannot be used.
func ParseRUA(list string) (use []Destination, bad []BadURI) {
	refuse := func(uri string, err error) {
		if len(bad) < MaxDestinations {
			bad = append(bad, BadURI{clean(uri, 100), err})
		}
	}
	if len(list) > maxList {
		list = list[:strings.LastIndexByte(list[:maxList], ',')+1] // none of what is cut off is taken in part
		refuse("", errMore)
	}
	for uri := range strings.SplitSeq(list, ",") {
		if uri = strings.Trim(uri, " \t\r\n"); uri == "" {
			continue
		}
		d, err := parseURI(uri)
		switch same := func(o Destination) bool { return o.Address() == d.Address() }; {
		case err != nil:
			refuse(uri, err)
		case slices.ContainsFunc(use, same):
		case len(use) == MaxDestinations:
			refuse(uri, errMore)
			return use, bad
		default:
			use = append(use, d)
		}
	}
	return use, bad
}

// parseURI reads one mailto (RFC 6068) with the size of RFC 7489. What follows a "?" would be fields of a mail that we write
// ourselves, and is left alone.
func parseURI(uri string) (d Destination, err error) {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || !strings.EqualFold(scheme, "mailto") {
		return d, errScheme
	}
	if at := strings.LastIndexByte(rest, '!'); at >= 0 { // one that belongs to the address is written as %21
		if d.MaxSize, err = parseSize(rest[at+1:]); err != nil {
			return d, err
		}
		rest = rest[:at]
	}
	rest, _, _ = strings.Cut(rest, "?")
	text, ok := percentDecoded(rest)
	if !ok {
		return d, errEncoded
	}
	at := strings.LastIndexByte(text, '@')
	if at < 1 || !dotAtom(text[:at]) || at > 64 {
		return d, errMailbox
	}
	if d.Domain, ok = aLabels(text[at+1:]); !ok {
		return d, errMailbox
	}
	d.Local = text[:at]
	return d, nil
}

// aLabels returns a domain of at least two labels as it is asked for in DNS. One that reads differently the second time is
// no domain: whoever else reads it would see another.
func aLabels(name string) (string, bool) {
	domain, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	domain = strings.ToLower(domain)
	if err != nil || !ValidDomain(domain) || !strings.Contains(domain, ".") {
		return "", false
	}
	again, err := idna.Lookup.ToASCII(domain)
	return domain, err == nil && again == domain
}

// parseSize reads digits with a unit of 1024 (RFC 7489 section 6.4).
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "kKmMgGtT")
	unit := int64(1)
	switch {
	case len(digits) < len(text)-1:
		return 0, errSize
	case len(digits) < len(text):
		unit = int64(1) << (10 * (1 + strings.IndexByte("kmgt", text[len(digits)]|0x20)))
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, errSize
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if errors.Is(err, strconv.ErrRange) || n > math.MaxInt64/unit {
		return math.MaxInt64, nil
	}
	if err != nil || n == 0 {
		return 0, errSize
	}
	return n * unit, nil
}

func percentDecoded(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}

// dotAtom reports whether a text is one of RFC 5322, which needs no quotes anywhere.
func dotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			c := atom[i]
			if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
				return false
			}
		}
	}
	return true
}

// ValidDomain reports whether a text is a domain name that can stand in a file name and a header field: letters, digits,
// hyphens, underscores and dots, within the lengths of RFC 1035.
func ValidDomain(name string) bool {
	if len(name) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
