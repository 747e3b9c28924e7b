package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
)

// world is a random configuration, small enough that its lines meet often.
type world struct {
	policy *gateway.Policy
	in     *Input
}

func at(n int, k gateway.PlaceKind) gateway.Place {
	return gateway.Place{File: "policy.toml", Line: int32(n), Kind: k}
}

var ( // nobody changes them
	locals  = []string{"a", "b", "c", "B", "a+x", "b+y+z", "postmaster", "abuse", "Postmaster", "+a", "a b", "x@y"}
	domains = []string{"one.example", "two.example", "sub.two.example", "x.sub.two.example", "old.example", "older.example", "out.example"}
)

func mustAddress(local, domain string) gateway.Address {
	text := local
	if strings.ContainsAny(local, " @") {
		text = `"` + local + `"`
	}
	a, err := Address(text + "@" + domain)
	if err != nil {
		panic(err)
	}
	return a
}

func randomWorld(r *rand.Rand) world {
	few := []int{2, 2, 4, 4, 6, 7}[r.IntN(6)] // most worlds have no way out
	some := func() gateway.Address {
		return mustAddress(locals[r.IntN(len(locals))], domains[r.IntN(few)])
	}
	w := world{&gateway.Policy{Domains: map[string]*gateway.Domain{}}, &Input{RouteAt: func(d *gateway.Domain) string { return d.Name }}}
	routes := []string{"in", "in", "in", "in", "in", "in", "branch"}
	route := func() string { return routes[r.IntN(len(routes))] }
	var served []*gateway.Domain
	for _, d := range []*gateway.Domain{{Name: "one.example", Subaddress: "+", Route: route()}, {Name: "two.example", Subdomains: r.IntN(2) == 0, Route: route()},
		{Name: "*.sub.two.example", Subaddress: "+", Route: route()}} {
		w.policy.Domains[strings.TrimPrefix(d.Name, "*")] = d
		served = append(served, d)
	}
	w.policy.Postmaster = served[0]
	line := 1
	for range r.IntN(8) {
		rule := Rule{Address: some(), At: at(line, gateway.AliasPlace)}
		for range 1 + r.IntN(3) {
			rule.To = append(rule.To, some())
		}
		w.in.Aliases, line = append(w.in.Aliases, rule), line+1
	}
	for range r.IntN(3) {
		w.in.Maps, line = append(w.in.Maps, Map{From: domains[4+r.IntN(2)], To: domains[r.IntN(6)], Header: r.IntN(2) == 0, At: at(line, gateway.DomainMapPlace)}), line+1
	}
	for range r.IntN(3) {
		x := Exception{Address: some(), Route: "branch", At: at(line, gateway.RecipientPlace)}
		if r.IntN(3) == 0 {
			x.Address.Domain = ""
		}
		w.in.Exceptions, line = append(w.in.Exceptions, x), line+1
	}
	for _, d := range served {
		if r.IntN(4) == 0 {
			w.in.Postmasters, line = append(w.in.Postmasters, For{d, some(), at(line, gateway.PostmasterPlace)}), line+1
		}
		if r.IntN(4) == 0 {
			w.in.CatchAlls, line = append(w.in.CatchAlls, For{d, some(), at(line, gateway.CatchAllPlace)}), line+1
		}
	}
	return w
}

// slow answers from the lines themselves, one after another, as the documentation puts it. It is the oracle: it has no
// tables, remembers nothing, and gives up after a hundred steps.
type slow struct {
	world
	steps int
	ends  []gateway.Address
}

func (s *slow) go1(a gateway.Address, self string) bool {
	if s.steps++; s.steps > 100 {
		return false
	}
	d := s.policy.Domain(a.Domain)
	if d == nil {
		return false
	}
	same := func(b gateway.Address, local string) bool {
		return strings.EqualFold(b.Local, local) && b.Domain == a.Domain
	}
	base := a.Local
	if i := strings.IndexByte(base, '+'); i > 0 && d.Subaddress == "+" {
		base = base[:i]
	}
	kept := false
	for _, local := range []string{a.Local, base} {
		if kept = kept || strings.EqualFold(local+"@"+a.Domain, self); kept {
			break
		}
		for i := range s.in.Aliases {
			if rule := &s.in.Aliases[i]; same(rule.Address, local) {
				for _, to := range rule.To {
					if !s.go1(to, rule.Address.Local+"@"+a.Domain) {
						return false
					}
				}
				return true
			}
		}
	}
	for _, f := range s.in.Postmasters {
		if f.Domain == d && a.RoleOf() != "" && !kept && !strings.EqualFold(f.To.Local+"@"+f.To.Domain, a.Local+"@"+a.Domain) {
			return s.go1(f.To, "")
		}
	}
	for _, m := range s.in.Maps {
		if m.From == a.Domain {
			return s.go1(gateway.Address{Text: a.In(m.To).Text, Local: a.Local, Domain: m.To}, "")
		}
	}
	if !slices.ContainsFunc(s.ends, func(b gateway.Address) bool { return strings.EqualFold(a.Local, b.Local) && a.Domain == b.Domain }) {
		s.ends = append(s.ends, a)
	}
	return true
}

