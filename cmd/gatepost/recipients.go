package main

import (
	"context"
	"log/slog"
	"time"

	rcpts "gatepost/cmd/gatepost/recipients"
	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/recipients"
	"gatepost/internal/config"
	"gatepost/internal/directory"
	"gatepost/internal/store"
)

// rcptSender is who canaries are sent by, besides nobody.
func (d *daemon) rcptSender() gateway.Address { return rcptSenderOf(d.bootstrap.Hostname) }

func rcptSenderOf(hostname string) gateway.Address {
	return gateway.Address{Text: "postmaster@" + hostname, Local: "postmaster", Domain: hostname}
}

// openRecipients opens the file that keeps what call-ahead learned. Without it the gateway works, and asks again.
func (d *daemon) openRecipients(ctx context.Context, path string) {
	kept, err := store.OpenRecipients(ctx, path, d.log)
	if err != nil {
		d.log.Warn("memory of recipients: a restart will forget", "error", err)
		return
	}
	d.rcptFile = kept
	d.parts.recipients.Keep(kept)
}

// loadRecipients reads it.
func (d *daemon) loadRecipients(ctx context.Context) {
	if err := d.parts.recipients.Load(ctx); err != nil {
		d.log.Warn("memory of recipients: not read whole; next hops are asked again", "error", err)
	}
}

// saveRecipients keeps what call-ahead learns until ctx is done.
func (d *daemon) saveRecipients(ctx context.Context) {
	if d.rcptFile != nil {
		d.parts.recipients.Run(ctx, d.log)
	}
}

// runSources keeps the directories of a policy up to date, and looks at what the word of its next hops is worth.
func (d *daemon) runSources(b *built) func(context.Context) {
	return func(ctx context.Context) {
		go b.rcpts.Watch(ctx, d.rcptSender(), b.routesUp, d.tellCanary)
		b.runDirectories(ctx)
	}
}

// routesUp tells which routes have a next hop that answers.
func (b *built) routesUp() map[string]bool {
	up := map[string]bool{}
	for _, h := range b.relay.Health() {
		up[h.Route] = up[h.Route] || h.Usable() && !h.LearnedAt.IsZero()
	}
	return up
}

// tellCanary tells the journal what became known of a next hop.
func (d *daemon) tellCanary(c recipients.Canary) {
	attrs := []slog.Attr{slog.String("route", c.Route), slog.String("domain", c.Domain), slog.Bool("everyone", c.Everyone), slog.String("next_hop", c.NextHop)}
	if c.NoPostmaster != "" {
		attrs = append(attrs, slog.String("no_postmaster", gateway.CleanText(c.NoPostmaster, 300)))
	}
	d.journal.Daemon(journal.Canary, attrs...)
}

// canaryHealth is the part "recipients" of health: whether the word of the next hops is worth something.
func (d *daemon) canaryHealth() (bool, string) {
	list := d.now.Load().rcpts.Canaries()
	if len(list) > 0 {
		if words, bad := rcpts.CanaryWords(&list[0]); bad {
			return false, words
		}
	}
	return true, ""
}

// recipientInstruments shows directories, canaries and the memory of recipients.
func (d *daemon) recipientInstruments(m *journal.Metrics) {
	each := func(number func(s *directory.Status) float64) func() []journal.Series {
		return func() (out []journal.Series) {
			for _, x := range d.now.Load().directories {
				s := x.Status()
				out = append(out, journal.Series{Labels: []string{s.Name}, Value: number(&s)})
			}
			return out
		}
	}
	labels := []string{"directory"}
	m.Gauges("directory_addresses", "Addresses of a directory of recipients that are in force.", labels, each(func(s *directory.Status) float64 { return float64(s.Addresses) }))
	m.Gauges("directory_age_seconds", "How long ago its source was seen like this; -1 while it was never read.", labels, each(func(s *directory.Status) float64 {
		if !s.Ready {
			return -1
		}
		return time.Since(s.Read).Seconds()
	}))
	m.Gauges("directory_up", "1 while what is in force is what the source says, 0 while it fails or is held back.", labels, each(func(s *directory.Status) float64 {
		if s.OK() {
			return 1
		}
		return 0
	}))
	m.Gauge("recipients_accept_all", "Domains whose next hop takes every recipient, so that its yes is worth nothing.", func() float64 {
		n := 0
		for _, c := range d.now.Load().rcpts.Canaries() {
			if c.Everyone {
				n++
			}
		}
		return float64(n)
	})
	m.Gauge("recipients_remembered", "Recipients that next hops are remembered to know.", func() float64 { n, _, _ := d.parts.recipients.Entries(); return float64(n) })
}

// directoriesLive reads the LDAP directories.
func directoriesLive(ctx context.Context, b *built) (out []answer) {
	for _, x := range b.directories {
		if s := x.Status(); s.Kind == string(config.DirectoryLDAP) {
			err := x.Sync(ctx, false)
			s = x.Status()
			out = append(out, answer{What: "directory", Server: s.Name, Err: err, Said: rcpts.Words(&s)})
		}
	}
	return out
}

// recipientsLive reads the LDAP directories, and asks next hops for recipients that cannot exist.
func recipientsLive(ctx context.Context, c *config.Config, b *built) []answer {
	out := directoriesLive(ctx, b)
	for _, canary := range b.rcpts.Probe(ctx, rcptSenderOf(c.Bootstrap.Hostname)) {
		if canary.Asked.IsZero() {
			continue // the next hop did not answer, which is told elsewhere
		}
		words, bad := rcpts.CanaryWords(&canary)
		out = append(out, answer{What: "recipients", Server: canary.Domain, Said: words, Warn: bad})
	}
	return out
}

// recipientDesk answers what is asked of recipients.
func (d *daemon) recipientDesk() *rcpts.Desk {
	return &rcpts.Desk{Now: func() rcpts.InForce {
		now := d.now.Load()
		return rcpts.InForce{Policy: now.snapshot.Policy, Recipients: now.rcpts, Directories: now.directories}
	}, Cache: func() *recipients.Cache { return d.parts.recipients }, Told: func(attrs ...slog.Attr) { d.journal.Daemon(journal.Recipients, attrs...) }}
}
