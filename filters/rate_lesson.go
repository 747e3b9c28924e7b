package filters

import (
	"net/netip"

	"gatepost/gateway"
	"gatepost/internal/limit"
)

// harvest is what one recipient that does not exist costs a client, if there is a limit for it. Bounces to forged addresses
// come from honest hosts, and are counted apart, so that they never hold up the other mail of such a host.
func harvest(l limit.Limits, client netip.Addr, from gateway.Address, r limit.Reputation) (c limit.Charge, ok bool) {
	row, subject := l.Of(limit.UnknownRecipient, limit.Recipients), clientSubject(client)
	if row == nil || subject == "" {
		return limit.Charge{}, false
	}
	if from.IsNull() {
		subject += nullMark
	}
	return row.Charge(subject, r, 1)
}

// nullMark follows the client where only its bounces are meant.
const nullMark = " <>"

// RateLessons are what limits are charged after the fact: what a client did is known when it is done.
type RateLessons struct {
	Rates  limit.Limits
	Policy *gateway.Policy
}

// Of returns the charges that an event teaches, each to be taken on its own: errors of a connection that ended, and those
// recipients of a transaction that did not exist and were not charged by the next step. standing tells that of the client now.
func (r RateLessons) Of(e *gateway.Event, standing func(client netip.Addr) limit.Reputation) (out []limit.Charge) {
	if e.Record.Trusted || e.Verdict.Waived != "" {
		return nil
	}
	n, c, ok := 0, limit.Charge{}, false
	switch {
	case e.Kind == gateway.TransactionEvent && r.Policy.Runs("rate.recipients"):
		if n = unknownSince(e.Record.Findings); n > 0 {
			c, ok = harvest(r.Rates, e.Record.Client, e.Record.From, standing(e.Record.Client))
		}
	case e.Kind == gateway.ConnectionEvent && e.Session.Errors > 0 && r.Policy.Runs("rate.connections"):
		n = min(e.Session.Errors, mostHarvest)
		if row := r.Rates.Of(limit.ClientError, limit.Errors); row != nil {
			c, ok = row.Charge(clientSubject(e.Record.Client), standing(e.Record.Client), 1)
		}
	}
	for range n {
		if ok {
			out = append(out, c)
		}
	}
	return out
}

// LearnBounces notes the bounces that were let in: what usually comes to a mailbox.
func LearnBounces(l *limit.Learned, e *gateway.Event) {
	if e.Kind != gateway.TransactionEvent || e.Record.Stage != gateway.Data || !e.Record.From.IsNull() || e.Outcome() >= gateway.Quarantine {
		return
	}
	for i := range e.Record.Rcpts {
		if to := &e.Record.Rcpts[i]; to.Code == 250 {
			l.Note(recipientSubject(to.To), e.Record.Time)
		}
	}
}
