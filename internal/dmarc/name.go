package dmarc

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// clean returns a domain as it is compared: lower case, without the root's dot; "" if it is no name of a host. Only letters,
// digits, "-" and "_" are taken: what else might stand there (NUL, a blank and more text) must not align with anything.
// Internationalised names are given as A-labels.
func clean(domain string) string {
	domain = strings.TrimSuffix(domain, ".")
	if domain == "" || len(domain) > 253 {
		return ""
	}
	lower, label := true, 0
	for i := range len(domain) {
		switch c := domain[i]; {
		case c == '.':
			if label == 0 {
				return ""
			}
			label = -1
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case 'A' <= c && c <= 'Z':
			lower = false
		default:
			return ""
		}
		if label++; label > 63 {
			return ""
		}
	}
	if label == 0 {
		return ""
	}
	if !lower {
		domain = strings.ToLower(domain)
	}
	return domain
}

// parent cuts the first label off; "" above the last.
func parent(domain string) string {
	_, rest, _ := strings.Cut(domain, ".")
	return rest
}

// under reports whether a name is another or below it.
func under(name, top string) bool {
	return name == top || len(name) > len(top) && name[len(name)-len(top)-1] == '.' && name[len(name)-len(top):] == top
}

// last returns the last n labels of a name, or all of it.
func last(name string, n int) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			if n--; n == 0 {
				return name[i+1:]
			}
		}
	}
	return name
}

// childOn returns the name one label below top, on the way to name.
func childOn(name, top string) string { return last(name, strings.Count(top, ".")+2) }

// common returns the longest name that two names are both under; "" if it is the root.
func common(a, b string) string {
	for b != "" && !under(a, b) {
		b = parent(b)
	}
	return b
}

// isSuffix reports whether anybody may register names below this one, as the public suffix list knows it.
func isSuffix(name string) bool {
	suffix, _ := publicsuffix.PublicSuffix(name)
	return suffix == name
}

// registered returns the organizational domain by the list (RFC 7489 section 3.2): one label more than the suffix.
func registered(name string) string {
	suffix, _ := publicsuffix.PublicSuffix(name)
	if suffix == name {
		return name
	}
	return childOn(name, suffix)
}

// maxWalk is how many names one walk has at most (RFC 9989 section 4.10).
const maxWalk = 8

// walk appends the names of a walk up the tree to list: the domain, then its parents, from seven labels on.
func walk(list []string, domain string) []string {
	list = append(list, domain)
	rest := parent(domain)
	if strings.Count(domain, ".")+1 >= maxWalk {
		rest = last(domain, maxWalk-1)
	}
	for ; rest != ""; rest = parent(rest) {
		list = append(list, rest)
	}
	return list
}

// Registered returns the organizational domain of a name by the public suffix list; "" if it is no name of a host. It asks
// nobody, and is what others name an organization by where no policy is at stake.
func Registered(name string) string {
	if name = clean(name); name == "" {
		return ""
	}
	return registered(name)
}
