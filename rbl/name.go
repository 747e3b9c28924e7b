package rbl

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// maxName is the length of a domain name in octets (RFC 1035 section 3.1).
const maxName = 253

// domainName returns name in lower case without a final dot, if it can be asked about: labels of letters, digits, hyphens
// and underscores, at least so many of them, the last not a number: an address in the place of a domain is never asked
// about, because lists of domains answer it with an error code, which a client could then make them say.
func domainName(name string, labels int) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return "", false
	}
	count, length, digits := 1, 0, true
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if length == 0 {
				return "", false
			}
			count, length, digits = count+1, 0, true
			continue
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_':
			digits = false
		case '0' <= c && c <= '9':
		default:
			return "", false
		}
		if length++; length > 63 {
			return "", false
		}
	}
	if length == 0 || digits || count < labels {
		return "", false
	}
	return strings.ToLower(name), true
}

// registered is the domain that somebody registered, of a name in lower case: the label before the public suffix, and that. A
// suffix itself has none.
func registered(name string) (string, bool) {
	domain, err := publicsuffix.EffectiveTLDPlusOne(name)
	return domain, err == nil
}

// appendAddr appends an address in the order of a query, with a final dot: octets (RFC 5782 section 2.1) or nibbles
// (section 2.4). A mapped address is IPv6 here; callers unmap clients.
func appendAddr(to []byte, a netip.Addr) []byte {
	const digits = "0123456789abcdef"
	if a.Is4() {
		b := a.As4()
		for i := len(b) - 1; i >= 0; i-- {
			if b[i] >= 100 {
				to = append(to, digits[b[i]/100])
			}
			if b[i] >= 10 {
				to = append(to, digits[b[i]/10%10])
			}
			to = append(to, digits[b[i]%10], '.')
		}
		return to
	}
	b := a.As16()
	for i := len(b) - 1; i >= 0; i-- {
		to = append(to, digits[b[i]&15], '.', digits[b[i]>>4], '.')
	}
	return to
}

// zone is the list's zone with the key in its place; without one that it needs, false.
func (l *List) zone(key Key) (string, bool) {
	if !l.NeedsKey() {
		return l.Zone, true
	}
	if !key.IsSet() {
		return "", false
	}
	return strings.Replace(l.Zone, keyLabel, key.reveal(), 1), true
}

// question is one thing that a list is asked about: an address where it is valid, else a domain, in lower case.
type question struct {
	inputs Input
	addr   netip.Addr
	domain string
}

// String is what is asked about, as results show it.
func (q question) String() string {
	if q.addr.IsValid() {
		return q.addr.String()
	}
	return q.domain
}

// name is the name to ask of a zone; false where it would be too long. Of a domain that is, only its end is asked about: lists
// have a domain with all below it, and whoever is listed would else write a longer one.
func (q question) name(zone string) (string, bool) {
	var room [maxName + 80]byte
	name := room[:0]
	if q.addr.IsValid() {
		name = appendAddr(name, q.addr)
	} else {
		domain := q.domain
		for len(domain)+len(".")+len(zone) > maxName && strings.Count(domain, ".") > 1 {
			_, domain, _ = strings.Cut(domain, ".")
		}
		name = append(append(name, domain...), '.')
	}
	name = append(name, zone...)
	return string(name), len(name) <= maxName
}
