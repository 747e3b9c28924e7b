package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"gatepost/cmd/gatepost/alarms"
	"gatepost/cmd/gatepost/bypasses"
	"gatepost/cmd/gatepost/nodes"
	"gatepost/cmd/gatepost/weekly"
	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/internal/access"
	"gatepost/internal/alarm"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/durable"
	"gatepost/internal/store/admin"
)

// kindPart is the kind of alarms about parts of health, whose object is the name of the part.
const kindPart = "part"

// Times of the look at the parts.
const (
	alarmEvery = 2 * time.Second
	alarmAfter = 5 * time.Second  // that a part may be unwell before it is an alarm: at the start everything is, for a moment
	alarmCalm  = 30 * time.Second // after the start, in which nothing of before is taken for mended: what was not asked yet looks well
	alarmAgain = time.Minute      // after which the text of an alarm that stands is written anew
)

// alarming is what tells people of what is wrong, and lets them go on in spite of it.
type alarming struct {
	alarms   *alarm.Book
	bypasses bypasses.Book
	weekly   weekly.Post
	nodes    made[*nodes.Desk] // that share our control data
}

// runAlarms looks at the parts, tells people, ends bypasses that are over, and mails the report of the week, until ctx is done.
func (d *daemon) runAlarms(ctx context.Context) {
	var all sync.WaitGroup
	for _, run := range []func(context.Context){d.watchParts, d.alarms.Run, d.bypasses.Run, d.weekly.Run} {
		all.Go(func() { run(ctx) })
	}
	all.Wait()
}

// openAlarms makes the book of alarms, with those that stood when the process before ended.
func (d *daemon) openAlarms(first *built) {
	d.alarms = alarm.New(alarm.Options{Host: d.bootstrap.Hostname, Log: d.log, Event: d.tellAlarm, Store: &alarm.Copied{
		AtHand: &alarm.File{Name: filepath.Join(d.bootstrap.StateDir, "alarms.json"), Write: durable.WriteFile}, Copy: d.alarmCopy}})
	d.alarms.Tune(first.alarms)
	if err := d.alarms.Load(context.Background()); err != nil {
		d.log.Error("alarms of before cannot be read", "error", err)
	}
	d.openBypasses()
	d.openWeekly()
}

// openBypasses puts in force what was left out when the process before ended, and is not over.
func (d *daemon) openBypasses() {
	b := &d.bypasses
	b.File, b.Write, b.Gate, b.Alarm, b.Log = filepath.Join(d.bootstrap.StateDir, "bypasses.json"), durable.WriteFile, &d.parts.bypasses, d.alarms, d.log
	b.Ended = func(ctx context.Context, x api.Bypass) {
		if note := d.noting(); note != nil {
			note(ctx, control.Entry{Actor: access.Actor{Name: "gatepost", Via: access.BySelf}, Operation: "bypass end", In: x.Check, Change: control.Change{Object: "bypass " + x.Check, Before: x}})
		}
	}
	if err := b.Load(); err != nil {
		d.log.Error("nothing is left out", "error", err)
	}
}

// front is smtpd.Server.Front: it stands for the check of connections, and is left out with it.
func (d *daemon) front(client netip.Addr) ([]string, bool) {
	if d.parts.bypasses.Has("rate.connections") {
		return nil, false
	}
	return d.now.Load().guard.over(client)
}

// alarmsShared are the alarms of all nodes that share their control data; nil where this is the only one.
func (d *daemon) alarmsShared() *admin.Alarms {
	if d.data == nil || !d.data.Shared() {
		return nil
	}
	return &admin.Alarms{DB: d.data, Node: d.bootstrap.NodeName()}
}

// alarmCopy is where other nodes see our alarms; nil while the control data cannot be used.
func (d *daemon) alarmCopy() alarm.Store {
	if s := d.alarmsShared(); s != nil && d.data.Up() {
		return s
	}
	return nil
}

// alarmsElsewhere are the alarms of other nodes.
func (d *daemon) alarmsElsewhere(ctx context.Context) (map[string][]alarm.Alarm, error) {
	s := d.alarmsShared()
	if s == nil {
		return nil, nil
	}
	return s.Elsewhere(ctx)
}

// tellAlarm tells the journal of alarms, but for those of parts: watchParts does, for each start anew.
func (d *daemon) tellAlarm(a *alarm.Alarm) {
	if a.Kind == kindPart {
		return
	}
	if !a.Standing() {
		d.journal.Daemon(journal.AlarmOver, slog.String("alarm", a.ID), slog.Duration("after", a.Over.Sub(a.Since).Round(time.Second)))
		return
	}
	d.journal.Daemon(journal.Alarm, slog.String("alarm", a.ID), slog.String("severity", string(a.Severity)), slog.String("detail", a.Text))
}

// alarmCommands are those about alarms, checks that are left out, and the report of the week.
func alarmCommands() []cli.Command {
	return slices.Concat(alarms.Commands(), bypasses.Commands(), weekly.Commands())
}

// alarmOperations are those about alarms, checks that are left out, and the report of the week.
func (d *daemon) alarmOperations() []control.Operation {
	desk := &alarms.Desk{Book: d.alarms, Elsewhere: d.alarmsElsewhere}
	if d.bootstrap != nil {
		desk.Node = d.bootstrap.NodeName()
	}
	left := &bypasses.Desk{Book: &d.bypasses, Policy: func() *gateway.Policy { return d.now.Load().snapshot.Policy }}
	return slices.Concat(alarms.Operations(desk), bypasses.Operations(left), d.weekly.Operations())
}

