package smtpd

import (
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// fieldRoom is what our own fields may add to a message: a next hop's SIZE is offered less this.
const fieldRoom = 64 << 10

// offer is what EHLO answered.
type offer struct {
	wire                           smtpwire.Offer
	size                           int64
	pipelining, chunking, startTLS bool
	limits                         bool
	recipients, transactions       int
}

// routeList is the routes of one policy, gathered once.
type routeList struct {
	policy *gateway.Policy
	routes []string
}

// routesOf returns every route of the policy once.
func (s *Server) routesOf(p *gateway.Policy) []string {
	if l := s.routes.Load(); l != nil && l.policy == p {
		return l.routes
	}
	l := &routeList{policy: p}
	seen := make(map[string]bool)
	add := func(route string) {
		if !seen[route] {
			seen[route] = true
			l.routes = append(l.routes, route)
		}
	}
	if p.Postmaster != nil {
		add(p.Postmaster.Route)
	}
	for _, d := range p.Domains {
		add(d.Route)
	}
	if p.Routing != nil {
		for _, e := range p.Routing.Routes {
			add(e.Route)
		}
	}
	s.routes.Store(l)
	return l.routes
}

// carries returns what the next hops of a route were last seen to carry.
func (c *session) carries(route string) gateway.Carries {
	if c.Snapshot.NextHop == nil {
		return gateway.Carries{}
	}
	return c.Snapshot.NextHop.Carries(route)
}

// offers returns what may be offered: what the configuration allows and all next hops were seen to carry. What is not yet
// known is not offered.
func (c *session) offers() offer {
	allow := c.Snapshot.Offers
	o := offer{size: c.limits.MessageSize, pipelining: allow.Pipelining, chunking: allow.Chunking,
		limits: allow.Limits, recipients: c.recipients(), transactions: c.limits.Transactions,
		startTLS: allow.StartTLS && !c.Session.TLS.On() && c.srv.TLS != nil && c.srv.TLS(false) != nil}
	o.wire = smtpwire.Offer{Size: allow.Size, EightBitMIME: allow.EightBitMIME, SMTPUTF8: allow.SMTPUTF8, DSN: allow.DSN,
		RequireTLS: allow.RequireTLS && c.Session.TLS.On()}
	for _, route := range c.srv.routesOf(c.Snapshot.Policy) {
		hop := c.carries(route)
		o.wire.EightBitMIME = o.wire.EightBitMIME && hop.EightBit
		o.wire.SMTPUTF8 = o.wire.SMTPUTF8 && hop.UTF8
		o.wire.DSN = o.wire.DSN && hop.DSN
		o.wire.RequireTLS = o.wire.RequireTLS && hop.RequireTLS
		o.size = min(o.size, room(hop, o.size))
	}
	// RFC 6531 section 3.1 item 8: SMTPUTF8 is never offered without 8BITMIME.
	o.wire.SMTPUTF8 = o.wire.SMTPUTF8 && o.wire.EightBitMIME
	return o
}

// room returns how big a message the next hop takes, at most limit.
func room(hop gateway.Carries, limit int64) int64 {
	if hop.Size <= 0 {
		return limit
	}
	return min(limit, max(hop.Size-fieldRoom, 1))
}

// text is the reply to EHLO, one keyword a line.
func (o *offer) text(hostname string) string {
	var b strings.Builder
	b.WriteString(hostname)
	keyword := func(yes bool, words string) {
		if yes {
			b.WriteString("\n" + words)
		}
	}
	keyword(o.pipelining, "PIPELINING")
	keyword(o.wire.Size, "SIZE "+strconv.FormatInt(o.size, 10))
	keyword(o.startTLS, "STARTTLS")
	keyword(true, "ENHANCEDSTATUSCODES")
	keyword(o.wire.EightBitMIME, "8BITMIME")
	keyword(o.wire.SMTPUTF8, "SMTPUTF8")
	keyword(o.chunking, "CHUNKING")
	keyword(o.wire.DSN, "DSN")
	keyword(o.wire.RequireTLS, "REQUIRETLS")
	keyword(o.limits, "LIMITS MAILMAX="+strconv.Itoa(o.transactions)+" RCPTMAX="+strconv.Itoa(o.recipients))
	return b.String()
}
