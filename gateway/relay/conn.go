package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// The steps of a dialogue, as Relayed.At names them.
const (
	atDial = gateway.AtDial
	atEHLO = gateway.AtEHLO
	atMail = gateway.AtMail
	atRcpt = gateway.AtRcpt
	atData = gateway.AtData
	atBody = gateway.AtBody
	atDot  = gateway.AtDot
)

// What the next hop can do wrong apart from its codes.
var (
	errOutOfTurn = errors.New("next hop spoke out of turn")
	errClosing   = errors.New("next hop closes the connection (421)")
	errTLS       = errors.New("TLS with the next hop failed")
	errNoTLS     = errors.New("next hop does not offer STARTTLS")
)

// failure is an error with the step at which it came and, if there was one, the reply.
type failure struct {
	at    string
	err   error
	reply smtpwire.Reply // its Code is 0 when there was none
}

// Error names the step once: Go's own word of a connection that was not made begins with dial as well.
func (f *failure) Error() string { return f.at + ": " + strings.TrimPrefix(f.err.Error(), f.at+" ") }
func (f *failure) Unwrap() error { return f.err }

// unexpected is a reply that is not the one the step needs.
func unexpected(at string, r smtpwire.Reply) *failure {
	return &failure{at: at, err: errors.New("next hop said " + r.String()), reply: r}
}

// conn is one connection to a next hop, used by one goroutine at a time.
type conn struct {
	hop    *hop
	socket net.Conn        // closing it ends everything, at once
	raw    syscall.RawConn // of the socket; nil where it is none
	nc     net.Conn        // the socket, or TLS over it
	in     *smtpwire.Reader
	offer  offer
	tls    string     // what Relayed.TLS says
	held   protection // that it was made under
	born   time.Time
	since  time.Time // idle since
	began  time.Time // since when its message is being relayed
	uses   int
	lane   lane
	as     string // whom the next hop takes us for, since XCLIENT; "" for whom we are
	flight flight
	heard  []smtpwire.Reply // to the message
	want   int              // of them
	until  time.Time        // nothing may take longer; zero for no such time
	stop   func() bool      // ends the watch over a context
	peek   func(fd uintptr)
	quiet  bool // what peek found: nothing came, and the other side is there
}

// connect makes a connection up to and with EHLO, under STARTTLS as the settings ask.
func (h *hop) connect(ctx context.Context) (*conn, error) {
	p, err := h.protect(ctx)
	if err != nil {
		h.unmet(ctx, &p, err)
		return nil, &failure{at: atDial, err: err}
	}
	c, err := h.connectAs(ctx, &p)
	if err != nil && p.binding() && (errors.Is(err, errTLS) || errors.Is(err, errNoTLS)) {
		if p.basis == BySTS {
			h.pools.published.Doubt(h.domain)
		}
		return nil, unprotected{err}
	}
	if err != nil && p.mode == Opportunistic && errors.Is(err, errTLS) && ended(ctx) == nil {
		h.pools.log.Warn("next hop is used in clear, since the TLS handshake failed", "next_hop", h.address, "error", err)
		h.keepClear()
		p.mode, p.flaw = None, err
		return h.connectAs(ctx, &p)
	}
	return c, err
}

func (h *hop) connectAs(ctx context.Context, p *protection) (*conn, error) {
	h.count.dials.Add(1)
	dialCtx, cancel := context.WithTimeout(ctx, h.timeouts.Connect)
	defer cancel()
	socket, err := h.dial(dialCtx)
	if err != nil {
		return nil, &failure{at: atDial, err: err}
	}
	c := h.over(socket)
	if !c.watch(ctx) {
		c.close()
		return nil, &failure{at: atDial, err: because(ctx, context.Canceled)}
	}
	err = c.greet(ctx, p)
	if err == nil {
		err = c.authenticate(p)
	}
	if err != nil {
		c.unwatch()
		c.close()
		return nil, err
	}
	c.held = *p
	h.learn(c)
	return c, nil
}

// over is a connection over a socket, before anything was said.
func (h *hop) over(socket net.Conn) *conn {
	c := &conn{hop: h, socket: socket, nc: socket, in: h.pools.readers.Get(socket), born: time.Now(), uses: 1}
	if s, ok := socket.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn() // it has no errors but on a closed socket, which the first read notices
	}
	return c
}

