package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"gatepost/console"
	"gatepost/gateway"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// newConsole makes the operators' pages, over what the daemon knows.
func (d *daemon) newConsole() (*console.Server, error) {
	c, err := console.New(console.Options{Accounts: consoleAccounts{d.users.Accounts}, Log: consoleLog{d.store.Reader()}, Frame: d.consoleFrame, Status: d.consoleStatus, Thresholds: d.consoleThresholds, Logger: d.log})
	if err != nil {
		return nil, err
	}
	c.Surface = &control.Surface{Operations: d.surface.Operations, Audit: d.surface.Audit, Log: d.log}
	return &console.Server{Handler: c.Handler(), Networks: d.bootstrap.Web.ConsoleNetworks, Certificate: d.certificates.Get}, nil
}

// consoleFrame is what each page shows around it.
func (d *daemon) consoleFrame() console.Frame {
	return console.Frame{Host: d.bootstrap.Hostname, Version: version, Policy: d.document.Load().PolicyVersion, Mode: d.now.Load().snapshot.Policy.Mode}
}

// consoleStatus is how the daemon is.
func (d *daemon) consoleStatus(ctx context.Context) console.Status {
	s := d.state(ctx)
	out := console.Status{Host: s.Host, Version: s.Version, Policy: s.Policy, Mode: s.Mode, Since: s.Since, Sessions: int(s.Sessions)}
	for _, x := range s.Servers {
		out.Services = append(out.Services, console.Service{What: x.What, Where: x.Server, Said: x.Said, OK: x.OK})
	}
	for _, p := range s.Parts {
		out.Services = append(out.Services, console.Service{What: p.Part, Said: p.Detail, OK: p.OK})
	}
	return out
}

// consoleThresholds are those that count for mail to a domain, by the policy in force.
func (d *daemon) consoleThresholds(domain string) (gateway.Thresholds, string) {
	p := d.now.Load().snapshot.Policy
	if at := p.Domain(domain); domain != "" && at != nil && at.Thresholds != nil {
		return *at.Thresholds, p.Version
	}
	return p.Thresholds, p.Version
}

// consoleLog is the message log as the console asks it.
type consoleLog struct{ *store.Reader }

// Search is that of console.Log.
func (l consoleLog) Search(ctx context.Context, q *console.LogQuery) (*console.LogPage, error) {
	res, err := l.Reader.Search(ctx, store.Query{Window: store.Window{Since: q.Since, Until: q.Until}, From: q.From, To: q.To, Client: q.Client, Subject: q.Subject,
		Verdicts: q.Verdicts, Before: q.Before, Limit: q.Limit})
	if errors.Is(err, store.ErrQuery) {
		return nil, &control.Fault{Status: http.StatusBadRequest, Message: err.Error(), Field: "q"}
	}
	if err != nil {
		return nil, err
	}
	out := &console.LogPage{More: res.More, Partial: res.Partial, Reached: res.Reached, Rows: make([]console.Row, len(res.Rows)), Gaps: gapTexts(res.Gaps)}
	for i := range res.Rows {
		r := &res.Rows[i]
		out.Rows[i] = console.Row{ID: r.ID, Session: r.Session, Time: r.Time, Kind: r.Kind, Client: r.Client, Helo: r.Helo, From: r.From, HeaderFrom: r.HeaderFrom,
			Rcpts: r.Rcpts, Size: r.Size, MessageID: r.MessageID, Subject: r.Subject, Verdict: r.Verdict, Reason: r.Reason, Check: r.Check, Score: r.Score,
			Policy: r.Policy, Reply: r.Reply, NextHop: r.NextHop, End: r.End, Later: r.Later}
	}
	return out, nil
}

// Story is that of console.Log.
func (l consoleLog) Story(ctx context.Context, id gateway.ID) (*console.Story, error) {
	s, err := l.Trace(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, console.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	out := &console.Story{Event: s.Event, Connection: s.Connection, Fates: s.Fates, Gaps: gapTexts(s.Gaps)}
	if out.Event == nil && len(s.Transactions) > 0 { // a connection that lasts
		out.Event = s.Transactions[0]
	}
	return out, nil
}

func gapTexts(all []store.Gap) (out []string) {
	for _, g := range all {
		out = append(out, cmp.Or(g.Day, "a day")+": "+g.Why)
	}
	return out
}
