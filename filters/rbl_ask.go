package filters

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dns"
	"gatepost/rbl"
)

// ListDNS is the resolver as lists are asked through it: it logs no name, since the lists' keys stand in them, and goes on
// with what nobody waits for any more, so that a client that comes again finds the answer.
func ListDNS(r Resolver) rbl.Resolver { return listDNS{Resolver: r} }

type listDNS struct {
	Resolver
	anew bool // nothing is answered of what is remembered
}

// Anew is the resolver for lists that are to prove that they work.
func (l listDNS) Anew() rbl.Resolver { return listDNS{Resolver: l.Resolver, anew: true} }

// LookupNetIP asks for the addresses of a name; lists have A records only (RFC 5782 section 2.1).
func (l listDNS) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	a := l.A(dns.With(ctx, dns.Manner{Secret: true, Lasting: true, Anew: l.anew}), host)
	if a.Kind == dns.Overload {
		return nil, rbl.ErrBusy
	}
	return a.Records, a.Err()
}

// Remembered tells what the resolver remembers, without asking.
func (l listDNS) Remembered(host string) ([]netip.Addr, bool) {
	m, ok := l.Resolver.(interface {
		KnownA(name string) (dns.Answer[netip.Addr], bool)
	})
	if !ok {
		return nil, false
	}
	a, ok := m.KnownA(host)
	return a.Records, ok && (a.Status == dns.Found || a.Status == dns.None)
}

// LookupTXT asks for the texts of a name.
func (l listDNS) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a := l.TXT(dns.With(ctx, dns.Manner{Secret: true}), name)
	return a.Records, a.Err()
}

// asked reports whether any list is asked about one of the inputs.
func (d *Deps) asked(inputs rbl.Input) bool {
	return d.Lists != nil && slices.ContainsFunc(d.Lists.Lists(), func(l rbl.List) bool { return l.Inputs&inputs != 0 })
}

// lister is one check of lists.
type lister struct {
	d      *Deps
	dns    rbl.Resolver
	refuse int
	inputs rbl.Input // what any list is asked about, of those that are the check's
	known  map[string]*listKnown
}

// listKnown is what is known of a list: the weights of its worst and its best code, and where a sender can look.
type listKnown struct {
	most, least int
	site        string
}

// know takes a list in, if it is asked about any of the inputs.
func (c *lister) know(l *rbl.List, inputs rbl.Input) {
	if l.Inputs&inputs == 0 {
		return
	}
	c.inputs |= l.Inputs & inputs
	k := &listKnown{site: l.Website}
	for _, r := range l.Rules {
		k.most, k.least = max(k.most, r.Weight), min(k.least, r.Weight)
	}
	c.known[l.Name] = k
}

// The names of the facts; that of the client's names follows HELO, since a client may say several.
const (
	factListClient = "rbl client"
	factListNames  = "rbl names "
	factListSender = "rbl sender"
	factListAuthor = "rbl author"
)

// ask asks the lists once for all who want to know. What broke comes out empty.
func (c *lister) ask(ctx context.Context, facts *gateway.Facts, fact string, s rbl.Subject) []rbl.Result {
	return gateway.Fact(facts, fact, func() []rbl.Result {
		return c.d.Lists.Check(ctx, c.dns, time.Now(), s)
	})
}

func (c *lister) client(ctx context.Context, s *gateway.Session) []rbl.Result {
	return c.ask(ctx, &s.Facts, factListClient, clientAsked(s))
}

// names asks about the name that the client gives itself and the one that it has. Both at once, so that the same name is
// asked about once.
func (c *lister) names(ctx context.Context, s *gateway.Session) []rbl.Result {
	subject := rbl.Subject{Helo: heloText(s)}
	fact := factListNames + heloText(s)
	again := gateway.Known(&s.Facts, fact)
	if s.Helo.Literal || !s.Helo.Valid || !again && helosAsked(s).Add(1) > mostHelos {
		subject.Helo = ""
	}
	if c.inputs&rbl.ReverseName != 0 {
		if r := c.d.reverse(ctx, s); r.Status == dns.Found {
			subject.Reverse = r.Name
		}
	}
	return c.ask(ctx, &s.Facts, fact, subject)
}

