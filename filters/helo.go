package filters

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/dns"
)

// helo looks at the name that the client gives itself.
func helo() Definition {
	return Definition{
		Name: "helo", Stage: gateway.Helo,
		Doc:     "Is the name in HELO or EHLO a full domain name or an address literal, does it exist, and is it the client's own? Clients with loopback, private and shared addresses are left out.",
		RFC:     "RFC 5321 sections 2.3.5, 4.1.1.1 and 4.1.4",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{"invalid", "neither a full domain name nor an address literal", 1},
			{"ours", "our own name or address, or a domain that we serve, and not where that leads", 3},
			{"mismatch", "a name or an address literal that does not lead to the client", 1},
			{"unresolved", "a name without an address", 1},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			return Built{Run: d.runHelo, Ready: d.heloKnown}, nil
		},
	}
}

// heloKnown reports whether the check has nothing to wait for: the client is inside, or its name is its reverse name.
func (d *Deps) heloKnown(in *gateway.Input) bool {
	if fromInside(in) {
		return true
	}
	if !gateway.Known(&in.Session.Facts, factReverse) {
		return false
	}
	r := gateway.Fact(&in.Session.Facts, factReverse, func() dns.Reverse { return dns.Reverse{} })
	return r.Status == dns.Found && r.Name == heloText(in.Session)
}

// heloText is the name that a client gives itself, as names are compared.
func heloText(s *gateway.Session) string {
	return strings.TrimSuffix(strings.ToLower(s.Helo.Name), ".")
}

func (d *Deps) runHelo(ctx context.Context, in *gateway.Input) gateway.Finding {
	h, addr := in.Session.Helo, in.Session.Client.Addr().Unmap().WithZone("")
	name := heloText(in.Session)
	switch {
	case unjudged(in.Session):
		return leftOut(in.Session)
	case name == strings.ToLower(d.Hostname):
		return gateway.Failed(gateway.HeloOurs, name).With(gateway.Yes("ours")).Show("name", "is this host's own")
	case h.Literal:
		return heloLiteral(name, addr, in.Session.Local.Addr().Unmap().WithZone(""))
	case !h.Valid || !strings.Contains(name, "."):
		return gateway.Failed(gateway.HeloInvalid, h.Name).With(gateway.Yes("invalid"))
	}
	return d.heloName(ctx, in, name, addr)
}

// heloLiteral compares an address literal with the client's address.
func heloLiteral(name string, addr, local netip.Addr) gateway.Finding {
	said, err := netip.ParseAddr(strings.TrimPrefix(strings.Trim(name, "[]"), "ipv6:"))
	switch said = said.Unmap(); {
	case err != nil:
		return gateway.Failed(gateway.HeloInvalid, name).With(gateway.Yes("invalid"))
	case said == addr:
		return gateway.Passed().Show("literal", "is the client's address")
	case said == local:
		return gateway.Failed(gateway.HeloOurs, name).With(gateway.Yes("ours")).Show("literal", "is this host's own address")
	}
	return gateway.Failed(gateway.HeloLiteral, name).With(gateway.Yes("mismatch")).Show("client", addr.String())
}

// heloName passes a name that is the client's verified reverse name or has its address. A name with other addresses is
// no failure: RFC 5321 section 4.1.4 forbids to refuse for it.
func (d *Deps) heloName(ctx context.Context, in *gateway.Input, name string, addr netip.Addr) gateway.Finding {
	early := make(chan dns.Answer[netip.Addr], 1)
	asked := !gateway.Known(&in.Session.Facts, factReverse)
	if asked { // both answers are waited for at the same time
		go func() { early <- dns.Addrs(ctx, d.Resolver, name) }()
	}
	if r := d.reverse(ctx, in.Session); r.Status == dns.Found && r.Name == name {
		return gateway.Passed().Show("name", "is the verified reverse name")
	}
	if !asked {
		early <- dns.Addrs(ctx, d.Resolver, name)
	}
	a := <-early
	served := d.Policy.Domains[name] != nil
	switch {
	case a.Status == dns.Found && slices.Contains(a.Records, addr):
		return gateway.Passed().Show("name", "has the client's address")
	case a.Status != dns.None && (a.Status != dns.Found || a.Cut):
		return gateway.CouldNotTell(gateway.DNSFailed, name).Show("dns", strings.TrimSpace(name+": "+a.Kind.String()+" "+a.Detail))
	case served:
		return gateway.Failed(gateway.HeloOurs, name).With(gateway.Yes("ours")).Show("name", "is a domain that we serve, and does not lead to the client")
	case a.Status == dns.None:
		return gateway.Failed(gateway.HeloUnresolved, name).With(gateway.Yes("unresolved")).Show("dns", name+": "+a.Kind.String())
	}
	return gateway.Passed(gateway.Yes("mismatch")).Show("name", "has other addresses, such as "+a.Records[0].String())
}
