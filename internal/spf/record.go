package spf

import (
	"net/netip"
	"strings"
)

// kind is what a mechanism looks at.
type kind uint8

const (
	all kind = iota
	include
	addr
	mx
	ptr
	ip4
	ip6
	exists
)

// mechanisms is the syntax of RFC 7208 section 5: the name, whether a domain-spec must or may follow, and prefix lengths.
var mechanisms = [...]struct {
	name string
	kind kind
	spec byte // 'n' none, 'o' optional, 'm' must
	dual bool // may have a dual-cidr-length
}{
	{"all", all, 'n', false},
	{"include", include, 'm', false},
	{"a", addr, 'o', true},
	{"mx", mx, 'o', true},
	{"ptr", ptr, 'o', false},
	{"ip4", ip4, 'n', false},
	{"ip6", ip6, 'n', false},
	{"exists", exists, 'm', false},
}

// term is one directive of a record.
type term struct {
	text   string // as written, with its qualifier
	spec   string // domain-spec; "" is the current domain
	net    netip.Prefix
	result Result // of a match
	kind   kind
	bits4  uint8
	bits6  uint8
	byName bool // the spec has the macro p: the client's name must be looked up first
}

// record is a record that was parsed whole.
type record struct {
	text          string
	terms         []term
	redirect, exp string // their domain-specs; "" for none
	redirectTerm  string // as written
	redirectName  bool   // the redirect has the macro p
	modified      bool   // there is any modifier
	ahead         bool   // the lookups of its terms were started
}

// isRecord reports whether a TXT is an SPF record: its version, in any case, followed by a space or the end (section 4.5).
func isRecord(text string) bool {
	const version = "v=spf1"
	return len(text) >= len(version) && strings.EqualFold(text[:len(version)], version) &&
		(len(text) == len(version) || text[len(version)] == ' ')
}

// choose picks the record among the TXT of a domain; nil for none.
func choose(texts []string, domain string) (*record, *trouble) {
	found := ""
	for _, t := range texts {
		if !isRecord(t) {
			continue
		}
		if found != "" {
			return nil, permanent(clean(domain, 253) + " has several SPF records")
		}
		found = t
	}
	if found == "" {
		return nil, nil
	}
	r, problem := parse(found)
	if problem != "" {
		return nil, permanent(problem + " in the record of " + clean(domain, 253))
	}
	return r, nil
}

// parse reads a record whole. What is wrong is told in words; "" for nothing.
func parse(text string) (*record, string) {
	r := &record{text: text, terms: make([]term, 0, 1+min(strings.Count(text, " "), 64))}
	for rest := text[len("v=spf1"):]; rest != ""; {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		if word == "" {
			continue
		}
		if problem := r.read(word); problem != "" {
			return nil, quote(word) + ": " + problem
		}
	}
	return r, ""
}

// read reads one directive or modifier.
func (r *record) read(word string) string {
	for i := 0; i < len(word); i++ {
		if word[i] < 0x21 || word[i] > 0x7e {
			return "an octet that may not stand in a record"
		}
	}
	if name, value, ok := cutModifier(word); ok {
		return r.modifier(name, value, word)
	}
	t := term{text: word, result: Pass, bits4: 32, bits6: 128}
	switch word[0] {
	case '+':
		word = word[1:]
	case '-':
		t.result, word = Fail, word[1:]
	case '~':
		t.result, word = SoftFail, word[1:]
	case '?':
		t.result, word = Neutral, word[1:]
	}
	end := strings.IndexAny(word, ":/")
	if end < 0 {
		end = len(word)
	}
	for i := range mechanisms {
		m := &mechanisms[i]
		if !strings.EqualFold(m.name, word[:end]) {
			continue
		}
		t.kind = m.kind
		problem := t.arguments(word[end:], m.spec, m.dual)
		r.terms = append(r.terms, t)
		return problem
	}
	return "no such mechanism"
}

