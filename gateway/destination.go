package gateway

import (
	"slices"
	"strconv"
	"strings"
)

// Destination is where mail for a recipient goes.
type Destination struct {
	Domain *Domain   // nil: mail for it is not ours to take
	Route  string    // "" as well
	To     []Address // what the next hop is told instead of the recipient; nil: the recipient
	Why    []string  // the policy lines that make it another than its domain's; nil for none
}

// MaxTargets is how many addresses one recipient can stand for: as many as every mail server takes in a transaction (RFC
// 5321 section 4.5.3.1.8).
const MaxTargets = 100

// MaxSteps is through how many aliases and domains that stand for others a recipient can go.
const MaxSteps = 10

// Routing is what is said of single addresses, worked out when the policy was loaded: what an alias leads to has no further
// alias, all of it goes one route, and is served. It is immutable.
//
// Addresses are looked up by Fold: what an operator writes of an address is meant whatever its case.
type Routing struct {
	Aliases   map[string]*Way      // by address: what it stands for
	Routes    map[string]Exception // by address, or "local@" for that local part in every domain: its route
	Maps      map[string]Mapping   // by domain: the one that it stands for
	Roles     map[*Domain]*Way     // who gets the mail of postmaster and abuse
	CatchAlls map[*Domain]*Way     // who gets the mail of recipients that do not exist
}

// Way is where the mail of an address goes in the end.
type Way struct {
	To    []Address
	Route string
	At    Place
	Also  []Place // the further lines that it was worked out of
	Steps uint8   // through how many lines it goes, at most MaxSteps
}

// Exception is the route of single addresses.
type Exception struct {
	Route string
	At    Place
}

// Mapping is what a domain stands for.
type Mapping struct {
	Domain string // A-label, lower case
	At     Place
	// Header is the domain that replaces it in To and Cc of mail for it; "" leaves the header section alone.
	Header string
}

// Place is a line that says something of an address.
type Place struct {
	File string
	Line int32
	Kind PlaceKind
}

// PlaceKind is what a line says of an address.
type PlaceKind uint8

// The kinds of line.
const (
	AliasPlace PlaceKind = iota
	DomainMapPlace
	RecipientPlace
	PostmasterPlace
	CatchAllPlace
)

func (k PlaceKind) String() string {
	return [...]string{"alias", "domain_map", "recipient", "postmaster", "catch_all"}[min(k, CatchAllPlace)]
}

// String is the kind and where it stands: "alias policy.toml:31".
func (p Place) String() string { return p.Kind.String() + " " + p.Where() }

// Where is file and line.
func (p Place) Where() string { return p.File + ":" + strconv.Itoa(int(p.Line)) }

// Fold is an address as it is looked up: without case, and without its quotes.
func Fold(local, domain string) string { return strings.ToLower(local) + "@" + domain }

// Folded is the address as it is looked up.
func (a Address) Folded() string { return Fold(a.Local, a.Domain) }

// In returns the address in another domain, which is an A-label.
func (a Address) In(domain string) Address {
	at := strings.LastIndexByte(a.Text, '@')
	text := a.Text[:at+1] + domain
	return Address{Text: text, Local: a.Local, Domain: domain,
		UTF8: a.UTF8 && strings.ContainsFunc(a.Local, func(r rune) bool { return r > '~' })}
}

// Base is a local part without its detail; whole where there is none.
func (d *Domain) Base(local string) string {
	if d.Subaddress == "" {
		return local
	}
	if i := strings.Index(local, d.Subaddress); i > 0 {
		return local[:i]
	}
	return local
}

// Destination returns where mail for a recipient goes. It is a look-up of what was worked out when the policy was loaded:
// an alias of the address, then of the address without its detail; for postmaster and abuse who is named for them; then the
// domain that its domain stands for, from the beginning; then the route of the address, else of its domain.
func (p *Policy) Destination(to Address) Destination {
	d := p.Serves(to)
	switch {
	case d == nil:
		return Destination{}
	case p.Routing == nil:
		return Destination{Domain: d, Route: d.Route}
	}
	at := to
	if to.Domain == "" { // <postmaster>
		at = Address{Text: to.Local + "@" + d.Name, Local: to.Local, Domain: d.Name}
	}
	out := p.Routing.follow(p, d, at)
	out.Domain = d
	return out
}