// mostHelos is about how many names that a client gives itself in one session lists are asked: whoever says another one before
// each MAIL uses up what is free of charge of a list, and no list has to know them all.
const mostHelos = 3

// helosAsked counts the names of a session.
func helosAsked(s *gateway.Session) *atomic.Int32 {
	return gateway.Fact(&s.Facts, "rbl helos", func() *atomic.Int32 { return new(atomic.Int32) })
}

func (c *lister) sender(ctx context.Context, e *gateway.Envelope) []rbl.Result {
	return c.ask(ctx, &e.Facts, factListSender, rbl.Subject{MailFrom: e.From.Domain})
}

func (c *lister) author(ctx context.Context, e *gateway.Envelope, domain string) []rbl.Result {
	return c.ask(ctx, &e.Facts, factListAuthor, rbl.Subject{From: domain})
}

// beginClient starts the lookups with the connection.
func (c *lister) beginClient(ctx context.Context, s *gateway.Session) (rest func()) {
	if unjudged(s) {
		return nil
	}
	if m, ok := c.dns.(rbl.Remembering); ok {
		if results, ok := c.d.Lists.Remembered(m, time.Now(), clientAsked(s)); ok {
			gateway.Fact(&s.Facts, factListClient, func() []rbl.Result { return results })
			return nil
		}
	}
	return func() { c.client(ctx, s) }
}

func clientAsked(s *gateway.Session) rbl.Subject {
	return rbl.Subject{Client: s.Client.Addr().Unmap().WithZone("")}
}

// beginSender starts the lookups while the checks of the name are under way; not of whoever says many names, since what is begun
// here is begun before the limit on messages.
func (c *lister) beginSender(ctx context.Context, in *gateway.Input) {
	if !isInside(in.Session.Client.Addr()) && !c.d.leavesSender(in.Envelope) && helosAsked(in.Session).Load() < mostHelos {
		c.sender(ctx, in.Envelope)
	}
}

func (c *lister) clientReady(in *gateway.Input) bool {
	return fromInside(in) || gateway.Known(&in.Session.Facts, factListClient)
}

func (c *lister) heloReady(in *gateway.Input) bool {
	return fromInside(in) || gateway.Known(&in.Session.Facts, factListNames+heloText(in.Session))
}

func (c *lister) senderReady(in *gateway.Input) bool {
	return isInside(in.Session.Client.Addr()) || c.d.leavesSender(in.Envelope) || gateway.Known(&in.Envelope.Facts, factListSender)
}

func (c *lister) authorReady(in *gateway.Input) bool {
	return isInside(in.Session.Client.Addr()) || c.authorDomain(in.Envelope) == "" || gateway.Known(&in.Envelope.Facts, factListAuthor)
}

// priced tells which listings have their price already: those of the client's names, and, for the author and for links, of the
// sender, for links of the author too.
// A domain has one price, in however many places of a message it stands.
func (c *lister) priced(in *gateway.Input, sender, author bool) func(*rbl.Result) bool {
	var before []rbl.Result
	look := func(check string, facts *gateway.Facts, fact string) {
		if c.d.On != nil && c.d.On(check) && gateway.Known(facts, fact) {
			before = append(before, gateway.Fact(facts, fact, func() []rbl.Result { return nil })...)
		}
	}
	look("rbl.helo", &in.Session.Facts, factListNames+heloText(in.Session))
	if sender {
		look("rbl.sender", &in.Envelope.Facts, factListSender)
	}
	if author {
		look("rbl.author", &in.Envelope.Facts, factListAuthor)
	}
	return func(res *rbl.Result) bool {
		for i := range before {
			b := &before[i]
			if b.Verdict == rbl.Listed && b.List == res.List && strings.EqualFold(b.Subject, res.Subject) {
				return true
			}
		}
		return false
	}
}
