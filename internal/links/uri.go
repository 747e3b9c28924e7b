package links

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// URI is a link as a browser reads it (WHATWG URL), with what is odd about how it is written.
type URI struct {
	Scheme string     // lower case; "" where it is relative
	User   string     // what stands before the @ of the host, percent-decoded nowhere; "" for nothing
	Host   string     // lower case, A-labels, without a final dot; an address as it is usually written. "" where there is none
	Addr   netip.Addr // of a host that is an address
	Domain string     // the registered domain of Host by the public suffix list; "" of an address and of a suffix itself
	Port   string     // "" where it is that of the scheme
	Path   string     // from the path on, with query and fragment; of a scheme without hosts all behind the colon
	Odd    Odd
}

// Odd is a set of oddities: what no sender writes who has nothing to hide.
type Odd uint16

// The oddities.
const (
	OddNotation  Odd = 1 << iota // an IPv4 address in another notation than four decimal numbers
	OddUser                      // a user name that looks like a host
	OddSlashes                   // backslashes, or more or fewer slashes before the host than two
	OddBreak                     // a line end, tab or control character in the scheme or the host
	OddPercent                   // a host that is percent-encoded
	OddLetters                   // a host in full-width or other letters that are turned into plain ones, or with invisible ones
	OddMixed                     // a host that mixes scripts which look alike
	OddInvalid                   // a host that browsers do not take
	OddPrivate                   // an address that only a local network has
	OddUserShort                 // a user name of another kind
)

// oddWords tell what each oddity is, in the order of their bits.
func oddWords() [10]string {
	return [...]string{"an address in an odd notation", "a user name that looks like a host", "odd slashes before the host",
		"a line end or tab in the host or scheme", "a percent-encoded host", "letters in the host that turn into others",
		"a host of mixed scripts", "a host that is none", "an address of a local network", "a user name before the host"}
}

// String names the oddities, with commas between them.
func (o Odd) String() string {
	var out []string
	for i, word := range oddWords() {
		if o&(1<<i) != 0 {
			out = append(out, word)
		}
	}
	return strings.Join(out, ", ")
}

// Web reports whether following the link leads to a host of the web.
func (u *URI) Web() bool { return u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") }

// Opaque reports whether the link is content or a program itself: data:, javascript:, vbscript: or blob:.
func (u *URI) Opaque() bool {
	switch u.Scheme {
	case "data", "javascript", "vbscript", "blob":
		return true
	}
	return false
}

// Opens reports whether following the link, or loading what it names, has the reader's machine open a file of another host or start
// a program that reads what the link says: Windows then shows that host its user's credentials, or does what the link says.
// A file: of the reader's own disk does neither.
func (u *URI) Opens() bool {
	switch u.Scheme {
	case "smb", "search-ms", "search", "ms-msdt", "ms-officecmd", "ms-appinstaller":
		return true
	case "file":
		rest := strings.TrimLeft(u.Path, `/\`)
		host := rest
		if end := strings.IndexAny(rest, `/\`); end >= 0 {
			host = rest[:end]
		}
		slashes := len(u.Path) - len(rest) // three: a file of the reader's own disk
		return slashes >= 2 && slashes != 3 && host != "" && !strings.EqualFold(host, "localhost") && !strings.ContainsAny(host, ":|")
	case "":
		return strings.HasPrefix(u.Path, `\\`) && len(u.Path) > 2
	}
	return false
}

// Read reads a link. It never fails: what a browser would not take has OddInvalid, with the host as far as it can be told.
func Read(s string) URI {
	var u URI
	s = strings.TrimFunc(s, around)
	if len(s) > MaxURI {
		s = s[:MaxURI]
	}
	clean, broken := withoutBreaks(s)
	scheme, rest, ok := cutScheme(clean)
	if !ok {
		u.Path = clean
		return u
	}
	u.Scheme = scheme
	if broken && strings.ContainsAny(s[:min(len(s), len(scheme)+1)], "\t\r\n") {
		u.Odd |= OddBreak
	}
	switch scheme {
	case "http", "https", "ftp", "ws", "wss":
	case "blob": // a URL of its own behind it
		inner := Read(rest)
		u.Host, u.Addr, u.Domain, u.Path = inner.Host, inner.Addr, inner.Domain, rest
		return u
	case "view-source":
		return Read(rest)
	default:
		u.Path = rest
		return u
	}
	n := 0
	for n < len(rest) && (rest[n] == '/' || rest[n] == '\\') {
		n++
	}
	if n != 2 || rest[:n] != "//" {
		u.Odd |= OddSlashes
	}
	rest = rest[n:]
	end := strings.IndexAny(rest, `/\?#`)
	if end < 0 {
		end = len(rest)
	}
	u.Path = rest[end:]
	u.authority(rest[:end])
	if broken && u.Odd&OddBreak == 0 && brokenHost(s) {
		u.Odd |= OddBreak
	}
	return u
}

// around reports whether a letter at an end of a link is no part of it: what browsers take off, and invisible ones that come
// along when somebody copies it, which they would leave out of a host.
func around(r rune) bool {
	return r <= ' ' || r >= 0x200b && r <= 0x200f || r == 0x2060 || r == 0xfeff || r == 0xad
}

// withoutBreaks leaves out tabs and line ends, as browsers do before they read anything.
func withoutBreaks(s string) (string, bool) {
	if !strings.ContainsAny(s, "\t\r\n") {
		return s, false
	}
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, s), true
}

// brokenHost reports whether a tab or line end stands before the path.
func brokenHost(s string) bool {
	i := strings.IndexByte(s, ':') + 1
	for i < len(s) && strings.IndexByte("/\\\t\r\n", s[i]) >= 0 {
		i++
	}
	end := strings.IndexAny(s[i:], `/\?#`)
	if end < 0 {
		end = len(s) - i
	}
	return strings.ContainsAny(s[:i+end], "\t\r\n")
}

// cutScheme cuts the scheme off, in lower case.
func cutScheme(s string) (scheme, rest string, ok bool) {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		case i > 0 && c == ':':
			return strings.ToLower(s[:i]), s[i+1:], true
		default:
			return "", s, false
		}
	}
	return "", s, false
}