// banner reads what the next hop says first.
func (c *conn) banner() (smtpwire.Reply, error) {
	banner, err := c.reply(c.hop.timeouts.Command)
	if err != nil {
		return banner, &failure{at: atDial, err: err}
	}
	if !banner.Is(220) {
		return banner, unexpected(atDial, banner)
	}
	if name, _, _ := strings.Cut(banner.Lines[0], " "); c.hop.found && strings.EqualFold(name, c.hop.hostname) {
		return banner, &failure{at: atDial, err: errLoop} // under another name
	}
	return banner, nil
}

// greet reads the banner and says EHLO, before and after STARTTLS.
func (c *conn) greet(ctx context.Context, p *protection) error {
	if _, err := c.banner(); err != nil {
		return err
	}
	if err := c.hello(c.hop.hostname); err != nil {
		return err
	}
	if p.mode == None {
		return nil
	}
	err := c.encrypt(ctx, p)
	c.cameOut(ctx, p, err)
	return err
}

// encrypt has the connection encrypted, where the next hop offers that or it must be.
func (c *conn) encrypt(ctx context.Context, p *protection) error {
	if !c.offer.starttls {
		if p.mode == Opportunistic {
			p.flaw = errNoTLS // of account by MTA-STS in testing
			return nil
		}
		return &failure{at: atEHLO, err: fmt.Errorf("%w, which %s", errNoTLS, p.who())}
	}
	return c.startTLS(ctx, p)
}

// hello says EHLO, and HELO to a next hop that does not know EHLO (RFC 5321 section 3.2); in LMTP, LHLO alone (RFC 2033
// section 4.1).
func (c *conn) hello(name string) error {
	verb := "EHLO "
	if c.hop.lmtp {
		verb = "LHLO "
	}
	r, err := c.ask(verb + name)
	switch {
	case err != nil:
		return &failure{at: atEHLO, err: err}
	case r.Is(250):
		c.offer = parseEHLO(r.Lines)
		return nil
	case c.hop.lmtp || !r.Is(500) && !r.Is(501) && !r.Is(502) && !r.Is(504):
		return unexpected(atEHLO, r)
	}
	if r, err = c.ask("HELO " + name); err != nil {
		return &failure{at: atEHLO, err: err}
	}
	if !r.Is(250) {
		return unexpected(atEHLO, r)
	}
	c.offer = offer{}
	return nil
}

// startTLS encrypts the connection. A next hop that offers STARTTLS and then refuses it is used in clear in the mode
// Opportunistic.
func (c *conn) startTLS(ctx context.Context, p *protection) error {
	r, err := c.ask("STARTTLS")
	switch {
	case err != nil:
		return &failure{at: atEHLO, err: fmt.Errorf("starttls: %w", err)}
	case !r.Is(220):
		if p.mode == Opportunistic && r.Code >= 400 && r.Code != 421 {
			p.flaw = errNoTLS
			return nil
		}
		return unexpected(atEHLO, r)
	}
	secure := tls.Client(c.socket, c.hop.tlsConfig(p))
	handshake, cancel := context.WithTimeout(ctx, c.hop.timeouts.Connect)
	defer cancel()
	// From the 220 on, whatever fails is the handshake: a next hop may close before it begins.
	if err := c.socket.SetDeadline(time.Time{}); err != nil {
		return &failure{at: atEHLO, err: fmt.Errorf("%w: %w", errTLS, err)}
	}
	if err := secure.HandshakeContext(handshake); err != nil {
		return &failure{at: atEHLO, err: fmt.Errorf("%w: %w", errTLS, err)}
	}
	c.nc = secure
	c.in.Reset(secure) // ask made sure that nothing came in clear behind the reply
	c.tls = describe(secure.ConnectionState(), p)
	return c.hello(c.hop.hostname)
}

// keepsTLS reports whether a message may be sent that must not go on without verified TLS (RFC 8689 section 4.2.1): who the
// next hop is was proved, by a name that is not from an unsigned MX record, and it will ask the same of the next.
func (c *conn) keepsTLS() bool { return c.tls != "" && c.held.verified() && c.offer.requireTLS }

