package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"time"

	"gatepost/gateway"
)

// The steps of a Probe, in their order. Which of them there are depends on the route and on how far it comes.
const (
	ProbeFind    = "find"    // MX or SRV records, of a next hop that is named by them
	ProbePolicy  = "policy"  // what its domain publishes about its encryption: TLSA records, MTA-STS
	ProbeConnect = "connect" // its addresses, and a connection
	ProbeBanner  = "banner"  // what it says first
	ProbeHello   = "ehlo"    // what it offers
	ProbeTLS     = "tls"     // STARTTLS, and its certificate
	ProbeLogin   = "login"   // who we are to it, where the route says so
	ProbeTakes   = "takes"   // MAIL and RCPT for a recipient that it must know
	ProbeRefuses = "refuses" // MAIL and RCPT for one that cannot exist
)

// Bounds of a Probe.
const (
	probeHops = 8                // that are looked at
	probeTime = 10 * time.Second // for a connection, a handshake, or a reply
	maxProbed = 300              // octets of what is told of a step
)

// Question is what a Probe asks next hops. An address without a text is not asked about.
type Question struct {
	From  gateway.Address // who would send: the reverse-path
	Takes gateway.Address // whom the next hop must know
	Never gateway.Address // whom it cannot know
}

// ProbeStep is one step of a Probe.
type ProbeStep struct {
	At    string // one of the steps above
	Fault Fault  // NoFault: it is as it should be
	Goes  bool   // mail goes on although there is a fault
	Said  string // what was seen or said, cleaned; of a fault, what went wrong
	Took  time.Duration
	Peer  *x509.Certificate // of ProbeTLS: what the next hop showed; nil where none was seen
}

// Probed is what a Probe found of one next hop, or of a name in DNS that stands for none.
type Probed struct {
	NextHop string // as Hop.Address has it
	Name    string // that its certificate must have; "" for a socket
	Steps   []ProbeStep
	Carries gateway.Carries // Known where it answered EHLO
}

// Probe goes through what handing a message over takes, with each next hop of the route, as Relay does it: by the same code, but
// with a connection of its own, so that no breaker, pace or pool has a part in it, and none of them learns from it. It sends no
// DATA. An error is of the route.
func (p *Pools) Probe(ctx context.Context, r Route, q *Question) ([]Probed, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	own := NewPools(p.dial, nil)
	own.Find(p.resolver)
	own.Consult(p.published)
	r.Timeouts = r.Timeouts.withDefaults()
	r.Timeouts.Connect, r.Timeouts.Command = min(r.Timeouts.Connect, probeTime), min(r.Timeouts.Command, probeTime)
	var out []*walk
	for i := 0; i < len(r.Hops) && len(out) < probeHops; i++ {
		out = append(out, own.found(ctx, &r, r.Hops[i], q)...)
	}
	out = out[:min(len(out), probeHops)]
	var all sync.WaitGroup
	for _, w := range out {
		if w.hop != nil {
			all.Go(func() { w.through(ctx) })
		}
	}
	all.Wait()
	var said []Probed
	for _, w := range out {
		said = append(said, w.Probed)
	}
	return said, nil
}

// walk is a Probe of one next hop.
type walk struct {
	Probed
	*hop
	q *Question
}

// found are the next hops that one of the route stands for.
func (p *Pools) found(ctx context.Context, r *Route, h Hop, q *Question) []*walk {
	start := func(h Hop, steps ...ProbeStep) *walk {
		w := &walk{hop: &hop{settings: newSettings(r, h), pools: p, users: 1, slots: newSlots(1, 1), tripped: make(chan struct{}, 1)}, q: q}
		w.NextHop, w.Steps = h.Address(), steps
		if w.network != "unix" {
			w.Name = w.serverName
		}
		return w
	}
	if h.MX == "" && h.SRV == "" {
		return []*walk{start(h)}
	}
	began := time.Now()
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	hops, _, err := (&source{Hop: h}).ask(looking, p.resolver, r.Hostname)
	step := ProbeStep{At: ProbeFind, Took: time.Since(began)}
	if err != nil {
		step.Fault, step.Said = faultOf(ProbeFind, err), gateway.CleanText(err.Error(), maxProbed)
		return []*walk{{Probed: Probed{NextHop: h.Address(), Steps: []ProbeStep{step}}}}
	}
	var names []string
	for _, x := range hops {
		names = append(names, x.Address())
	}
	step.Said = gateway.CleanText(h.Address()+" leads to "+strings.Join(names, ", "), maxProbed)
	var out []*walk
	for _, x := range hops {
		out = append(out, start(x, step))
	}
	return out
}

// tell notes how a step ended, and reports whether the walk can go on.
func (w *walk) tell(at string, began time.Time, said string, err error) bool {
	s := ProbeStep{At: at, Said: gateway.CleanText(said, maxProbed), Took: time.Since(began)}
	if err != nil {
		s.Fault, s.Said = faultOf(at, err), gateway.CleanText(err.Error(), maxProbed)
	}
	w.Steps = append(w.Steps, s)
	return err == nil
}

// last is the step that was noted last.
func (w *walk) last() *ProbeStep { return &w.Steps[len(w.Steps)-1] }

// through goes through all steps with one next hop.
func (w *walk) through(ctx context.Context) {
	began := time.Now()
	p, err := w.protect(ctx)
	if asks := w.tls == DANE || w.tls == DANEOnly || w.sts; asks || err != nil {
		if !w.tell(ProbePolicy, began, w.published(&p), err) {
			return
		}
		if why := w.undone.Load(); why != nil && *why != "" {
			s := w.last()
			s.Fault, s.Goes, s.Said = NoTLSA, true, gateway.CleanText("not verified by DANE: "+*why, maxProbed)
		}
	}
	if again := w.session(ctx, &p); again {
		p.mode = None
		w.session(ctx, &p)
	}
}

