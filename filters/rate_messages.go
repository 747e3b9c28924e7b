package filters

import (
	"context"

	"gatepost/gateway"
	"gatepost/internal/dmarc"
	"gatepost/internal/dns"
	"gatepost/internal/limit"
)

// rateMessages counts transactions.
func rateMessages() Definition {
	return Definition{
		Name: "rate.messages", Stage: gateway.Mail, Class: gateway.ClassLimiting,
		Doc:     "Does the client, its organisation or the domain of the reverse-path send more messages than their limits say? A refusal is held until RCPT, with the time to wait; what is refused is not counted. Trusted networks are left out. The limits are the tables [[rate]].",
		RFC:     "RFC 3463 section 3.8",
		Action:  gateway.ActionDefer,
		Unknown: gateway.ActionPass,
		Build: func(_ any, d *Deps) (Built, error) {
			return Built{Run: d.runRateMessages, Ready: d.countsNow}, d.needsShaper()
		},
	}
}

func (d *Deps) runRateMessages(ctx context.Context, in *gateway.Input) gateway.Finding {
	s := in.Session
	if d.exempt(s) {
		return notLimited()
	}
	standing := d.standing(s)
	a := &single{}
	charges := d.ownRates(a.room[:0], s.Client.Addr(), limit.Messages, standing, 1)
	charges = d.charge(charges, limit.Organisation, limit.Messages, d.organisation(ctx, in), standing)
	charges = d.charge(charges, limit.SenderDomain, limit.Messages, in.Envelope.From.Domain, standing)
	return d.counted(ctx, a, charges)
}

// organisation is the registered domain of the client's verified reverse name, or else of a name in HELO that has the client's
// address; "" where neither is known by now: a count is not worth a wait. A name that proves nothing is nobody's, so that
// nobody uses up the limit of another.
func (d *Deps) organisation(ctx context.Context, in *gateway.Input) string {
	s := in.Session
	if unjudged(s) {
		return ""
	}
	if gateway.Known(&s.Facts, factReverse) {
		if r := d.reverse(ctx, s); r.Status == dns.Found {
			return dmarc.Registered(r.Name)
		}
	}
	if heloProven(in.Envelope.Findings) && !s.Helo.Literal {
		return dmarc.Registered(heloText(s))
	}
	return ""
}

// heloProven reports whether the check helo found the name to lead to the client.
func heloProven(findings []gateway.Finding) bool {
	for i := range findings {
		if f := &findings[i]; f.Check == "helo" {
			return f.Result == gateway.Pass && len(f.Measures) == 0
		}
	}
	return false
}
