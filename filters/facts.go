package filters

import (
	"context"
	"net/netip"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dns"
)

// lookupTime bounds what one fact may wait for DNS. Rows that ask for one have a longer deadline: a fact that is cut short
// by whoever asked first is Failed for all.
const lookupTime = 7 * time.Second

// reverse is the confirmed reverse name of the client, looked up once a connection.
func (d *Deps) reverse(ctx context.Context, s *gateway.Session) dns.Reverse {
	return gateway.Fact(&s.Facts, factReverse, func() dns.Reverse {
		ctx := gateway.Within(ctx, time.Now().Add(lookupTime))
		defer ctx.End()
		return dns.ConfirmedReverse(ctx, d.Resolver, s.Client.Addr().Unmap())
	})
}

// factReverse is the name of that fact.
const factReverse = "reverse"

// reverseKnown reports whether the check rdns has nothing to wait for.
func (d *Deps) reverseKnown(in *gateway.Input) bool {
	return fromInside(in) || gateway.Known(&in.Session.Facts, factReverse)
}

// fromInside reports whether the client is one that the public DNS cannot speak about, or a trusted relay.
func fromInside(in *gateway.Input) bool { return unjudged(in.Session) }

// mailHost tells whether the domain of the reverse-path can receive mail, looked up once a transaction.
func (d *Deps) mailHost(ctx context.Context, e *gateway.Envelope) dns.MailHostResult {
	return gateway.Fact(&e.Facts, "mail host", func() dns.MailHostResult {
		ctx := gateway.Within(ctx, time.Now().Add(lookupTime))
		defer ctx.End()
		return dns.MailHost(ctx, d.Resolver, e.From.Domain)
	})
}

// isInside reports whether the public DNS cannot speak about an address.
func isInside(a netip.Addr) bool { return gateway.Inside(a) || !a.IsValid() }

// unjudged reports whether the client's address says nothing of who sent: the public DNS cannot speak about it, or it is that of
// a trusted relay.
func unjudged(s *gateway.Session) bool { return s.Relay || isInside(s.Client.Addr()) }

// leftOut is the finding about a client that is unjudged.
func leftOut(s *gateway.Session) gateway.Finding {
	if s.Relay {
		return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftRelayed}.
			Show("client", s.Client.Addr().String()+" is a trusted relay, and not who sent the message")
	}
	return gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}.
		Show("client", s.Client.Addr().String()+" is a loopback, private or shared address")
}
