package accept

import "bytes"

// domainAt is where the domain of an address stands in a field, and where its local part begins.
type domainAt struct{ local, from, to int }

// listReader goes through an address list once.
type listReader struct {
	in      []byte
	found   []domainAt
	element int  // where in found the element at hand begins
	angle   bool // inside < >
	angled  bool // the element has had them: only what was inside is its address
	local   int  // where the word that ends here begins; -1 where none does
}

// domainsOf finds the domain of each address of a list. Comments, quoted words, display names, literals and the names of
// groups are no addresses, whatever they look like. ok is false where the list does not end as it should.
func domainsOf(value []byte) (found []domainAt, ok bool) {
	r := &listReader{in: value, local: -1}
	for i := 0; i < len(value); {
		next := r.token(i)
		if next <= i {
			return nil, false
		}
		i = next
	}
	if r.angle {
		return nil, false
	}
	return r.found, true
}

// token reads what begins at i and returns where the next begins; 0 where that has no end.
func (r *listReader) token(i int) int {
	switch c := r.in[i]; {
	case c == '"':
		next := r.skip(i, '"')
		r.local = i
		if i > 0 && !endsWord(r.in[i-1]) {
			r.local = -1
		}
		return next
	case c == '(':
		r.local = -1
		return r.comment(i)
	case c == '[':
		r.local = -1
		return r.skip(i, ']')
	case c == '@':
		return r.domain(i)
	case isWord(c):
		n := i
		for n < len(r.in) && isWord(r.in[n]) {
			n++
		}
		r.local = i
		if i > 0 && !endsWord(r.in[i-1]) {
			r.local = -1
		}
		return n
	default:
		r.local = -1
		return r.mark(i, c)
	}
}

// mark takes what separates.
func (r *listReader) mark(i int, c byte) int {
	switch {
	case c == '<':
		if r.angle {
			return 0
		}
		r.angle, r.angled = true, true
		r.found = r.found[:r.element] // what came before was its display name
	case c == '>':
		if !r.angle {
			return 0
		}
		r.angle = false
	case (c == ',' || c == ';' || c == ':') && !r.angle:
		if c == ':' {
			r.found = r.found[:r.element] // the name of a group
		}
		r.element, r.angled = len(r.found), false
	}
	return i + 1
}

// domain reads what follows an @.
func (r *listReader) domain(i int) int {
	local := r.local
	r.local = -1
	n := i + 1
	for n < len(r.in) && isDomain(r.in[n]) {
		n++
	}
	whole := n > i+1 && (n == len(r.in) || bytes.IndexByte([]byte(" \t\r\n>,;("), r.in[n]) >= 0)
	if whole && local >= 0 && (r.angle || !r.angled) {
		r.found = append(r.found, domainAt{local, i + 1, n})
	}
	return n
}

// skip returns where what ends with that octet ends; 0 where it does not.
func (r *listReader) skip(i int, end byte) int {
	for n := i + 1; n < len(r.in); n++ {
		switch r.in[n] {
		case '\\':
			n++
		case end:
			return n + 1
		}
	}
	return 0
}

// comment returns where a comment ends, with those in it; 0 where it does not.
func (r *listReader) comment(i int) int {
	depth := 0
	for n := i; n < len(r.in); n++ {
		switch r.in[n] {
		case '\\':
			n++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return n + 1
			}
		}
	}
	return 0
}

// isWord is what a local part consists of without quotes (RFC 5322 section 3.2.3, RFC 6532).
func isWord(c byte) bool {
	return isDomain(c) || bytes.IndexByte([]byte("!#$%&'*+/=?^`{|}~"), c) >= 0
}

func isDomain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c >= 0x80
}

// endsWord is what can stand before a local part.
func endsWord(c byte) bool { return bytes.IndexByte([]byte(" \t\r\n<,;:)"), c) >= 0 }
