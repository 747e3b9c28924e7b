package links

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
)

// List gathers links, each once for a place, up to a bound.
type List struct {
	Links []Link
	More  bool // there were more than Most
	seen  map[Link]bool
}

// Most is how many links of a message are kept: so many that no honest one has them.
const Most = 2000

// maxShown is how much of a shown text is kept, in octets.
const maxShown = 200

// Add takes a link in.
func (l *List) Add(k Link) {
	if k.URI == "" {
		return
	}
	if len(k.URI) > MaxURI {
		k.URI = cut(k.URI, MaxURI)
	}
	if n := len(l.Links); n < 8 { // most messages have few
		for i := range l.Links {
			if l.Links[i] == k {
				return
			}
		}
	} else {
		if l.seen == nil {
			l.seen = make(map[Link]bool, 4*n)
			for _, have := range l.Links {
				l.seen[have] = true
			}
		}
		if l.seen[k] {
			return
		}
	}
	if len(l.Links) == Most {
		l.More = true
		return
	}
	l.Links = append(l.Links, k)
	if l.seen != nil {
		l.seen[k] = true
	}
}

// cut shortens a text to so many octets, at a letter.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Text finds the links of plain text as mail clients make them clickable: with a scheme, beginning with www., or a bare name
// whose last label is a well-known one. A link in angle brackets may go on in the next lines (RFC 3986 appendix C).
// Addresses of mail are none.
func (l *List) Text(part int, s string) { l.Octets(part, []byte(s)) }

// Octets is Text of a text that lies in memory that others use again: what is kept of it is copied. Only words with a dot, a
// colon, or an octet beyond ASCII are looked at: nothing else is a link.
func (l *List) Octets(part int, s []byte) {
	dot, colon, wide := -1, -1, -1 // where the next stands; len(s): nowhere
	for i := 0; i < len(s) && !l.More; {
		if dot < i {
			dot = next(s, i, '.')
		}
		if colon < i {
			colon = next(s, i, ':')
		}
		if wide < i {
			wide = nextWide(s, i)
		}
		at := min(dot, colon, wide)
		if at == len(s) {
			return
		}
		for at > i && !breaks(s[at-1]) {
			at--
		}
		i = l.word(part, s, at)
	}
}

// next is where an octet stands next, from a place on; the length where it does not.
func next(s []byte, i int, c byte) int {
	if n := bytes.IndexByte(s[i:], c); n >= 0 {
		return i + n
	}
	return len(s)
}

