// Package routing works out, when a policy is loaded, what gateway.Policy.Destination looks up: what each alias, domain that
// stands for another, catch-all and postmaster leads to in the end, and by which route. It refuses what could not be answered
// truthfully or would never end: loops, ways through more than ten lines, more than a hundred addresses, addresses of
// domains that are not served (that would be relaying), and targets of different routes, since the one reply after the dot
// must be true for all of them.
//
// It reads files of aliases in the form of Postfix's virtual(5), and nothing of mail: it never runs while a message passes.
// It knows no SRS: mail that it sends on stays inside, at our own next hops, which know us.
package routing

import (
	"slices"
	"strconv"
	"strings"

	"gatepost/gateway"
)

// MaxTotal is how many addresses all aliases come to in the end, together: lists of lists could fill the memory.
const MaxTotal = 4_000_000

// maxProblems bounds what is told of one configuration.
const maxProblems = 200

// Rule is one line that says what an address stands for.
type Rule struct {
	Address gateway.Address
	To      []gateway.Address
	At      gateway.Place
}

// Map is one domain that stands for another. Both are A-labels in lower case.
type Map struct {
	From, To string
	Header   bool // in To and Cc as well
	At       gateway.Place
}

// Exception is the route of one address; of an address without a domain, of its local part in every domain.
type Exception struct {
	Address gateway.Address
	Route   string
	At      gateway.Place
}

// For is an address that a domain names for something: its postmaster, its catch-all.
type For struct {
	Domain *gateway.Domain
	To     gateway.Address
	At     gateway.Place
}

// Input is all that was said of addresses.
type Input struct {
	Aliases     []Rule
	Maps        []Map
	Exceptions  []Exception
	Postmasters []For
	CatchAlls   []For
	RouteAt     func(*gateway.Domain) string // where a domain says its route: "policy.toml:12"
}

// Problem is one thing that is wrong.
type Problem struct {
	At      gateway.Place
	Message string
	Instead string
}

// String is the problem in one line.
func (p Problem) String() string {
	return p.At.Where() + ": " + p.Message + "; " + p.Instead
}

// Build works out the routing of a policy, whose domains it knows. It adds the domains that stand for others to them. The
// routing is nil where nothing was said, and is not to be used where there are problems.
func Build(p *gateway.Policy, in *Input) (*gateway.Routing, []Problem) {
	if len(in.Aliases)+len(in.Maps)+len(in.Exceptions)+len(in.Postmasters)+len(in.CatchAlls) == 0 {
		return nil, nil
	}
	return newBuilder(p, in, MaxTotal).build()
}

func newBuilder(p *gateway.Policy, in *Input, most int) *builder {
	return &builder{policy: p, in: in, most: most, rules: make(map[string]*Rule, len(in.Aliases)),
		roles: make(map[*gateway.Domain]*For), failed: make(map[string]bool), done: make(map[string]*gateway.Way), out: &gateway.Routing{}}
}

func (b *builder) build() (*gateway.Routing, []Problem) {
	b.maps()
	b.collect()
	b.exceptions()
	b.resolve()
	return b.out, b.problems
}

type builder struct {
	policy   *gateway.Policy
	in       *Input
	rules    map[string]*Rule // aliases by folded address
	roles    map[*gateway.Domain]*For
	done     map[string]*gateway.Way // of postmasters and catch-alls, by the name of their step
	failed   map[string]bool
	stack    []step
	total    int // of addresses, at most so many
	most     int
	out      *gateway.Routing
	problems []Problem
}

func (b *builder) report(at gateway.Place, message, instead string) {
	if at.Kind == gateway.PostmasterPlace && slices.ContainsFunc(b.problems, func(p Problem) bool { return p.At == at }) {
		return // one line for many domains
	}
	if len(b.problems) < maxProblems {
		b.problems = append(b.problems, Problem{at, message, instead})
	}
}

