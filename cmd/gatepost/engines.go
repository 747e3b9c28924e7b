package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"gatepost/filters"
	"gatepost/gateway/journal"
	"gatepost/internal/addrpool"
	"gatepost/internal/clamd"
	"gatepost/internal/config"
	"gatepost/internal/hook"
	"gatepost/internal/icap"
	"gatepost/internal/milter"
	"gatepost/internal/rspamd"
)

// engines are the services that look at content, beside the first clamd and spamd.
type engines struct {
	all     []engine
	clamavs []filters.Instance[*clamd.Client]
	rspamd  *addrpool.Pool[*rspamd.Client] // nil for none
	icap    *filters.ICAPEngine            // nil for none
	milters []filters.Instance[*milter.Client]
	hooks   []filters.Hook
}

// engine is one of them, as probes, status and health see it.
type engine struct {
	name   string // that of its check, and its own behind a blank where there may be several
	run    func(ctx context.Context)
	health func() []addrpool.Health
	// optional says that mail does not wait for it while it is away.
	optional bool
}

// newEngines makes what the bootstrap document names. It connects to nobody.
func newEngines(b *config.Bootstrap, log *slog.Logger) (*engines, error) {
	e := &engines{}
	for _, named := range [...]func(*config.Bootstrap, *slog.Logger) error{e.newClamAVs, e.newRspamd, e.newICAP, e.newMilters, e.newHooks} {
		if err := named(b, log); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// add makes the pool of an engine, and tells the others of it.
func add[T any](e *engines, name string, optional bool, c addrpool.Config[T]) (*addrpool.Pool[T], error) {
	pool, err := addrpool.New(c)
	if err != nil {
		table, _, _ := strings.Cut(name, " ")
		return nil, fmt.Errorf("%s: %s: %w", table, name, err)
	}
	e.all = append(e.all, engine{name: name, run: pool.Run, health: pool.Health, optional: optional})
	return pool, nil
}

func (e *engines) newClamAVs(b *config.Bootstrap, _ *slog.Logger) error {
	for i := range b.ClamAV.Engines {
		c := &b.ClamAV.Engines[i]
		pool, err := add(e, "clamav "+c.Name, c.Optional, addrpool.Config[*clamd.Client]{Addresses: c.Addresses, PerAddress: b.ClamAV.MaxConnections,
			Open: func(a string) (*clamd.Client, error) {
				return clamd.New(clamd.Config{Address: a, Timeout: b.ClamAV.Timeout})
			},
			Probe:      func(ctx context.Context, c *clamd.Client) (string, error) { return c.Probe(ctx) },
			Repeatable: clamd.Repeatable, Blames: clamd.Blames, Distrusts: clamd.Distrusts})
		if err != nil {
			return err
		}
		e.clamavs = append(e.clamavs, filters.Instance[*clamd.Client]{Name: c.Name, Optional: c.Optional, Servers: pool})
	}
	return nil
}

func (e *engines) newRspamd(b *config.Bootstrap, _ *slog.Logger) (err error) {
	r := &b.Rspamd
	if len(r.Addresses) == 0 {
		return nil
	}
	e.rspamd, err = add(e, "rspamd", false, addrpool.Config[*rspamd.Client]{Addresses: r.Addresses, PerAddress: r.MaxConnections,
		Open: func(a string) (*rspamd.Client, error) {
			return rspamd.New(rspamd.Config{Address: a, Timeout: r.Timeout, MaxSize: int64(r.MaxSize)})
		},
		Probe:      func(ctx context.Context, c *rspamd.Client) (string, error) { return c.Probe(ctx) },
		Repeatable: rspamd.Repeatable, Blames: rspamd.Blames, Distrusts: rspamd.Distrusts})
	return err
}

func (e *engines) newICAP(b *config.Bootstrap, _ *slog.Logger) error {
	i := &b.ICAP
	if len(i.Addresses) == 0 {
		return nil
	}
	secured, err := icapTLS(i)
	if err != nil {
		return err
	}
	pool, err := add(e, "icap", false, addrpool.Config[*icap.Client]{Addresses: i.Addresses, PerAddress: i.MaxConnections,
		Open: func(a string) (*icap.Client, error) {
			own := secured.Clone()
			if own != nil && own.ServerName == "" {
				own.ServerName, _, _ = net.SplitHostPort(a)
			}
			return icap.New(icap.Config{Address: a, Service: i.Service, Request: i.Request, TLS: own, MaxSize: int64(i.MaxSize), Timeout: i.Timeout, NoVirus: i.NoVirus})
		},
		Probe:      func(ctx context.Context, c *icap.Client) (string, error) { return c.Probe(ctx) },
		Repeatable: icap.Repeatable, Blames: icap.Blames, Distrusts: icap.Distrusts})
	if err != nil {
		return err
	}
	e.icap = &filters.ICAPEngine{Servers: pool, Send: i.Send, Most: int64(i.MaxSize), Seen: filters.NewVerdictCache(i.Cache, i.CacheAge)}
	return nil
}

// icapTLS is how an ICAP server is verified; nil where it is spoken to in clear.
func icapTLS(i *config.ICAP) (*tls.Config, error) {
	if !i.TLS {
		return nil, nil
	}
	c, err := engineTLS(i.CAFile)
	if err != nil {
		return nil, fmt.Errorf("icap: ca_file: %w", err)
	}
	c.ServerName = i.ServerName
	return c, nil
}

// engineTLS verifies a server by the authorities of a file, or by the system's where none is named.
func engineTLS(caFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c, nil
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", caFile)
	}
	return c, nil
}

func (e *engines) newMilters(b *config.Bootstrap, _ *slog.Logger) error {
	for i := range b.Milters {
		m := &b.Milters[i]
		pool, err := add(e, "milter "+m.Name, m.Optional, addrpool.Config[*milter.Client]{Addresses: m.Addresses, PerAddress: m.MaxConnections,
			Open: func(a string) (*milter.Client, error) {
				return milter.New(milter.Config{Address: a, Timeout: m.Timeout})
			},
			Probe:      func(ctx context.Context, c *milter.Client) (string, error) { return c.Probe(ctx) },
			Repeatable: milter.Repeatable, Blames: milter.Blames})
		if err != nil {
			return err
		}
		e.milters = append(e.milters, filters.Instance[*milter.Client]{Name: m.Name, Optional: m.Optional, Servers: pool})
	}
	return nil
}

func (e *engines) newHooks(b *config.Bootstrap, log *slog.Logger) error {
	for i := range b.Hooks {
		h := &b.Hooks[i]
		var secret []byte
		if h.SecretFile != "" {
			text, err := readPassword(h.SecretFile, log)
			if err != nil {
				return fmt.Errorf("hook.%s.secret_file: %w", h.Name, err)
			}
			secret = []byte(text)
		}
		secured, err := engineTLS(h.CAFile)
		if err != nil {
			return fmt.Errorf("hook: %s: ca_file: %w", h.Name, err)
		}
		pool, err := add(e, "hook "+h.Name, h.Optional, addrpool.Config[*hook.Client]{Addresses: []string{h.URL}, PerAddress: h.MaxConnections,
			Open: func(url string) (*hook.Client, error) {
				return hook.New(hook.Config{URL: url, Secret: secret, Timeout: h.Timeout, Agent: "gatepost/" + version, TLS: secured})
			},
			Probe:      func(ctx context.Context, c *hook.Client) (string, error) { return c.Probe(ctx) },
			Repeatable: hook.Repeatable, Blames: hook.Blames})
		if err != nil {
			return err
		}
		e.hooks = append(e.hooks, filters.Hook{Instance: filters.Instance[*hook.Client]{Name: h.Name, Optional: h.Optional, Servers: pool},
			Send: h.Send, Most: int64(h.MaxSize)})
	}
	return nil
}

// deps gives the checks what they work with.
func (e *engines) deps(b *config.Bootstrap, d *filters.Deps) {
	if e.rspamd != nil {
		d.Rspamd, d.RspamdHead = e.rspamd, int64(b.Rspamd.MaxSize)
	}
	d.ClamAVs, d.ICAP, d.Milters, d.Hooks = e.clamavs, e.icap, e.milters, e.hooks
}

// clamds are the engines of ClamAV that mail waits for: the first, and further ones that are not optional.
func (p *parts) clamds() (out []filters.VirusScanner) {
	if p.clamav != nil {
		out = append(out, p.clamav)
	}
	for i := range p.engines.clamavs {
		if c := &p.engines.clamavs[i]; !c.Optional {
			out = append(out, c.Servers)
		}
	}
	return out
}

// engineDescriptors is how many file descriptors they may need at once.
func engineDescriptors(b *config.Bootstrap) int {
	n := len(b.Rspamd.Addresses)*b.Rspamd.MaxConnections + len(b.ICAP.Addresses)*b.ICAP.MaxConnections
	for i := range b.ClamAV.Engines {
		n += len(b.ClamAV.Engines[i].Addresses) * b.ClamAV.MaxConnections
	}
	for i := range b.Milters {
		n += len(b.Milters[i].Addresses) * b.Milters[i].MaxConnections
	}
	for i := range b.Hooks {
		n += b.Hooks[i].MaxConnections
	}
	return n
}

// metricWord makes a name a part of a metric's.
func metricWord(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

// engineInstruments adds the metrics of the engines.
func (d *daemon) engineInstruments(m *journal.Metrics) {
	if i := d.parts.engines.icap; i != nil && i.Seen != nil {
		m.Counter("icap_cache_hits_total", "Verdicts of parts that were known.", func() float64 { n, _ := i.Seen.Counts(); return float64(n) })
		m.Counter("icap_cache_misses_total", "Verdicts of parts that were not.", func() float64 { _, n := i.Seen.Counts(); return float64(n) })
	}
}
