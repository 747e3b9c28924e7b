package filters

import (
	"context"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/limit"
	"gatepost/internal/shaping"
)

// rateRecipients counts recipients, bounces to each, and recipients that do not exist.
func rateRecipients() Definition {
	return Definition{
		Name: "rate.recipients", Stage: gateway.Rcpt, Class: gateway.ClassLimiting,
		Doc:     "Does the client name more recipients than its limits say, did it name too many that do not exist, or does the recipient get more mail, or more bounces (mail from <>), than may be? It is told 451 and the time to wait, who guesses addresses late; what is refused is not counted. Trusted networks are left out. The limits are the tables [[rate]].",
		RFC:     "RFC 3463 section 3.8",
		Action:  gateway.ActionDefer,
		Unknown: gateway.ActionPass,
		Build: func(_ any, d *Deps) (Built, error) {
			d.wants[gateway.Rcpt].takes = d.recipientTakes
			return Built{Run: d.runRateRecipients, Ready: d.recipientsCountNow}, d.needsShaper()
		},
	}
}

// recipientsCountNow reports whether the step of the row waits for nobody: what the greylist asks is part of it.
func (d *Deps) recipientsCountNow(in *gateway.Input) bool {
	return d.countsNow(in) && (d.greylist == nil || d.greylistReady(in))
}

// mostHarvest is how many recipients that do not exist are charged at once; what goes beyond is not.
const mostHarvest = 16

// recipientTakes asks for the recipient at hand. Whether an address exists is known only after it was asked for, and must
// not be asked for by who asked too often: so each recipient that did not exist is charged in the step behind it, or when
// the transaction ends, and each step asks first whether one more may be.
func (d *Deps) recipientTakes(_ context.Context, in *gateway.Input, a *shaping.Ask) {
	s, e, to := in.Session, in.Envelope, in.Recipient().Address
	if d.exempt(s) {
		return
	}
	standing := d.standing(s)
	guess, braked := harvest(d.Rates, s.Client.Addr(), e.From, standing)
	if braked {
		for range unknownSince(e.Findings) {
			t := nextTake(a)
			t.Charges = append(t.Charges, guess)
		}
	}
	t := nextTake(a)
	c := d.ownRates(t.Charges, s.Client.Addr(), limit.Recipients, standing, 1)
	c = d.charge(c, limit.Recipient, limit.Messages, recipientSubject(to), standing)
	c = d.charge(c, limit.RecipientDomain, limit.Messages, to.Domain, standing)
	if e.From.IsNull() {
		c = d.bounce(c, in, standing)
	}
	if braked && to.RoleOf() == "" { // postmaster and abuse can be told of it
		guess.Asked = true
		c = append(c, guess)
	}
	if t.Charges = c; len(c) == 0 {
		a.Takes = a.Takes[:len(a.Takes)-1]
	}
}

// oneOf is the part of a mailbox's bounces that one network (/21, /48) may bring: else a single host that names a mailbox two
// hundred times an hour, and sends nothing, would have the bounces of all others deferred.
const oneOf = 4

// ofNetwork stands between the mailbox and the network.
const ofNetwork = " from "

// bounce adds what a bounce costs its mailbox, and of that the client's network.
func (d *Deps) bounce(c []limit.Charge, in *gateway.Input, r limit.Reputation) []limit.Charge {
	before, mailbox := len(c), recipientSubject(in.Recipient().Address)
	if c = d.charge(c, limit.NullSender, limit.Messages, mailbox, r); len(c) == before {
		return c
	}
	c[before].Rate = c[before].Rate.Or(d.usual(mailbox, in.Envelope))
	if wide := limit.PlacesOf(in.Session.Client.Addr()).Wide; wide.IsValid() {
		own := c[before]
		own.Key.Subject, own.Rate = limit.SubjectOf(mailbox+ofNetwork+wide.String()), own.Rate.Part(oneOf)
		c = append(c, own)
	}
	return c
}

// nextTake adds a take, and uses the room of an earlier step's again.
func nextTake(a *shaping.Ask) *shaping.Take {
	n := len(a.Takes)
	if n < cap(a.Takes) {
		a.Takes = a.Takes[:n+1]
		a.Takes[n] = shaping.Take{Charges: a.Takes[n].Charges[:0]}
	} else {
		a.Takes = append(a.Takes, shaping.Take{Charges: make([]limit.Charge, 0, mostRates)})
	}
	return &a.Takes[n]
}

// recipientSubject is an address as it is counted: letters in another case are no other mailbox.
func recipientSubject(to gateway.Address) string { return strings.ToLower(to.Key()) }

// usual is how many bounces may come by what usually comes.
func (d *Deps) usual(recipient string, e *gateway.Envelope) limit.Rate {
	if d.Bounces == nil {
		return limit.Rate{}
	}
	return d.Bounces.Rate(recipient, e.Started)
}

// unknownSince is how many recipients did not exist since the last step that charged them.
func unknownSince(findings []gateway.Finding) int {
	n := 0
	for i := len(findings) - 1; i >= 0 && n < mostHarvest; i-- {
		switch f := &findings[i]; {
		case f.Check == "rate.recipients" && f.Result != gateway.NotRun:
			return n
		case f.Result == gateway.Fail && f.Reason == gateway.RcptUnknown:
			n++
		}
	}
	return n
}

func (d *Deps) runRateRecipients(ctx context.Context, in *gateway.Input) gateway.Finding {
	if d.exempt(in.Session) {
		return notLimited()
	}
	st := d.step(ctx, gateway.Rcpt, in)
	if len(st.Takes) == 0 {
		return notLimited()
	}
	return d.rated(&st.Takes[len(st.Takes)-1])
}
