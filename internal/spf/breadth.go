package spf

import (
	"context"
	"math"
	"strings"
)

// Breadth is how much of the internet the record of a domain lets pass: who passes SPF where strangers may too has shown
// nothing of who it is. It is an upper bound, for a, mx and their names a rough one.
type Breadth struct {
	Addrs4 uint64 // IPv4 addresses
	Sites6 uint64 // IPv6 networks of 48 bits, begun ones counted
	Open   bool   // it may be anybody: +all, exists, ptr, a macro in place of a name, or what could not be told
}

// The size of what is still narrow: less than an IPv4 network of 16 bits, or as many IPv6 networks of 48.
const narrow = 1 << 16

// Narrow reports whether the record lets fewer than a /16 of IPv4 addresses pass in sum, and fewer networks of 48 bits than
// are in a /32 of IPv6.
func (b Breadth) Narrow() bool { return !b.Open && b.Addrs4 < narrow && b.Sites6 < narrow }

// hostsOf is for how many addresses a name of a or mx is counted that nobody looked up.
const hostsOf = 16

// BreadthOf adds up the record of a domain and of those that it includes. It asks for their texts only, one after another
// and at most ten, which a resolver that evaluated the record before has at hand. It does not depend on who asks: two
// hosts of one domain get one answer. What is broken, or could not be told, is Open.
func BreadthOf(ctx context.Context, r Resolver, domain string) Breadth {
	c := checker{ctx: ctx, r: r, q: &Query{}}
	var b Breadth
	c.addUp(strings.TrimSuffix(domain, "."), &b)
	return b
}

// addUp adds what a record lets pass.
func (c *checker) addUp(domain string, b *Breadth) {
	r, t := c.record(domain)
	if r == nil || t != nil {
		b.Open = true
		return
	}
	for i := range r.terms {
		if m := &r.terms[i]; m.result == Pass {
			c.addTerm(m, domain, b)
		}
		if b.Open || r.terms[i].kind == all {
			return // nothing behind it is looked at
		}
	}
	if r.redirect != "" {
		c.follow(r.redirect, domain, b)
	}
}

// addTerm adds what a mechanism lets pass.
func (c *checker) addTerm(m *term, domain string, b *Breadth) {
	switch m.kind {
	case ip4:
		b.add4(m.net.Bits(), 1)
	case ip6:
		b.add6(m.net.Bits(), 1)
	case addr:
		b.addNames(m, 1)
	case mx:
		b.addNames(m, maxNames)
	case include:
		c.follow(m.spec, domain, b)
	default:
		b.Open = true
	}
}

// follow adds what another domain's record lets pass.
func (c *checker) follow(spec, domain string, b *Breadth) {
	if c.out.Lookups++; c.out.Lookups > maxLookups || strings.IndexByte(spec, '%') >= 0 {
		b.Open = true
		return
	}
	if name, ok := c.target(spec, domain); ok {
		c.addUp(name, b)
		return
	}
	b.Open = true
}

// addNames counts names with the networks around their addresses.
func (b *Breadth) addNames(m *term, names uint64) {
	if strings.IndexByte(m.spec, '%') >= 0 {
		b.Open = true
		return
	}
	b.add4(int(m.bits4), names*hostsOf)
	b.add6(int(m.bits6), names*hostsOf)
}

func (b *Breadth) add4(bits int, times uint64) { b.Addrs4 = plus(b.Addrs4, times<<(32-bits)) }

func (b *Breadth) add6(bits int, times uint64) { b.Sites6 = plus(b.Sites6, times<<max(48-bits, 0)) }

// plus adds; what is too much stays so.
func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}
