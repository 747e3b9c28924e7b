package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// Published is what the domains of next hops publish about the encryption of their mail hosts. Nothing that could not be told
// is ever told as absent.
type Published interface {
	// TLSA looks up what a host publishes for a port (dane.Lookup). No records, without an error, means that a validating
	// resolver said so, or that nothing of the host is signed. A bogus answer, or none in time, is an error: the next hop
	// cannot be used then.
	TLSA(ctx context.Context, host string, port int) (dane.Published, error)
	// MTASTS returns the policy that a domain publishes (RFC 8461), from the cache or fetched; nil where it has none that is
	// known. It has no error: a policy that cannot be fetched is as if there were none, or as the one that is still kept
	// (RFC 8461 section 3.3).
	MTASTS(ctx context.Context, domain string) *mtasts.Policy
	// Doubt says that a host could not be used since it is not as the policy of its domain asks: there may be a new one by now
	// (RFC 8461 section 5.1). It does not wait.
	Doubt(domain string)
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
	mode  Mode // what is asked in the end: DANE is there only by TLSA
	basis Basis
	base  string         // by TLSA: the name to ask for
	tlsa  []dane.Record  // by TLSA: as published
	proof dane.Record    // the one that matched
	sts   *mtasts.Policy // by MTA-STS: enforce where the mode is Required, else testing
	flaw  error          // beside testing: why enforce would not have the connection; nil for nothing wrong
	// until is when what was published must be looked at again, and with it whether a connection that was made so may still
	// be used; the zero time for never.
	until time.Time
}

// verified reports whether a connection that came about under it leads to whom it should.
func (p *protection) verified() bool {
	return p.mode == Required || p.mode == Fingerprint || p.mode == DANE && p.proof.Data != nil
}

// same reports whether a connection made under o is one as p asks for. Which record matched is of no account: as long as
// the same records are published it still would. Where encryption is a matter of luck, with is as good as without.
func (p *protection) same(o *protection) bool {
	lucky := func(m Mode) bool { return m == Opportunistic || m == None }
	return (p.mode == o.mode || lucky(p.mode) && lucky(o.mode)) && p.basis == o.basis && p.base == o.base && slices.EqualFunc(p.tlsa, o.tlsa, dane.Record.Equal) &&
		samePolicy(p.sts, o.sts)
}

// binding reports whether something that the domain publishes asks for what the connection must have: nothing less may be used
// in its place.
func (p *protection) binding() bool {
	return p.basis != ByRoute && (p.mode == Required || p.mode == DANE)
}

// who says who asks for the encryption, for errors.
func (p *protection) who() string {
	switch p.basis {
	case ByTLSA:
		return "its TLSA records require"
	case BySTS:
		return "the MTA-STS policy of its domain requires"
	}
	return "the route requires"
}

// How long what was looked up is taken for true, whatever its TTL says: a connection is looked at again no more often than
// once in the one, and no more seldom than once in the other.
const (
	leastKept = 10 * time.Second
	mostKept  = 5 * time.Minute
)

// errNoTLSA says that the mode DANEOnly asks for more than is published.
var errNoTLSA = errors.New("the route requires DANE")

// unprotected is the error of a next hop that is there, and cannot be used in the way that its domain asks for.
type unprotected struct{ error }

func (u unprotected) Unwrap() error { return u.error }

// protect works out what a connection must have. Its error is a temporary failure: what was published cannot be told, and
// nothing less may be done in its place.
func (h *hop) protect(ctx context.Context) (protection, error) {
	p := protection{mode: h.settings.tls}
	if p.mode == DANE || p.mode == DANEOnly {
		if err := h.byTLSA(ctx, &p); err != nil {
			return p, err
		}
	}
	if err := h.bySTS(ctx, &p); err != nil {
		return p, err
	}
	if p.mode == Opportunistic && (h.network == "unix" || h.inClear()) { // a socket leads nowhere that others could listen
		p.mode = None
	}
	return p, nil
}

