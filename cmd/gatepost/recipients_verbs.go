package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/recipients"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/directory"
	"gatepost/internal/routing"
	"gatepost/internal/store"
)

// rcptShown is what gatepost recipients show tells.
type rcptShown struct {
	Address    string             `json:"address,omitempty"` // that was asked for
	Route      string             `json:"route,omitempty"`   // of its mail; "" where we serve none
	To         []string           `json:"to,omitempty"`      // who gets its mail instead
	Looks      []recipients.Look  `json:"directories,omitempty"`
	Asks       bool               `json:"next_hop_asked"`
	Remembered []recipients.Entry `json:"remembered"`
	More       bool               `json:"more"`
}

// sourcesShown is what gatepost recipients directories tells.
type sourcesShown struct {
	Directories []directory.Status  `json:"directories"`
	Canaries    []recipients.Canary `json:"canaries"`
}

// changed is how much a verb changed.
type changed = api.RcptChanged

// Bounds of what a person can ask.
const (
	rcptsShown   = 100
	rcptsAtMost  = 100_000
	importAtOnce = 5000
)

// rcptSender is who canaries are sent by, besides nobody.
func (d *daemon) rcptSender() gateway.Address { return rcptSenderOf(d.bootstrap.Hostname) }

func rcptSenderOf(hostname string) gateway.Address {
	return gateway.Address{Text: "postmaster@" + hostname, Local: "postmaster", Domain: hostname}
}

// rcptShow answers gatepost recipients show.
func (d *daemon) rcptShow(ctx context.Context, in *api.RcptAsk) (*rcptShown, error) {
	actor := access.Of(ctx)
	if !actor.Everywhere() && (in.Address == "" || !actor.SeesAny(in.Address)) {
		return nil, &control.Fault{Status: http.StatusForbidden, Message: "address: name one of your domains", Field: "address"}
	}
	out := &rcptShown{Address: in.Address, Remembered: []recipients.Entry{}}
	now := d.now.Load()
	if out.Address != "" {
		to, err := routing.Address(out.Address)
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: strconv.Quote(out.Address) + " is no address", Hint: "write it whole, as info@example.org"}
		}
		way := now.snapshot.Policy.Destination(to)
		out.Route, out.To = way.Route, wireTexts(way.To)
		if out.Route != "" && way.To == nil {
			out.Looks, out.Asks = now.rcpts.LookUp(out.Route, to)
		}
	}
	list, more := d.parts.recipients.Remembered(out.Address, in.Limit)
	out.Remembered, out.More = append(out.Remembered, list...), more
	return out, nil
}

// rcptForget answers gatepost recipients forget.
func (d *daemon) rcptForget(ctx context.Context, in *api.RcptForget) (*changed, error) {
	route, address := in.Route, in.Address
	if (route == "") == (address == "") {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: "neither an address nor a route, or both"}
	}
	out := &changed{Changed: d.parts.recipients.Forget(route, address)}
	control.Changed(ctx, control.Change{Object: address + route, After: out})
	d.journal.Daemon(journal.Recipients, slog.String("did", "forget"), slog.String("address", gateway.CleanText(address, 320)), slog.String("route", gateway.CleanText(route, 64)), slog.Int("changed", out.Changed))
	return out, nil
}

// rcptImport answers gatepost recipients import: each address is known to the route that its mail takes.
func (d *daemon) rcptImport(ctx context.Context, in *api.RcptImport) (*changed, error) {
	list := in.Addresses
	if len(list) > importAtOnce {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf("no list of at most %d addresses", importAtOnce)}
	}
	policy, out := d.now.Load().snapshot.Policy, &changed{}
	control.Changed(ctx, control.Change{Object: "recipients", After: map[string]any{"of": len(list)}})
	for _, text := range list {
		to, err := routing.Address(text)
		if err != nil {
			return nil, &control.Fault{Status: http.StatusBadRequest, Message: strconv.Quote(gateway.CleanText(text, 320)) + " is no address"}
		}
		if way := policy.Destination(to); way.Route != "" && way.To == nil {
			d.parts.recipients.Import(way.Route, to)
			out.Changed++
		}
	}
	d.journal.Daemon(journal.Recipients, slog.String("did", "import"), slog.Int("changed", out.Changed), slog.Int("of", len(list)))
	return out, nil
}

// rcptSources answers gatepost recipients directories.
func (d *daemon) rcptSources(context.Context, *struct{}) (*sourcesShown, error) {
	now := d.now.Load()
	out := &sourcesShown{Directories: []directory.Status{}, Canaries: now.rcpts.Canaries()}
	for _, x := range now.directories {
		out.Directories = append(out.Directories, x.Status())
	}
	return out, nil
}

// rcptSync answers gatepost recipients sync: it reads one directory, or all, and waits for it as long as a verb may take.
func (d *daemon) rcptSync(ctx context.Context, in *api.RcptSync) (*sourcesShown, error) {
	name, force := in.Name, in.Force
	control.Changed(ctx, control.Change{Object: "directory " + gateway.CleanText(name, 64)})
	var chosen []*directory.Directory
	for _, x := range d.now.Load().directories {
		if name == "" || strings.EqualFold(x.Name(), name) {
			chosen = append(chosen, x)
		}
	}
	if len(chosen) == 0 {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: "there is no such directory in the policy", Hint: "gatepost recipients directories lists them"}
	}
	d.journal.Daemon(journal.Recipients, slog.String("did", "sync"), slog.String("directory", gateway.CleanText(name, 64)), slog.Bool("force", force))
	done := make(chan error, len(chosen))
	for _, x := range chosen {
		// A reading that takes longer than a verb may goes on without it.
		go func() { done <- x.Sync(context.WithoutCancel(ctx), force) }()
	}
	for range chosen {
		select {
		case <-done: // its status tells
		case <-ctx.Done():
			return nil, &control.Fault{Status: http.StatusGatewayTimeout, Message: "it is still being read", Hint: "gatepost recipients directories tells when it is done"}
		}
	}
	out := &sourcesShown{Directories: []directory.Status{}}
	for _, x := range chosen {
		out.Directories = append(out.Directories, x.Status())
	}
	return out, nil
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
		if words, bad := canaryWords(&list[0]); bad {
			return false, words
		}
	}
	return true, ""
}

// canaryWords says what is wrong with a next hop's word, and what to do.
func canaryWords(c *recipients.Canary) (words string, bad bool) {
	switch {
	case c.Everyone:
		return fmt.Sprintf("route %s: %s takes every recipient of %s, so that its yes is worth nothing: let it refuse at RCPT whom it does not know, or write "+
			"recipients = \"directory\" (Exchange filters recipients only after the message: use directory sync)", c.Route, c.NextHop, c.Domain), true
	case c.NoPostmaster != "":
		return fmt.Sprintf("route %s: %s does not take mail for postmaster@%s, which every domain must (RFC 5321 section 4.5.1): make it there, or write postmaster in policy.toml; it says %s",
			c.Route, c.NextHop, c.Domain, gateway.CleanText(c.NoPostmaster, 200)), true
	}
	return fmt.Sprintf("refuses whom it does not know, as asked %s ago", time.Since(c.Asked).Round(time.Second)), false
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
			out = append(out, answer{What: "directory", Server: s.Name, Err: err, Said: directoryWords(&s)})
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
		words, bad := canaryWords(&canary)
		out = append(out, answer{What: "recipients", Server: canary.Domain, Said: words, Warn: bad})
	}
	return out
}
