package filters

import (
	"net/netip"
	"time"

	"gatepost/gateway"
	"gatepost/internal/limit"
	"gatepost/internal/reputation"
)

// standing is what is known of a client, as the limits tell their rates by. Its conduct says whether it is a bot: whoever had a
// message accepted lately and passed the tests is known, whoever failed one of them is bad. To have kept silent before the
// banner is not enough: a bot that waits six seconds once would be free to guess ten times as fast. Its past says what it
// brings, as far as this process knows it, and bad counts before known. It stays the same as long as the session lasts. What its network or its organisation brought says nothing here: a neighbour's mail
// must neither slow it down nor give it way.
func (d *Deps) standing(s *gateway.Session) limit.Reputation {
	if d.Reputation == nil || s.Trusted {
		return StandingOf(s.Conduct.Proven, s.Conduct.Bad)
	}
	own := gateway.Fact(&s.Facts, "own past", func() reputation.Standing {
		return PastOf(d.Reputation, d.Policy, s.Client.Addr(), s.Started)
	})
	return StandingOf(s.Conduct.Proven || own == reputation.Known, s.Conduct.Bad || own == reputation.Bad)
}

// PastOf is what this process knows of what a client brought before, where policy goes by it.
func PastOf(r Reputation, p *gateway.Policy, client netip.Addr, now time.Time) reputation.Standing {
	if isInside(client) || p.Checks["reputation"].Action <= gateway.ActionObserve {
		return reputation.Unknown
	}
	return r.Own(reputation.ClientOf(client)).At(now).Standing
}

// StandingOf is the same of a client that has no session any more.
func StandingOf(known, bad bool) limit.Reputation {
	switch {
	case bad:
		return limit.Bad
	case known:
		return limit.Known
	}
	return limit.Unknown
}
