package filters

import (
	"context"

	"gatepost/gateway"
	"gatepost/internal/limit"
	"gatepost/internal/shaping"
)

// rateOctets counts octets of messages.
func rateOctets() Definition {
	return Definition{
		Name: "rate.octets", Stage: gateway.Data, Class: gateway.ClassLimiting,
		Doc:     "Does the client, or a network around it, send more octets than its limits say? It is told 451 and the time to wait; what is refused is not counted, and a message larger than a limit passes when nothing came before it. Trusted networks are left out. The limits are the tables [[rate]].",
		RFC:     "RFC 3463 section 3.8",
		Action:  gateway.ActionDefer,
		Unknown: gateway.ActionPass,
		Build: func(_ any, d *Deps) (Built, error) {
			d.wants[gateway.Data].takes = d.octetTakes
			return Built{Run: d.runRateOctets, Ready: d.octetsCountNow}, d.needsShaper()
		},
	}
}

// octetsCountNow reports whether the step of the row waits for nobody: what the greylist asks of bounces is part of it.
func (d *Deps) octetsCountNow(in *gateway.Input) bool {
	return d.countsNow(in) && (d.wants[gateway.Data].tries == nil || !in.Envelope.From.IsNull())
}

func (d *Deps) octetTakes(_ context.Context, in *gateway.Input, a *shaping.Ask) {
	s := in.Session
	if d.exempt(s) {
		return
	}
	c := d.ownRates(nil, s.Client.Addr(), limit.KiB, d.standing(s), limit.Size(in.Envelope.Measured.Octets))
	if len(c) > 0 {
		a.Takes = append(a.Takes, shaping.Take{Charges: c})
	}
}

func (d *Deps) runRateOctets(ctx context.Context, in *gateway.Input) gateway.Finding {
	if d.exempt(in.Session) {
		return notLimited()
	}
	st := d.step(ctx, gateway.Data, in)
	if len(st.Takes) == 0 {
		return notLimited()
	}
	return d.rated(&st.Takes[0])
}
