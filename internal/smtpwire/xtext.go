package smtpwire

import (
	"errors"
	"fmt"
	"strings"
)

// ErrXtext: not xtext.
var ErrXtext = errors.New("xtext: bad syntax")

const upperHex = "0123456789ABCDEF"

// EncodeXtext writes s as xtext (RFC 3461 section 4).
func EncodeXtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '+' || c == '=' {
			b.Write([]byte{'+', upperHex[c>>4], upperHex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// DecodeXtext reads xtext: hexadecimal in upper case only. What it returns
// may hold any octet.
func DecodeXtext(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == '=' {
			return "", fmt.Errorf("%w: octet %#02x", ErrXtext, c)
		}
		if c == '+' {
			if len(s)-i < 3 {
				return "", fmt.Errorf("%w: cut off", ErrXtext)
			}
			hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
			if hi < 0 || lo < 0 {
				return "", fmt.Errorf("%w: bad hexadecimal", ErrXtext)
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}
