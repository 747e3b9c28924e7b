package limit

import (
	"net/netip"
	"slices"
	"time"
)

// Limit is one row of limits: what is counted, and how fast it may come from whom.
type Limit struct {
	Dimension Dimension
	Unit      Unit
	// Rates is by reputation. A rate that is none is no limit for that reputation.
	Rates [reputations]Rate
	// Observed says that the limit is only told of.
	Observed bool
}

// Charge is what an event costs a subject by this limit. ok is false where there is no limit, for that reputation or
// because the subject is empty (mail without a MAIL FROM domain, a client without a verified name).
func (l *Limit) Charge(subject string, r Reputation, cost int64) (c Charge, ok bool) {
	if subject == "" || r >= reputations || !l.Rates[r].Valid() {
		return Charge{}, false
	}
	key := Key{Dimension: l.Dimension, Unit: l.Unit, Reputation: r, Subject: SubjectOf(subject)}
	return Charge{Key: key, Rate: l.Rates[r], Cost: max(cost, 1), Observed: l.Observed}, true
}

// Limits are the rows that hold, each dimension and unit once.
type Limits []Limit

// Of returns the row of a dimension and unit, nil where there is none.
func (l Limits) Of(d Dimension, u Unit) *Limit {
	i := slices.IndexFunc(l, func(one Limit) bool { return one.Dimension == d && one.Unit == u })
	if i < 0 {
		return nil
	}
	return &l[i]
}

// Networks appends what one event costs the client and its nested networks, where there are limits for them: the narrowest
// first.
func (l Limits) Networks(charges []Charge, p Places, u Unit, r Reputation, cost int64) []Charge {
	for _, of := range [...]struct {
		d       Dimension
		network netip.Prefix
	}{{Client, p.Client}, {Network, p.Network}, {WideNetwork, p.Wide}} {
		if row := l.Of(of.d, u); row != nil {
			var text [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128")]byte
			if c, ok := row.Charge(string(of.network.AppendTo(text[:0])), r, cost); ok {
				charges = append(charges, c)
			}
		}
	}
	return charges
}

// NetworkRate returns how fast one network (/26, /56) may connect at most, whoever is in it: each reputation has a key of its
// own, so that it is the sum. It is none where there is no such limit that refuses.
func (l Limits) NetworkRate() Rate {
	for _, d := range [...]Dimension{Network, WideNetwork} {
		row := l.Of(d, Connections)
		if row == nil || row.Observed {
			continue
		}
		if sum := row.Rates[Unknown].And(row.Rates[Known]).And(row.Rates[Bad]); sum.Valid() {
			return sum
		}
	}
	return Rate{}
}

// Defaults returns the limits of a site that set none; docs/decisions/018-limits.md says why these. Those that a good sender
// might meet by its size alone are observed.
func Defaults() Limits {
	row := func(d Dimension, u Unit, period time.Duration, unknown, known, bad int64) Limit {
		return Limit{Dimension: d, Unit: u, Rates: [reputations]Rate{
			Unknown: Per(unknown, period), Known: Per(known, period), Bad: Per(bad, period)}}
	}
	seen := func(l Limit) Limit {
		l.Observed = true
		return l
	}
	return Limits{
		row(Client, Connections, time.Minute, 30, 300, 6),
		row(Network, Connections, time.Minute, 90, 900, 18),
		row(WideNetwork, Connections, time.Minute, 270, 2700, 54),
		row(Client, Messages, time.Minute, 20, 120, 4),
		row(NullSender, Messages, time.Hour, 200, 200, 200),
		row(UnknownRecipient, Recipients, time.Hour, 30, 300, 6),
		row(ClientError, Errors, time.Hour, 60, 600, 12),
		seen(row(Client, Recipients, time.Minute, 200, 2000, 40)),
		seen(row(Client, KiB, time.Hour, 1<<20, 10<<20, 1<<18)), // 1 GiB, 10 GiB, 256 MiB
		seen(row(Organisation, Messages, time.Minute, 60, 1200, 12)),
		seen(row(SenderDomain, Messages, time.Minute, 60, 1200, 12)),
		seen(row(Recipient, Messages, time.Minute, 60, 120, 12)),
		seen(row(RecipientDomain, Messages, time.Minute, 600, 6000, 120)),
	}
}