// nextWide is where an octet beyond ASCII stands next.
func nextWide(s []byte, i int) int {
	for le := binary.LittleEndian; i+32 <= len(s); i += 32 {
		if b := s[i : i+32]; (le.Uint64(b)|le.Uint64(b[8:])|le.Uint64(b[16:])|le.Uint64(b[24:]))&0x8080808080808080 != 0 {
			break
		}
	}
	for i < len(s) && s[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// breaks says at which octets a word ends. What is beyond ASCII is looked at apart.
func breaks(c byte) bool {
	return c <= ' ' || c == '<' || c == '>' || c == '"' || c == 0x7f
}

// word looks at the word at an offset and returns where the next may begin.
func (l *List) word(part int, s []byte, i int) int {
	for i < len(s) && breaks(s[i]) {
		i++
	}
	begin, dots, colon, wide := i, false, false, false
	for ; i < len(s) && !breaks(s[i]); i++ {
		switch c := s[i]; {
		case c == '.':
			dots = dots || i+1 < len(s) && (s[i+1] == '_' || alnum(s[i+1]) || s[i+1] >= utf8.RuneSelf) // else it ends a sentence
		case c == ':':
			colon = colon || i+2 < len(s) && slash(s[i+1]) && slash(s[i+2])
		case c >= utf8.RuneSelf:
			wide = true
			if n := wideSpace(string(s[i:min(len(s), i+utf8.UTFMax)])); n > 0 {
				l.look(part, s, begin, i, colon, dots)
				return i + n
			}
		}
	}
	if dots || colon || wide {
		return l.look(part, s, begin, i, colon, dots || wide)
	}
	return i
}

// look takes what is in a word, and returns where the next may begin.
func (l *List) look(part int, s []byte, begin, end int, colon, dots bool) int {
	if !colon && !dots {
		return end
	}
	if colon && begin > 0 && s[begin-1] == '<' {
		if n := l.wrapped(part, s[begin:min(len(s), begin+MaxURI)], end-begin); n > 0 {
			return begin + n
		}
	}
	w := string(s[begin:min(end, begin+maxWord)])
	if colon {
		l.schemes(part, w)
	} else {
		l.bare(part, w)
	}
	return end
}

// maxWord bounds what is looked at of a word without white space.
const maxWord = 16 << 10

func slash(c byte) bool { return c == '/' || c == '\\' }

func alnum(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }

// wideSpace is the length of white space beyond ASCII at the beginning of a text, in octets; 0 for none.
func wideSpace(s string) int {
	switch s[0] {
	case 0xc2, 0xe1, 0xe2, 0xe3: // where such letters begin
	default:
		return 0
	}
	switch r, n := utf8.DecodeRuneInString(s); {
	case r == 0xa0, r == 0x85, r == 0x1680, r >= 0x2000 && r <= 0x200a, r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f, r == 0x3000:
		return n
	}
	return 0
}

// wrapped takes a link in angle brackets that goes on in the next line, of a text from the bracket on, whose first word ends
// there; it returns where the link ends, and 0 where there is none.
func (l *List) wrapped(part int, s []byte, end int) int {
	if end >= len(s) || s[end] != '\r' && s[end] != '\n' {
		return 0
	}
	n := bytes.IndexAny(s[end:], "<>\"")
	if n < 0 || s[end+n] != '>' || bytes.Contains(s[end:end+n], []byte("\n\n")) || bytes.Contains(s[end:end+n], []byte("\r\n\r\n")) {
		return 0
	}
	uri := strings.Map(func(r rune) rune {
		if r <= ' ' {
			return -1
		}
		return r
	}, string(s[:end+n]))
	if at := schemeAt(uri); at == 0 {
		l.Add(Link{URI: uri, Where: InText, Part: part})
		return end + n
	}
	return 0
}

// schemeAt is where the first scheme of the web stands in a word, or -1.
func schemeAt(w string) int {
	for from := 0; ; {
		i := strings.IndexByte(w[from:], ':')
		if i < 0 {
			return -1
		}
		i += from
		from = i + 1
		if from+1 >= len(w) || !slash(w[from]) || !slash(w[from+1]) {
			continue
		}
		for _, scheme := range [...]string{"https", "http", "ftp"} {
			if at := i - len(scheme); at >= 0 && strings.EqualFold(w[at:i], scheme) {
				return at
			}
		}
	}
}

// schemes takes the links with a scheme out of a word. One that stands in another's query is a part of that.
func (l *List) schemes(part int, w string) {
	at := schemeAt(w)
	if at < 0 {
		l.bare(part, w)
		return
	}
	w = trimmed(cut(w[at:], MaxURI))
	if n := strings.Index(w, "://"); n >= 0 && len(w) > n+3 || strings.Contains(w, `:\`) {
		l.Add(Link{URI: w, Where: InText, Part: part})
	}
}

// trimmed is a link without what belongs to the sentence around it.
func trimmed(w string) string {
	if i := strings.IndexAny(w, "`{}|^"); i >= 0 {
		w = w[:i]
	}
	for w != "" {
		switch c := w[len(w)-1]; c {
		case '.', ',', ';', ':', '!', '?', '\'', '*', '_', '~', '\\':
		case ')':
			if strings.Count(w, "(") >= strings.Count(w, ")") {
				return w
			}
		case ']':
			if strings.Count(w, "[") >= strings.Count(w, "]") {
				return w
			}
		default:
			r, size := utf8.DecodeLastRuneInString(w)
			if !strings.ContainsRune("\u2019\u201d\u00bb\u3001\u3002\uff0c\uff09\u300d\u2026\u201c", r) {
				return w
			}
			w = w[:len(w)-size]
			continue
		}
		w = w[:len(w)-1]
	}
	return w
}

// bare takes a name without a scheme.
func (l *List) bare(part int, w string) {
	w = strings.TrimLeftFunc(w, func(r rune) bool {
		return strings.ContainsRune("([{'*_~|`,;:=-\u2018\u201c\u201e\u00ab\u300c\uff08", r)
	})
	if at := strings.IndexByte(w, '@'); at >= 0 {
		if end := strings.IndexAny(w, "/?#"); end < 0 || at < end {
			return
		}
	}
	if w = trimmed(cut(w, MaxURI)); BareHost(w) {
		l.Add(Link{URI: "http://" + w, Where: InText, Part: part})
	}
}

// BareHost reports whether a text without a scheme is one that mail clients link to: www. and a name, or a name of two labels at
// least whose last one is well known, with a port or a path or without.
func BareHost(w string) bool {
	host := w
	if i := strings.IndexAny(w, "/?#:"); i >= 0 {
		host = w[:i]
	}
	n, dot := len(host), strings.LastIndexByte(host, '.')
	if n < 4 || n > 253 || dot < 1 || dot == n-1 {
		return false
	}
	www := len(host) > 8 && strings.EqualFold(host[:4], "www.")
	for start := 0; start < n; {
		end := strings.IndexByte(host[start:], '.')
		if end < 0 {
			end = n - start
		}
		if end == 0 || end > 63 || host[start] == '-' || host[start+end-1] == '-' {
			return false
		}
		for _, c := range []byte(host[start : start+end]) {
			switch {
			case alnum(c), c == '-', c == '_' && www, c >= utf8.RuneSelf && www:
			default:
				return false
			}
		}
		start += end + 1
	}
	if www {
		return true
	}
	tld := host[dot+1:]
	if len(tld) == 2 && (tld[0] < 'a' || tld[0] > 'z') {
		return false // "the end.It goes on"
	}
	return knownEnd(strings.ToLower(tld)) && strings.ContainsFunc(host[:dot], func(r rune) bool { return r >= 'A' })
}

// knownEnd reports whether names end so that people write without a scheme: no endings that files have.
func knownEnd(tld string) bool {
	switch tld {
	case "com", "net", "org", "info", "biz", "edu", "gov", "mil", "int", "app", "dev", "online", "site", "shop", "store", "top", "xyz", "club", "icu",
		"vip", "live", "link", "click", "cloud", "page", "pages", "tech", "space", "website", "world", "email", "support", "help", "news", "today",
		"bank", "agency", "group", "life", "work", "works", "services", "solutions", "systems", "digital", "media", "pro", "name", "mobi", "asia",
		"berlin", "hamburg", "bayern", "koeln", "wien", "london", "paris", "nyc", "buzz", "monster", "quest", "cyou", "cfd", "sbs", "bond", "lol", "fun":
		return true
	case "ai", "am", "as", "at", "be", "by", "cc", "do", "in", "is", "it", "md", "me", "mk", "ml", "my", "no", "pl", "ps", "py", "rs", "sh", "so", "to", "us":
		// Words and endings of files are names too: those that are used a lot.
		return strings.Contains("ai at be by cc in is it me ml my no pl to us", tld)
	}
	if len(tld) != 2 {
		return false
	}
	_, icann := publicsuffix.PublicSuffix(tld)
	return icann
}
