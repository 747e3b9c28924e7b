package doctor

import (
	"context"
	"fmt"
	"time"
)

// Scanner is one daemon that looks at mail, or that remembers.
type Scanner struct {
	Kind    string // "clamd", "spamd", "engine" or "redis"
	Address string
	Err     error  // it does not answer, or does not see what it must; nil where it works
	Said    string // its version
	Needed  bool   // mail is deferred without it

	// Of clamd:
	LocalOnly bool      // its database is our own, on purpose
	Database  int       // number of the official one; 0 for none
	Date      time.Time // of that
	Limit     int64     // octets of the largest message that it was seen to look through; 0 for not known
	LimitErr  error     // why not

	// Of spamd:
	Rules      time.Time // when its rules were updated; zero for not known
	RulesWhere string    // where that was looked for; "" where it was not, as on another host
}

// Ages from which a database is old: freshclam brings a new one each day, sa-update every few weeks.
const (
	oldSignatures  = 3 * 24 * time.Hour
	deadSignatures = 14 * 24 * time.Hour
	oldRules       = 60 * 24 * time.Hour
)

// scanners looks at what looks at mail.
func (w *World) scanners(ctx context.Context, r *Report) {
	for i, s := range w.AskScanners(ctx) {
		p, id := r.at(i), "scanners."+s.Kind
		unit := map[string]string{"clamd": "clamav-daemon", "spamd": "spamd", "redis": "redis-server"}[s.Kind]
		fix := "systemctl status " + unit
		if s.Kind == "engine" { // whose program is anybody's
			fix = "look at what listens there, and at its log"
		}
		switch {
		case s.Err != nil && s.Needed:
			p.fail(id, s.Address, s.Err.Error()+"; mail is deferred without it", fix)
			continue
		case s.Err != nil:
			p.warn(id, s.Address, s.Err.Error()+"; mail goes on without it", fix)
			continue
		}
		p.ok(id, s.Address, s.Said)
		switch s.Kind {
		case "clamd":
			w.signatures(p, &s)
			w.scanLimit(p, &s)
		case "spamd":
			w.rules(p, &s)
		}
	}
}

func (w *World) signatures(p part, s *Scanner) {
	const id = "scanners.signatures"
	const fix = "systemctl status clamav-freshclam; freshclam"
	age := w.Now().Sub(s.Date)
	days := count(int(age.Hours()/24), "day", "days")
	switch {
	case s.LocalOnly:
		p.ok(id, s.Address, "local ones only, as clamav.local_only says")
	case s.Database == 0:
		p.fail(id, s.Address, "it has no official database: it finds next to nothing", fix, "or, if that is meant: "+w.key("clamav.local_only", "true"))
	case age > deadSignatures:
		p.fail(id, s.Address, fmt.Sprintf("database %d is %s old: malware of today passes", s.Database, days), fix)
	case age > oldSignatures:
		p.warn(id, s.Address, fmt.Sprintf("database %d is %s old", s.Database, days), fix)
	default:
		p.ok(id, s.Address, fmt.Sprintf("database %d of %s", s.Database, s.Date.UTC().Format(time.DateOnly)))
	}
}

func (w *World) scanLimit(p part, s *Scanner) {
	const id = "scanners.limit"
	switch {
	case s.LimitErr != nil:
		p.unknown(id, s.Address, "how large a message it looks through cannot be told: "+s.LimitErr.Error())
	case s.Limit < w.MessageSize:
		p.warn(id, s.Address, fmt.Sprintf("looks through messages up to %d octets, and limits.message_size is %d", s.Limit, w.MessageSize),
			fmt.Sprintf("in clamd.conf: StreamMaxLength %d, MaxFileSize %[1]d, MaxScanSize %d", w.MessageSize+scanRoom, 2*(w.MessageSize+scanRoom)), "or "+w.key("limits.message_size", fmt.Sprint(s.Limit)))
	default:
		p.ok(id, s.Address, fmt.Sprintf("looks through messages of limits.message_size, %d octets", w.MessageSize))
	}
}

// scanRoom is what is added to a message before it is scanned.
const scanRoom = 64 << 10

func (w *World) rules(p part, s *Scanner) {
	const id = "scanners.rules"
	const fix = "systemctl enable --now spamassassin-maintenance.timer; sa-update -v"
	switch {
	case s.RulesWhere == "": // another host's, which cannot be looked at from here
	case s.Rules.IsZero():
		p.warn(id, s.Address, "there are no updates below "+s.RulesWhere+": its rules are those of its package", fix)
	case w.Now().Sub(s.Rules) > oldRules:
		p.warn(id, s.Address, "its rules are of "+s.Rules.UTC().Format(time.DateOnly), fix)
	default:
		p.ok(id, s.Address, "its rules are of "+s.Rules.UTC().Format(time.DateOnly))
	}
}
