package filters

import (
	"context"

	"gatepost/gateway"
	"gatepost/internal/limit"
)

// rateConnections counts connections of a client and of the networks around it.
func rateConnections() Definition {
	return Definition{
		Name: "rate.connections", Stage: gateway.Connect, Class: gateway.ClassLimiting,
		Doc:     "Does the client, or a network around it, connect more often than its limits say, or did it cause more errors than they say? It is told 421 in place of the banner, with the time to wait; what is refused is not counted. Trusted networks are left out. The limits are the tables [[rate]].",
		RFC:     "RFC 5321 section 3.8",
		Action:  gateway.ActionDrop,
		Unknown: gateway.ActionPass,
		Build: func(_ any, d *Deps) (Built, error) {
			return Built{Run: d.runRateConnections, Ready: d.countsNow}, d.needsShaper()
		},
	}
}

func (d *Deps) runRateConnections(ctx context.Context, in *gateway.Input) gateway.Finding {
	s := in.Session
	if d.exempt(s) {
		return notLimited()
	}
	standing := d.standing(s)
	a := &single{}
	charges := d.ownRates(a.room[:0], s.Client.Addr(), limit.Connections, standing, 1)
	before := len(charges)
	charges = d.charge(charges, limit.ClientError, limit.Errors, clientSubject(s.Client.Addr()), standing)
	for i := range charges[before:] {
		charges[before+i].Asked = true // they are charged when they were made: see RateLessons
	}
	return d.counted(ctx, a, charges)
}
