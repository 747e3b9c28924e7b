package main

import (
	"net/netip"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/gateway/recipients"
)

// learner passes events on to the journal and lets what learns learn from them, after the reply: a next hop that answered
// RCPT differently for recipients of one message has told which of them exist, a client has told whether it is a bot, and a
// message whose DMARC was looked at what its author's domain asks for and how the way it took treats mail, and each message
// what is to be thought of who sent it.
type learner struct {
	gateway.Journal
	d *daemon
}

// Write journals and learns.
func (l learner) Write(e *gateway.Event) {
	l.Journal.Write(e)
	l.d.reports.Take(e)
	l.d.meters(e)
	if now := l.d.now.Load(); e.Kind == gateway.ConnectionEvent {
		l.d.memory.Learn(e.Record.Client, now.pregreet.Lesson(e, now.snapshot.Policy))
	}
	l.d.parts.reputation.Learn(filters.ReputationLessons(e, l.d.now.Load().snapshot.Policy, l.d.parts.trusts)) // by what was known before
	l.d.parts.known.Learn(e)
	l.d.parts.known.LearnContacts(filters.ContactLessons(e))
	l.d.learnRates(e)
	l.d.guests.Learn(e)
	l.d.parts.hits.Learn(e)
	if e.Kind == gateway.TransactionEvent && e.Relayed != nil {
		learnRcpts(l.d.now.Load().rcpts, routeOf(e.Record), e.Record.From, e.Relayed)
	}
}

// learnRcpts takes in what a next hop answered for each recipient. What it refused after the dot is about the message: it is to
// be told at the retry, and there is none where all of it was refused.
func learnRcpts(rcpts *recipients.Recipients, route string, from gateway.Address, r *gateway.Relayed) {
	for i, to := range r.To[:min(len(r.To), len(r.Rcpts))] {
		switch {
		case r.At != gateway.AtDot:
			rcpts.Learn(route, to, from, r.Rcpts[i])
		case r.Result == gateway.MixedByHop:
			rcpts.LearnOfMessage(route, to, from, r.Rcpts[i])
		}
	}
}

// Early counts, and learns of who talked before the banner and was sent away for it.
func (l learner) Early(client netip.Addr, why gateway.Reason) {
	l.Journal.Early(client, why)
	switch why {
	case gateway.EarlyTalk, gateway.EarlyTLS, gateway.EarlyAlien:
		l.d.memory.Learn(client, gateway.Remembered{Bad: time.Now().Add(l.d.now.Load().pregreet.RememberBad)})
	}
}

// routeOf is the route of a transaction: that of its accepted recipients.
func routeOf(r *gateway.Record) string {
	for i := range r.Rcpts {
		if r.Rcpts[i].Code == 250 {
			return r.Rcpts[i].Route
		}
	}
	return ""
}
