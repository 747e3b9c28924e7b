package config

import (
	"path/filepath"
	"strings"
	"time"
)

// Spool is the folder of mail that is kept until its route can take it. Which routes use it is policy (when_down).
type Spool struct {
	Dir         string `toml:"dir" format:"path" example:"/var/lib/gatepost/spool" doc:"The folder of the spool, on a disk of its own where there is one: never in memory (tmpfs). What lies in it was answered with 250, and is lost if this disk is lost. Not set: spool in the state folder."`
	MaxBytes    Size   `toml:"max_bytes" default:"10G" min:"64M" doc:"How much the spool may hold. Beyond it mail is deferred (451), as without a spool."`
	MaxMessages int    `toml:"max_messages" unit:"messages" default:"100000" min:"100" max:"1000000" doc:"How many messages the spool may hold; each costs up to 1 KiB of memory."`
	Reserve     Size   `toml:"reserve" default:"1G" min:"16M" doc:"How much of the disk the spool leaves free: with less, mail is deferred."`
}

// WhenDown is what becomes of mail while no next hop of its route can be reached.
type WhenDown string

// The values of the key when_down of a route.
const (
	DownDefer WhenDown = "defer"
	DownSpool WhenDown = "spool"
)

// Queue is how mail in the spool is delivered, and what happens to what cannot be.
type Queue struct {
	Schedule       []time.Duration `toml:"schedule" default:"1m, 2m, 5m, 10m, 15m, 30m" min:"1s" max:"1d" rfc:"RFC 5321 section 4.5.4.1" doc:"How long after each failed try the next one comes; the last is repeated. A next hop that answers again is tried at once, whatever the schedule says."`
	Lifetime       time.Duration   `toml:"lifetime" default:"5d" min:"1m" max:"30d" rfc:"RFC 5321 section 4.5.4.1" doc:"How long a message is tried. Then it has failed for good."`
	AlarmAfter     time.Duration   `toml:"alarm_after" default:"10m" min:"1s" max:"7d" doc:"How old the oldest message may be before it is an alarm."`
	NoticesVia     string          `toml:"notices_via" format:"word" example:"outbound" rfc:"RFC 3461, RFC 3464" doc:"The route whose next hop relays failure notices to the internet. A notice goes only to a sender whose domain passed SPF or DMARC. Not set: no notices are sent, and mail that failed for good stays as a dead letter until somebody looks at it."`
	NoticeLanguage string          `toml:"notice_language" enum:"en,de,fr,es,it,pt,nl,pl" default:"en" doc:"The language of failure notices; below it they are always in English too."`
	DeadKeep       time.Duration   `toml:"dead_keep" default:"30d" min:"1d" max:"3650d" doc:"How long dead letters are kept, from when their mail came; longer than lifetime. While there are any, it is an alarm; the removal of each is told in the journal."`
}

// Validate checks that the tries fit into the lifetime, and that somebody can look at what failed after it.
func (q *Queue) Validate(report func(key, message, instead string)) {
	if len(q.Schedule) == 0 {
		report("schedule", "is an empty list", `write for example ["1m", "5m", "30m"], or remove the key for the default`)
		return
	}
	var all time.Duration
	for _, wait := range q.Schedule {
		all += wait
	}
	if q.Lifetime < all {
		report("lifetime", "ends before the tries of schedule, which take "+FormatDuration(all), "write at least as long, or a shorter schedule")
	}
	if least := q.Lifetime + 24*time.Hour; q.DeadKeep < least {
		report("dead_keep", "leaves less than a day to look at mail that was tried for its whole lifetime ("+FormatDuration(q.Lifetime)+")", "write at least "+FormatDuration(least))
	}
}

// spoolApart keeps the spool apart from the bodies, whose folder is emptied.
func (b *Bootstrap) spoolApart(report func(key, message, instead string)) {
	switch dir, body := b.Spool.Dir, b.Body.Dir; {
	case dir == body || inside(dir, body):
		report("spool.dir", shown(dir)+" is the folder of bodies (body.dir) or inside of it", "write a folder of its own")
	case inside(body, dir):
		report("body.dir", shown(body)+" is inside of the folder of the spool (spool.dir)", "write a folder of its own")
	case dir == b.StateDir || inside(b.StateDir, dir):
		report("spool.dir", shown(dir)+" holds the state folder", "write a folder of its own")
	}
}

// inside reports whether a folder lies below another.
func inside(dir, of string) bool {
	rel, err := filepath.Rel(of, dir)
	return err == nil && rel != "." && rel != ".." && !strings.HasPrefix(rel, "../")
}

// spools checks that the way out of notices is there.
func (p *Policy) spools(routes map[string]bool, names []string, report func(key, message, instead string)) {
	if via := p.Queue.NoticesVia; via != "" && !routes[via] {
		report("queue.notices_via", "there is no route "+shown(via), routeAdvice(via, names))
	}
	for i := range p.Routes {
		if r := &p.Routes[i]; r.Name == p.Queue.NoticesVia && r.Protocol == ProtocolLMTP {
			report("queue.notices_via", "route "+shown(r.Name)+" leads to a mail store (LMTP), which relays nothing to the internet", "write a route to a server that does")
		}
	}
}

// warnNoNotices says that mail of a route with a spool that fails for good stays here.
func (p *Policy) warnNoNotices(report func(key, message, instead string)) {
	if p.Queue.NoticesVia == "" && p.Spooling() {
		report("queue.notices_via", "is not set, so no sender is told when mail from the spool fails for good: it stays as a dead letter",
			"write the route of a server that relays to the internet, and look at gatepost queue list --state dead when there is an alarm")
	}
}

// Spooling reports whether any route keeps mail in the spool.
func (p *Policy) Spooling() bool {
	for i := range p.Routes {
		if p.Routes[i].WhenDown == DownSpool {
			return true
		}
	}
	return false
}

// spoolsVerified refuses a spool for recipients that nobody has verified: their mail would be answered with 250 and then
// fail, with a notice to whoever is named as its sender.
func (r *Route) spoolsVerified(report func(key, message, instead string)) {
	if r.WhenDown == DownSpool && r.Recipients == "none" {
		report("when_down", `"spool" takes mail for verified recipients only, and with recipients = "none" nobody is verified`,
			`write recipients = "call-ahead" or a directory, or when_down = "defer"`)
	}
}
