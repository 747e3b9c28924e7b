package spf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// checker is one evaluation. What its goroutines share is in ahead.
type checker struct {
	ctx           context.Context
	r             Resolver
	q             *Query
	most          int        // questions that may be asked ahead
	ip            netip.Addr // unmapped
	local, origin string     // of the sender
	unnamed       bool       // the local part has no form in DNS
	helo          string
	receiver      string
	out           Outcome
	ahead         *ahead // nil until something is looked up ahead

	named bool     // names were looked up
	names []string // of the client, which lead back to it
	blank bool     // the client has no name at all
}

// host is check_host() (section 4). Outermost says that it is not inside an include, so that exp= counts.
func (c *checker) host(domain string, outermost bool) (Result, *trouble) {
	r, t := c.record(domain)
	if t != nil {
		return t.result, t
	}
	if r == nil {
		return None, nil
	}
	if outermost && len(c.out.Chain) == 0 {
		c.out.Record = clean(r.text, maxRecordShown)
		c.out.Never = len(r.terms) == 1 && r.terms[0].kind == all && r.terms[0].result == Fail && !r.modified
	}
	c.lookAhead(r, domain)
	for i := range r.terms {
		m := &r.terms[i]
		matches, t := c.matches(m, domain)
		if t != nil {
			return t.result, t
		}
		if !matches {
			continue
		}
		if m.kind != include {
			c.out.Mechanism = clean(m.text, 200)
		}
		if m.result == Fail && outermost && r.exp != "" {
			c.out.Explanation = c.explain(r.exp, domain)
		}
		return m.result, nil
	}
	if r.redirect != "" {
		return c.redirect(r, domain, outermost)
	}
	return Neutral, nil // section 4.7
}

// record fetches the record of a domain and parses it; nil for none.
func (c *checker) record(domain string) (*record, *trouble) {
	if !hasRecords(domain) {
		return nil, nil
	}
	a := c.ask(question{texts, domain})
	switch c.state(a) {
	case failed:
		return nil, c.failure("the record of", domain, a.err)
	case nothing:
		c.out.Voids++ // of an include or redirect, which is broken either way
		return nil, nil
	}
	if !a.parsed {
		a.record, a.flaw = choose(a.texts, domain)
	}
	return a.record, a.flaw
}

// redirect goes on with another domain's record in place of this one (section 6.1).
func (c *checker) redirect(r *record, domain string, outermost bool) (Result, *trouble) {
	c.out.Chain = append(c.out.Chain, clean(r.redirectTerm, 200))
	if t := c.count(r.redirectTerm); t != nil {
		return t.result, t
	}
	name, ok := c.target(r.redirect, domain)
	if !ok {
		name = ""
	}
	result, t := c.host(name, outermost)
	if result == None {
		t = permanent(quote(r.redirectTerm) + ": " + clean(name, 253) + " has no record")
		return t.result, t
	}
	return result, t
}

// count counts a term that needs DNS.
func (c *checker) count(text string) *trouble {
	if c.out.Lookups++; c.out.Lookups > maxLookups {
		return permanent(fmt.Sprintf("%s: more than %d terms need DNS", quote(text), maxLookups))
	}
	return nil
}

// matches evaluates one mechanism (section 5).
func (c *checker) matches(m *term, domain string) (bool, *trouble) {
	switch m.kind {
	case all:
		return true, nil
	case ip4, ip6:
		return m.net.Contains(c.ip), nil
	}
	if t := c.count(m.text); t != nil {
		return false, t
	}
	name, ok := c.target(m.spec, domain)
	switch {
	case m.byName && c.ctx.Err() != nil: // it may have another name than it seems
		return false, c.failure(quote(m.text)+":", c.ip.String(), c.ctx.Err())
	case !ok:
		return false, nil
	case m.kind == include:
		return c.includes(m, name)
	case m.kind == ptr:
		return c.isNamed(m, name)
	}
	if !lookable(name) {
		return false, nil // nothing can be there, so nobody is asked (section 4.8)
	}
	switch m.kind {
	case exists:
		a, t := c.look(m, question{addrs4, name})
		return a != nil, t
	case mx:
		return c.exchanges(m, name)
	default:
		a, t := c.look(m, question{c.family(), name})
		return a != nil && c.among(a.addrs, m), t
	}
}

// family is the kind of addresses that are compared with the client's.
func (c *checker) family() what {
	if c.ip.Is4() {
		return addrs4
	}
	return addrs6
}

// look asks for what a term needs; nil: it found nothing, or there is trouble.
func (c *checker) look(m *term, q question) (*answer, *trouble) {
	a := c.ask(q)
	switch c.state(a) {
	case failed:
		return nil, c.failure(quote(m.text)+":", q.name, a.err)
	case nothing:
		return nil, c.void(m)
	}
	return a, nil
}

// void counts a term whose name has nothing.
func (c *checker) void(m *term) *trouble {
	if c.out.Voids++; c.out.Voids > maxVoids {
		return permanent(fmt.Sprintf("%s: more than %d names of the record have nothing in DNS", quote(m.text), maxVoids))
	}
	return nil
}

