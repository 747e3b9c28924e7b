package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gatepost/gateway"
)

// Relay is the routes of one policy. It is immutable and safe for concurrent use; connections and what was learned lie in
// Pools and outlive it.
type Relay struct {
	pools  *Pools
	routes map[string]*route
}

var _ gateway.NextHop = (*Relay)(nil)

// New makes the routes of a policy. It connects to nobody. Its errors are those of the configuration.
func New(pools *Pools, routes []Route) (*Relay, error) {
	r := &Relay{pools: pools, routes: make(map[string]*route)}
	for i := range routes {
		if err := routes[i].check(); err != nil {
			return nil, err
		}
		if r.routes[routes[i].Name] != nil {
			return nil, fmt.Errorf("relay: route %q is there twice", routes[i].Name)
		}
		r.routes[routes[i].Name] = new(route)
	}
	for i := range routes {
		r.routes[routes[i].Name] = newRoute(pools, routes[i])
	}
	return r, nil
}

// Close gives up what only this Relay uses. Call it once, when another is in force: sessions that still hold this one can
// go on, with a new connection for each message.
func (r *Relay) Close() {
	for _, rt := range r.routes {
		rt.close()
	}
}

// Carries returns what all next hops of the route can take that were ever reached.
func (r *Relay) Carries(name string) gateway.Carries {
	var all gateway.Carries
	if rt := r.routes[name]; rt != nil {
		hops := rt.hops()
		keeps := len(hops) > 0
		for _, h := range hops {
			c := h.carries()
			all, keeps = both(all, c), keeps && c.RequireTLS
		}
		all.RequireTLS = keeps
		all.Defer = rt.deferred()
	}
	return all
}

// deferred is why no next hop of the route is likely to take a message now; "" when one is.
func (rt *route) deferred() gateway.Reason {
	why := gateway.NextHopAway
	for _, h := range rt.hops() {
		switch {
		case h.resting():
		case h.slots.crowded(h.timeouts.Slot), h.pace.full(h.rate, h.timeouts.Slot):
			why = gateway.NextHopBusy
		default:
			return ""
		}
	}
	return why
}

// Relay hands a message over. It tries the next hops of the route in their order until one takes or refuses it, and none
// after an octet of the body was sent. It returns soon after ctx is done; when that is after the end of the message the
// outcome is unknown, and where Delivery.Late is set the answer is listened for up to gateway.Listen after it.
func (r *Relay) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	began := time.Now()
	rt := r.routes[d.Route]
	if rt == nil || len(d.Rcpts) == 0 {
		return gateway.Relayed{Reply: unclear(), At: atDial, Said: "no such route, or no recipient", Took: time.Since(began)}
	}
	out := rt.try(ctx, forMail, func(c *conn) attempt {
		c.began = began
		a := c.deliver(ctx, d, rt.chunking)
		c.hop.count.message(&a)
		return a
	})
	out.Took = time.Since(began)
	return out.Relayed
}

// try makes an exchange with the next hops in their order until one needs no other.
func (rt *route) try(ctx context.Context, l lane, exchange func(*conn) attempt) attempt {
	rt.refresh(ctx)
	if len(rt.hops()) == 0 {
		return rt.unknownHops()
	}
	var last attempt
	resting := ""
	tried := false
	for _, h := range rt.order(l) {
		if !h.allow() {
			if err := h.lastError(); err != nil && resting == "" {
				resting = "; " + h.address + ": " + gateway.CleanText(err.Error(), 200)
			}
			continue
		}
		a := h.try(ctx, l, exchange)
		a.NextHop = h.address
		if !a.other || ended(ctx) != nil {
			return a
		}
		// A next hop that cannot carry the message says more than one that cannot be reached only if all cannot.
		if !tried || last.Result == gateway.RefusedByHop {
			last = a
		}
		tried = true
	}
	if !tried {
		last.At, last.Reply, last.Said = atDial, away(), "all next hops rest after failures"+resting
	}
	return last
}

// try makes an exchange with this next hop, and once more on a new connection when an idle one turned out dead.
func (h *hop) try(ctx context.Context, l lane, exchange func(*conn) attempt) attempt {
	told := false
	defer func() {
		if !told {
			h.skipped() // a panic passes through
		}
	}()
	a, reused := h.once(ctx, l, false, exchange)
	if a.stale && reused && ended(ctx) == nil {
		h.flush()
		a, _ = h.once(ctx, l, true, exchange)
	}
	switch {
	case a.blame != nil:
		h.ill(ctx, a.blame)
	default:
		h.well()
	}
	told = true
	return a
}

// once makes an exchange on one connection and gives it back or closes it. A panic closes it too.
func (h *hop) once(ctx context.Context, l lane, fresh bool, exchange func(*conn) attempt) (a attempt, reused bool) {
	c, err := h.get(ctx, l, fresh)
	if err != nil {
		return h.unreached(ctx, err), false
	}
	defer func() {
		switch {
		case a.held:
		case a.keep:
			h.put(c)
		default:
			h.drop(c)
		}
	}()
	reused = c.uses > 1
	a = exchange(c)
	a.TLS = c.tls
	if a.blame != nil && ended(ctx) != nil {
		a.Said = gateway.CleanText(because(ctx, a.blame).Error(), maxSaid)
	}
	return a, reused
}

// unreached is the attempt that got no connection.
func (h *hop) unreached(ctx context.Context, err error) attempt {
	var f *failure
	if errors.As(err, &f) {
		a := broken(f.at, err)
		a.Reply = away()
		if errors.As(err, new(unprotected)) {
			a.Reply = unsafe()
		}
		if why := ended(ctx); why != nil {
			a.Said = f.at + ": " + gateway.CleanText(why.Error(), maxSaid)
		}
		return a
	}
	a := broken(atDial, err)
	if errors.Is(err, errBusy) || errors.Is(err, errFull) || errors.Is(err, errRate) {
		a.Reply = gateway.Word(gateway.Defer, gateway.NextHopBusy, nil)
	}
	if ended(ctx) != nil {
		a.other = false
	}
	return a
}

// order returns the next hops as they are to be tried: by order, and by chance in the shares of their weights among
// those of the same order (RFC 2782). Of those of the same order the ones with a free connection come first.
func (rt *route) order(l lane) []weighted {
	all := rt.hops()
	if len(all) <= 1 {
		return all
	}
	out := slices.Clone(all)
	full := make(map[*hop]int, len(out)) // a look at each is enough: what is true of it may change meanwhile
	for _, h := range out {
		if !h.slots.room(l) {
			full[h.hop] = 1
		}
	}
	slices.SortStableFunc(out, func(a, b weighted) int { return cmp.Or(a.order-b.order, full[a.hop]-full[b.hop]) })
	for from := 0; from < len(out); from++ {
		total, to := 0, from
		for ; to < len(out) && out[to].order == out[from].order && full[out[to].hop] == full[out[from].hop]; to++ {
			total += out[to].weight
		}
		pick := rand.IntN(total)
		for i := from; i < to; i++ {
			if pick -= out[i].weight; pick < 0 {
				out[from], out[i] = out[i], out[from]
				break
			}
		}
	}
	return out
}
