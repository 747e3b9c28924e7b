package author

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Limits of an address, in octets. Local parts over the 64 of RFC 5321 section 4.5.3.1.1 are in use.
const (
	maxLocal  = 256
	maxDomain = 253 // RFC 1035 section 3.1, in text
	maxLabel  = 63
)

// address reads an addr-spec (RFC 5322 section 3.4.1) without white space or comments in it, and keeps it. It reports
// whether it is one.
func (r *reading) address(tokens []token) bool {
	wrong, text := r.addressOf(tokens)
	switch wrong {
	case 0:
		return true
	case NoDomain:
		r.wrong(NoDomain, text)
		return true
	}
	r.wrong(wrong, text)
	return false
}

func (r *reading) addressOf(tokens []token) (Kind, string) {
	ats := 0
	for _, t := range tokens {
		switch {
		case t.kind == comment:
			return InComment, t.text
		case t.kind == encoded || t.kind == atom && strings.Contains(t.text, "=?"):
			return EncodedAddress, t.text
		case t.is('@'):
			ats++
		}
	}
	switch {
	case ats == 0:
		return NoAddress, r.text
	case len(tokens) < 3 || !tokens[1].is('@') || tokens[0].end() != tokens[1].at || tokens[1].end() != tokens[2].at:
		return Syntax, r.text
	}
	local, wrong := toLocal(tokens[0], r.smtputf8)
	switch {
	case wrong != 0:
		return wrong, r.text
	case tokens[2].is('[') && isLiteral(r.text[tokens[2].at:tokens[len(tokens)-1].end()]):
		r.found(local, "")
		return NoDomain, r.text
	case len(tokens) != 3 || tokens[2].kind != atom:
		return Syntax, r.text
	}
	domain, wrong := toDomain(tokens[2].text, r.smtputf8)
	if wrong == 0 || wrong == NoDomain {
		r.found(local, domain)
	}
	return wrong, tokens[2].text
}

// isLiteral reports an address literal (RFC 5321 section 4.1.3).
func isLiteral(s string) bool {
	s, closed := strings.CutSuffix(s[1:], "]")
	if tag := "ipv6:"; len(s) > len(tag) && strings.EqualFold(s[:len(tag)], tag) {
		s = s[len(tag):]
	}
	_, err := netip.ParseAddr(s)
	return closed && err == nil
}

// toLocal returns a local part as it is meant.
func toLocal(t token, smtputf8 bool) (string, Kind) {
	local := t.text
	switch {
	case len(local) > maxLocal:
		return "", TooLong
	case t.kind == quoted:
		if strings.Contains(local, "=?") {
			return "", EncodedAddress
		}
		if local == "" || strings.ContainsAny(local, "()<>[]:;@\\,\"") {
			return "", QuotedLocal
		}
	case t.kind != atom:
		return "", Syntax
	}
	return local, plain(local, smtputf8)
}

// plain reports what is wrong with the characters of a part of an address: over ASCII there may be letters and digits,
// and nothing that looks like a separator, like nothing, or that turns the text.
func plain(s string, smtputf8 bool) Kind {
	if isASCII(s) {
		return 0
	}
	if !smtputf8 || !utf8.ValidString(s) {
		return EightBitAddress
	}
	for _, r := range s {
		if r >= 0x80 && (ignorable(r) && !unicode.Is(unicode.Mn, r) || separates(r)) {
			return LookAlike
		}
	}
	return 0
}

// separates reports a character that looks like one that separates the parts of an address.
func separates(r rune) bool {
	switch r {
	case '。', '｡', '․', '‹', '›', '〈', '〉', '⟨', '⟩', '\u2329', '\u232a', '❮', '❯', '«', '»', '˂', '˃', '᚜', '᚛', '‚', '،', '、', '\u037e', '։', '∶', '܁', '۔':
		return true
	}
	var buf [utf8.UTFMax]byte
	for _, c := range norm.NFKD.Properties(buf[:utf8.EncodeRune(buf[:], r)]).Decomposition() {
		if c <= ' ' || c < 0x80 && (c == '.' || !isAtom(c)) {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// toDomain returns a domain as lower-case A-labels, or what is wrong with it: NoDomain (with the single label, or "" of an
// IP address), BadDomain, TooLong, LookAlike or EightBitAddress.
func toDomain(s string, smtputf8 bool) (string, Kind) {
	if len(s) > 4*maxDomain {
		return "", TooLong
	}
	ascii := strings.ToLower(s)
	if !isASCII(s) {
		if wrong := plain(s, smtputf8); wrong != 0 {
			return "", wrong
		}
	}
	if !isASCII(s) || strings.HasPrefix(ascii, "xn--") || strings.Contains(ascii, ".xn--") {
		var wrong Kind
		if ascii, wrong = toALabels(s); wrong != 0 {
			return "", wrong
		}
	}
	if len(ascii) > maxDomain {
		return "", TooLong
	}
	last := ""
	for label := range strings.SplitSeq(ascii, ".") {
		if !isLabel(label) {
			return "", BadDomain
		}
		last = label
	}
	switch {
	case strings.Trim(last, "0123456789") == "":
		return "", NoDomain // an IP address; no top-level domain is a number (RFC 3696 section 2)
	case len(last) == len(ascii):
		return ascii, NoDomain
	}
	return ascii, 0
}

// toALabels makes A-labels (RFC 5891 with the mapping of UTS 46). Labels may not appear, vanish or become plain ASCII by
// the mapping: then a client would show one name, and another would be authenticated.
func toALabels(s string) (string, Kind) {
	profile := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckJoiners(true),
		idna.CheckHyphens(false), idna.StrictDomainName(false), idna.VerifyDNSLength(true))
	ascii, err := profile.ToASCII(s)
	if err == nil {
		_, err = profile.ToASCII(ascii) // what was mapped must itself be valid
	}
	if err != nil {
		return "", BadDomain
	}
	given, mapped := strings.Split(s, "."), strings.Split(ascii, ".")
	if len(given) != len(mapped) {
		return "", LookAlike
	}
	for i, label := range given {
		if !isASCII(label) && !strings.HasPrefix(mapped[i], "xn--") {
			return "", LookAlike
		}
	}
	return ascii, 0
}

// isLabel reports a label of a host name, lower case; the underscore is in use.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
