package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"gatepost/gateway/relay"
	"gatepost/gateway/reports"
	"gatepost/internal/config"
	"gatepost/internal/store"
	"gatepost/tls/mtasts"
	"gatepost/tls/tlsrpt"
)

// tlsReportRoute is the name of the way out for reports about TLS.
const tlsReportRoute = "tls reports"

// makeTLSReports translates tlsrpt; nil for off.
func makeTLSReports(c *config.Config, p *parts, routes []relay.Route) (*reports.Settings, *relay.Relay, error) {
	d := c.Policy.TLSReporting()
	if !d.On() {
		return nil, nil, nil
	}
	s, way, err := makeReporting(c, p, routes, &d, tlsReportRoute, "tlsrpt")
	if err != nil {
		return nil, nil, err
	}
	s.Web = reports.NewWeb(p.dialByName, nil)
	return s, way, nil
}

// connectTime is for one address of a host that is posted to.
const connectTime = 10 * time.Second

// dialByName connects to a host that the resolver of the configuration finds, one address after another.
func (p *parts) dialByName(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := finder{p.resolver}.Addresses(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	err = errors.New("no address")
	for _, a := range found[:min(len(found), 4)] {
		var conn net.Conn
		if conn, err = (&net.Dialer{Timeout: connectTime}).DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", host, err)
}

// openTLSReports makes what counts and sends reports about TLS, of the connections that carry mail and failure notices. Those
// that carry reports are not counted: else two domains would report to each other for ever about their reports. Call it before
// the first snapshot is made.
func (d *daemon) openTLSReports() {
	d.tlsReports = reports.NewTLS(reports.Options{Resolver: texts{d.parts.resolver}, IDs: d.ids, Log: d.log,
		Open: func(ctx context.Context) (reports.Store, error) {
			s, err := store.OpenTLSReports(ctx, filepath.Join(d.bootstrap.StateDir, "tlsreports.db"), d.log)
			if err != nil {
				return nil, err
			}
			return s, nil
		}})
	watch := func(n relay.Negotiation) { d.tlsReports.TakeSession(n.At, sessionOf(&n)) }
	d.parts.hops.Watch(watch)
	d.parts.noticeHops.Watch(watch)
	d.parts.policyFailed = func(domain string, fault *mtasts.Fault) { d.tlsReports.TakeSession(time.Now(), faultOf(domain, fault)) }
}

// sessionOf makes of a connection what is counted of it.
func sessionOf(n *relay.Negotiation) *tlsrpt.Line {
	l := &tlsrpt.Line{Count: 1, Policy: tlsrpt.Policy{Kind: tlsrpt.NoPolicy, Domain: n.Domain}}
	switch n.Basis {
	case relay.ByTLSA:
		l.Policy.Kind = tlsrpt.TLSA
		for _, r := range n.TLSA {
			l.Policy.Strings = append(l.Policy.Strings, r.String())
		}
	case relay.BySTS:
		l.Policy = policyOf(n.Domain, n.STS)
	}
	if n.Failed != "" {
		l.Failure = tlsrpt.Failure{Result: tlsrpt.Result(n.Failed), SendingIP: seen(n.Local), MXHostname: n.Host, ReceivingIP: n.Remote, Code: n.Detail}
		if _, err := netip.ParseAddr(n.Host); err == nil {
			l.Failure.MXHostname = ""
		}
	}
	return l
}

// seen is an address of ours as others see it: one of our own network tells nobody anything, and is nobody's business.
func seen(a netip.Addr) netip.Addr {
	if a.IsPrivate() || !a.IsGlobalUnicast() {
		return netip.Addr{}
	}
	return a
}

// policyOf tells of an MTA-STS policy (RFC 8460 section 4.4: its lines, and its patterns).
func policyOf(domain string, p *mtasts.Policy) tlsrpt.Policy {
	out := tlsrpt.Policy{Kind: tlsrpt.STS, Domain: domain}
	if p == nil {
		return out
	}
	out.MXHost = p.MX
	out.Strings = append(out.Strings, "version: STSv1", "mode: "+string(p.Mode))
	for _, mx := range p.MX {
		out.Strings = append(out.Strings, "mx: "+mx)
	}
	out.Strings = append(out.Strings, fmt.Sprintf("max_age: %d", int64(p.MaxAge/time.Second)))
	return out
}

// faultOf makes of an MTA-STS policy that could not be had what is counted of it: as many sessions as there were fetches, since
// that mail went on without it is not a matter of any one connection (RFC 8460 section 4.3.2.2).
func faultOf(domain string, fault *mtasts.Fault) *tlsrpt.Line {
	_, why := tlsrpt.Explain(fault)
	if fault.Result == mtasts.PolicyInvalid {
		why = fault.Error()
	}
	return &tlsrpt.Line{Count: 1, Policy: policyOf(domain, nil),
		Failure: tlsrpt.Failure{Result: tlsrpt.Result(fault.Result), MXHostname: mtasts.HostName(domain), Code: why}}
}

// tlsReportInstruments shows how reports about TLS are.
func (d *daemon) tlsReportInstruments() {
	m := d.journal.Metrics()
	m.Counter("tlsrpt_counted_total", "Connections to next hops that were counted for reports about TLS.", func() float64 { return float64(d.tlsReports.Stats().Counted) })
	m.Counter("tlsrpt_lost_total", "Connections that found no room to be counted for reports about TLS.", func() float64 { return float64(d.tlsReports.Stats().Lost) })
	m.Counter("tlsrpt_reports_sent_total", "Reports about TLS that were handed on, by mail or https.", func() float64 { return float64(d.tlsReports.Stats().Sent) })
	m.Counter("tlsrpt_reports_failed_total", "Reports about TLS that were refused, or given up after a day.", func() float64 { return float64(d.tlsReports.Stats().Undelivered) })
	d.journal.Health().Watch("tls reports", d.tlsReports.Health)
}