// ask sends one command and reads its reply; nothing may follow the reply.
func (c *conn) ask(command string) (smtpwire.Reply, error) {
	if err := c.send([]byte(command + "\r\n")); err != nil {
		return smtpwire.Reply{}, err
	}
	r, err := c.reply(c.hop.timeouts.Command)
	if err == nil && c.in.Buffered() > 0 {
		err = errOutOfTurn
	}
	return r, err
}

// send writes commands.
func (c *conn) send(b []byte) error {
	if err := c.nc.SetWriteDeadline(c.by(c.hop.timeouts.Command)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// reply reads one whole reply, which must end within the time however it trickles.
func (c *conn) reply(within time.Duration) (smtpwire.Reply, error) {
	if err := c.nc.SetReadDeadline(c.by(within)); err != nil {
		return smtpwire.Reply{}, err
	}
	return c.in.ReadReply()
}

// by is the time at which a wait of that length ends.
func (c *conn) by(within time.Duration) time.Time {
	t := time.Now().Add(within)
	if !c.until.IsZero() && c.until.Before(t) {
		return c.until
	}
	return t
}

// watch closes the socket when the context ends, until unwatch. It reports false when that has happened already.
func (c *conn) watch(ctx context.Context) bool {
	if ended(ctx) != nil {
		return false
	}
	if d, ok := ctx.(*gateway.Deadline); ok && d.Alone() {
		c.until, _ = d.Deadline() // it bounds each read and write: nobody need be woken for it
		return true
	}
	c.stop = context.AfterFunc(ctx, func() { _ = c.socket.Close() })
	return true
}

// unwatch reports whether the socket was left alone.
func (c *conn) unwatch() bool {
	stopped := c.stop == nil || c.stop()
	c.stop, c.until = nil, time.Time{}
	return stopped
}

// alive looks whether an idle connection is as it was left: young enough, and with nothing to read. A next hop that
// leaves closes the connection or says 421 first; both can be read.
func (c *conn) alive() bool {
	now := time.Now()
	return now.Sub(c.since) < c.hop.timeouts.Idle && now.Sub(c.born) < maxAge && c.in.Buffered() == 0 && !c.readable()
}

// works asks an idle connection that may have been forgotten on the way.
func (c *conn) works() bool {
	if c.send([]byte("NOOP\r\n")) != nil {
		return false
	}
	r, err := c.reply(min(c.hop.timeouts.Command, checkTime))
	return err == nil && r.Is(250) && c.in.Buffered() == 0
}

// readable reports whether something came, or the other side closed, without waiting and without taking it. On a
// connection that is no socket it cannot tell and says no.
func (c *conn) readable() bool {
	if c.raw == nil {
		return false
	}
	if c.peek == nil {
		c.peek = func(fd uintptr) { c.quiet = nothing(int(fd)) }
	}
	c.quiet = false
	return c.raw.Control(c.peek) != nil || !c.quiet
}

// nothing reports whether a socket is open and has nothing to read.
func nothing(fd int) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(fd, one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return err == syscall.EAGAIN
		}
	}
}

// quit takes leave of a next hop that did nothing wrong, without waiting for its reply.
func (c *conn) quit() {
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c.nc, "QUIT\r\n")
	c.close()
}

// close ends the connection. It says nothing: after a failed body a command would complete the message.
func (c *conn) close() {
	_ = c.socket.Close()
	if c.in != nil {
		c.hop.pools.readers.Put(c.in)
		c.in = nil
	}
}

// describe says which TLS it is.
func describe(s tls.ConnectionState, p *protection) string {
	how := map[Mode]string{Opportunistic: "not verified", Required: "verified", Fingerprint: "pinned", DANE: "not verified, since no TLSA record can be used"}[p.mode]
	if p.mode == DANE && p.verified() {
		how = "DANE " + p.proof.Kind() + " verified"
	}
	if p.basis == BySTS {
		how += ", MTA-STS " + string(p.sts.Mode)
	}
	return "TLS" + strconv.Itoa(int(s.Version>>8)-2) + "." + strconv.Itoa(int(s.Version&0xff)-1) + " " +
		tls.CipherSuiteName(s.CipherSuite) + ", " + how
}
