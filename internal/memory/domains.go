package memory

import (
	"time"

	"gatepost/gateway"
)

// domain is gateway.KnownDomain in little room, in Unix seconds; 0 is not known.
type domain struct {
	Asks      string `json:"asks,omitempty"`
	AsksSince int64  `json:"asks_since,omitempty"`
	First     int64  `json:"first"`
	Seen      int64  `json:"seen"`
	Outage    int64  `json:"outage,omitempty"`
	Untold    int64  `json:"untold,omitempty"`
	Passed    int64  `json:"passed,omitempty"`
	Passes    int64  `json:"passes,omitempty"`
}

// domainTime is how long a domain is known of which nothing is seen.
const domainTime = 180 * day

// Domain returns what is known of an author domain, an A-label in lower case.
func (k *Known) Domain(author string) gateway.KnownDomain {
	d := k.domains.get(author)
	return gateway.KnownDomain{Asks: d.Asks, AsksSince: moment(d.AsksSince), Seen: moment(d.Seen), Outage: moment(d.Outage),
		Untold: moment(d.Untold), Passed: moment(d.Passed), Passes: int(d.Passes)}
}

// learnDomain takes what a message tells of its author's domain. One of which nothing is worth knowing, since it neither
// asks for anything nor passed, takes no room.
func (k *Known) learnDomain(l *lesson) {
	if l.author == "" {
		return
	}
	k.domains.update(l.author, func(d *domain, known bool) change {
		asks := asked(l.Requested)
		if !known && asks == "" && !(l.result == "pass" && l.letIn) {
			return same
		}
		was := *d
		d.learn(l, asks)
		if d.Asks != was.Asks || d.AsksSince != was.AsksSince || d.Outage != was.Outage || d.Passed/day != was.Passed/day {
			return major
		}
		return minor
	})
}

// learn: a failure of DNS leaves what is known as it is, and begins an outage, or goes on with it; any answer ends it. A
// record may be known although the result could not be told.
func (d *domain) learn(l *lesson, asks string) {
	d.clamp(l.now)
	if d.First == 0 {
		d.First = l.now
	}
	if l.result == "temperror" {
		known := gateway.KnownDomain{Outage: moment(d.Outage), Untold: moment(d.Untold)}
		d.Outage, d.Untold = known.NextOutage(time.Unix(l.now, 0)).Unix(), l.now
		if l.Requested == "" {
			return
		}
	} else {
		d.Outage, d.Untold = 0, 0
	}
	d.Seen, d.Asks = l.now, asks
	switch {
	case asks == "":
		d.AsksSince = 0
	case d.AsksSince == 0:
		d.AsksSince = l.now
	}
	if l.result == "pass" && l.letIn {
		d.Passed = l.now
		d.Passes++
	}
}

// asked is what a domain asks for where that is something.
func asked(requested string) string {
	switch requested {
	case "reject":
		return "reject"
	case "quarantine":
		return "quarantine"
	}
	return ""
}

func (d *domain) clamp(now int64) {
	notBehind(now, &d.AsksSince, &d.First, &d.Seen, &d.Outage, &d.Untold, &d.Passed)
}

func (d *domain) sane(now int64) bool {
	d.clamp(now)
	return d.Asks == asked(d.Asks) && (d.Asks != "") == (d.AsksSince != 0) && min(d.AsksSince, d.First-1, d.Seen, d.Outage, d.Untold, d.Passed, d.Passes) >= 0
}

func (d *domain) last() int64          { return max(d.Seen, d.Untold) }
func (d *domain) rank() int64          { return seenOn(d.First, d.last()) }
func (d *domain) ended(now int64) bool { return d.last() <= now-domainTime }

// merge joins what was learned since the start with what was kept before: the newer answer holds, and what both say holds
// since the older one.
func (d *domain) merge(old *domain) {
	if d.AsksSince != 0 && old.AsksSince != 0 {
		d.AsksSince = min(d.AsksSince, old.AsksSince)
	}
	if d.Seen == 0 {
		d.Asks, d.AsksSince, d.Seen = asked(old.Asks), old.AsksSince, old.Seen
	}
	if d.Outage != 0 && old.Outage != 0 {
		d.Outage = min(d.Outage, old.Outage)
	}
	d.First, d.Passed, d.Passes = min(d.First, old.First), max(d.Passed, old.Passed), d.Passes+old.Passes
}
