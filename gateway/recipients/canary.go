package recipients

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
)

// Canary is what a next hop said of a recipient that cannot exist, and of postmaster, in one domain.
type Canary struct {
	Route  string    `json:"route"`
	Domain string    `json:"domain"`
	Asked  time.Time `json:"asked"`
	Tried  time.Time `json:"-"` // whether it gave a clear answer or not
	// Everyone says that it takes every recipient, so that its yes is worth nothing.
	Everyone bool   `json:"everyone"`
	NextHop  string `json:"next_hop,omitempty"`
	Said     string `json:"said,omitempty"`
	// NoPostmaster is what it says to mail for postmaster that it does not take, though it must (RFC 5321 section 4.5.1).
	NoPostmaster string `json:"no_postmaster,omitempty"`
}

// When next hops are asked, and of how much.
const (
	canaryEvery = 6 * time.Hour
	canaryLook  = 30 * time.Second // how soon after a recovery
	canaryRest  = 100 * time.Millisecond
	canaryTime  = 30 * time.Second // for one question
	canaryMost  = 200              // domains, in the order of their names
)

// domainOf is a domain whose recipients the next hop of a route is asked for.
type domainOf struct{ route, name string }

// asked lists the domains whose recipients a next hop is asked for.
func (s *Sources) asked() []domainOf {
	var out []domainOf
	if s.Policy == nil {
		return nil
	}
	for _, d := range s.Policy.Domains {
		source, own := s.Domains[d.Name]
		if !own {
			source = s.Routes[d.Route]
		}
		if !source.None && (len(source.Directories) == 0 || source.ThenAsk) && !strings.HasPrefix(d.Name, "*") {
			out = append(out, domainOf{d.Route, d.Name})
		}
	}
	slices.SortFunc(out, func(a, b domainOf) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.route, b.route))
	})
	out = slices.Compact(out) // a domain that stands for another is that one
	return out[:min(len(out), canaryMost)]
}

// Watch asks the next hops for recipients that cannot exist: half a minute after the start, where that was not done in the
// last 6 hours, every 6 hours, and soon after up has a route that it had not when it was looked at before. It tells of each
// domain in which that changed, and ends with ctx.
func (r *Recipients) Watch(ctx context.Context, sender gateway.Address, up func() map[string]bool, tell func(Canary)) {
	last := up()
	look := time.NewTicker(canaryLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		now := up()
		for _, d := range r.sources.asked() {
			before, _ := r.cache.canary(d)
			if ctx.Err() != nil || !now[d.route] || last[d.route] && time.Since(before.Tried) < canaryEvery {
				continue
			}
			if c, news := r.probe(ctx, d, sender); news {
				tell(c)
			}
			rest(ctx, canaryRest)
		}
		last = now
	}
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Probe asks once for each domain, and returns what was found.
func (r *Recipients) Probe(ctx context.Context, sender gateway.Address) []Canary {
	var out []Canary
	for _, d := range r.sources.asked() {
		if ctx.Err() != nil {
			break
		}
		c, _ := r.probe(ctx, d, sender)
		out = append(out, c)
	}
	return out
}

// probe asks for a recipient that cannot exist, from nobody and from a sender: some next hops look at recipients only where
// there is one. No clear answer changes nothing. news reports whether it is another than before.
func (r *Recipients) probe(ctx context.Context, d domainOf, sender gateway.Address) (c Canary, news bool) {
	before, _ := r.cache.canary(d)
	c = before
	c.Route, c.Domain, c.Tried = d.route, d.name, time.Now()
	r.cache.setCanary(d, c)
	nobody := mailbox("gatepost-canary-"+strings.ToLower(rand.Text()[:16]), d.name)
	took, refused := false, false
	for _, from := range []gateway.Address{{}, sender} {
		v := r.ask(ctx, d.route, from, nobody)
		switch {
		case v.Result == relay.Takes:
			took = true
		case v.Result != relay.Refuses: // away, or later: it may look at recipients then
			return c, false
		case v.At == gateway.AtRcpt: // one no is enough to know that it looks
			refused = true
		default: // about who asks
			continue
		}
		c.NextHop, c.Said = v.NextHop, v.Said
		if refused {
			break
		}
	}
	if !took && !refused {
		return c, false
	}
	c.Asked, c.Everyone, c.NoPostmaster = time.Now(), !refused, r.postmaster(ctx, d, sender)
	r.cache.setCanary(d, c)
	return c, c.Everyone != before.Everyone || c.NoPostmaster != before.NoPostmaster
}

// postmaster is what the next hop says to mail for postmaster that it does not take, where policy sends it to the next hop as
// it is.
func (r *Recipients) postmaster(ctx context.Context, d domainOf, sender gateway.Address) string {
	to := mailbox("postmaster", d.name)
	if way := r.sources.Policy.Destination(to); way.To != nil || way.Route != d.route {
		return ""
	}
	if v := r.ask(ctx, d.route, sender, to); v.Result == relay.Refuses && v.At == gateway.AtRcpt && isUnknown(v.Reply) {
		return v.Said
	}
	return ""
}

func (r *Recipients) ask(ctx context.Context, route string, from, rcpt gateway.Address) relay.Verified {
	ctx, cancel := context.WithTimeout(ctx, canaryTime)
	defer cancel()
	r.cache.count.Canaries.Add(1)
	return r.verifier.Verify(ctx, route, from, rcpt)
}

func mailbox(local, domain string) gateway.Address {
	return gateway.Address{Text: local + "@" + domain, Local: local, Domain: domain}
}

func (c *Cache) canary(key domainOf) (Canary, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.open[key]
	return x, ok
}

func (c *Cache) setCanary(key domainOf, x Canary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= 10*canaryMost { // of policies that are gone
		clear(c.open)
	}
	c.open[key] = x
}

// Canaries returns what is known of the domains of this policy, those where something is wrong first.
func (r *Recipients) Canaries() []Canary {
	var good, bad []Canary
	for _, d := range r.sources.asked() {
		switch x, _ := r.cache.canary(d); {
		case x.Asked.IsZero():
		case x.Everyone || x.NoPostmaster != "":
			bad = append(bad, x)
		default:
			good = append(good, x)
		}
	}
	return append(bad, good...)
}

// everyone reports whether the next hop of a route takes every recipient of a domain.
func (c *Cache) everyone(route, domain string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[domainOf{route, domain}].Everyone
}