// authority reads user name, host and port.
func (u *URI) authority(s string) {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		u.User = s[:at]
		s = s[at+1:]
		switch name, _, _ := strings.Cut(u.User, ":"); {
		case strings.Contains(name, ".") || strings.Contains(strings.ToLower(name), "%2e"):
			u.Odd |= OddUser
		case u.User != "":
			u.Odd |= OddUserShort
		}
	}
	host := s
	if colon := strings.LastIndexByte(s, ':'); colon >= 0 && !strings.Contains(s[colon:], "]") {
		host = s[:colon]
		u.port(s[colon+1:])
	}
	u.host(host)
	if u.Addr.IsValid() {
		if !u.Addr.IsGlobalUnicast() || u.Addr.IsPrivate() {
			u.Odd |= OddPrivate
		}
		return
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(u.Host); err == nil {
		u.Domain = domain
	}
}

func (u *URI) port(s string) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			u.Odd |= OddInvalid
			return
		}
	}
	s = strings.TrimLeft(s, "0")
	if s == "" || u.Scheme == "http" && s == "80" || u.Scheme == "https" && s == "443" {
		return
	}
	u.Port = s[:min(len(s), 5)]
}

// Resolve puts a relative link behind what it is relative to; one that has a scheme stays as it is. Without a base only what
// names a host leads anywhere: "" for all else.
func Resolve(base, ref string) string {
	ref = strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' })
	clean, _ := withoutBreaks(ref)
	if _, _, ok := cutScheme(clean); ok {
		return ref
	}
	b := Read(base)
	web := b.Web()
	switch {
	case len(clean) > 1 && (clean[0] == '/' || clean[0] == '\\') && (clean[1] == '/' || clean[1] == '\\'):
		if web {
			return b.Scheme + ":" + clean
		}
		return "https:" + clean
	case !web || clean == "" || clean[0] == '#':
		return ""
	}
	root := b.Scheme + "://" + b.authorityText()
	switch folder := b.Path; {
	case clean[0] == '/' || clean[0] == '\\':
		return root + clean
	default:
		if i := strings.IndexAny(folder, "?#"); i >= 0 {
			folder = folder[:i]
		}
		if clean[0] == '?' {
			return root + folder + clean
		}
		return root + folder[:strings.LastIndexAny(folder, `/\`)+1] + slashed(folder, clean)
	}
}

// slashed puts a slash before a path that has no folder to lie in.
func slashed(folder, path string) string {
	if strings.ContainsAny(folder, `/\`) {
		return path
	}
	return "/" + path
}

func (u *URI) authorityText() string {
	host := u.Host
	if u.Addr.Is6() {
		host = "[" + host + "]"
	}
	if u.Port != "" {
		host += ":" + u.Port
	}
	return host
}
