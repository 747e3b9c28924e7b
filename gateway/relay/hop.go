package relay

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
)

// clearFor is how long a next hop whose handshake failed is taken in clear, in the mode Opportunistic.
const clearFor = 10 * time.Minute

// fewerFor is how long a recipient limit that a 452 taught is kept.
const fewerFor = time.Hour

// An idle connection older than checkAfter is asked whether it still works before it is used, and given up when it does
// not say so within checkTime: a firewall that forgot it would swallow the first message's commands without a word.
const (
	checkAfter = 15 * time.Second
	checkTime  = 5 * time.Second
)

// hop is one next hop with its connections. It is shared by all routes and snapshots that reach it by equal settings.
type hop struct {
	settings
	pools *Pools
	users int // of Pools.mu
	slots *slots
	pace  pace
	breaker
	tripped chan struct{} // tells Tend that the breaker opened
	facts   atomic.Pointer[learned]
	undone  atomic.Pointer[string] // why there is no DANE with it; "" where there is

	addresses atomic.Pointer[[]netip.Addr] // that were last found
	count     counters

	idleMu  sync.Mutex
	idle    []*conn // the last one was used last
	retired bool
	reaper  *time.Timer
	clear   time.Time // no STARTTLS until then
	fewer   int       // recipients in a transaction, taught by a 452
	fewerTo time.Time
}

// learned is what its last EHLO said.
type learned struct {
	offer offer
	tls   string
	keeps bool // of its connection: keepsTLS
	at    time.Time

	recalled bool // from before a restart
}

// reached reports whether the next hop was reached since the start.
func (h *hop) reached() bool {
	f := h.facts.Load()
	return f != nil && !f.recalled
}

type counters struct {
	dials, reused, delivered, refused, failed, asked atomic.Uint64
}

// message counts how a message ended.
func (n *counters) message(a *attempt) {
	switch {
	case a.stale:
	case a.Result == gateway.Delivered:
		n.delivered.Add(1)
	case a.Result == gateway.RefusedByHop, a.Result == gateway.DeferredByHop, a.Result == gateway.MixedByHop:
		n.refused.Add(1)
	}
}

// get takes a connection: an idle one that still lives, or a new one. fresh asks for a new one. The caller gives it back
// by put or by drop.
func (h *hop) get(ctx context.Context, l lane, fresh bool) (c *conn, err error) {
	if l == forMail && !fresh {
		if err := h.inTurn(ctx); err != nil {
			return nil, err
		}
	}
	if err := h.slots.take(ctx, l, h.timeouts.Slot); err != nil {
		return nil, err
	}
	defer func() {
		if c == nil {
			h.slots.give(l)
		} else {
			c.lane = l
		}
	}()
	for !fresh {
		if c = h.popIdle(); c == nil {
			break
		}
		if c.alive() && c.watch(ctx) {
			switch {
			case !h.holds(ctx, c):
				c.unwatch()
			case time.Since(c.since) < checkAfter || c.works():
				c.uses++
				h.count.reused.Add(1)
				return c, nil
			default:
				c.unwatch()
				h.flush() // the others are older
			}
		}
		c.close()
		c = nil
	}
	h.trim()
	return h.connect(ctx)
}

// trim closes the oldest idle connections where one more would be more than the pool may have.
func (h *hop) trim() {
	h.idleMu.Lock()
	n := min(max(len(h.idle)+h.slots.used()-h.size, 0), len(h.idle))
	old := append([]*conn(nil), h.idle[:n]...)
	left := copy(h.idle, h.idle[n:])
	clear(h.idle[left:])
	h.idle = h.idle[:left]
	h.idleMu.Unlock()
	for _, c := range old {
		c.quit()
	}
}

// popIdle takes the connection that was used last.
func (h *hop) popIdle() *conn {
	h.idleMu.Lock()
	defer h.idleMu.Unlock()
	n := len(h.idle)
	if n == 0 {
		return nil
	}
	c := h.idle[n-1]
	h.idle[n-1] = nil
	h.idle = h.idle[:n-1]
	return c
}

