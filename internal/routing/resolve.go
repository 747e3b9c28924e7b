package routing

import (
	"strconv"

	"gatepost/gateway"
)

// step is one line on the way that is being followed.
type step struct {
	name string
	at   gateway.Place
}

// maxStack is how deep a way is followed before it is told: deep enough to show nearly every loop whole.
const maxStack = 200

// resolve works out everything that stands for something else.
func (b *builder) resolve() {
	b.out.Aliases = make(map[string]*gateway.Way, len(b.rules))
	b.out.Roles = make(map[*gateway.Domain]*gateway.Way, len(b.roles))
	b.out.CatchAlls = make(map[*gateway.Domain]*gateway.Way, len(b.in.CatchAlls))
	for i := range b.in.Aliases { // in their order, so that what is told is always the same
		r := &b.in.Aliases[i]
		if key := r.Address.Folded(); b.rules[key] == r {
			b.alias(key, r)
		}
	}
	for i := range b.in.Postmasters {
		if f := &b.in.Postmasters[i]; b.roles[f.Domain] == f {
			if w := b.role(f); w != nil {
				b.out.Roles[f.Domain] = w
			}
		}
	}
	for i := range b.in.CatchAlls {
		f := &b.in.CatchAlls[i]
		if w := b.follow(step{"catch_all of " + f.Domain.Name, f.At}, "", []gateway.Address{f.To}); w != nil {
			b.out.CatchAlls[f.Domain] = w
		}
	}
}

// alias works out one alias; nil where something is wrong with it, which is told.
func (b *builder) alias(key string, r *Rule) *gateway.Way {
	if w := b.out.Aliases[key]; w != nil || b.failed[key] {
		return w
	}
	w := b.follow(step{r.Address.Text, r.At}, key, r.To)
	if w == nil {
		b.failed[key] = true
		return nil
	}
	b.out.Aliases[key] = w
	return w
}

// role works out who gets the mail of a domain's postmaster.
func (b *builder) role(f *For) *gateway.Way {
	s := step{"postmaster of " + f.Domain.Name, f.At}
	if w := b.done[s.name]; w != nil || b.failed[s.name] {
		return w
	}
	w := b.follow(s, "", []gateway.Address{f.To})
	b.done[s.name], b.failed[s.name] = w, w == nil
	return w
}

// follow works out where the addresses of a line lead. self is the address that it stands for: named among them, it stays
// itself, as a list that keeps a copy.
func (b *builder) follow(s step, self string, to []gateway.Address) *gateway.Way {
	for i := range b.stack {
		if b.stack[i] == s {
			b.loop(b.stack[i:])
			return nil
		}
	}
	if len(b.stack) == maxStack {
		b.deep(s)
		return nil
	}
	b.stack = append(b.stack, s)
	defer func() { b.stack = b.stack[:len(b.stack)-1] }()
	w, routed := &gateway.Way{At: s.at, Steps: 1}, ""
	var seen map[string]bool
	if len(to) > 1 {
		seen = make(map[string]bool, len(to))
	}
	for _, t := range to {
		e, ok := b.target(self, t)
		if !ok {
			return nil
		}
		if w.Steps = max(w.Steps, e.steps+1); w.Steps > gateway.MaxSteps {
			b.deep(s)
			return nil
		}
		if w.Route == "" {
			w.Route, routed = e.route, e.told()
		} else if w.Route != e.route {
			b.report(s.at, s.name+" would go two ways, and one reply could not be true for both: "+routed+"; "+e.told(),
				"name addresses of one route only; senders write to the others themselves")
			return nil
		}
		w.Also = also(w.Also, e.places)
		if len(to) == 1 {
			if w.To = e.to; len(e.to) == 1 && e.to[0] == to[0] {
				w.To = to // one memory for both
			}
			break
		}
		for _, a := range e.to {
			if key := a.Folded(); !seen[key] {
				seen[key] = true
				w.To = append(w.To, a)
			}
		}
		if len(w.To) > gateway.MaxTargets {
			b.report(s.at, s.name+" stands for more than "+strconv.Itoa(gateway.MaxTargets)+" addresses", "let a list server behind the gateway do that")
			return nil
		}
	}
	if b.total += len(w.To); b.total > b.most {
		if b.total-len(w.To) <= b.most {
			b.report(s.at, "all aliases together stand for more than "+strconv.Itoa(b.most)+" addresses", "let a list server behind the gateway do that")
		}
		return nil
	}
	w.To = w.To[:len(w.To):len(w.To)]
	return w
}

