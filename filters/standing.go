package filters

import (
	"gatepost/gateway"
	"gatepost/internal/limit"
)

// standing is what is known of a client, as the limits tell their rates by: whoever passed the test before the banner lately
// is known, whoever failed one of the tests is bad. It stays the same as long as the session lasts.
func (d *Deps) standing(s *gateway.Session) limit.Reputation {
	return StandingOf(s.Conduct.Known, s.Conduct.Bad)
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