// failure is trouble with DNS.
func (c *checker) failure(about, name string, err error) *trouble {
	if c.ctx.Err() != nil {
		err = c.ctx.Err()
	}
	said := err.Error()
	var e *net.DNSError
	if errors.As(err, &e) {
		said = e.Err // without the name, which is told already
	}
	return temporary(about + " " + clean(name, 253) + ": " + clean(said, 200))
}

// among reports whether the client is in the network of one of the addresses.
func (c *checker) among(addrs []netip.Addr, m *term) bool {
	bits := m.bits6
	if c.ip.Is4() {
		bits = m.bits4
	}
	for _, a := range addrs {
		if c.ip.Is4() {
			a = a.Unmap()
		}
		if netip.PrefixFrom(a.WithZone(""), int(bits)).Contains(c.ip) {
			return true
		}
	}
	return false
}

// includes evaluates an include (section 5.2): the other record must pass.
func (c *checker) includes(m *term, name string) (bool, *trouble) {
	depth := len(c.out.Chain)
	c.out.Chain = append(c.out.Chain, clean(m.text, 200))
	result, t := c.host(name, false)
	switch result {
	case Pass:
		return true, nil
	case None:
		return false, permanent(quote(m.text) + ": " + clean(name, 253) + " has no record")
	case TempError, PermError:
		return false, t
	}
	c.out.Chain, c.out.Mechanism = c.out.Chain[:depth], ""
	return false, nil
}

// exchanges evaluates mx (section 5.4). A host without an address is no void lookup: it is the term that is counted.
func (c *checker) exchanges(m *term, name string) (bool, *trouble) {
	a, t := c.look(m, question{hosts, name})
	if a == nil {
		return false, t
	}
	if len(a.mx) > maxNames {
		return false, permanent(fmt.Sprintf("%s: %s has more than %d mail hosts", quote(m.text), clean(name, 253), maxNames))
	}
	c.lookAheadAddrs(a)
	for _, host := range a.mx {
		name := plain(host.Host)
		if !lookable(name) {
			continue
		}
		a := c.ask(question{c.family(), name})
		if c.state(a) == failed {
			return false, c.failure(quote(m.text)+":", name, a.err)
		}
		if c.among(a.addrs, m) {
			return true, nil
		}
	}
	return false, nil
}

// plain is a name without its final dot.
func plain(name string) string { return strings.TrimSuffix(name, ".") }

// isNamed evaluates ptr (section 5.5). Who holds the address decides what its reverse zone says, and not the owner of
// the record: so what fails there, or beyond, is no error, and only the address's having no name at all is a void lookup.
func (c *checker) isNamed(m *term, domain string) (bool, *trouble) {
	for _, name := range c.clientNames() {
		if isBelow(name, domain) {
			return true, nil
		}
	}
	switch {
	case c.ctx.Err() != nil:
		return false, c.failure(quote(m.text)+":", c.ip.String(), c.ctx.Err())
	case c.blank:
		return false, c.void(m)
	}
	return false, nil
}

// isBelow reports whether a name is a domain or below it.
func isBelow(name, domain string) bool {
	n := len(name) - len(domain)
	return n >= 0 && strings.EqualFold(name[n:], domain) && (n == 0 || name[n-1] == '.')
}

// clientNames are the client's names that lead back to it, looked up once.
func (c *checker) clientNames() []string {
	if c.named {
		return c.names
	}
	c.named = true
	a := c.ask(question{names, c.ip.String()})
	c.blank = c.state(a) == nothing
	c.lookAheadAddrs(a)
	for i, name := range a.names {
		if i == maxNames {
			break
		}
		if name = plain(name); !lookable(name) {
			continue
		}
		exact := term{bits4: 32, bits6: 128}
		if a := c.ask(question{c.family(), name}); a.err == nil && c.among(a.addrs, &exact) {
			c.names = append(c.names, name)
		}
	}
	return c.names
}

// clientName is the macro p: the name that is the domain, else one below it, else any (section 7.3).
func (c *checker) clientName(domain string) string {
	below, any := "", "unknown"
	for i, name := range c.clientNames() {
		if strings.EqualFold(name, domain) {
			return name
		}
		if below == "" && isBelow(name, domain) {
			below = name
		}
		if i == 0 {
			any = name
		}
	}
	if below != "" {
		return below
	}
	return any
}

// explain fetches what the owner says of a failure (section 6.2); whatever is wrong with it, it is as if there were none.
func (c *checker) explain(spec, domain string) string {
	name, ok := c.target(spec, domain)
	if !ok || !lookable(name) {
		return ""
	}
	a := c.ask(question{texts, name})
	if a.err != nil || len(a.texts) != 1 || !isASCII(a.texts[0]) {
		return ""
	}
	if _, _, problem := checkMacros(a.texts[0], true); problem != "" {
		return ""
	}
	text, ok := c.expand(a.texts[0], domain, true)
	if !ok {
		return ""
	}
	return clean(string(text), maxExplanation)
}
