package reputation

import (
	"fmt"
	"net/netip"
	"strings"
)

// Kind says what a subject is.
type Kind uint8

// The kinds, from the narrowest of addresses to names.
const (
	Client       Kind = iota // an IPv4 address, or an IPv6 /64, which is what one host has
	Network                  // /24, /48
	Organisation             // registered domain of the verified reverse name, where that is no provider's
	Domain                   // registered domain of a MAIL FROM that passed SPF and was aligned in a DMARC pass
	kinds
)

var kindNames = [kinds]string{"client", "network", "organisation", "domain"}

// String is the word of a kind.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "?"
}

// Subject is whom a history is of. The zero value is nobody.
type Subject struct {
	Kind Kind
	Name string // as the functions of this package make it; a domain is an A-label in lower case
}

// mostName bounds a name; no domain is longer.
const mostName = 255

// Valid reports whether the subject is somebody.
func (s Subject) Valid() bool { return s.Kind < kinds && s.Name != "" && len(s.Name) <= mostName }

// String is the subject as a person writes it: "client:192.0.2.1".
func (s Subject) String() string { return s.Kind.String() + ":" + s.Name }

// ClientOf returns the client of an address; nobody for what is no address.
func ClientOf(a netip.Addr) Subject {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return Subject{Client, a.String()}
	}
	return prefixed(Client, a, 64)
}

// NetworkOf returns the network of an address; nobody for what is no address.
func NetworkOf(a netip.Addr) Subject {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return prefixed(Network, a, 24)
	}
	return prefixed(Network, a, 48)
}

func prefixed(k Kind, a netip.Addr, bits int) Subject {
	p, err := a.Prefix(bits)
	if err != nil || !p.IsValid() {
		return Subject{}
	}
	return Subject{k, p.String()}
}

// Named returns the subject of a name; nobody for none.
func Named(k Kind, name string) Subject {
	s := Subject{k, strings.ToLower(name)}
	if !s.Valid() {
		return Subject{}
	}
	return s
}

// Parse reads what String wrote, and what a person may mean by less: an address is a client and its network, a prefix one
// of them, a name an organisation and a domain.
func Parse(text string) ([]Subject, error) {
	for k := range kinds {
		rest, ok := strings.CutPrefix(text, k.String()+":")
		if !ok {
			continue
		}
		s := Named(k, strings.TrimSuffix(rest, "."))
		if k <= Network {
			s = inAddresses(k, rest)
		}
		if !s.Valid() {
			return nil, fmt.Errorf("%q is no %s", rest, k)
		}
		return []Subject{s}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return []Subject{ClientOf(a), NetworkOf(a)}, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		for k := range Organisation {
			if s := inAddresses(k, p.String()); s.Valid() {
				return []Subject{s}, nil
			}
		}
		return nil, fmt.Errorf("%s is neither a client (/32, /64) nor a network (/24, /48)", text)
	}
	name := strings.TrimSuffix(text, ".")
	if !strings.Contains(name, ".") || strings.ContainsAny(name, ":/@ \t") || len(name) > mostName {
		return nil, fmt.Errorf("%q is no address, no network and no domain", text)
	}
	return []Subject{Named(Organisation, name), Named(Domain, name)}, nil
}

// inAddresses reads an address or a prefix as a subject of a kind; nobody where it is another's.
func inAddresses(k Kind, text string) Subject {
	of := ClientOf
	if k == Network {
		of = NetworkOf
	}
	if a, err := netip.ParseAddr(text); err == nil && k == Client {
		return of(a)
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return Subject{}
	}
	s, bits := of(p.Addr()), map[Kind][2]int{Client: {32, 64}, Network: {24, 48}}[k]
	if p.Addr().Is4() && p.Bits() == bits[0] || p.Addr().Is6() && !p.Addr().Is4In6() && p.Bits() == bits[1] {
		return s
	}
	return Subject{}
}