// maps reads the domains that stand for others, and serves them.
func (b *builder) maps() {
	b.out.Maps = make(map[string]gateway.Mapping, len(b.in.Maps))
	header := make(map[string]bool)
	for _, m := range b.in.Maps {
		first, twice := b.out.Maps[m.From]
		switch d := b.policy.Domains[m.From]; {
		case m.From == m.To:
			b.report(m.At, m.From+" stands for itself", "remove the line")
		case twice:
			b.report(m.At, m.From+" stands for "+m.To+", and in "+first.At.Where()+" for "+first.Domain, "remove one of them")
		case d != nil:
			b.report(m.At, m.From+" is a [[domain]] as well, and its mail cannot go two ways", "remove one of them; a domain_map serves the domain with what is said of the other")
		default:
			b.out.Maps[m.From] = gateway.Mapping{Domain: m.To, At: m.At}
			header[m.From] = m.Header
		}
	}
	for _, m := range b.in.Maps {
		if b.out.Maps[m.From].At == m.At {
			b.mapped(m, header)
		}
	}
}

// mapped follows one domain to the one whose next hops know it.
func (b *builder) mapped(m Map, header map[string]bool) {
	way, end := []string{m.From + " (" + m.At.Where() + ")"}, m.To
	for {
		next, more := b.out.Maps[end]
		way = append(way, end)
		switch {
		case end == m.From:
			b.report(m.At, "domains stand for each other in a loop: "+chain(way), "remove one of these lines")
			return
		case len(way) > gateway.MaxSteps+1:
			b.report(m.At, "goes through more than "+strconv.Itoa(gateway.MaxSteps)+" lines: "+chain(way), "write the last domain at once")
			return
		}
		if !more {
			break
		}
		way[len(way)-1] += " (" + next.At.Where() + ")"
		end = next.Domain
	}
	d := b.policy.Domain(end)
	if d == nil {
		b.report(m.At, m.From+" stands for "+end+", which is not served", "write a [[domain]] for "+end)
		return
	}
	own := *d
	own.Subdomains = false
	b.policy.Domains[m.From] = &own
	mapping := b.out.Maps[m.From]
	if header[m.From] {
		for mapping.Header = m.To; header[mapping.Header]; {
			mapping.Header = b.out.Maps[mapping.Header].Domain
		}
	}
	b.out.Maps[m.From] = mapping
}

// collect gathers aliases and postmasters by what they are for.
func (b *builder) collect() {
	for i := range b.in.Aliases {
		r := &b.in.Aliases[i]
		key := r.Address.Folded()
		switch first := b.rules[key]; {
		case first != nil:
			b.report(r.At, r.Address.Text+" is an alias for the second time", "the first is in "+first.At.Where()+"; write all its addresses there")
		case b.policy.Domain(r.Address.Domain) == nil && b.out.Maps[r.Address.Domain].Domain == "":
			b.report(r.At, r.Address.Text+" is of a domain that is not served, so no mail for it is taken", "write a [[domain]] for "+r.Address.Domain+", or remove the line")
		default:
			b.rules[key] = r
		}
	}
	for i := range b.in.Postmasters {
		f := &b.in.Postmasters[i]
		b.roles[f.Domain] = f
	}
}

// exceptions reads the routes of single addresses.
func (b *builder) exceptions() {
	b.out.Routes = make(map[string]gateway.Exception, len(b.in.Exceptions))
	for _, e := range b.in.Exceptions {
		key := e.Address.Folded()
		first, twice := b.out.Routes[key]
		m, mapped := b.out.Maps[e.Address.Domain]
		switch rule := b.rules[key]; {
		case twice:
			b.report(e.At, e.Address.Text+" has a route twice", "the first is in "+first.At.Where()+"; remove one of them")
		case rule != nil:
			b.report(e.At, e.Address.Text+" is an alias ("+rule.At.Where()+"), so its route would not be looked at", "write the route of the addresses that it stands for")
		case mapped:
			b.report(e.At, e.Address.Text+" is of a domain that stands for "+m.Domain+" ("+m.At.Where()+"), so its route would not be looked at", "write "+e.Address.Local+"@"+m.Domain)
		case e.Address.Domain != "" && b.policy.Domain(e.Address.Domain) == nil:
			b.report(e.At, e.Address.Text+" is of a domain that is not served", "write a [[domain]] for "+e.Address.Domain+", or remove it")
		default:
			b.out.Routes[key] = gateway.Exception{Route: e.Route, At: e.At}
		}
	}
}

// chain shows a way from step to step, its middle left out where it is very long.
func chain(steps []string) string {
	const most = 40
	if len(steps) > most {
		left := len(steps) - most
		steps = append(append(append([]string{}, steps[:most/2]...), "("+strconv.Itoa(left)+" more)"), steps[len(steps)-most/2:]...)
	}
	return strings.Join(steps, " -> ")
}
