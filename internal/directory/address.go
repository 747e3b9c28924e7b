package directory

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Bounds of an address (RFC 5321 section 4.5.3.1).
const (
	maxLocal  = 64
	maxDomain = 255
)

// Why a text is no address of a mailbox.
var (
	errNoAt    = errors.New("is no mail address: it has no @")
	errLocal   = errors.New("is no mail address: what stands before the @ cannot be a mailbox")
	errNoLocal = errors.New("is a domain, not an address; a domain whose every address exists needs no list")
	errDomain  = errors.New("is no mail address: what stands behind the @ is no domain")
)

// Key returns the form in which an address is looked up: the local part without its quotes and in lower case, the domain
// in lower-case A-labels. It refuses what can be no mailbox.
func Key(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", errLocal
	}
	i := strings.LastIndexByte(text, '@')
	if i < 0 {
		return "", errNoAt
	}
	if i == 0 {
		return "", errNoLocal
	}
	local, err := localPart(text[:i])
	if err != nil {
		return "", err
	}
	domain := strings.ToLower(text[i+1:])
	if !plainDomain(domain) {
		if domain, err = idna.Lookup.ToASCII(domain); err != nil || !plainDomain(domain) {
			return "", errDomain
		}
	}
	return strings.ToLower(local) + "@" + domain, nil
}

// localPart reads a Dot-string or a Quoted-string (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
func localPart(text string) (string, error) {
	if text[0] == '"' {
		return unquote(text)
	}
	if len(text) > maxLocal || text[0] == '.' || text[len(text)-1] == '.' || strings.Contains(text, "..") {
		return "", errLocal
	}
	for _, r := range text {
		if r < utf8.RuneSelf && !isAtext(byte(r)) && r != '.' || r >= utf8.RuneSelf && !unicode.IsPrint(r) {
			return "", errLocal
		}
	}
	return text, nil
}

func unquote(text string) (string, error) {
	if len(text) < 3 || len(text) > maxLocal+2 || text[len(text)-1] != '"' {
		return "", errLocal
	}
	text = text[1 : len(text)-1]
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' {
			i++
			if i == len(text) {
				return "", errLocal
			}
			c = text[i]
		} else if c == '"' {
			return "", errLocal
		}
		if c < ' ' || c == 0x7f {
			return "", errLocal
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

func isAtext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// plainDomain reports whether a lower-case name has the form of a domain in A-labels.
func plainDomain(name string) bool {
	if name == "" || len(name) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