// unwell is what is known of a part that is not well.
type unwell struct {
	since, raised time.Time
}

// watchParts raises and ends the alarms of parts that stop working and that work again.
func (d *daemon) watchParts(ctx context.Context) {
	parts := map[string]*unwell{}
	tick := time.NewTicker(alarmEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			_, all := d.journal.Health().Parts()
			names := make([]string, len(all))
			for i := range all {
				names[i] = all[i].Name
				if !d.stopping.Load() { // the listeners are shut on purpose
					d.watchPart(&all[i], now, parts)
				}
			}
			if now.Sub(d.started) >= alarmCalm {
				d.alarms.Sweep(kindPart, names)
			}
		}
	}
}

// watchPart looks at one part. The journal is told once of each end and beginning; the part "journal" tells it itself.
func (d *daemon) watchPart(p *journal.Part, now time.Time, parts map[string]*unwell) {
	u := parts[p.Name]
	quiet := p.Name == "journal"
	switch {
	case p.OK:
		told := u != nil && !u.raised.IsZero()
		if told && !quiet {
			d.journal.Daemon(journal.AlarmOver, slog.String("part", p.Name), slog.Duration("after", now.Sub(u.since).Round(time.Second)))
		}
		delete(parts, p.Name)
		if told || now.Sub(d.started) >= alarmCalm {
			d.alarms.Clear(kindPart, p.Name)
		}
	case u == nil:
		parts[p.Name] = &unwell{since: now}
	case now.Sub(u.since) >= alarmAfter && now.Sub(u.raised) >= alarmAgain:
		if u.raised.IsZero() && !quiet {
			d.journal.Daemon(journal.Alarm, slog.String("part", p.Name), slog.String("detail", p.Detail))
		}
		u.raised = now
		d.alarms.Raise(d.partAlarm(p))
	}
}

// partAlarm is what is said of a part that is not well.
func (d *daemon) partAlarm(p *journal.Part) alarm.Report {
	r := alarm.Report{Kind: kindPart, Object: p.Name, Severity: alarm.Warning, Text: cmp.Or(p.Detail, "is not well"), Do: partAdvice(p.Name)}
	switch p.Name {
	case "next hops", "spool", "clamav", "tlsa", "certificates": // mail stands still, or is refused
		r.Severity = alarm.Critical
	case "clients", "load":
		r.Severity = alarm.Info
	case "listeners":
		if r.Severity = alarm.Critical; d.drained.Load() != nil {
			r.Severity = alarm.Info // somebody wants it so
		}
	}
	return r
}

// partAdvice says what to do about a part that is not well.
func partAdvice(name string) string {
	switch name {
	case "next hops":
		return "gatepost status shows each next hop and what it said; gatepost check --live asks them now"
	case "spool", "spool queue":
		return "gatepost queue list shows what waits and why; docs/spool.md"
	case "dead letters":
		return "gatepost queue list --state dead"
	case "quarantine_index":
		return "look at the PostgreSQL of [store]; nothing has to be done here once it is well"
	case "backup":
		return "gatepost backup run makes one now, and says what failed; docs/backup.md"
	case "quarantine":
		return "gatepost quarantine list; docs/quarantine.md tells what each state asks for"
	case "certificates", "acme":
		return "gatepost tls status; docs/certificates.md"
	case "tlsa":
		return "gatepost tls tlsa shows the lines to publish"
	case "lists":
		return "gatepost rbl status"
	case "directories", "recipients":
		return "gatepost recipients directories"
	case "login":
		return "gatepost check --live asks the directory and the issuer of [login] now; docs/users.md"
	case "redis":
		return "mail goes on without it; docs/redis.md tells what is different meanwhile"
	case "dns":
		return "look at the resolvers of dns.servers: gatepost doctor --only dns"
	case "clamav":
		return "look at clamd on its host: systemctl status clamav-daemon; it is asked again each 30 s at most"
	case "spamassassin":
		return "look at spamd on its host: systemctl status spamd; it is asked again each 30 s at most"
	case "journal", "log":
		return "events were lost, mail was not: look at the disk of log.dir and at whoever reads stdout"
	}
	return "gatepost status shows it; gatepost doctor looks at everything"
}

// alarmInstruments shows the alarms as metrics.
func (d *daemon) alarmInstruments(m *journal.Metrics) {
	m.Gauges("alarms", "Alarms that are not over, by severity.", []string{"severity"}, func() (out []journal.Series) {
		n := map[alarm.Severity]float64{}
		list := d.alarms.List(false)
		for i := range list {
			n[list[i].Severity]++
		}
		for _, s := range alarm.Severities() {
			out = append(out, journal.Series{Labels: []string{string(s)}, Value: n[s]})
		}
		return out
	})
	m.Counters("alarm_notices_total", "Notices of alarms, by path: sent, attempts that failed, given up.", []string{"path", "result"}, func() (out []journal.Series) {
		for _, s := range d.alarms.Stats() {
			for word, n := range map[string]uint64{"sent": s.Sent, "failed": s.Failed, "dropped": s.Dropped} {
				out = append(out, journal.Series{Labels: []string{s.Path, word}, Value: float64(n)})
			}
		}
		return out
	})
}
