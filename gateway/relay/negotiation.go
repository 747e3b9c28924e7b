package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
	"gatepost/tls/tlsrpt"
)

// Negotiation is how the encryption of one connection to a next hop came out: what a report about TLS counts (RFC 8460). There
// is one for each connection that came to the point where it is encrypted or not, and for each that was not made since the
// domain of the next hop publishes what cannot be kept. A connection in clear by the route's word, or for a while after a
// handshake that failed, is none.
type Negotiation struct {
	At          time.Time
	Domain      string // that the policy is of: of next hops that were found by MX, the domain; else the host
	Host        string // name of the next hop
	Local       netip.Addr
	Remote      netip.Addr
	Basis       Basis
	TLSA        []dane.Record  // beside ByTLSA; none where there are none, or they cannot be looked up
	STS         *mtasts.Policy // beside BySTS
	Failed      string         // the result type of RFC 8460 section 4.3; "" for a session that was encrypted as was asked
	Detail      string         // why, in words that are the same for the same fault
	Established bool           // it is used all the same
}

// Watch sets who is told how the encryption of each connection came out; it must not wait. Call it before any Relay is made.
func (p *Pools) Watch(f func(Negotiation)) { p.watch = f }

// about begins what is told of a connection. Not ok: nobody is to be told. A next hop that is named by its address has no
// domain that could publish anything, and LMTP and sockets are no mail exchange.
func (h *hop) about(ctx context.Context, p *protection) (n Negotiation, ok bool) {
	host, _, err := net.SplitHostPort(h.address)
	if h.pools.watch == nil || h.lmtp || err != nil || ended(ctx) != nil {
		return n, false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return n, false
	}
	n = Negotiation{At: time.Now(), Domain: h.domain, Host: host, Basis: p.basis, TLSA: p.tlsa, STS: p.sts}
	if n.Domain == "" {
		n.Domain = host
	}
	return n, true
}

// cameOut tells how the encryption of a connection came out; err is that of making it.
func (c *conn) cameOut(ctx context.Context, p *protection, err error) {
	n, ok := c.hop.about(ctx, p)
	if !ok {
		return
	}
	n.Local, n.Remote = addressOf(c.socket.LocalAddr()), addressOf(c.socket.RemoteAddr())
	encrypted := c.nc != c.socket // whatever was said afterwards
	n.Established = encrypted || err == nil
	fault := err
	switch {
	case encrypted && p.mode == DANE && len(dane.Usable(p.tlsa)) == 0:
		n.Failed, n.Detail = string(tlsrpt.TLSAInvalid), "no TLSA record can be used"
	case encrypted || err == nil:
		if p.basis != BySTS && encrypted {
			fault = nil
		} else if fault = p.flaw; fault == nil && !encrypted {
			fault = errNoTLS
		}
	}
	if fault != nil {
		n.Failed, n.Detail = faulty(fault)
	}
	c.hop.pools.watch(n)
}

// unmet tells that a connection was not made, since what the domain publishes cannot be kept. That an answer of DNS did not
// come says nothing of the domain, and is not told.
func (h *hop) unmet(ctx context.Context, p *protection, err error) {
	n, ok := h.about(ctx, p)
	switch {
	case !ok:
		return
	case errors.Is(err, errNoTLSA):
		n.Basis, n.Failed, n.Detail = ByTLSA, string(tlsrpt.DANENeeded), ""
	case errors.Is(err, dane.ErrBogus):
		n.Basis, n.Failed, n.Detail = ByTLSA, string(tlsrpt.DNSSEC), ""
	case errors.Is(err, errNotNamed):
		n.Failed, n.Detail = faulty(err)
	default:
		return
	}
	h.pools.watch(n)
}

// faulty is the result type of a fault, and why.
func faulty(err error) (result, why string) {
	var r tlsrpt.Result
	f, ok := errors.AsType[*failure](err)
	switch {
	case errors.Is(err, errNoTLS):
		r = tlsrpt.NoSTARTTLS
	case ok && f.reply.Code != 0:
		r, why = tlsrpt.NoSTARTTLS, "STARTTLS is answered by "+strconv.Itoa(f.reply.Code)
	case errors.Is(err, dane.ErrName):
		r, why = tlsrpt.HostName, dane.ErrName.Error()
	case errors.Is(err, dane.ErrDate):
		r, why = tlsrpt.Expired, dane.ErrDate.Error()
	case errors.Is(err, dane.ErrChain):
		r, why = tlsrpt.NotTrusted, dane.ErrChain.Error()
	case errors.Is(err, dane.ErrMatch):
		r, why = tlsrpt.NotTrusted, dane.ErrMatch.Error()
	case errors.Is(err, errNotNamed):
		r, why = tlsrpt.Validation, "the MTA-STS policy does not name this host"
	default:
		r, why = tlsrpt.Explain(err)
	}
	return string(r), gateway.CleanText(why, 200)
}

// addressOf is the address of a socket's end; the zero Addr where it has none.
func addressOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
