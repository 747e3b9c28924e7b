package dkim

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ErrName says that a text is no domain name that may be looked up.
var ErrName = errors.New("no domain name")

// ASCIIName returns a domain or a selector as DNS is asked for it: A-labels, lower case (RFC 8616 section 5). Anything else
// than letters, digits, hyphens, underscores (which selectors have in practice) and U-labels is refused, and so are empty
// labels, a dot at the end, and names too long for DNS. What it returns may be looked up and compared.
func ASCIIName(name string) (string, error) {
	if !isASCII(name) {
		if !utf8.ValidString(name) {
			return "", fmt.Errorf("%w: %.80q", ErrName, name)
		}
		profile := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckJoiners(true),
			idna.CheckHyphens(false), idna.StrictDomainName(true), idna.VerifyDNSLength(true))
		a, err := profile.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%w: %.80q", ErrName, name)
		}
		name = a
	}
	name = strings.ToLower(name)
	if !isName(name) {
		return "", fmt.Errorf("%w: %.80q", ErrName, name)
	}
	return name, nil
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// Below reports whether a name is another or below it; both as ASCIIName returns them.
func Below(name, domain string) bool {
	return name == domain || len(name) > len(domain) && strings.HasSuffix(name, domain) && name[len(name)-len(domain)-1] == '.'
}

// KeyName is where the key of a signature is published (RFC 6376 section 3.6.2.1): both as ASCIIName returns them. The empty
// string says that the name is too long for DNS.
func KeyName(selector, domain string) string {
	const between = "._domainkey."
	if len(selector)+len(between)+len(domain) > 253 {
		return ""
	}
	return selector + between + domain
}
