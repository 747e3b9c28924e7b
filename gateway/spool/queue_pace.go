package spool

import (
	"time"

	"gatepost/gateway"
)

// How a route that is away is looked at besides the schedule.
const (
	pollTime  = time.Second      // between two looks at what the next hop says of itself
	firstTry  = time.Second      // after the first failure, where the next hop does not say that it is away; it doubles
	longTry   = 30 * time.Second // as the breaker of the next hop
	awayProof = 30 * time.Minute // that a route must have been away in this process before messages expire untried
)

// pace is how fast messages go to a route: one at a time at first and after an outage, one more with each success, so that they
// double from round to round up to a bound, half as many after a failure, and none while it is away but for one that finds out.
type pace struct {
	window   int // 0 is 1
	inFlight int // of this spell
	spell    int // how often it was lost: what began before, and hangs, neither counts nor speaks any more
	away     bool
	since    time.Time // that it is away
	tries    int       // since then
	probe    time.Time // not before, whatever the next hop says of itself
	quick    time.Time // not before, where it says nothing of itself
	silent   bool      // it said that it was away, and no longer does when it is well
	said     string    // why
}

// may is how many messages may begin now, at most, by what the next hop says of itself; finding says that the one is to
// find out.
func (p *pace) may(now time.Time, why gateway.Reason, t *Tuning) (n int, finding bool) {
	switch {
	case p.away:
		if p.inFlight > 0 {
			return 0, false
		}
		if why == "" && (p.silent || !now.Before(p.quick)) || !now.Before(p.probe) {
			return 1, true
		}
		p.silent = p.silent || why != ""
		return 0, false
	case why == gateway.NextHopAway:
		p.lost(now, "the next hop is away", false, t)
		p.silent = true
		return 0, false
	case why != "":
		return 0, false // busy: it is asked again in a moment
	}
	return max(p.window, 1) - p.inFlight, false
}

// lost says that the route could not be reached.
func (p *pace) lost(now time.Time, why string, finding bool, t *Tuning) {
	p.window = 1
	if p.away && !finding {
		p.said = why
		return // it had begun before it was known
	}
	if !p.away {
		p.away, p.since, p.tries = true, now, 0
		p.spell, p.inFlight = p.spell+1, 0
	}
	p.said, p.silent = why, false
	p.tries++
	p.probe = now.Add(t.after(p.tries))
	p.quick = now.Add(min(firstTry<<min(p.tries-1, 10), longTry))
}

// well says that the next hop answered. It reports whether it had been away.
func (p *pace) well() bool {
	was := p.away
	p.away, p.tries, p.silent, p.said = false, 0, false, ""
	return was
}

// faster and slower follow a delivery, and what was no fault of the message.
func (p *pace) faster(t *Tuning) { p.window = min(max(p.window, 1)+1, t.perRoute()) }
func (p *pace) slower()          { p.window = max(p.window/2, 1) }
