package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/gateway/spool"
	"gatepost/internal/config"
	"gatepost/internal/dsn"
)

// noticeRoute is the name of the way out for failure notices. No route of the configuration can be named so.
const noticeRoute = "failure notices"

// makeNotices makes the way out for failure notices: that of the route queue.notices_via, with a connection of its own, so
// that a notice never takes one from mail; nil where notices are not wanted.
func makeNotices(c *config.Config, p *parts, routes []relay.Route) (*relay.Relay, error) {
	at := slices.IndexFunc(routes, func(r relay.Route) bool { return r.Name == c.Policy.Queue.NoticesVia })
	if c.Policy.Queue.NoticesVia == "" || at < 0 {
		return nil, nil
	}
	route := routes[at]
	route.Name, route.PoolSize, route.Queue = noticeRoute, 1, 1
	way, err := relay.New(p.noticeHops, []relay.Route{route})
	if err != nil {
		return nil, fmt.Errorf("queue.notices_via: %w", err)
	}
	return way, nil
}

// noticeAnswers tells of the way out for failure notices. Nobody goes it before there is a notice to send, so that it may be
// unknown; check --live asks.
func noticeAnswers(b *built) (out []answer) {
	if b.notices == nil {
		return nil
	}
	for _, h := range b.notices.Health() {
		a := hopAnswer("notices", &h)
		if unasked(h) {
			a.Err, a.Said = nil, "route "+h.Route+", not needed yet"
		}
		out = append(out, a)
	}
	return out
}

// askNotices goes the way out for failure notices without one, and waits a little for what it finds.
func askNotices(ctx context.Context, b *built) {
	if b.notices == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { b.notices.Learn(asking); close(done) }()
	waitFor(asking, func() bool { return !slices.ContainsFunc(b.notices.Health(), unasked) })
	cancel()
	<-done
}

// spoolHop is where the spool's mail goes under a configuration: by its routes, and notices by their own way.
type spoolHop struct{ *built }

// Carries is that of gateway.NextHop.
func (s spoolHop) Carries(route string) gateway.Carries {
	switch {
	case route != noticeRoute:
		return s.relay.Carries(route)
	case s.notices == nil:
		return gateway.Carries{Defer: gateway.NextHopAway}
	}
	return s.notices.Carries(route)
}

// Relay is that of gateway.NextHop.
func (s spoolHop) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	switch {
	case d.Route != noticeRoute:
		return s.relay.Relay(ctx, d)
	case s.notices == nil:
		return gateway.Relayed{At: gateway.AtDial, Said: "queue.notices_via is not set", Reply: gateway.Word(gateway.Defer, gateway.NextHopAway, nil)}
	}
	return s.notices.Relay(ctx, d)
}

// knows reports whether the configuration in force has a route.
func (s spoolHop) knows(route string) bool {
	if route == noticeRoute {
		return s.notices != nil
	}
	return s.routes[route]
}

// notice puts the notice of a failure into the spool, with the null reverse-path, so that nobody is ever told of it. It
// answers spool.ErrNoNotice where there is no way out.
func (d *daemon) notice(ctx context.Context, f *spool.Failure) error {
	now := d.now.Load()
	if now.notices == nil {
		return spool.ErrNoNotice
	}
	c := d.document.Load()
	names, domains := innerNames(c)
	report := dsn.Report{Hostname: d.bootstrap.Hostname, Language: c.Policy.Queue.NoticeLanguage, Reference: f.ID.String(), To: f.From.Text,
		UTF8: f.Options.UTF8, Arrived: f.Custody.Arrived, Date: time.Now(), EnvID: f.Options.EnvID, Full: f.Options.Return == "FULL" && !f.Options.RequireTLS,
		Only: returnable(f, now.notices.Carries(noticeRoute)), Drop: ourFields(), Message: f.Message}
	for i := range f.Rcpts {
		report.Rcpts = append(report.Rcpts, failedRcpt(&f.Rcpts[i], names, domains))
	}
	made, err := report.Make()
	if err != nil {
		return err
	}
	id := d.ids.Next()
	err = d.queue.Put(ctx, &gateway.Delivery{ID: id, Route: noticeRoute, Options: gateway.MailOptions{EightBit: made.UTF8, UTF8: made.UTF8, RequireTLS: f.Options.RequireTLS},
		Rcpts:   []gateway.Recipient{{Address: f.From, Route: noticeRoute, Options: gateway.RcptOptions{Notify: []string{"NEVER"}}}},
		Content: gateway.Content{Parts: []io.Reader{bytes.NewReader(made.Mail)}, Size: int64(len(made.Mail)), EightBit: made.UTF8, UTF8: made.UTF8}},
		gateway.Custody{Arrived: time.Now(), Why: "notice about " + f.ID.String()})
	if err != nil {
		return err
	}
	told := gateway.Fate{ID: f.ID, Time: time.Now(), What: gateway.FateNotified, Route: f.Route, From: f.From.Text, Notice: id}
	for i := range f.Rcpts {
		told.Rcpts = append(told.Rcpts, f.Rcpts[i].Address.Text)
	}
	d.journal.Fate(&told)
	return nil
}

// returnable is which fields of a message may be returned to its sender; nil for all. Mail that was to go over verified TLS
// only is returned without its content, and where the notice itself cannot go so, with no more than tells which mail it was
// (RFC 8689 section 5).
func returnable(f *spool.Failure, way gateway.Carries) []string {
	if !f.Options.RequireTLS || way.RequireTLS {
		return nil
	}
	return []string{"Message-ID:", "Date:"}
}

// failedRcpt is a recipient as the sender may read of it: by the address that was named, not by one that stands in for it,
// and without the names of hosts behind us.
func failedRcpt(to *spool.FailedRcpt, names, domains []string) dsn.Rcpt {
	out := dsn.Rcpt{Final: to.Address.Text, Original: to.Options.Original, Status: to.Reply.Enhanced, LastTry: to.At}
	said := to.Reply.Text
	if named := to.Named.Text; named != "" {
		out.Final = named
		said = strings.NewReplacer(to.Address.Text, named, strings.ToLower(to.Address.Text), named).Replace(said)
	}
	if to.NextHop != "" {
		if host, _, err := net.SplitHostPort(to.NextHop); err == nil {
			names = append(slices.Clone(names), host) // found by MX or SRV, it is not in the configuration
		}
		out.Code, out.Said = to.Reply.Code, strings.TrimSpace(to.Reply.Enhanced+" "+dsn.Hide(said, names, slices.Concat(domains, []string{to.Address.Domain})))
	}
	if to.Expired {
		out.Status = "4.4.7"
	}
	return out
}

// ourFields are the beginnings of the names of fields that are for the inside: a stranger could learn from them how to pass.
func ourFields() []string { return []string{"X-Gatepost-", "X-Spam-"} }

// innerNames are the names and addresses of the hosts behind us, and the domain that ours is in: what a next hop says may
// name them.
func innerNames(c *config.Config) (names, domains []string) {
	for i := range c.Policy.Routes {
		r := &c.Policy.Routes[i]
		names = append(names, r.ServerName)
		for _, h := range r.NextHops {
			names = append(names, h.Host)
		}
	}
	if _, above, ok := strings.Cut(c.Bootstrap.Hostname, "."); ok && strings.Contains(above, ".") {
		domains = append(domains, above)
	}
	return names, domains
}
