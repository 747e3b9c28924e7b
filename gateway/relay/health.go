package relay

import (
	"context"
	"time"

	"gatepost/gateway"
)

// Health is what is known of one next hop at one moment.
type Health struct {
	Route       string
	NextHop     string // host:port
	State       string // of the breaker: "closed" (in use), "open" (rests) or "half-open" (one call finds out); "not found" of a name in DNS that stands for none
	Failures    int    // in a row
	LastError   string // the last one, kept after recovery
	LastErrorAt time.Time
	LastOKAt    time.Time
	RetryAt     time.Time // of an open breaker
	InUse, Idle int       // connections
	Pool        int       // connections that there may be
	Starting    int       // that there may be now, since it was away and is begun with slowly; 0: all
	Waiting     int       // messages that wait for a connection
	Asking      int       // questions about recipients that wait for one
	Resting     bool      // nothing is handed to it now
	Carries     gateway.Carries
	LearnedAt   time.Time // zero: it was not reached since the start
	RecalledAt  time.Time // when it said what it carries, where that was before the start
	TLS         string    // of the last connection; "" in clear
	NoDANE      string    // beside the modes DANE and DANEOnly: why it is not verified by DANE; "" where it is
	User        string    // who we proved to be; "" for nobody
	LMTP        bool
	// Since the start:
	Dials     uint64
	Reused    uint64 // transactions on a connection that was there
	Delivered uint64
	Refused   uint64 // messages it refused, deferred or took for some recipients only
	Failed    uint64 // transactions that it broke
	Asked     uint64 // recipients
	Busy      uint64 // messages and questions that got no connection, since too many waited or none became free in time
}

// Usable says that messages go to it.
func (h *Health) Usable() bool { return h.State == "closed" }

// Health returns what is known of each next hop of each route.
func (r *Relay) Health() []Health {
	var all []Health
	for _, rt := range r.routes {
		for _, h := range rt.hops() {
			all = append(all, h.health(rt.name))
		}
		all = append(all, rt.missing()...)
	}
	return all
}

func (h *hop) health(route string) Health {
	out := Health{Route: route, NextHop: h.address, InUse: h.slots.used(), Pool: h.size, Carries: h.carries(),
		Waiting: int(h.slots.waiting[forMail].Load()), Asking: int(h.slots.waiting[forAsking].Load()), Resting: h.resting(),
		Busy: h.slots.refused.Load()}
	h.breaker.show(&out)
	switch f := h.facts.Load(); {
	case f == nil:
	case f.recalled:
		out.RecalledAt = f.at
	default:
		out.LearnedAt, out.TLS = f.at, f.tls
	}
	h.idleMu.Lock()
	out.Idle = len(h.idle)
	h.idleMu.Unlock()
	out.LMTP = h.lmtp
	if why := h.undone.Load(); why != nil {
		out.NoDANE = *why
	}
	if n := int(h.slots.parked.Load()); n > 0 {
		out.Starting = h.size - n
	}
	if h.auth != nil {
		out.User = h.auth.User
	}
	n := &h.count
	out.Dials, out.Reused, out.Delivered = n.dials.Load(), n.reused.Load(), n.delivered.Load()
	out.Refused, out.Failed, out.Asked = n.refused.Load(), n.failed.Load(), n.asked.Load()
	return out
}

// Learn connects to every next hop that was never reached, so that Carries is known before the first message and a
// connection waits for it. It tries again until each was reached or ctx is done: run it in the background.
func (r *Relay) Learn(ctx context.Context) {
	r.eachHop(ctx, func(ctx context.Context, h *hop) { h.reach(ctx) })
}
