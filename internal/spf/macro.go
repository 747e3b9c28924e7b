package spf

import (
	"strconv"
	"strings"
)

// macro is one macro-expand of RFC 7208 section 7.1.
type macro struct {
	letter  byte // lower case; '%', '_' and '-' for themselves
	upper   bool // the value is to be URL-escaped
	reverse bool
	keep    int    // right-hand parts to keep; 0 is all
	split   string // delimiters; "" is "."
	size    int    // octets it takes in the text
}

// readMacro reads the macro at the start of a text, which begins with %.
func readMacro(s string, explains bool) (m macro, problem string) {
	const bad = "a % that begins no macro"
	if len(s) < 2 {
		return m, bad
	}
	switch s[1] {
	case '%', '_', '-':
		return macro{letter: s[1], size: 2}, ""
	case '{':
	default:
		return m, bad
	}
	if len(s) < 4 {
		return m, bad
	}
	m.letter, m.upper = s[2]|0x20, s[2] < 'a'
	switch {
	case !isLetter(s[2]) || strings.IndexByte("slodiphvcrt", m.letter) < 0:
		return m, "a macro that does not exist"
	case !explains && strings.IndexByte("crt", m.letter) >= 0:
		return m, "a macro that may stand in explanations only"
	}
	i := 3
	for ; i < len(s) && isDigit(s[i]); i++ {
		m.keep = min(m.keep*10+int(s[i]-'0'), 1000)
	}
	if i > 3 && m.keep == 0 {
		return m, "a macro that keeps no part"
	}
	if i < len(s) && s[i]|0x20 == 'r' {
		m.reverse = true
		i++
	}
	from := i
	for i < len(s) && strings.IndexByte(".-+,/_=", s[i]) >= 0 {
		i++
	}
	if i == len(s) || s[i] != '}' {
		return m, "a macro that does not end"
	}
	m.split, m.size = s[from:i], i+1
	return m, ""
}

// checkMacros checks the macros of a text and tells where the last one ends, and whether one needs the client's name.
func checkMacros(s string, explains bool) (end int, byName bool, problem string) {
	for i := strings.IndexByte(s, '%'); i >= 0; {
		m, problem := readMacro(s[i:], explains)
		if problem != "" {
			return 0, false, problem
		}
		byName = byName || m.letter == 'p'
		end = i + m.size
		if i = strings.IndexByte(s[end:], '%'); i >= 0 {
			i += end
		}
	}
	return end, byName, ""
}

// The most of an expansion that is kept: of a name its end, since labels are cut off its beginning, of an explanation its
// beginning.
const (
	keepOfName = 512
	keepSlack  = 8192
)

// target expands a domain-spec for the current domain into a name to look up, its labels cut to 253 octets from the left
// (section 7.3). false: it needs a local part that DNS has no form for (RFC 8616 section 4), so that nothing can match.
func (c *checker) target(spec, domain string) (string, bool) {
	if spec == "" {
		return domain, true
	}
	name := spec
	if strings.IndexByte(spec, '%') >= 0 {
		b, ok := c.expand(spec, domain, false)
		if !ok {
			return "", false
		}
		name = string(b)
	}
	name = strings.TrimSuffix(name, ".")
	for len(name) > 253 {
		dot := strings.IndexByte(name, '.')
		if dot < 0 {
			break
		}
		name = name[dot+1:]
	}
	return name, true
}

// expand expands the macros of a text whose syntax was checked.
func (c *checker) expand(s, domain string, explains bool) ([]byte, bool) {
	b := make([]byte, 0, 96)
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			i = len(s)
		}
		b = append(b, s[:i]...)
		if s = s[i:]; s != "" {
			m, problem := readMacro(s, true)
			if problem != "" {
				return nil, false // of text that was not checked
			}
			s = s[m.size:]
			if (m.letter == 's' || m.letter == 'l') && c.unnamed {
				return nil, false
			}
			b = c.appendMacro(b, m, domain)
		}
		switch {
		case explains && len(b) > maxExplanation:
			return b, true
		case !explains && len(b) > keepSlack:
			b = b[:copy(b, b[len(b)-keepOfName:])]
		}
	}
	return b, true
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// appendMacro appends what one macro stands for.
func (c *checker) appendMacro(b []byte, m macro, domain string) []byte {
	switch m.letter {
	case '%':
		return append(b, '%')
	case '_':
		return append(b, ' ')
	case '-':
		return append(b, "%20"...)
	}
	v := c.value(m.letter, domain)
	if m.keep > 0 || m.reverse || m.split != "" {
		v = transform(v, m)
	}
	if !m.upper {
		return append(b, v...)
	}
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(v); i++ {
		if ch := v[i]; isLetter(ch) || isDigit(ch) || strings.IndexByte("-._~", ch) >= 0 { // RFC 3986 section 2.3
			b = append(b, ch)
		} else {
			b = append(b, '%', hex[ch>>4], hex[ch&15])
		}
	}
	return b
}

// transform cuts a value into parts, turns them round, keeps the right-hand ones and joins them with dots (section 7.3).
func transform(v string, m macro) string {
	split := m.split
	if split == "" {
		split = "."
	}
	var few [16]string
	parts := few[:0]
	for {
		i := strings.IndexAny(v, split)
		if i < 0 {
			parts = append(parts, v)
			break
		}
		parts = append(parts, v[:i])
		v = v[i+1:]
	}
	if m.reverse {
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
	}
	if m.keep > 0 && m.keep < len(parts) {
		parts = parts[len(parts)-m.keep:]
	}
	return strings.Join(parts, ".")
}

// value is what a letter stands for (section 7.2).
func (c *checker) value(letter byte, domain string) string {
	switch letter {
	case 's':
		return c.local + "@" + c.origin
	case 'l':
		return c.local
	case 'o':
		return c.origin
	case 'd':
		return domain
	case 'i':
		return c.dotted()
	case 'p':
		return c.clientName(domain)
	case 'h':
		return c.helo
	case 'v':
		if c.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'c':
		return c.ip.String()
	case 'r':
		return c.receiver
	default: // 't'
		return strconv.FormatInt(c.q.Now.Unix(), 10)
	}
}

// dotted is the client's address as the macro i has it: an IPv6 address as 32 nibbles.
func (c *checker) dotted() string {
	if c.ip.Is4() {
		return c.ip.String()
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, 63)
	for _, octet := range c.ip.As16() {
		b = append(b, hex[octet>>4], '.', hex[octet&15], '.')
	}
	return string(b[:63])
}
