package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/config"
	"gatepost/internal/limit"
	"gatepost/internal/reputation"
	"gatepost/internal/shaping"
)

// rateSubjects and rateUnits are the words of the configuration.
func rateSubjects() map[string]limit.Dimension {
	out := map[string]limit.Dimension{}
	for d := limit.Client; d <= limit.ClientError; d++ {
		out[d.String()] = d
	}
	return out
}

func rateUnits() map[string]limit.Unit {
	return map[string]limit.Unit{"connections": limit.Connections, "messages": limit.Messages, "recipients": limit.Recipients,
		"octets": limit.KiB, "errors": limit.Errors}
}

// makeRates lays the limits of a policy over the default ones.
func makeRates(rates []config.Rate) limit.Limits {
	out, subjects, units := limit.Defaults(), rateSubjects(), rateUnits()
	for i := range rates {
		r := &rates[i]
		row := out.Of(subjects[r.Of], units[r.Unit])
		if row == nil {
			out = append(out, limit.Limit{Dimension: subjects[r.Of], Unit: units[r.Unit]})
			row = &out[len(out)-1]
		}
		row.Rates[limit.Unknown] = layRate(row.Rates[limit.Unknown], r.Unknown)
		row.Rates[limit.Known] = layRate(row.Rates[limit.Known], r.Known)
		row.Rates[limit.Bad] = layRate(row.Rates[limit.Bad], r.Bad)
		if r.Observe != nil {
			row.Observed = *r.Observe
		}
	}
	return out
}

// layRate is a rate of the policy, or the one below where it says nothing.
func layRate(below limit.Rate, r config.RatePer) limit.Rate {
	switch {
	case r.None:
		return limit.Rate{}
	case r.N == 0:
		return below
	case r.Sized:
		return limit.Per(limit.Size(r.N), r.Period)
	}
	return limit.Per(r.N, r.Period)
}

// front is the first line in front of the sessions. It lasts as long as its rate does, over reloads.
type front struct {
	rate  limit.Rate
	most  string // how much passes, in words
	again string // after how long all of it passes again, in words
	line  *limit.Front
}

// fronts keeps the line in force.
type fronts struct {
	mu  sync.Mutex
	now *front
}

// of returns the line of a rate: the one before, if it has the same.
func (f *fronts) of(r limit.Rate) *front {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == nil || f.now.rate != r {
		f.now = &front{rate: r, most: r.String(), again: filters.Seconds(r.Full()), line: limit.NewFront(r, 0)}
	}
	return f.now
}

// guard is a front under a policy.
type guard struct {
	*front // nil: nobody is turned away
	allows func(client netip.Addr, now time.Time) bool
}

// makeGuard makes the first line of a policy: it refuses only whom the check rate.connections would refuse behind it.
func makeGuard(f *fronts, rates limit.Limits, p *gateway.Policy, checks map[string]filters.Configured) guard {
	rate := rates.NetworkRate()
	if p.Mode != gateway.Enforce || p.Checks["rate.connections"].Action != gateway.ActionDrop || !rate.Valid() {
		return guard{}
	}
	return guard{f.of(rate), filters.AllowedClients(checks)}
}

// over is smtpd.Server.Front.
func (g guard) over(client netip.Addr) (args []string, over bool) {
	if g.front == nil || g.line.Allow(client) || g.allows(client, time.Now()) {
		return nil, false
	}
	return []string{filters.NetworkWords(client), g.most, g.again}, true
}

// learnRates charges limits with what a session did, now that it is known, and learns how many bounces are usual. The client
// does not wait for it.
func (d *daemon) learnRates(e *gateway.Event) {
	now := d.now.Load()
	filters.LearnBounces(d.parts.bounces, e)
	lessons := filters.RateLessons{Rates: now.rates, Policy: now.snapshot.Policy}
	charges := lessons.Of(e, d.standingOf)
	if len(charges) == 0 {
		return
	}
	ask := shaping.Ask{Takes: make([]shaping.Take, len(charges))}
	for i := range charges {
		ask.Takes[i].Charges = charges[i : i+1] // each for itself: the last may find no room
	}
	ctx, cancel := context.WithTimeout(context.Background(), lessonTime)
	defer cancel()
	d.parts.shaper.Do(ctx, &ask)
}

// lessonTime bounds what is charged after the fact.
const lessonTime = time.Second

// standingOf is what limits will go by when the client comes again.
func (d *daemon) standingOf(client netip.Addr) limit.Reputation {
	r, now := d.memory.Recall(client), time.Now()
	past := filters.PastOf(d.parts.reputation, d.now.Load().snapshot.Policy, client, now)
	return filters.StandingOf(r.Proven(now) || past == reputation.Known, r.IsBad(now) || past == reputation.Bad)
}

// rateInstruments shows which limits were met, and what they hold.
func (d *daemon) rateInstruments(m *journal.Metrics) {
	m.Counters("limit_over_total", "Times that a limit was met, by whether it refuses; also in softer modes and of allowed clients, which are let pass.",
		[]string{"limit", "refuses"}, func() (out []journal.Series) {
			for _, n := range d.parts.limited.All() {
				out = append(out, journal.Series{Labels: []string{n.Limit, "yes"}, Value: float64(n.Denied)},
					journal.Series{Labels: []string{n.Limit, "no"}, Value: float64(n.Observed)})
			}
			return out
		})
	m.Gauge("limit_keys", "Clients, networks, names and mailboxes that limits count in this process.", func() float64 { return float64(d.parts.shaper.Limits().Len()) })
	m.Gauge("bounces_known", "Mailboxes of which it is known how many bounces they usually get.", func() float64 { return float64(d.parts.bounces.Len()) })
}
