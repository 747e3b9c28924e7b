package relay

import (
	"context"
	"net/netip"
	"time"

	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// Published is what the domains of next hops publish about the encryption of their mail hosts. Nothing that could not be told
// is ever told as absent.
type Published interface {
	// TLSA looks up the TLSA records of a host at a port (RFC 7672 section 2.2). None, without an error, means that a
	// validating resolver said so, or that the zone is not signed. A bogus answer, or none in time, is an error: the next hop
	// cannot be used then.
	TLSA(ctx context.Context, host string, port int) ([]dane.Record, error)
	// MTASTS returns the policy that a domain publishes (RFC 8461), from the cache or fetched; nil where it has none that is
	// known. It has no error: a policy that cannot be fetched is as if there were none, or as the one that is still kept
	// (RFC 8461 section 3.3).
	MTASTS(ctx context.Context, domain string) *mtasts.Policy
}

// Basis is whose word a connection's protection is (RFC 8460 section 4.2, policy-type).
type Basis uint8

// The bases of protection.
const (
	ByRoute Basis = iota // the mode of the route: nobody published anything that counts
	ByTLSA               // DANE
	BySTS                // MTA-STS
)

// protection is what one connection to a next hop must have. It is worked out for each connection, from the mode of the route
// and from what the domain of the next hop publishes.
type protection struct {
	mode Mode // what is asked in the end
}

// protect works out what a connection must have. Its error is a temporary failure: what was published cannot be told, and
// nothing less may be done in its place.
func (h *hop) protect(context.Context) (protection, error) {
	p := protection{mode: h.settings.tls}
	if p.mode == Opportunistic && (h.network == "unix" || h.inClear()) { // a socket leads nowhere that others could listen
		p.mode = None
	}
	return p, nil
}

// Negotiation is how the encryption of one connection to a next hop came out: what a report about TLS counts (RFC 8460).
type Negotiation struct {
	At          time.Time
	Domain      string // that the policy is of: of next hops that were found by MX, the domain; else the host
	Host        string // name or address of the next hop
	Local       netip.Addr
	Remote      netip.Addr
	Basis       Basis
	TLSA        []dane.Record  // beside ByTLSA
	STS         *mtasts.Policy // beside BySTS
	Failed      string         // the result type of RFC 8460 section 4.3; "" for a session that was encrypted as was asked
	Detail      string         // in the words of the error, cleaned
	Established bool           // it is used all the same
}

// Watch sets who is told how the encryption of each connection came out; it must not wait. Call it before any Relay is made.
func (p *Pools) Watch(f func(Negotiation)) { p.watch = f }

// Consult sets who is asked what next hops publish. Call it before any Relay is made.
func (p *Pools) Consult(published Published) { p.published = published }