// put gives a connection back that is in step and between two transactions.
func (h *hop) put(c *conn) {
	defer h.slots.give(c.lane)
	now := time.Now()
	if !c.unwatch() || c.in.Buffered() > 0 || c.uses >= maxUses || now.Sub(c.born) >= maxAge || c.stuck() {
		c.quit()
		return
	}
	c.since = now
	h.idleMu.Lock()
	retired := h.retired
	if !retired {
		h.idle = append(h.idle, c)
		if h.reaper == nil {
			h.reaper = time.AfterFunc(h.timeouts.Idle, h.reap)
		} else if len(h.idle) == 1 {
			h.reaper.Reset(h.timeouts.Idle)
		}
	}
	h.idleMu.Unlock()
	if retired {
		c.quit()
	}
}

// drop closes a connection that was taken.
func (h *hop) drop(c *conn) {
	c.unwatch()
	c.close()
	h.slots.give(c.lane)
}

// reap closes what was idle for too long.
func (h *hop) reap() {
	h.idleMu.Lock()
	now := time.Now()
	n := 0
	for n < len(h.idle) && now.Sub(h.idle[n].since) >= h.timeouts.Idle {
		n++
	}
	old := append([]*conn(nil), h.idle[:n]...)
	left := copy(h.idle, h.idle[n:])
	clear(h.idle[left:])
	h.idle = h.idle[:left]
	if left > 0 {
		h.reaper.Reset(h.idle[0].since.Add(h.timeouts.Idle).Sub(now))
	}
	h.idleMu.Unlock()
	for _, c := range old {
		c.quit()
	}
}

// flush closes all idle connections: after one was found dead the others are as old.
func (h *hop) flush() {
	h.idleMu.Lock()
	old := h.idle
	h.idle = nil
	h.idleMu.Unlock()
	for _, c := range old {
		c.close()
	}
}

// retire closes what is idle, and from then on every connection that comes back.
func (h *hop) retire() {
	h.idleMu.Lock()
	h.retired = true
	old := h.idle
	h.idle = nil
	if h.reaper != nil {
		h.reaper.Stop()
	}
	h.idleMu.Unlock()
	for _, c := range old {
		c.quit()
	}
}

// learn keeps what a new connection was offered.
func (h *hop) learn(c *conn) {
	h.facts.Store(&learned{offer: c.offer, tls: c.tls, keeps: c.keepsTLS(), at: time.Now()})
}

// carries is what was last learned.
func (h *hop) carries() gateway.Carries {
	f := h.facts.Load()
	if f == nil {
		return gateway.Carries{}
	}
	c := f.offer.carries()
	c.RequireTLS = f.keeps
	h.idleMu.Lock()
	defer h.idleMu.Unlock()
	if h.fewer > 0 && time.Now().Before(h.fewerTo) {
		c.Recipients = lower(c.Recipients, h.fewer)
	}
	return c
}

// takesFewer keeps what a 452 to a recipient taught: n were taken before it.
func (h *hop) takesFewer(n int) {
	h.idleMu.Lock()
	defer h.idleMu.Unlock()
	h.fewer, h.fewerTo = n, time.Now().Add(fewerFor)
}

// inClear reports whether STARTTLS is left out, since a handshake failed lately.
func (h *hop) inClear() bool {
	h.idleMu.Lock()
	defer h.idleMu.Unlock()
	return time.Now().Before(h.clear)
}

func (h *hop) keepClear() {
	h.idleMu.Lock()
	defer h.idleMu.Unlock()
	h.clear = time.Now().Add(clearFor)
}

// well and ill tell the breaker how a call ended; the context of one that was cancelled says nothing about the hop.
func (h *hop) well() {
	if !h.worked() {
		h.slots.widen()
		return
	}
	h.slots.narrow()
	h.pools.log.Info("next hop works again", "next_hop", h.address)
}

func (h *hop) ill(ctx context.Context, err error) {
	h.count.failed.Add(1)
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, errBusy) || errors.Is(err, errFull) || errors.Is(err, errRate) {
		h.skipped()
		return
	}
	opened := h.failed(err)
	if h.resting() {
		put(h.tripped)
	}
	if opened {
		h.pools.log.Warn("next hop rests after failures", "next_hop", h.address, "error", err)
	}
}
