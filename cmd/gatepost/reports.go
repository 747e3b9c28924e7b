package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"gatepost/gateway/relay"
	"gatepost/gateway/reports"
	"gatepost/internal/config"
	"gatepost/internal/dmarcreport"
	"gatepost/internal/dns"
	"gatepost/internal/store"
)

// texts asks the resolver in the shape that reports want.
type texts struct{ r *dns.Resolver }

// LookupTXT is that of net.Resolver.
func (t texts) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a := t.r.TXT(ctx, name)
	return a.Records, a.Err()
}

// reportRoute is the name of the way out for reports.
const reportRoute = "dmarc reports"

// makeReports translates reports.dmarc; nil for off.
func makeReports(c *config.Config, p *parts, routes []relay.Route) (*reports.Settings, *relay.Relay, error) {
	d := &c.Policy.Reports.DMARC
	if !d.On() {
		return nil, nil, nil
	}
	return makeReporting(c, p, routes, d, reportRoute, "reports.dmarc")
}

// makeReporting makes the settings of one kind of report, whose keys stand in table. The way out has connections of its own,
// one at a time, so that a report never takes one from mail.
func makeReporting(c *config.Config, p *parts, routes []relay.Route, d *config.DMARCReports, name, table string) (*reports.Settings, *relay.Relay, error) {
	s := &reports.Settings{From: d.From, Org: cmp.Or(d.Org, c.Bootstrap.Hostname), Contact: d.Contact, Receiver: c.Bootstrap.Hostname, Generator: "Gatepost " + version,
		Window: d.Window, MaxSize: int64(d.MaxSize), Via: d.Via, Route: name}
	if d.Format == dmarcreport.RFC7489.String() {
		s.Format = dmarcreport.RFC7489
	}
	if d.DKIMSelector != "" {
		domain := cmp.Or(d.DKIMDomain, d.FromDomain())
		key, err := readSigningKey(cmp.Or(d.DKIMKey, c.Bootstrap.SigningKey(domain, d.DKIMSelector)))
		if err != nil {
			return nil, nil, fmt.Errorf("%s.dkim_key: %w", table, err)
		}
		s.Sign = reports.Signer(domain, d.DKIMSelector, key)
	}
	route := relay.Route{Hostname: c.Bootstrap.Hostname}
	if at := slices.IndexFunc(routes, func(r relay.Route) bool { return r.Name == d.Via }); at >= 0 {
		route = routes[at]
	} else if host, port, ok := d.Smarthost(); ok {
		route.Hops = []relay.Hop{{Host: host, Port: port}}
	}
	route.Name, route.PoolSize, route.Queue = name, 1, 1
	way, err := relay.New(p.reportHops, []relay.Route{route})
	if err != nil {
		return nil, nil, fmt.Errorf("%s.via: %w", table, err)
	}
	s.Hop = way
	return s, way, nil
}

// openReports makes what counts and sends reports. Its file is there once they are on.
func (d *daemon) openReports() {
	d.reports = reports.New(reports.Options{Resolver: texts{d.parts.resolver}, IDs: d.ids, Log: d.log,
		Open: func(ctx context.Context) (reports.Store, error) {
			s, err := store.OpenReports(ctx, filepath.Join(d.bootstrap.StateDir, "reports.db"), d.log)
			if err != nil {
				return nil, err
			}
			return s, nil
		}})
	d.reports.Set(d.now.Load().reports)
}

// reportInstruments shows how reports are.
func (d *daemon) reportInstruments() {
	m := d.journal.Metrics()
	m.Counter("dmarc_counted_total", "Messages that were counted for DMARC reports.", func() float64 { return float64(d.reports.Stats().Counted) })
	m.Counter("dmarc_lost_total", "Messages that found no room to be counted for DMARC reports.", func() float64 { return float64(d.reports.Stats().Lost) })
	m.Counter("dmarc_reports_sent_total", "Mails with a DMARC report that were handed on.", func() float64 { return float64(d.reports.Stats().Sent) })
	m.Counter("dmarc_reports_failed_total", "Mails with a DMARC report that were refused, or given up after a day.", func() float64 { return float64(d.reports.Stats().Undelivered) })
	d.journal.Health().Watch("dmarc reports", d.reports.Health)
}

// errAsksForReports says that the domain of reports.dmarc.from must not have a rua.
var errAsksForReports = errors.New("asks for reports itself, so that others would report about our reports for ever, and none is sent: " +
	"give the domain of reports.dmarc.from a DMARC record without rua")

// reportsLive asks what reports depend on: the record of our own address, and the way out.
func reportsLive(ctx context.Context, c *config.Config, b *built, p *parts) []answer {
	if b.reports == nil {
		return nil
	}
	domain := c.Policy.Reports.DMARC.FromDomain()
	own := answer{What: "dmarc reports", Server: domain, Said: "asks for no reports itself"}
	at, asks, err := dmarcreport.AsksForReports(ctx, texts{p.resolver}, domain)
	if own.Err = err; asks {
		own.Err = fmt.Errorf("%s %w", at, errAsksForReports)
	}
	way := answer{What: "dmarc reports", Server: c.Policy.Reports.DMARC.Via, Said: "greets", Err: errors.New("did not answer")}
	asking, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	go b.outward.Learn(asking)
	waitFor(asking, func() bool {
		h := b.outward.Health()
		return !slices.ContainsFunc(h, unasked)
	})
	for _, h := range b.outward.Health() {
		if !h.LearnedAt.IsZero() {
			way.Err = nil
		} else if h.LastError != "" {
			way.Err = errors.New(h.LastError)
		}
	}
	return []answer{own, way}
}
