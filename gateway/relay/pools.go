package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"

	"gatepost/internal/smtpwire"
)

// Dialer connects to a next hop; net.Dialer.DialContext is one.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Pools keeps what must outlive a policy: connections, breakers and what was learned of each next hop. All Relays of a
// process share one. It is safe for concurrent use.
type Pools struct {
	dial     Dialer
	resolver Resolver
	log      *slog.Logger
	readers  smtpwire.Pool
	bodies   sync.Pool // *message

	published Published         // nil for nobody
	watch     func(Negotiation) // nil for nobody

	mu        sync.Mutex
	hops      []*hop
	recalled  map[hopName]*learned // from before the start
	listening map[*conn]struct{}   // to late answers
	closed    bool
	listeners sync.WaitGroup
}

// NewPools returns empty pools. A nil dial is that of net.Dialer, with the system's resolver; a nil log keeps nothing.
func NewPools(dial Dialer, log *slog.Logger) *Pools {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Pools{dial: dial, log: log, listening: make(map[*conn]struct{})}
	return p
}

// Find sets who is asked for next hops that are named by MX or SRV. Call it before any Relay is made.
func (p *Pools) Find(r Resolver) { p.resolver = r }

// settings are all that a connection depends on: hops with equal settings are one.
type settings struct {
	network      string // "tcp" or "unix"
	address      string
	lmtp         bool
	found        bool   // by name, in DNS
	secure       bool   // beside found: by records that were validated; kept for DANE alone
	domain       string // whose mail host it is, where it was found by MX
	sts          bool   // the MTA-STS policy of domain counts
	forward      Forward
	rate         Rate
	tls          Mode
	fingerprints []Digest
	roots        *x509.CertPool
	serverName   string
	hostname     string
	size, queue  int
	timeouts     Timeouts
	auth         *Auth
	certificate  *tls.Certificate
}

func (s *settings) equal(o *settings) bool {
	return s.address == o.address && s.lmtp == o.lmtp && s.found == o.found && s.secure == o.secure && s.domain == o.domain && s.sts == o.sts && s.forward == o.forward && s.rate == o.rate && s.tls == o.tls && s.serverName == o.serverName && s.hostname == o.hostname &&
		s.size == o.size && s.queue == o.queue && s.timeouts == o.timeouts && slices.Equal(s.fingerprints, o.fingerprints) && same(s.auth, o.auth) && sameCertificate(s.certificate, o.certificate) &&
		(s.roots == o.roots || s.roots != nil && o.roots != nil && s.roots.Equal(o.roots))
}

// same reports whether both are equal, or neither is there.
func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func sameCertificate(a, b *tls.Certificate) bool {
	return a == b || a != nil && b != nil && slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
}

func newSettings(r *Route, h Hop) settings {
	s := settings{network: "tcp", address: h.Address(), lmtp: r.LMTP, found: h.found, secure: h.found && h.Secure && (r.TLS == DANE || r.TLS == DANEOnly), domain: h.domain, sts: r.MTASTS && h.domain != "" && !r.LMTP && (r.TLS == Opportunistic || r.TLS == DANE), forward: r.Forward, rate: r.Rate, tls: r.TLS, roots: r.RootCAs, serverName: r.ServerName, hostname: r.Hostname,
		size: r.PoolSize, queue: r.Queue, timeouts: r.Timeouts.withDefaults(), fingerprints: slices.Clone(r.Fingerprints),
		auth: r.Auth, certificate: r.Certificate}
	if h.unix() {
		s.network = "unix"
	}
	if s.serverName == "" {
		s.serverName = strings.TrimPrefix(h.Host, unixPrefix)
	}
	if s.size == 0 {
		s.size = DefaultPoolSize
	}
	if s.queue == 0 {
		s.queue = DefaultQueue
	}
	return s
}

// use returns the hop of these settings and counts its user. A new one begins with what was learned from the same
// address under other settings.
func (p *Pools) use(s settings) *hop {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.recalled[hopName{s.address, s.lmtp}]
	for _, h := range p.hops {
		if h.settings.equal(&s) {
			h.users++
			return h
		}
		if f := h.facts.Load(); f != nil && h.address == s.address && h.lmtp == s.lmtp {
			other := *f // how it was encrypted there says nothing of how it will be here
			other.tls, other.keeps = "", false
			known = &other
		}
	}
	h := &hop{settings: s, pools: p, users: 1, slots: newSlots(s.size, s.queue), tripped: make(chan struct{}, 1)}
	h.facts.Store(known)
	p.hops = append(p.hops, h)
	return h
}

// drop takes a user away. A hop without users keeps no connection; sessions that still know it can go on using it.
func (p *Pools) drop(h *hop) {
	p.mu.Lock()
	h.users--
	gone := h.users == 0
	if gone {
		p.hops = slices.DeleteFunc(p.hops, func(o *hop) bool { return o == h })
	}
	p.mu.Unlock()
	if gone {
		h.retire()
	}
}
