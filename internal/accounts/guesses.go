package accounts

import (
	"net/netip"
	"strings"
	"time"
)

// Guesses slows who guesses at passwords that somebody else than Accounts looks at, just as logins of Accounts are slowed: nothing is
// locked, and whoever knows no password makes his own address wait. It is safe for concurrent use.
type Guesses struct{ t *throttle }

// NewGuesses returns one that has seen no guess.
func NewGuesses() *Guesses { return &Guesses{newThrottle()} }

// Take counts a try for a name from an address, or says how long until one is looked at. Case of names does not count.
func (g *Guesses) Take(name string, from netip.Addr) time.Duration {
	return g.t.take(strings.ToLower(name), from, false, clock())
}

// Forgive takes back a try: passed says that it was a login, and else nothing was found out.
func (g *Guesses) Forgive(name string, from netip.Addr, passed bool) {
	g.t.forgive(strings.ToLower(name), from, passed, clock())
}