// published is what the domain of the next hop asks for.
func (w *walk) published(p *protection) string {
	switch p.basis {
	case ByTLSA:
		return "TLSA records of " + p.base + " that ask for encryption, and for which certificate"
	case BySTS:
		return "the MTA-STS policy of " + w.domain + " is in the mode " + string(p.sts.Mode)
	}
	return "nothing is published that asks for encryption"
}

// session goes through the steps of one connection. It reports whether mail would go in clear, after a handshake that failed.
func (w *walk) session(ctx context.Context, p *protection) (again bool) {
	began := time.Now()
	dialling, cancel := context.WithTimeout(ctx, w.timeouts.Connect)
	socket, err := w.dial(dialling)
	cancel()
	if err != nil {
		w.tell(ProbeConnect, began, "", err)
		return false
	}
	c := w.over(socket)
	defer func() {
		c.unwatch()
		c.quit()
	}()
	if !c.watch(ctx) {
		w.tell(ProbeConnect, began, "", because(ctx, context.Canceled))
		return false
	}
	w.tell(ProbeConnect, began, "to "+socket.RemoteAddr().String(), nil)
	began = time.Now()
	if r, err := c.banner(); !w.tell(ProbeBanner, began, r.String(), err) {
		return false
	}
	began = time.Now()
	err = c.hello(w.hostname)
	w.Carries = c.offer.carries()
	if !w.tell(ProbeHello, began, c.offer.words(), err) {
		return false
	}
	if again, ok := w.encrypted(ctx, c, p); !ok {
		return again
	}
	if w.auth != nil {
		began = time.Now()
		if !w.tell(ProbeLogin, began, "as "+w.auth.User, c.authenticate(p)) {
			return false
		}
	}
	if w.q.Takes.Text != "" && w.asks(c, ProbeTakes, w.q.Takes) && w.q.Never.Text != "" {
		w.asks(c, ProbeRefuses, w.q.Never)
	}
	return false
}

// encrypted goes through STARTTLS. ok: the connection can be used on.
func (w *walk) encrypted(ctx context.Context, c *conn, p *protection) (again, ok bool) {
	if p.mode == None {
		if w.settings.tls == None && w.network != "unix" {
			w.tell(ProbeTLS, time.Now(), "in clear, as the route says", nil)
		}
		return false, true
	}
	began := time.Now()
	err := c.encrypt(ctx, p)
	if !w.tell(ProbeTLS, began, c.tls, err) {
		s := w.last()
		s.Peer = shown(err)
		s.Goes = p.mode == Opportunistic && errors.Is(err, errTLS) && ctx.Err() == nil
		return s.Goes, false
	}
	w.Carries = c.offer.carries() // it may offer more now
	s := w.last()
	if over, encrypted := c.nc.(*tls.Conn); encrypted {
		if all := over.ConnectionState().PeerCertificates; len(all) > 0 {
			s.Peer = all[0]
		}
		return false, true
	}
	s.Fault, s.Goes, s.Said = NoStartTLS, true, "in clear: STARTTLS is not offered, or is refused"
	return false, true
}

// shown is the certificate that a handshake failed over; nil where it did not come to that.
func shown(err error) *x509.Certificate {
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(bad.UnverifiedCertificates) > 0 {
		return bad.UnverifiedCertificates[0]
	}
	return nil
}

// asks asks about a recipient, and reports whether it is of use to ask about another.
func (w *walk) asks(c *conn, at string, rcpt gateway.Address) bool {
	began := time.Now()
	a := c.verify(w.q.From, rcpt)
	s := ProbeStep{At: at, Said: gateway.CleanText(rcpt.Text+": "+a.Said, maxProbed), Took: time.Since(began)}
	switch {
	case a.blame != nil:
		s.Fault = faultOf(at, a.blame)
	case a.Result == gateway.Delivered && at == ProbeRefuses:
		s.Fault, s.Goes = Everybody, true
	case a.Result == gateway.Delivered, at == ProbeRefuses && a.Result == gateway.RefusedByHop:
	case a.Result == gateway.RefusedByHop && a.At == atMail:
		s.Fault = SenderRefused
	case a.Result == gateway.RefusedByHop:
		s.Fault = RecipientRefused
	default:
		s.Fault, s.Goes = Postponed, at == ProbeRefuses
	}
	w.Steps = append(w.Steps, s)
	return a.keep && s.Fault != SenderRefused && s.Fault != Postponed
}

// words are what an offer offers.
func (o offer) words() string {
	if !o.extended {
		return "it knows HELO only"
	}
	var out []string
	for _, x := range []struct {
		there bool
		name  string
	}{{o.pipelining, "PIPELINING"}, {o.eightBit, "8BITMIME"}, {o.utf8, "SMTPUTF8"}, {o.chunking, "CHUNKING"}, {o.dsn, "DSN"}, {o.starttls, "STARTTLS"}, {o.sizeSaid, "SIZE"}, {len(o.auth) > 0, "AUTH"},
		{len(o.xclient) > 0, "XCLIENT"}, {len(o.xforward) > 0, "XFORWARD"}} {
		if x.there {
			out = append(out, x.name)
		}
	}
	if len(out) == 0 {
		return "it offers nothing"
	}
	return "it offers " + strings.Join(out, ", ")
}
