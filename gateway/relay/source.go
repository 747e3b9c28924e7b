package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
)

// Resolver finds next hops in DNS. Its answers are what a server said; whether they are of use is looked at here.
type Resolver interface {
	// MX returns the mail hosts of a domain, each as a Hop with Host and, as its Order, the preference; none, without an
	// error, for a domain that has no such record. The root as Host is "." (RFC 7505). It says for how long that holds.
	// Each Hop is Secure where the answer was validated.
	MX(ctx context.Context, domain string) ([]Hop, time.Duration, error)
	// SRV returns the servers of a service (RFC 2782), each as a Hop with Host, Port, Weight and, as its Order, the priority.
	SRV(ctx context.Context, name string) ([]Hop, time.Duration, error)
	// Addresses returns the addresses of a host, of both families.
	Addresses(ctx context.Context, host string) ([]netip.Addr, error)
}

// How often DNS is asked for next hops, and what is taken of its answers.
const (
	soonest    = time.Minute // also where the answer says less
	latest     = time.Hour
	lookTime   = 10 * time.Second
	maxFound   = 16 // next hops of one name
	maxDialled = 6  // addresses of one next hop
)

// errLoop says that mail would come back to us (RFC 5321 section 5.1).
var errLoop = errors.New("the host to send mail to is this one itself, so mail would go round in a loop")

// source is a name in DNS that stands for next hops.
type source struct {
	Hop              // MX or SRV, Port and Order of the configuration
	found []weighted // as it was last answered
	due   time.Time  // to ask again
	pause time.Duration
	err   error
	errAt time.Time
}

// route is one route of a policy: next hops that were named, and names in DNS that stand for some.
type route struct {
	name     string
	chunking bool
	pools    *Pools
	config   Route
	named    []weighted

	mu      sync.Mutex // of the sources, and of who asks for them
	sources []*source
	closed  bool
	all     atomic.Pointer[[]weighted] // named, then what the sources stand for
	state   atomic.Pointer[[]Health]   // of sources that nothing was found for
}

type weighted struct {
	*hop
	order, weight int
}

// newRoute makes a route that was checked.
func newRoute(pools *Pools, r Route) *route {
	rt := &route{name: r.Name, chunking: r.Chunking, pools: pools, config: r}
	for _, h := range r.Hops {
		if h.MX != "" || h.SRV != "" {
			rt.sources = append(rt.sources, &source{Hop: h})
			continue
		}
		rt.named = append(rt.named, rt.weigh(h, h.Order<<16))
	}
	rt.publish()
	return rt
}

// weigh takes the hop of the pools.
func (rt *route) weigh(h Hop, order int) weighted {
	return weighted{rt.pools.use(newSettings(&rt.config, h)), order, max(h.Weight, 1)}
}

// hops are the next hops as they are known now.
func (rt *route) hops() []weighted { return *rt.all.Load() }

// publish puts together what is known of all.
func (rt *route) publish() {
	all := slices.Clone(rt.named)
	var missing []Health
	for _, s := range rt.sources {
		for _, w := range s.found {
			if !slices.ContainsFunc(all, func(o weighted) bool { return o.hop == w.hop }) {
				all = append(all, w)
			}
		}
		if len(s.found) == 0 {
			h := Health{Route: rt.name, NextHop: s.Hop.Address(), State: "not found", LastErrorAt: s.errAt}
			if s.err != nil {
				h.LastError = s.err.Error()
			}
			missing = append(missing, h)
		}
	}
	rt.all.Store(&all)
	rt.state.Store(&missing)
}

// close gives back the hops.
func (rt *route) close() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.closed = true
	drop := slices.Clone(rt.named)
	for _, s := range rt.sources {
		drop = append(drop, s.found...)
	}
	for _, h := range drop {
		rt.pools.drop(h.hop)
	}
}

// refresh asks DNS where it is time to, unless somebody does already. It returns when the next time is.
func (rt *route) refresh(ctx context.Context) (due time.Time) {
	if len(rt.sources) == 0 {
		return due
	}
	if !rt.mu.TryLock() {
		if len(rt.hops()) > 0 {
			return time.Now().Add(firstPause)
		}
		rt.mu.Lock() // there is nothing to go on with
	}
	defer rt.mu.Unlock()
	changed := false
	for _, s := range rt.sources {
		if now := time.Now(); !rt.closed && !now.Before(s.due) && ended(ctx) == nil {
			rt.look(ctx, s)
			changed = true
		}
		if due.IsZero() || s.due.Before(due) {
			due = s.due
		}
	}
	if changed {
		rt.publish()
	}
	return due
}

