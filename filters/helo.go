package filters

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dns"
)

// helo looks at the name that the client gives itself.
func helo() Definition {
	return Definition{
		Name: "helo", Stage: gateway.Helo,
		Doc:     "Is the name in HELO or EHLO a domain or an address literal, is it the client's own, and does it exist?",
		RFC:     "RFC 5321 sections 4.1.1.1 and 4.1.4",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{"invalid", "neither a domain name nor an address literal", 1},
			{"ours", "our own name or address", 3},
			{"mismatch", "an address literal or a name that is not that of the client", 1},
			{"unresolved", "a name without an address", 1},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			return Built{Run: d.runHelo}, nil
		},
	}
}

func (d *Deps) runHelo(ctx context.Context, in *gateway.Input) gateway.Finding {
	h, addr := in.Session.Helo, in.Session.Client.Addr().Unmap().WithZone("")
	name := strings.TrimSuffix(strings.ToLower(h.Name), ".")
	switch {
	case name == "":
		return gateway.Failed(gateway.HeloInvalid, "empty").With(gateway.Yes("invalid"))
	case !isInside(addr) && (name == d.Hostname || d.Policy.Domain(name) != nil && d.Policy.Domain(name).Name == name):
		return gateway.Failed(gateway.HeloOurs, name).With(gateway.Yes("ours"))
	case h.Literal:
		return heloLiteral(name, addr, in.Session.Local.Addr().Unmap())
	case !h.Valid || !strings.Contains(name, "."):
		return gateway.Failed(gateway.HeloInvalid, h.Name).With(gateway.Yes("invalid"))
	case isInside(addr):
		return gateway.Passed().Show("name", "not looked up: the client is inside")
	}
	return d.heloName(ctx, in, name, addr)
}

// heloLiteral compares an address literal with the client's address.
func heloLiteral(name string, addr, local netip.Addr) gateway.Finding {
	text := strings.TrimPrefix(strings.Trim(name, "[]"), "ipv6:")
	said, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return gateway.Failed(gateway.HeloInvalid, name).With(gateway.Yes("invalid"))
	case said.Unmap() == addr:
		return gateway.Passed()
	case said.Unmap() == local:
		return gateway.Failed(gateway.HeloOurs, name).With(gateway.Yes("ours"))
	}
	return gateway.Failed(gateway.HeloLiteral, name).With(gateway.Yes("mismatch")).Show("client", addr.String())
}

// heloName passes a name that is the client's verified reverse name or has its address.
func (d *Deps) heloName(ctx context.Context, in *gateway.Input, name string, addr netip.Addr) gateway.Finding {
	if r := d.reverse(ctx, in.Session); r.Status == dns.Found && r.Name == name {
		return gateway.Passed().Show("name", "is the verified reverse name")
	}
	a := dns.Addrs(ctx, d.Resolver, name)
	switch a.Status {
	case dns.Found:
		for _, have := range a.Records {
			if have.Unmap() == addr {
				return gateway.Passed().Show("name", "has the client's address")
			}
		}
		return gateway.Finding{Result: gateway.Pass}.With(gateway.Yes("mismatch")).Show("name", "has other addresses, such as "+a.Records[0].String())
	case dns.None:
		return gateway.Failed(gateway.HeloUnresolved, name).With(gateway.Yes("unresolved")).Show("dns", a.Kind.String())
	}
	return gateway.CouldNotTell(gateway.DNSFailed, name).Show("dns", a.Detail)
}
