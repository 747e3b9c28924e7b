package greylist

import (
	"net/netip"
	"strings"
)

// Identity is who sends, as a text that can be shown: "spf:" or "ptr:" and a domain, or "net:" and a network. A large
// sender that tries again from another of its servers has to be one identity, or its mail waits for hours; and an identity
// must never be something that a stranger can join, or one neighbour's patience lets all of them in.
type Identity string

// Sender is what is known of a client when it names its sender.
type Sender struct {
	Addr netip.Addr
	// SPFDomain is the domain of MAIL FROM, or of HELO with the null sender, where SPF passed (RFC 7208); else "".
	SPFDomain string
	// SPFNarrow says that this domain's record lets fewer than a /16 of IPv4 addresses pass in sum, and has no +all, so
	// that passing means something. Its caller knows; where nobody said so, the domain is no identity.
	SPFNarrow bool
	// PTROrg is the organizational domain of a reverse name that leads back to the address. It is "" where the name is
	// generic or a provider's: whoever rents a machine there has such a name.
	PTROrg string
}

// The networks that are one identity where nothing better is known: what one customer of a provider has at least. A
// shorter one would let strangers vouch for each other; a longer one would let a client with a /64 be new at each try.
const (
	network4 = 24
	network6 = 64
)

// Identity returns the best that is known: the domain that SPF says, the organization, the network. Of an address that is
// none it is "net:", one stranger for all of them.
func (s Sender) Identity() Identity {
	if d := domain(s.SPFDomain); d != "" && s.SPFNarrow {
		return Identity("spf:" + d)
	}
	if d := domain(s.PTROrg); d != "" {
		return Identity("ptr:" + d)
	}
	a := s.Addr.Unmap().WithZone("")
	bits := network6
	if a.Is4() {
		bits = network4
	}
	p, err := a.Prefix(bits)
	if err != nil || !p.IsValid() {
		return "net:"
	}
	return Identity("net:" + p.String())
}

func domain(name string) string { return lower(strings.TrimSuffix(name, ".")) }

// lower lowers A to Z only: other letters are not ours to compare, and a name in A-labels has none.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return string(appendLower(nil, s))
		}
	}
	return s
}

func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
