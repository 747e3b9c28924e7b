package dsn

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// international reports whether an address cannot be written in ASCII.
func (r *Report) international() bool {
	if !ascii(r.To) {
		return true
	}
	for i := range r.Rcpts {
		if !ascii(r.Rcpts[i].Final) {
			return true
		}
	}
	return false
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// addressField is an address with its type (RFC 3464 section 2.1.2, RFC 6533 section 3): an internationalized one as it is, or
// where only ASCII may stand, with its letters as \x{HEX}.
func addressField(address string, global bool) string {
	switch address = clean(address, maxLine-40, true); {
	case ascii(address):
		return "rfc822; " + address
	case global:
		return "utf-8; " + address
	}
	var b strings.Builder
	for _, c := range address {
		if c < 0x80 && c != '\\' && c != '+' && c != '=' {
			b.WriteRune(c)
			continue
		}
		fmt.Fprintf(&b, `\x{%X}`, c)
	}
	return "utf-8; " + b.String()
}

// originalRecipient is ORCPT as a field (RFC 3464 section 2.3.1); "" for one that could not stand in a field.
func originalRecipient(orcpt string, global bool) string {
	kind, text, ok := strings.Cut(orcpt, ";")
	if !ok || kind == "" || strings.ContainsFunc(kind, func(c rune) bool {
		return c != '-' && (c > 'z' || !unicode.IsLetter(c) && !unicode.IsDigit(c))
	}) {
		return ""
	}
	decoded, ok := fromXtext(text)
	if !ok && global && strings.EqualFold(kind, "utf-8") && utf8.ValidString(text) && clean(text, maxLine, true) == text {
		decoded, ok = text, true // utf-8-addr-unitext
	}
	if !ok || len(decoded) > maxLine-100 {
		return ""
	}
	return kind + "; " + decoded
}

// fromXtext decodes xtext (RFC 3461 section 4). ok is false for what is none, is empty, or holds what is not printable ASCII:
// a stranger wrote it, and it is to stand in a field.
func fromXtext(text string) (decoded string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '+' {
			if i+2 >= len(text) {
				return "", false
			}
			n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c, i = byte(n), i+2
		}
		if c < ' ' || c > '~' {
			return "", false
		}
		b.WriteByte(c)
	}
	return strings.TrimSpace(b.String()), strings.TrimSpace(b.String()) != ""
}

// clean bounds a text and takes out what has no place in a line: control octets read as spaces, and what is not ASCII as "?"
// unless letters of other scripts may stand.
func clean(text string, most int, letters bool) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c < ' ' || c == 0x7f:
			c = ' '
		case c >= 0x80 && (!letters || c == utf8.RuneError || !unicode.IsPrint(c)):
			c = '?'
		}
		if b.Len()+utf8.RuneLen(c) > most {
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}

// hidden is what stands where the name or address of an inner host stood.
const hidden = "[...]"

// Hide takes out of the words of a next hop what tells of the inside: the names that are given, names below the domains that
// are given, names of zones that exist only inside, and addresses of networks that do. A domain behind an @ stays, since it
// is part of a mail address.
func Hide(said string, names, domains []string) string {
	var b strings.Builder
	for i := 0; i < len(said); {
		n := 0
		for i+n < len(said) && hostLetter(said[i+n]) {
			n++
		}
		if n == 0 {
			b.WriteByte(said[i])
			i++
			continue
		}
		word := said[i : i+n]
		core := strings.Trim(word, ".:-_")
		if (i == 0 || said[i-1] != '@') && core != "" && inner(core, names, domains) {
			word = strings.Replace(word, core, hidden, 1)
		}
		b.WriteString(word)
		i += n
	}
	return b.String()
}

func hostLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' || c == ':'
}

// inner reports whether a word names a host that only the inside knows.
func inner(word string, names, domains []string) bool {
	if a, err := netip.ParseAddr(word); err == nil {
		return local(a)
	}
	if a, err := netip.ParseAddrPort(word); err == nil {
		return local(a.Addr())
	}
	host, _, _ := strings.Cut(strings.ToLower(word), ":")
	for _, name := range names {
		name = strings.ToLower(name)
		first, _, _ := strings.Cut(name, ".")
		// A name of one label may be a word: "mail", "exchange". One with a digit or hyphen is none.
		if host == name && strings.Contains(name, ".") || host == first && strings.ContainsAny(first, "0123456789-") {
			return true
		}
	}
	for _, domain := range domains {
		if domain != "" && strings.HasSuffix(host, "."+strings.ToLower(domain)) {
			return true
		}
	}
	at := strings.LastIndexByte(host, '.')
	if at <= 0 {
		return false
	}
	switch host[at+1:] { // of RFC 6762 appendix G, RFC 8375, and ICANN's .internal
	case "local", "localdomain", "localhost", "lan", "internal", "intranet", "private", "corp", "home", "domain":
		return true
	}
	return false
}

func local(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}
