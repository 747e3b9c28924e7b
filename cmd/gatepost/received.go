package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/received"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
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

// receivedShown is how many reports are listed unless more are asked for.
const receivedShown = 50

// receivedVerb answers gatepost reports list and show.
func (d *daemon) receivedVerb(ctx context.Context, q store.ReceivedQuery) ([]store.ReceivedReport, error) {
	file, err := d.parts.received.get(ctx)
	if err != nil {
		return nil, &control.Fault{Status: http.StatusConflict, Message: err.Error()}
	}
	actor := access.Of(ctx)
	q.Domains = actor.Domains
	out, err := file.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	if q.Number != 0 && len(out) == 0 {
		return nil, &control.Fault{Status: http.StatusNotFound, Message: fmt.Sprintf("there is no report %d; gatepost reports list names those that there are", q.Number)}
	}
	if out == nil {
		out = []store.ReceivedReport{}
	}
	return out, nil
}

// receivedOperations are those of reports that others sent. Somebody of some domains sees those about them.
func (d *daemon) receivedOperations() []control.Operation {
	return []control.Operation{
		control.Define(receivedListQuestion(), func(ctx context.Context, in *api.ReceivedAsk) ([]store.ReceivedReport, error) {
			return d.receivedVerb(ctx, store.ReceivedQuery{Kind: received.Kind(in.Kind), Domain: strings.ToLower(in.Domain), Since: in.Since, Before: in.Cursor, Limit: in.Limit, Bodies: in.Bodies})
		}),
		control.Define(receivedShowQuestion(), func(ctx context.Context, in *api.ReceivedNumber) ([]store.ReceivedReport, error) {
			return d.receivedVerb(ctx, store.ReceivedQuery{Number: in.Number, Limit: 1, Bodies: true})
		}),
	}
}

// receivedQuery reads what the command line asks for.
func receivedQuery(get func(string) string) (q store.ReceivedQuery, err error) {
	q = store.ReceivedQuery{Kind: received.Kind(get("kind")), Domain: strings.ToLower(get("domain")), Limit: receivedShown}
	if q.Kind != "" && q.Kind != received.DMARC && q.Kind != received.TLS {
		return q, fmt.Errorf("--kind: %q is none; write dmarc or tls", q.Kind)
	}
	if text := get("since"); text != "" {
		if q.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return q, fmt.Errorf("--since: %q is no time", text)
		}
	}
	if text := get("number"); text != "" {
		if q.Number, err = strconv.ParseInt(text, 10, 64); err != nil || q.Number < 1 {
			return q, fmt.Errorf("%q is no number of a report; gatepost reports list shows them", text)
		}
		q.Bodies, q.Limit = true, 1
	}
	if get("bodies") != "" {
		q.Bodies = true
	}
	if text := get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > 10_000 {
			return q, fmt.Errorf("--limit: %q is no number from 1 to 10000", text)
		}
	}
	return q, nil
}
