package filters

import (
	"context"
	"net/netip"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dns"
)

// lookupTime bounds what one fact may wait for DNS, so that a fact that began with the connection ends by itself.
const lookupTime = 7 * time.Second

// reverse is the confirmed reverse name of the client, looked up once a connection.
func (d *Deps) reverse(ctx context.Context, s *gateway.Session) dns.Reverse {
	return gateway.Fact(&s.Facts, "reverse", func() dns.Reverse {
		// The fact outlives whoever asked first: others wait for the same answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTime)
		defer cancel()
		return dns.ConfirmedReverse(ctx, d.Resolver, s.Client.Addr().Unmap())
	})
}

// mailHost tells whether the domain of the reverse-path can receive mail, looked up once a transaction.
func (d *Deps) mailHost(ctx context.Context, e *gateway.Envelope) dns.MailHostResult {
	return gateway.Fact(&e.Facts, "mail host", func() dns.MailHostResult {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTime)
		defer cancel()
		return dns.MailHost(ctx, d.Resolver, e.From.Domain)
	})
}

// isInside reports whether an address is loopback, private or link-local: what the public DNS cannot speak about.
func isInside(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || !a.IsValid()
}