// arguments reads what follows the name of a mechanism.
func (t *term) arguments(rest string, spec byte, dual bool) string {
	switch t.kind {
	case all:
		if rest != "" {
			return "nothing may follow all"
		}
		return ""
	case ip4, ip6:
		return t.network(rest)
	}
	if dual {
		var ok bool
		if rest, t.bits6, ok = cutBits(rest, "//", 128); ok {
			rest, t.bits4, ok = cutBits(rest, "/", 32)
		}
		if !ok {
			return "a prefix length that is no number or too long"
		}
	}
	switch {
	case rest == "" && spec == 'o':
		return ""
	case rest == "":
		return "it must name a domain"
	case rest[0] != ':':
		return "no prefix length may stand there"
	}
	t.spec = rest[1:]
	var problem string
	problem, t.byName = checkSpec(t.spec)
	return problem
}

// network reads the argument of ip4 and ip6.
func (t *term) network(rest string) string {
	if rest == "" || rest[0] != ':' {
		return "it must name a network"
	}
	text, length, has := strings.Cut(rest[1:], "/")
	a, err := netip.ParseAddr(text)
	four := t.kind == ip4
	if err != nil || a.Is4() != four || a.Zone() != "" {
		return "no address of that family"
	}
	bits := uint8(a.BitLen())
	if has {
		var ok bool
		if bits, ok = number(length, bits); !ok {
			return "a prefix length that is no number or too long"
		}
	}
	t.net = netip.PrefixFrom(a, int(bits))
	return ""
}

// cutBits cuts a prefix length off the end, if one is there.
func cutBits(s, mark string, most uint8) (rest string, bits uint8, ok bool) {
	end := len(s)
	for end > 0 && '0' <= s[end-1] && s[end-1] <= '9' {
		end--
	}
	if end == len(s) || !strings.HasSuffix(s[:end], mark) {
		return s, most, true
	}
	bits, ok = number(s[end:], most)
	return s[:end-len(mark)], bits, ok
}

// number reads a prefix length: without leading zeros, at most so long.
func number(s string, most uint8) (uint8, bool) {
	if s == "" || len(s) > 3 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return uint8(min(n, 255)), n <= int(most)
}

// cutModifier cuts a modifier into its name and value.
func cutModifier(word string) (name, value string, ok bool) {
	for i := 0; i < len(word); i++ {
		c := word[i]
		switch {
		case isLetter(c):
		case i == 0:
			return "", "", false
		case c == '=':
			return word[:i], word[i+1:], true
		case '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// modifier reads a modifier (section 6). One that is not known is ignored, but its syntax is that of macros.
func (r *record) modifier(name, value, word string) string {
	r.modified = true
	to := &r.exp
	switch {
	case strings.EqualFold(name, "exp"):
	case strings.EqualFold(name, "redirect"):
		to = &r.redirect
	default:
		if _, _, problem := checkMacros(value, false); problem != "" {
			return problem
		}
		return ""
	}
	if *to != "" {
		return "it stands there twice"
	}
	problem, byName := checkSpec(value)
	*to = value
	if to == &r.redirect {
		r.redirectTerm, r.redirectName = word, byName
	}
	return problem
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// checkSpec checks the syntax of a domain-spec (section 7.1): macros, and at the end one of them or a dot and a label that
// could be a top-level one.
func checkSpec(spec string) (problem string, byName bool) {
	end, byName, problem := checkMacros(spec, false)
	switch {
	case problem != "":
		return problem, false
	case spec == "":
		return "it must name a domain", false
	case end == len(spec):
		return "", byName
	}
	tail := strings.TrimSuffix(spec[end:], ".")
	dot := strings.LastIndexByte(tail, '.')
	if dot < 0 || !isTopLabel(tail[dot+1:]) {
		return "no domain name of several labels", false
	}
	return "", byName
}

// isTopLabel is the toplabel of section 7.1: letters and digits that are not all digits, or with a hyphen inside.
func isTopLabel(s string) bool {
	mixed := false
	for i := 0; i < len(s); i++ {
		switch {
		case isLetter(s[i]):
			mixed = true
		case isDigit(s[i]):
		case s[i] == '-' && i > 0 && i < len(s)-1:
			mixed = true
		default:
			return false
		}
	}
	return mixed
}