// byTLSA turns the modes DANE and DANEOnly into what TLSA records make of them: DANE where there are some, else Opportunistic
// or an error. Records of which none can be used still mean encryption, of nobody knows whom with (RFC 7672 section 2.2).
func (h *hop) byTLSA(ctx context.Context, p *protection) error {
	found, err := h.lookTLSA(ctx)
	if err != nil {
		return unprotected{err}
	}
	p.until = time.Now().Add(min(max(found.Keep, leastKept), mostKept))
	if len(found.Records) > 0 && len(dane.Usable(found.Records)) == 0 {
		found.Why = "none of the TLSA records of " + found.Base + " can be used"
	}
	h.tell(found.Why, found.Blind)
	switch {
	case p.mode == DANEOnly && found.Why != "":
		return unprotected{fmt.Errorf("%w, and %s", errNoTLSA, found.Why)}
	case len(found.Records) == 0:
		p.mode = Opportunistic
		return nil
	}
	p.mode, p.basis, p.base, p.tlsa = DANE, ByTLSA, found.Base, found.Records
	return nil
}

// lookTLSA asks for the TLSA records of the next hop, where its name can be relied on: the operator wrote it, or the MX or SRV
// records that named it were validated (RFC 7672 section 2.2.1, RFC 7673 section 3.1).
func (h *hop) lookTLSA(ctx context.Context) (none dane.Published, err error) {
	none.Keep, none.Blind = mostKept, h.pools.published == nil // nothing of it changes but with the settings
	host, portText, err := net.SplitHostPort(h.address)
	if h.network == "unix" || err != nil {
		none.Why = "it is a socket of this host"
		return none, nil
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return none, err
	}
	switch _, notAddress := netip.ParseAddr(host); {
	case notAddress == nil:
		none.Why = "it is named by its address"
	case h.found && !h.secure:
		none.Why = "the MX or SRV records that name " + host + " are not signed"
	case h.pools.published == nil:
		none.Why = "there is nobody to ask for TLSA records"
	default:
		asking, cancel := context.WithTimeout(ctx, lookTime)
		defer cancel()
		return h.pools.published.TLSA(asking, host, port)
	}
	return none, nil
}

// tell logs why there is no DANE with the next hop, when it became true and when it is over: loudly where it was there before, or
// where it can never be.
func (h *hop) tell(why string, blind bool) {
	old := h.undone.Swap(&why)
	if old != nil && *old == why || old == nil && why == "" {
		return
	}
	if why == "" {
		h.pools.log.Info("next hop is verified by DANE again", "next_hop", h.address)
		return
	}
	level := slog.LevelInfo
	if blind || old != nil && *old == "" || h.settings.tls == DANEOnly {
		level = slog.LevelWarn
	}
	h.pools.log.Log(context.Background(), level, "next hop cannot be verified by DANE", "next_hop", h.address, "mode", h.settings.tls.String(), "reason", why)
}

// holds reports whether a connection that was made earlier is still what would be made now: a domain may have published
// something since, or something else. Where that cannot be told it does not hold.
func (h *hop) holds(ctx context.Context, c *conn) bool {
	if (c.held.until.IsZero() || time.Now().Before(c.held.until)) && !h.republished(ctx, &c.held) {
		return true
	}
	p, err := h.protect(ctx)
	if err != nil || !p.same(&c.held) {
		return false
	}
	c.held.until, c.held.sts = p.until, p.sts
	return true
}

// names are those that a certificate of the next hop may have, by way of an authority that TLSA records name (RFC 7672 section
// 3.2.2): the TLSA base domain, the name before CNAMEs, and the domain whose mail host it is.
func (h *hop) names(p *protection) []string {
	host, _, _ := net.SplitHostPort(h.address)
	return []string{p.base, host, h.domain}
}

// Consult sets who is asked what next hops publish. Call it before any Relay is made.
func (p *Pools) Consult(published Published) { p.published = published }