// TestDestinationIsWhatTheLinesSay builds random configurations. Of those that are not refused, each recipient's mail ends,
// where the lines say, never outside of what is served, by one route that is known, and at addresses that have none of it
// before them. Of those that are refused for a loop or for relaying, the oracle finds one too.
func TestDestinationIsWhatTheLinesSay(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 30))
	good, refused := 0, 0
	for n := range 12000 {
		w := randomWorld(r)
		routing, problems := Build(w.policy, w.in)
		w.policy.Routing = routing
		if len(problems) > 0 {
			refused++
			w.lives(t, n, problems)
			continue
		}
		good++
		for _, local := range locals {
			for _, domain := range domains {
				w.holds(t, n, mustAddress(local, domain))
			}
		}
		for d, way := range w.all() {
			w.ended(t, n, d, way.To, way.Route)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d good, %d refused", good, refused)
	if good < 500 || refused < 500 {
		t.Errorf("only %d were good and %d refused", good, refused)
	}
}

// all are the ways of nobody's recipient.
func (w world) all() map[string]*gateway.Way {
	out := map[string]*gateway.Way{}
	if w.policy.Routing != nil {
		for d, way := range w.policy.Routing.CatchAlls {
			out["catch-all of "+d.Name] = way
		}
		for d, way := range w.policy.Routing.Roles {
			out["postmaster of "+d.Name] = way
		}
	}
	return out
}

// holds looks one recipient up.
func (w world) holds(t *testing.T, n int, a gateway.Address) {
	t.Helper()
	d := w.policy.Destination(a)
	if d.Domain == nil {
		if w.policy.Domain(a.Domain) != nil || d.Route != "" || d.To != nil {
			t.Errorf("world %d: %s: %+v", n, a.Text, d)
		}
		return
	}
	s := &slow{world: w}
	if !s.go1(a, "") {
		t.Errorf("world %d: %s: the lines lead nowhere, and %+v", n, a.Text, d)
		return
	}
	final := d.To
	if final == nil {
		final = []gateway.Address{a}
	}
	if got, want := folded(final), folded(s.ends); got != want {
		t.Errorf("world %d: %s goes to %s, the lines say %s", n, a.Text, got, want)
	}
	w.ended(t, n, a.Text, final, d.Route)
}

// ended holds what something leads to against the promises.
func (w world) ended(t *testing.T, n int, name string, final []gateway.Address, route string) {
	t.Helper()
	if len(final) == 0 || len(final) > gateway.MaxTargets || route != "in" && route != "branch" {
		t.Errorf("world %d: %s: %v by %q", n, name, final, route)
	}
	for _, a := range final {
		d := w.policy.Domain(a.Domain)
		if d == nil || a.Text == "" {
			t.Errorf("world %d: %s leads out, to %+v", n, name, a)
			continue
		}
		want := d.Route
		if w.policy.Routing != nil {
			if e, ok := w.policy.Routing.Exception(d, a); ok {
				want = e.Route
			}
		}
		if want != route {
			t.Errorf("world %d: %s goes by %q, and %s by %q", n, name, route, a.Text, want)
		}
	}
}

// lives shows that a loop or a way out that is told is there.
func (w world) lives(t *testing.T, n int, problems []Problem) {
	t.Helper()
	for _, p := range problems {
		if !strings.Contains(p.Message, "comes back to itself") {
			continue
		}
		i := slices.IndexFunc(w.in.Aliases, func(r Rule) bool { return r.At == p.At })
		if i < 0 {
			continue // a postmaster's
		}
		if s := (&slow{world: w}); s.go1(w.in.Aliases[i].Address, "") {
			t.Errorf("world %d: %s is no loop: %v", n, p.Message, folded(s.ends))
		}
	}
}

func folded(all []gateway.Address) string {
	var out []string
	for _, a := range all {
		out = append(out, a.Folded())
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}
