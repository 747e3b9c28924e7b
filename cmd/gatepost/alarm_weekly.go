package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/cmd/gatepost/weekly"
	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/durable"
	"gatepost/internal/store"
)

// openWeekly makes what mails the report of the week.
func (d *daemon) openWeekly() {
	log := d.readLog()
	d.weekly = weekly.Post{File: filepath.Join(d.bootstrap.StateDir, "weekly.json"), Write: durable.WriteFile, Log: d.log, Plan: d.weeklyPlan,
		Sources: &weekly.Sources{Node: d.bootstrap.Hostname, Mail: d.weeklyMail, Alarms: d.alarms, Bypasses: d.bypasses.List,
			Released: func(ctx context.Context, w store.Window, most int) (int, []gateway.Fate, []store.Gap, error) {
				return log.FatesOf(ctx, w, gateway.FateKeptReleased, most)
			},
			Expiring: func(now time.Time) []api.WeeklyExpiry {
				return append(d.expiringCertificates(now), expiringLines(d.document.Load(), now)...)
			}}}
}

// weeklyAsks is how often the mail of a week is asked for while it is being counted.
const weeklyAsks = 40

// weeklyMail counts the mail of a week, as whoever may see all of it would be told.
func (d *daemon) weeklyMail(ctx context.Context) (*api.Summary, error) {
	ctx = access.With(ctx, access.Actor{Name: "gatepost", Role: access.Owner, Via: access.BySelf})
	var sum *api.Summary
	for range weeklyAsks { // each waits some seconds for what is being counted
		out, err := d.surface.Call(ctx, "log summary", &api.SummaryAsk{Range: "7d"})
		if err != nil {
			return nil, err
		}
		if sum = out.(*api.Summary); sum.Complete || !sum.Counting {
			break
		}
	}
	return sum, nil
}

// weeklyPlan is when the report is mailed, and to whom, as the policy in force says; nil: to nobody.
func (d *daemon) weeklyPlan() *weekly.Plan {
	w, by := &d.document.Load().Policy.Alarms, d.now.Load().mailer
	days := map[string]time.Weekday{"sunday": time.Sunday, "monday": time.Monday, "tuesday": time.Tuesday, "wednesday": time.Wednesday, "thursday": time.Thursday, "friday": time.Friday, "saturday": time.Saturday}
	day, ok := days[w.Weekly.Day]
	if by == nil || !ok {
		return nil
	}
	to := w.Weekly.To
	if len(to) == 0 {
		to = w.Mail.To
	}
	return &weekly.Plan{Day: day, At: w.Weekly.At, From: by.from, To: to, Send: by.send}
}

// expiresWithin is how far ahead a report looks.
const expiresWithin = 30 * 24 * time.Hour

// expiringCertificates are those that nobody renews by himself, and those that were to be renewed and are not.
func (d *daemon) expiringCertificates(now time.Time) (out []api.WeeklyExpiry) {
	for _, c := range d.certificateStates(now) {
		if c.Source == sourceSelfSigned || c.State == certificateOK && (!c.Renewal.IsZero() || c.NotAfter.Sub(now) > expiresWithin) {
			continue
		}
		out = append(out, api.WeeklyExpiry{What: fmt.Sprintf("certificate %s, for %s", c.Source, strings.Join(c.Names, ", ")), Last: c.NotAfter})
	}
	return out
}

// expiringLines are lines of the policy that soon count no more.
func expiringLines(c *config.Config, now time.Time) (out []api.WeeklyExpiry) {
	from := now.UTC().Truncate(24 * time.Hour)
	to := from.Add(expiresWithin)
	add := func(what string, last time.Time) {
		if !last.IsZero() && !last.Before(from) && !last.After(to) {
			out = append(out, api.WeeklyExpiry{What: what, Last: last})
		}
	}
	for i := range c.Policy.Rules {
		add("rule "+c.Policy.Rules[i].Name, c.Policy.Rules[i].Expires.Time)
	}
	for i := range c.Policy.Relays {
		var all []string
		for _, n := range c.Policy.Relays[i].Networks {
			all = append(all, n.String())
		}
		add("trusted relay "+strings.Join(all, ", "), c.Policy.Relays[i].Until.Time)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Policy.Checks)) {
		for _, e := range filters.ExpiringOf(c.Policy.Checks[name].Options, from, to) {
			what := "entry " + e.Entry
			if e.Owner != "" {
				what += ", owner " + e.Owner
			}
			add(what, e.Last)
		}
	}
	return out
}
