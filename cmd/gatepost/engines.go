package main

import (
	"context"
	"fmt"
	"strings"

	"gatepost/filters"
	"gatepost/internal/addrpool"
	"gatepost/internal/config"
	"gatepost/internal/rspamd"
)

// engines are the services that look at content, beside the first clamd and spamd.
type engines struct {
	all    []engine
	rspamd *addrpool.Pool[*rspamd.Client] // nil for none
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
func newEngines(b *config.Bootstrap) (e engines, err error) {
	if r := &b.Rspamd; len(r.Addresses) > 0 {
		e.rspamd, err = addrpool.New(addrpool.Config[*rspamd.Client]{Addresses: r.Addresses, PerAddress: r.MaxConnections,
			Open: func(a string) (*rspamd.Client, error) {
				return rspamd.New(rspamd.Config{Address: a, Timeout: r.Timeout, MaxSize: int64(r.MaxSize)})
			},
			Probe:      func(ctx context.Context, c *rspamd.Client) (string, error) { return c.Probe(ctx) },
			Repeatable: rspamd.Repeatable, Blames: rspamd.Blames, Distrusts: rspamd.Distrusts})
		if err != nil {
			return e, fmt.Errorf("rspamd: %w", err)
		}
		e.all = append(e.all, engine{name: "rspamd", run: e.rspamd.Run, health: e.rspamd.Health})
	}
	return e, nil
}

// deps gives the checks what they work with.
func (e *engines) deps(b *config.Bootstrap, d *filters.Deps) {
	if e.rspamd != nil {
		d.Rspamd, d.RspamdHead = e.rspamd, int64(b.Rspamd.MaxSize)
	}
}

// engineDescriptors is how many file descriptors they may need at once.
func engineDescriptors(b *config.Bootstrap) int {
	return len(b.Rspamd.Addresses) * b.Rspamd.MaxConnections
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
