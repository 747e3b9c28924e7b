package weekly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"gatepost/internal/alarm"
)

// Times of the schedule.
const (
	look     = 30 * time.Second // how often the clock is looked at
	again    = 15 * time.Minute // after a failure
	patience = 24 * time.Hour   // for how long a report is tried
	workTime = 5 * time.Minute  // to make and send one
)

// kindReport is the kind of the alarm about a report that cannot be mailed.
const kindReport = "report"

// Plan is when the report is mailed, to whom, and how.
type Plan struct {
	Day  time.Weekday
	At   string // "07:00", of the zone of the machine
	From string
	To   []string
	Send func(ctx context.Context, to []string, mail []byte) (said string, err error)
}

// Last is the last moment up to now at which the plan wants a report.
func (p *Plan) Last(now time.Time) time.Time {
	clock, err := time.Parse("15:04", p.At)
	if err != nil {
		clock = time.Time{} // midnight; the configuration has looked
	}
	y, m, d := now.Date()
	for back := range 8 {
		at := time.Date(y, m, d-back, clock.Hour(), clock.Minute(), 0, 0, now.Location())
		if at.Weekday() == p.Day && !at.After(now) {
			return at
		}
	}
	return time.Time{}
}

// Next is the first moment after now at which it does.
func (p *Plan) Next(now time.Time) time.Time {
	for t := now.AddDate(0, 0, 1); ; t = t.AddDate(0, 0, 1) {
		if at := p.Last(t); at.After(now) {
			return at
		}
	}
}

// Post mails reports when they are due. What is sent is kept, so that a restart sends none twice.
type Post struct {
	*Sources
	Plan func() *Plan // in force; nil: nothing is mailed
	File string
	// Write puts the file in place at once, whole (durable.WriteFile).
	Write func(name string, text []byte, mode fs.FileMode) error
	Log   *slog.Logger
}

// sent is what is kept.
type sent struct {
	Slot time.Time `json:"slot"` // of the report that was sent last, or given up, or that was due before the first start
}

// Run mails until ctx is done.
func (p *Post) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	var done sent
	var pause time.Time // no attempt before
	known := false
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if now.Before(pause) {
				continue
			}
			if !known {
				if done, known = p.load(now); !known {
					continue
				}
			}
			if !p.due(ctx, now, &done) {
				pause = now.Add(again)
			}
		}
	}
}

// load reads what was sent. A report that was due before there was a file is nobody's.
func (p *Post) load(now time.Time) (s sent, ok bool) {
	text, err := os.ReadFile(p.File)
	switch {
	case err == nil:
		if json.Unmarshal(text, &s) == nil && !s.Slot.After(now.Add(week)) {
			return s, true
		}
	case !errors.Is(err, fs.ErrNotExist):
		p.Log.Error("weekly report", "error", err)
		return s, false
	}
	s.Slot = now
	return s, p.keep(s) == nil
}

func (p *Post) keep(s sent) error {
	text, err := json.Marshal(s)
	if err == nil {
		err = p.Write(p.File, append(text, '\n'), 0o600)
	}
	if err != nil {
		p.Log.Error("weekly report", "error", err)
	}
	return err
}

// due mails the report where one is due, and reports whether there is nothing to try again.
func (p *Post) due(ctx context.Context, now time.Time, done *sent) bool {
	plan := p.Plan()
	if plan == nil {
		p.Alarms.Clear(kindReport, "weekly")
		return true
	}
	slot := plan.Last(now)
	if !slot.After(done.Slot) {
		return true
	}
	late := now.Sub(slot) > patience
	var err error
	if !late {
		_, err = p.mail(ctx, plan, now)
	}
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		p.Alarms.Raise(alarm.Report{Kind: kindReport, Object: "weekly", Severity: alarm.Warning, Text: "the report of the week cannot be mailed: " + err.Error(), Do: "gatepost report weekly --send tries it now; gatepost alarm test mail shows what the smarthost answers"})
		return false
	}
	done.Slot = slot
	if p.keep(*done) != nil {
		return true // it is in memory; only a restart would send it again
	}
	if !late {
		p.Alarms.Clear(kindReport, "weekly")
	}
	return true
}

// mail makes and sends a report.
func (p *Post) mail(ctx context.Context, plan *Plan, now time.Time) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	if said, err = plan.Send(ctx, plan.To, Mail(p.Make(ctx, now), plan.From, plan.To)); err != nil {
		return "", err
	}
	p.Log.Info("weekly report", "to", strings.Join(plan.To, ", "), "said", said)
	return said, nil
}

// when is the next time in words; "" for never.
func (p *Post) when(now time.Time) string {
	plan := p.Plan()
	if plan == nil {
		return ""
	}
	return fmt.Sprintf("%s %s", plan.Next(now).Format("Mon 2006-01-02 15:04"), now.Format("MST"))
}