// look asks for one source. What was found before stays while the answer is of no use: a name server that is away, or a
// slip in a zone, stops no mail.
func (rt *route) look(ctx context.Context, s *source) {
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	hops, ttl, err := s.ask(looking, rt.pools.resolver, rt.config.Hostname)
	if err != nil && ended(ctx) != nil {
		return // it tells nothing
	}
	if err != nil {
		s.pause = min(max(2*s.pause, firstPause), longPause)
		if len(s.found) > 0 {
			s.pause = soonest
		}
		s.due = time.Now().Add(s.pause)
		if s.err == nil || s.err.Error() != err.Error() {
			rt.pools.log.Warn("next hops cannot be found; those found before are kept", "route", rt.name, "next_hop", s.Hop.Address(),
				"known", len(s.found), "error", err)
		}
		s.err, s.errAt = err, time.Now()
		return
	}
	if s.err != nil {
		rt.pools.log.Info("next hops are found again", "route", rt.name, "next_hop", s.Hop.Address())
	}
	s.err, s.pause, s.due = nil, 0, time.Now().Add(min(max(ttl, soonest), latest))
	before := s.found
	s.found = nil
	for _, h := range hops {
		s.found = append(s.found, rt.weigh(h, s.Order<<16|h.Order))
	}
	for _, h := range before { // after the new ones were taken: one that stays keeps its connections
		rt.pools.drop(h.hop)
	}
}

// ask looks the source up and reads the answer.
func (s *source) ask(ctx context.Context, r Resolver, hostname string) (hops []Hop, ttl time.Duration, err error) {
	if r == nil {
		return nil, 0, errors.New("there is nobody to ask for MX and SRV")
	}
	if s.MX != "" {
		hops, ttl, err = r.MX(ctx, s.MX)
	} else {
		hops, ttl, err = r.SRV(ctx, s.SRV)
	}
	if err != nil {
		return nil, 0, err
	}
	if len(hops) == 0 && s.MX != "" { // RFC 5321 section 5.1: the domain itself
		hops = []Hop{{Host: s.MX, Secure: true}} // it is named by the operator (RFC 7672 section 2.2.2)
	}
	hops, err = s.usable(hops, hostname)
	return hops, ttl, err
}

// usable keeps what mail can be sent to: of MX, nothing that is not nearer than ourselves (RFC 5321 section 5.1).
func (s *source) usable(hops []Hop, hostname string) ([]Hop, error) {
	hops = slices.Clone(hops)
	slices.SortStableFunc(hops, func(a, b Hop) int { return cmp.Compare(a.Order, b.Order) })
	var out []Hop
	refused, loop := 0, false
	for _, h := range hops {
		h.Host = strings.ToLower(strings.TrimSuffix(h.Host, "."))
		h.found = true
		if s.MX != "" {
			h.Port, h.domain = s.Port, strings.ToLower(strings.TrimSuffix(s.MX, "."))
		}
		if strings.EqualFold(h.Host, hostname) && s.MX != "" {
			loop = true
			out = slices.DeleteFunc(out, func(o Hop) bool { return o.Order >= h.Order })
			break
		}
		same := slices.ContainsFunc(out, func(o Hop) bool { return o.Address() == h.Address() })
		if strings.ContainsAny(h.Host, ":/") || h.check() != nil || h.Order < 0 || h.Order > 0xffff || len(out) == maxFound || same {
			refused++
			continue
		}
		out = append(out, h)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case loop:
		return nil, errLoop
	case len(hops) == 0:
		return nil, errors.New("no such record in DNS")
	case refused == 1 && hops[0].Host == ".":
		return nil, errors.New("DNS says that it takes no mail")
	}
	return nil, fmt.Errorf("none of the %d hosts that DNS names can be used", refused)
}

// Tend and Learn run f for each hop that a route has, as long as it has it.
func (rt *route) each(ctx context.Context, f func(context.Context, *hop)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	running := map[*hop]context.CancelFunc{}
	defer func() {
		for _, stop := range running {
			stop()
		}
	}()
	for {
		due := rt.refresh(ctx)
		now := rt.hops()
		for h, stop := range running {
			if !slices.ContainsFunc(now, func(w weighted) bool { return w.hop == h }) {
				stop()
				delete(running, h)
			}
		}
		for _, w := range now {
			if running[w.hop] != nil {
				continue
			}
			own, stop := context.WithCancel(ctx)
			running[w.hop] = stop
			wg.Go(func() { f(own, w.hop) })
		}
		if len(rt.sources) == 0 {
			wg.Wait()
			return
		}
		if sleep(ctx, max(time.Until(due), 50*time.Millisecond)); ctx.Err() != nil {
			return
		}
	}
}

// missing tells of the sources that nothing was found for.
func (rt *route) missing() []Health { return *rt.state.Load() }

// unknownHops is the attempt on a route that has no next hop now.
func (rt *route) unknownHops() attempt {
	var a attempt
	a.At, a.Reply, a.Said = atDial, away(), "no next hop is known"
	for _, h := range rt.missing() {
		a.Said += "; " + h.NextHop + ": " + gateway.CleanText(h.LastError, 200)
	}
	return a
}
