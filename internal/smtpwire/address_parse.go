package smtpwire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lax says where a command was not quite the RFC's syntax but is understood
// in one way only, and is taken because real senders do it.
type Lax uint8

// The laxnesses.
const (
	LaxSpace Lax = 1 << iota // spaces after the colon or doubled between parameters
	LaxDots                  // an unquoted local part like a..b or a. (written on in quotes)
	LaxLong                  // a local part of the reverse-path over 64 octets (VERP does it)
)

// ParseAddress parses a mailbox without angle brackets, as it stands in
// configuration and lists: local@domain by the letter of RFC 5321 section
// 4.1.2 and, with utf8, RFC 6531 section 3.3.
func ParseAddress(s string, utf8 bool) (Address, error) {
	p := pathParser{in: s, utf8: utf8}
	a, err := p.mailbox()
	if err == nil && p.in != "" {
		err = fmt.Errorf("%w: %q after the domain", ErrAddress, Clean(p.in, 40))
	}
	if err == nil && p.lax != 0 {
		err = fmt.Errorf("%w: empty atom", ErrAddress)
	}
	if err == nil && max(len(s)+2, len(a.Wire())) > MaxPath {
		err = ErrAddressLength
	}
	if err != nil {
		return Address{}, err
	}
	return a, nil
}

// ParseReversePath parses the path of MAIL, <> included, at the start of s and
// returns what follows it.
func ParseReversePath(s string, utf8 bool) (a Address, rest string, lax Lax, err error) {
	p := pathParser{in: s, utf8: utf8, reverse: true}
	a, err = p.path()
	return a, p.in, p.lax, err
}

// ParseForwardPath parses the path of RCPT, <postmaster> included, at the
// start of s and returns what follows it.
func ParseForwardPath(s string, utf8 bool) (a Address, rest string, lax Lax, err error) {
	p := pathParser{in: s, utf8: utf8}
	a, err = p.path()
	return a, p.in, p.lax, err
}

// pathParser eats in from its start.
type pathParser struct {
	in      string
	utf8    bool
	reverse bool // the path of MAIL
	lax     Lax
}

func (p *pathParser) path() (Address, error) {
	whole := len(p.in)
	if !p.eat('<') {
		return Address{}, ErrBrackets
	}
	if p.reverse && p.eat('>') {
		return Address{}, nil
	}
	if strings.HasPrefix(p.in, "@") {
		return Address{}, ErrSourceRoute
	}
	if n := len("postmaster>"); !p.reverse && len(p.in) >= n && equalFold(p.in[:n], "postmaster>") {
		a := Address{Local: p.in[:n-1]}
		p.in = p.in[n:]
		return a, nil
	}
	a, err := p.mailbox()
	if err != nil {
		return Address{}, err
	}
	if !p.eat('>') {
		return Address{}, fmt.Errorf("%w: no > after the domain", ErrBrackets)
	}
	if max(whole-len(p.in), len(a.Wire())) > MaxPath {
		return Address{}, ErrAddressLength
	}
	return a, nil
}

func (p *pathParser) eat(c byte) bool {
	if p.in == "" || p.in[0] != c {
		return false
	}
	p.in = p.in[1:]
	return true
}

func (p *pathParser) mailbox() (Address, error) {
	local, err := p.local()
	if err != nil {
		return Address{}, err
	}
	if len(local) > MaxLocal {
		if !p.reverse {
			return Address{}, fmt.Errorf("%w: local part", ErrAddressLength)
		}
		p.lax |= LaxLong
	}
	if !p.eat('@') {
		return Address{}, fmt.Errorf("%w: no @ after the local part", ErrAddress)
	}
	end := strings.IndexAny(p.in, "> ")
	if end < 0 {
		end = len(p.in)
	}
	a := Address{Local: local, Domain: p.in[:end]}
	if !p.utf8 && !isASCII(a.Domain) {
		return Address{}, ErrNeedsUTF8
	}
	a.ASCII, a.Literal, err = parseDomain(a.Domain)
	p.in = p.in[end:]
	return a, err
}

// local eats a local part and returns its value.
func (p *pathParser) local() (string, error) {
	value, rest, err := "", "", error(nil)
	if strings.HasPrefix(p.in, `"`) {
		value, rest, err = unquote(p.in)
	} else {
		n := 0
		for n < len(p.in) && (p.in[n] == '.' || isAtext(p.in[n])) {
			n++
		}
		if n == 0 {
			return "", fmt.Errorf("%w: no local part", ErrAddress)
		}
		value, rest = p.in[:n], p.in[n:]
		if !isDotString(value) {
			p.lax |= LaxDots
		}
	}
	if err != nil {
		return "", err
	}
	p.in = rest
	if isASCII(value) {
		return value, nil
	}
	if !p.utf8 {
		return "", ErrNeedsUTF8
	}
	return value, checkUTF8(value)
}

// unquote reads a Quoted-string of RFC 5321 section 4.1.2 at the start of s.
func unquote(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i++
			c = s[i]
			if c >= 0x80 {
				return "", "", fmt.Errorf("%w: backslash before an octet over 127", ErrAddress)
			}
		}
		if c < ' ' || c == 0x7f {
			return "", "", fmt.Errorf("%w: control octet", ErrAddress)
		}
		b.WriteByte(c)
	}
	return "", "", fmt.Errorf("%w: no closing quote", ErrAddress)
}

// checkUTF8 refuses what is not UTF-8 and what would break a line or hide
// text where the address is shown.
func checkUTF8(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: not UTF-8", ErrAddress)
	}
	for _, c := range s {
		if unicode.Is(unicode.C, c) || unicode.Is(unicode.Zl, c) || unicode.Is(unicode.Zp, c) {
			return fmt.Errorf("%w: character U+%04X", ErrAddress, c)
		}
	}
	return nil
}