// follow goes the way of an address in a domain that is served.
func (r *Routing) follow(p *Policy, d *Domain, at Address) (out Destination) {
	for range MaxSteps {
		if w := r.way(d, at); w != nil {
			return Destination{Route: w.Route, To: w.To, Why: append(out.Why, w.Why()...)}
		}
		m, mapped := r.Maps[at.Domain]
		if !mapped {
			break
		}
		next := p.Domain(m.Domain)
		if next == nil {
			break
		}
		d, at = next, at.In(m.Domain)
		out.To, out.Why = []Address{at}, append(out.Why, m.At.String())
	}
	out.Route = d.Route
	if e, ok := r.Exception(d, at); ok {
		out.Route, out.Why = e.Route, append(out.Why, e.At.String())
	}
	return out
}

// way is what the address itself stands for, or nil.
func (r *Routing) way(d *Domain, at Address) *Way {
	if w := lookUp(r.Aliases, at.Local, at.Domain); w != nil {
		return w
	}
	if base := d.Base(at.Local); base != at.Local {
		if w := lookUp(r.Aliases, base, at.Domain); w != nil {
			return w
		}
	}
	if len(r.Roles) == 0 || at.RoleOf() == "" {
		return nil
	}
	if w := r.Roles[d]; w != nil && !(len(w.To) == 1 && w.To[0].Folded() == at.Folded()) {
		return w
	}
	return nil
}

// Exception is the route that is said for the address itself, or its local part.
func (r *Routing) Exception(d *Domain, at Address) (Exception, bool) {
	if len(r.Routes) == 0 {
		return Exception{}, false
	}
	base := d.Base(at.Local)
	for _, domain := range [...]string{at.Domain, ""} {
		for _, local := range [...]string{at.Local, base} {
			if e := lookUp(r.Routes, local, domain); e.Route != "" {
				return e, true
			}
			if base == at.Local {
				break
			}
		}
	}
	return Exception{}, false
}

// lookUp finds what is said of an address, without making memory for its key.
func lookUp[T any](m map[string]T, local, domain string) T {
	var room [512]byte
	key := append(append(append(room[:0], strings.ToLower(local)...), '@'), domain...)
	return m[string(key)]
}

// CatchAll returns where mail goes for a recipient of which it turned out that it does not exist; its Route is "" where its
// domain has nobody for it.
func (p *Policy) CatchAll(to Address) Destination {
	d := p.Serves(to)
	if d == nil || p.Routing == nil || len(p.Routing.CatchAlls) == 0 {
		return Destination{}
	}
	for range MaxSteps {
		m, mapped := p.Routing.Maps[to.Domain]
		if !mapped {
			break
		}
		to.Domain = m.Domain
		if d = p.Domain(m.Domain); d == nil {
			return Destination{}
		}
	}
	w := p.Routing.CatchAlls[d]
	if w == nil {
		return Destination{}
	}
	return Destination{Domain: d, Route: w.Route, To: w.To, Why: w.Why()}
}

// HeaderDomain returns the domain that is to replace that of an address in To and Cc; "" for none. An address that is an
// alias stands for somebody itself, and is left alone.
func (p *Policy) HeaderDomain(to Address) string {
	if p.Routing == nil {
		return ""
	}
	m := p.Routing.Maps[to.Domain]
	if m.Header == "" {
		return ""
	}
	if d := p.Domain(to.Domain); d == nil || p.Routing.way(d, to) != nil {
		return ""
	}
	return m.Header
}

// Why lists the lines that the way was worked out of.
func (w *Way) Why() []string {
	out := make([]string, 0, 1+len(w.Also))
	for _, at := range slices.Concat([]Place{w.At}, w.Also) {
		out = append(out, at.String())
	}
	return out
}
