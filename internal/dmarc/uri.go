package dmarc

import "strings"

// uris reads a list of URIs (RFC 9989 section 4.8); those that are none are left out.
func uris(list string) []URI {
	var out []URI
	for list != "" && len(out) < maxURIs {
		var one string
		one, list, _ = strings.Cut(list, ",")
		text, size, limited := strings.Cut(strings.Trim(one, blanks), "!")
		u := URI{Text: text}
		if limited {
			max, ok := octets(size)
			if !ok {
				continue
			}
			u.Max = max
		}
		if isURI(text) {
			out = append(out, u)
		}
	}
	return out
}

// octets reads a size such as "10m" (RFC 7489 section 6.2): powers of 1024.
func octets(s string) (uint64, bool) {
	shift := 0
	if s != "" {
		if i := strings.IndexByte("kmgt", s[len(s)-1]|0x20); i >= 0 {
			s, shift = s[:len(s)-1], 10*(i+1)
		}
	}
	n, ok := digits(s, 1<<20)
	return n << shift, ok
}

// isURI looks at the form only: a scheme, a colon, and something printable behind it (RFC 3986 section 3).
func isURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || rest == "" {
		return false
	}
	for i := range len(scheme) {
		c := scheme[i] | 0x20
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(scheme[i]))) {
			return false
		}
	}
	for i := range len(rest) {
		if rest[i] <= ' ' || rest[i] >= 0x7f {
			return false
		}
	}
	return true
}
