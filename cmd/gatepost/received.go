package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	theirs "gatepost/cmd/gatepost/received"
	"gatepost/gateway"
	"gatepost/gateway/received"
	"gatepost/internal/config"
	"gatepost/internal/store"
)

// receivedReports is the file of reports that others sent, opened with the first that needs it: most gateways take none.
type receivedReports struct {
	mu   sync.Mutex
	open func(ctx context.Context) (*store.Received, error) // nil: this is no daemon
	file *store.Received
}

var errNoReports = errors.New("no reports are taken here")

func (r *receivedReports) get(ctx context.Context) (*store.Received, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		return r.file, nil
	}
	if r.open == nil {
		return nil, errNoReports
	}
	file, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	r.file = file
	return file, nil
}

// Keep implements received.Store.
func (r *receivedReports) Keep(ctx context.Context, reports []received.Report) error {
	file, err := r.get(ctx)
	if err != nil {
		return err
	}
	return file.Keep(ctx, reports)
}

// close closes the file, when the last session has ended.
func (r *receivedReports) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// openReceived tells where the reports lie. Call it before the first snapshot is made.
func (d *daemon) openReceived() {
	d.parts.received.open = func(ctx context.Context) (*store.Received, error) {
		file, err := store.OpenReceived(ctx, filepath.Join(d.bootstrap.StateDir, "received.db"), d.log)
		if err != nil {
			return nil, err
		}
		if n, err := file.Expire(ctx, time.Now()); err != nil || n > 0 {
			d.log.Info("reports received: old ones are removed", "reports", n, "error", err)
		}
		return file, nil
	}
}

// reportHop is where the mail of routes goes: some of them end here, with the reports that others send.
type reportHop struct {
	gateway.NextHop
	ends  map[string]bool
	taker *received.Taker
}

// makeReportHop puts it before the next hops, where policy has a route of that kind.
func makeReportHop(c *config.Config, p *parts, policy *gateway.Policy, hops gateway.NextHop) gateway.NextHop {
	h := reportHop{NextHop: hops, ends: map[string]bool{}}
	for i := range c.Policy.Routes {
		if r := &c.Policy.Routes[i]; r.Kind == config.RouteReport {
			h.ends[r.Name] = true
		}
	}
	if len(h.ends) == 0 {
		return hops
	}
	h.taker = &received.Taker{Opener: p.reading, Store: &p.received, Log: p.log, Serves: func(domain string) bool { return policy.Domain(domain) != nil }}
	return h
}

// Carries is that of gateway.NextHop.
func (h reportHop) Carries(route string) gateway.Carries {
	if !h.ends[route] {
		return h.NextHop.Carries(route)
	}
	return gateway.Carries{Known: true, Size: received.MaxMessage, EightBit: true, UTF8: true, Chunking: true, DSN: true}
}

// Relay is that of gateway.NextHop.
func (h reportHop) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	if !h.ends[d.Route] {
		return h.NextHop.Relay(ctx, d)
	}
	return h.taker.Take(ctx, d)
}

// receivedDesk answers what is asked of them.
func (d *daemon) receivedDesk() *theirs.Desk {
	return &theirs.Desk{File: func(ctx context.Context) (*store.Received, error) { return d.parts.received.get(ctx) }}
}
