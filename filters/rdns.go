package filters

import (
	"context"
	"errors"
	"net/netip"

	"gatepost/gateway"
	"gatepost/internal/dns"
)

// rdns looks at the reverse name of the client.
func rdns() Definition {
	return Definition{
		Name: "rdns", Stage: gateway.Helo,
		Doc:     "Does the client's address have a reverse name, and does that name lead back to the address? Clients with loopback, private and shared addresses are left out.",
		RFC:     "RFC 8601 section 2.7.3 (iprev), RFC 1912 section 2.1",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{"none", "the address has no reverse name", 2},
			{"unconfirmed", "the reverse name does not lead back to the address", 1},
		},
		Build: func(_ any, d *Deps) (Built, error) {
			if d.Resolver == nil {
				return Built{}, errors.New("needs a resolver")
			}
			return Built{Run: d.runRDNS, Ahead: d.beginRDNS, Ready: d.reverseKnown}, nil
		},
	}
}

// beginRDNS starts the lookups with the connection: their answers are wanted at MAIL.
func (d *Deps) beginRDNS(ctx context.Context, s *gateway.Session) (rest func()) {
	if unjudged(s) {
		return nil
	}
	if m, ok := d.Resolver.(interface {
		KnownReverse(addr netip.Addr) (dns.Reverse, bool)
	}); ok {
		if r, ok := m.KnownReverse(s.Client.Addr().Unmap()); ok {
			gateway.Fact(&s.Facts, factReverse, func() dns.Reverse { return r })
			return nil
		}
	}
	return func() { d.reverse(ctx, s) }
}

func (d *Deps) runRDNS(ctx context.Context, in *gateway.Input) gateway.Finding {
	addr := in.Session.Client.Addr().Unmap().WithZone("")
	if unjudged(in.Session) {
		return leftOut(in.Session)
	}
	r := d.reverse(ctx, in.Session)
	f, result := gateway.CouldNotTell(gateway.DNSFailed, addr.String()), "temperror"
	switch {
	case r.Status == dns.Found:
		result = "pass"
		f = gateway.Passed().Show(gateway.EvidenceReverse, r.Name)
	case r.Status == dns.None && len(r.Names) == 0:
		result = "fail"
		f = gateway.Failed(gateway.RDNSNone, addr.String()).With(gateway.Yes("none"))
	case r.Status == dns.None:
		result = "fail"
		f = gateway.Failed(gateway.RDNSUnconfirmed, addr.String()).With(gateway.Yes("unconfirmed"))
	}
	f = f.Says(gateway.AuthResult{Method: "iprev", Result: result,
		Props: []gateway.AuthProp{{Type: "policy", Name: "iprev", Value: addr.String()}}})
	for _, n := range r.Names {
		leads := "does not lead back"
		switch {
		case n.Confirmed:
			leads = "leads back"
		case n.Forward != dns.Found:
			leads += " (" + n.Kind.String() + ")"
		}
		f = f.Show("PTR", n.Name+" "+leads)
	}
	if r.Detail != "" {
		f = f.Show("dns", r.Detail)
	}
	return f
}
