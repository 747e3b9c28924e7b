package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"time"

	"gatepost/gateway/journal"
	"gatepost/gateway/relay"
	"gatepost/internal/config"
	"gatepost/internal/dns"
	"gatepost/tls/mtasts"
)

// policyFolder is where the MTA-STS policies of next hops are kept.
func policyFolder(stateDir string) string { return filepath.Join(stateDir, "mta-sts") }

// usePolicies makes what next hops publish known to the relay, with a cache of MTA-STS policies in a folder; "": in memory.
func (p *parts) usePolicies(folder string, log *slog.Logger) {
	f := mtasts.Fetcher{Dial: policyHosts{p.resolver}.dial}
	p.policies = mtasts.NewCache(mtasts.Options{Dir: folder, TXT: policyHosts{p.resolver}.txt, Fetch: f.Fetch, Log: log,
		Failed: func(domain string, fault *mtasts.Fault) {
			if p.policyFailed != nil {
				p.policyFailed(domain, fault)
			}
		}})
	for _, way := range p.ways() {
		way.Consult(published{p.resolver, p.policies})
	}
}

// policyDomains are the domains of a policy whose MTA-STS policies count.
func policyDomains(p *config.Policy) (out []string) {
	for i := range p.Routes {
		r := &p.Routes[i]
		if !r.MTASTS || r.TLS != config.TLSOpportunistic && r.TLS != config.TLSDANE || r.Protocol == config.ProtocolLMTP {
			continue
		}
		for _, h := range r.NextHops {
			if h.MX != "" && !slices.Contains(out, h.MX) {
				out = append(out, h.MX)
			}
		}
	}
	return out
}

// policyHosts asks DNS for the records and the hosts of policies. The domains are those that the operator named as next hops,
// so that a host may be anywhere, inside too.
type policyHosts struct{ *dns.Resolver }

// txt looks up TXT records, as mtasts.Options wants it.
func (h policyHosts) txt(ctx context.Context, name string) ([]string, time.Duration, error) {
	a := h.TXT(ctx, name)
	if err := unknown(a); err != nil {
		return nil, 0, fmt.Errorf("mta-sts: %s: %w", name, err)
	}
	return a.Records, a.TTL, nil
}

// What is tried of a policy host.
const (
	policyAddresses = 6
	policyDialTime  = 10 * time.Second // for each address
)

// dial connects to a policy host that our own resolver finds.
func (h policyHosts) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	a := h.Addrs(ctx, host)
	if err := lookedUp(a.Status, a.Kind, a.Detail); err != nil {
		return nil, fmt.Errorf("%s: %w", host, err)
	}
	dialer := &net.Dialer{Timeout: policyDialTime}
	var failed []error
	for _, ip := range a.Records[:min(len(a.Records), policyAddresses)] {
		c, err := dialer.DialContext(ctx, network, net.JoinHostPort(ip.String(), port))
		if err == nil {
			return c, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

var _ relay.Published = published{}

// MTASTS implements relay.Published.
func (p published) MTASTS(ctx context.Context, domain string) *mtasts.Policy {
	return p.policies.Policy(ctx, domain)
}

// Doubt implements relay.Published.
func (p published) Doubt(domain string) { p.policies.Doubt(domain) }

// policyInstruments counts the policies of next hops.
func (d *daemon) policyInstruments(m *journal.Metrics) {
	m.Gauges("mta_sts_policies", "MTA-STS policies of next hops that are in force, by mode.", []string{"mode"}, func() []journal.Series {
		count := map[mtasts.Mode]int{}
		for _, k := range d.parts.policies.Known() {
			if k.Policy != nil {
				count[k.Policy.Mode]++
			}
		}
		var out []journal.Series
		for _, mode := range [...]mtasts.Mode{mtasts.Enforce, mtasts.Testing, mtasts.None} {
			out = append(out, journal.Series{Labels: []string{string(mode)}, Value: float64(count[mode])})
		}
		return out
	})
	m.Gauge("mta_sts_failures", "Next hops whose MTA-STS policy could not be looked up or fetched last time.", func() (n float64) {
		for _, k := range d.parts.policies.Known() {
			if k.Err != nil {
				n++
			}
		}
		return n
	})
}