// end is where one address of a line leads.
type end struct {
	first   gateway.Address
	to      []gateway.Address
	route   string
	routeAt string
	places  []gateway.Place
	steps   uint8
}

func (e *end) told() string {
	return e.first.Text + " by route " + strconv.Quote(e.route) + " (" + e.routeAt + ")"
}

// target follows one address as Policy.Destination would, but for what is not worked out yet.
func (b *builder) target(self string, t gateway.Address) (e end, ok bool) {
	e.first = t
	deep := len(b.stack)
	defer func() { b.stack = b.stack[:deep] }()
	for at := t; ; {
		m, mapped := b.out.Maps[at.Domain]
		d := b.policy.Domain(at.Domain)
		switch {
		case d == nil && mapped: // what is wrong with the line is told already
			return e, false
		case d == nil:
			s := b.stack[deep-1]
			b.report(s.at, s.name+" stands for "+t.Text+", whose domain is not served: that would be relaying", "name an address of a [[domain]] of yours")
			return e, false
		}
		w, found := b.standsFor(self, d, at)
		switch {
		case found && w == nil:
			return e, false
		case found:
			e.to, e.route, e.routeAt = w.To, w.Route, w.At.Where()
			e.places = also(append(e.places, w.At), w.Also)
			e.steps += w.Steps
			return e, true
		}
		if !mapped {
			e.to = []gateway.Address{at}
			e.route, e.routeAt = d.Route, b.in.RouteAt(d)
			if x, is := b.out.Exception(d, at); is {
				e.route, e.routeAt = x.Route, x.At.Where()
				e.places = append(e.places, x.At)
			}
			return e, true
		}
		if e.steps++; e.steps > gateway.MaxSteps { // a loop of domains, which is told already
			return e, false
		}
		e.places = append(e.places, m.At)
		b.stack = append(b.stack, step{at.Text, m.At})
		at, self = at.In(m.Domain), "" // what comes back over another line is a loop
	}
}

// standsFor is what an address itself stands for, where it does. The very address that is being worked out stays itself.
func (b *builder) standsFor(self string, d *gateway.Domain, at gateway.Address) (w *gateway.Way, found bool) {
	for _, local := range [...]string{at.Local, d.Base(at.Local)} {
		key := gateway.Fold(local, at.Domain)
		if key == self {
			return nil, false
		}
		if r := b.rules[key]; r != nil {
			return b.alias(key, r), true
		}
	}
	if f := b.roles[d]; f != nil && at.RoleOf() != "" && f.To.Folded() != at.Folded() {
		return b.role(f), true
	}
	return nil, false
}

// also adds places that are not there yet, as many as are worth telling.
func also(places, more []gateway.Place) []gateway.Place {
	const most = 20
next:
	for _, p := range more {
		for _, have := range places {
			if have == p {
				continue next
			}
		}
		if len(places) == most {
			break
		}
		places = append(places, p)
	}
	return places
}

// loop tells of a way that comes back to where it was, and lets nothing else be told of those on it.
func (b *builder) loop(steps []step) {
	var way []string
	for _, s := range steps {
		way = append(way, s.name+" ("+s.at.Where()+")")
	}
	b.report(steps[0].at, "comes back to itself: "+chain(append(way, steps[0].name)), "remove one of these lines; an address may stand for itself only in its own line")
}

func (b *builder) deep(s step) {
	b.report(s.at, s.name+" goes through more than "+strconv.Itoa(gateway.MaxSteps)+" lines until it is known who gets its mail", "write the last addresses at once")
}
