package smtpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// session is one connection. Only its own goroutine touches it, but for what mu guards.
type session struct {
	srv    *Server
	ctx    context.Context
	cancel context.CancelFunc
	raw    net.Conn // as it was accepted; deadlines are set here
	conn   net.Conn // raw, or TLS over it
	r      *smtpwire.Reader
	early  []byte // what the client said before the banner, until it is read again as its first commands
	out    []byte // replies that are not flushed yet
	failed error  // of a write; nothing is written after it

	gateway.Session
	limits *gateway.Limits
	offer  offer
	tx     *transaction // nil outside a transaction
	meter  *meter       // set while a message is read

	until       time.Time        // the end of the whole session, not counting messages on their way in
	unknown     int              // unknown commands
	junk        int              // commands since the last message that brought none
	idles       bool             // the command at hand is one of them
	lineEnd     smtpwire.LineEnd // of the first command: those of the others must be the same
	unchecked   bool             // the reply at hand is no error of the client's command
	lateChunks  bool             // a chunk was refused; those that were pipelined behind it are no further errors
	thrownAway  int64            // octets of chunks that were refused
	ended       gateway.ID       // of the transaction that the command at hand ended: its reply belongs to that
	refusals    []string         // for Summary.Refused
	lastReply   gateway.Reply
	unheard     gateway.Claim // of the last message with a 250, until it is known whether the client read that; nil for none
	look        look          // at what the client sent before
	behind      bool          // the command line at hand was sent before that 250
	greetedOnce bool          // the banner was said
	joined      bool          // the late checks of the Connect stage ran

	mu       sync.Mutex
	idle     bool      // waits for a command outside a transaction, or for the banner
	deadline time.Time // of the command that is waited for
}

// newSession makes the session of a connection that the gate has let in.
func newSession(s *Server, a arrival, snap *gateway.Snapshot) *session {
	c := &session{srv: s, raw: a.conn, conn: a.conn, limits: &snap.Limits, early: a.said}
	c.Listener, c.Started, c.Snapshot = a.listener, time.Now(), snap
	c.Client, c.Local, c.Proxy = a.client, a.local, a.proxy
	return c
}

// serve runs the session to its end. A panic ends this session and no other.
func (c *session) serve() {
	defer func() { _ = c.raw.Close() }()
	c.ID = c.srv.IDs.Next()
	c.until = c.Started.Add(c.limits.SessionTime)
	defer c.finish()
	defer c.caught()
	if c.connect() {
		c.r = c.srv.pool.Get(c.source()) // not before: a client that waits for the banner holds no buffer
		c.r.BeforeRead(c.beforeRead)
		c.dialogue()
	}
}

// source is where commands are read from: what came before the banner is only put off.
func (c *session) source() io.Reader {
	if len(c.early) == 0 {
		return c.conn
	}
	return &headed{c.conn, c.early}
}

// connect runs the Connect stage and greets. Other refusals than Drop are held until RCPT, where one record has all, unless
// the operator wants them at once, or there is no room to wait.
func (c *session) connect() bool {
	v := c.Snapshot.Pipeline.Run(c.ctx, gateway.Connect, &gateway.Input{Session: &c.Session, Rcpt: -1})
	if c.refusedNow(&v) {
		return false
	}
	c.Snapshot.Pipeline.Begin(c.ctx, &c.Session)
	if v.Waived == "" { // who is on the allow list need not wait
		if end := c.hold(); end.why != "" {
			c.refuseEarly(end.reply, end.why)
			return false
		}
		if c.Conduct.Early != "" {
			if v = c.Snapshot.Pipeline.Watch(c.ctx, &c.Session); c.refusedNow(&v) {
				return false
			}
		}
	}
	if c.refusesAtConnect() {
		if v = c.join(); c.refusedNow(&v) {
			return false
		}
	}
	c.greetedOnce = true
	c.say(gateway.SayBanner.Reply(c.Snapshot.Hostname, c.Snapshot.Banner))
	return true
}

// refusesAtConnect reports whether refusals are spoken in place of the banner, as far as they can be known by then.
func (c *session) refusesAtConnect() bool { return c.Snapshot.Gate.RefuseAtConnect || c.srv.Stressed() }

// join waits for what was begun with the connection and not yet needed.
func (c *session) join() gateway.Verdict {
	c.joined = true
	return c.Snapshot.Pipeline.Join(c.ctx, &c.Session)
}

// refusedNow refuses in place of the banner what must not wait for RCPT.
func (c *session) refusedNow(v *gateway.Verdict) bool {
	if v.Outcome != gateway.Drop && !(v.Outcome.Refuses() && c.refusesAtConnect()) {
		return false
	}
	c.refuseEarly(gateway.Word(gateway.Drop, v.Reason, v.Args), v.Reason)
	return true
}

// refuseEarly ends a connection before the banner; such connections are only counted.
func (c *session) refuseEarly(r gateway.Reply, why gateway.Reason) {
	c.End = gateway.EndRefused
	c.srv.Journal.Early(c.Client.Addr(), why)
	if !r.IsZero() {
		_ = c.raw.SetWriteDeadline(time.Now().Add(earlyWrite))
		_, c.failed = c.raw.Write(appendReply(nil, r))
	}
}

// dialogue reads commands and says replies until something ends the session.
func (c *session) dialogue() {
	for c.End == "" {
		line, err := c.readLine()
		if c.End != "" {
			return
		}
		if err != nil {
			c.lineFault(line, err)
			continue
		}
		c.Commands++
		c.command(line.Text)
	}
}

// readLine waits for a command line, and notices a peer that speaks something else before it sends a line end.
func (c *session) readLine() (smtpwire.Line, error) {
	if !c.await() {
		c.leaveWith(gateway.EndShutdown, gateway.Word(gateway.Drop, gateway.ShuttingDown, nil))
		return smtpwire.Line{}, nil
	}
	c.ended = 0
	first, err := c.r.Peek(8)
	if err != nil {
		return smtpwire.Line{}, err
	}
	if alien := smtpwire.Sniff(first); alien != smtpwire.NotAlien {
		c.alien(alien)
		return smtpwire.Line{}, nil
	}
	line, err := c.r.ReadLine(c.limits.CommandLine)
	c.busy()
	if err == nil {
		c.heard()
	}
	if alien := smtpwire.Sniff(line.Text); alien != smtpwire.NotAlien {
		c.alien(alien)
	}
	if c.End != "" {
		return line, err
	}
	return line, c.lineEnds(line, err)
}

// await sets the deadline of one command line. It is false when the server stops and no transaction is under way. Who
// waits is woken by Shutdown, which tells that it stops before it takes the lock: so no wake is lost.
func (c *session) await() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = c.tx == nil
	if c.idle && c.srv.draining.Load() {
		return false
	}
	c.deadline = earlier(time.Now().Add(c.commandTimeout()), c.until)
	_ = c.raw.SetReadDeadline(c.deadline)
	return true
}

// busy ends the waiting for a command.
func (c *session) busy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = false
}

// wake interrupts a session that waits for a command outside a transaction.
func (c *session) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// kill ends a session from outside.
func (c *session) kill() {
	c.cancel()
	_ = c.raw.Close()
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// lineFault answers a line that cannot be a command, or ends the session with its connection.
func (c *session) lineFault(line smtpwire.Line, err error) {
	if !smtpwire.InStep(err) {
		c.broken(err)
		return
	}
	c.Commands++
	c.abortChunks("")
	r := gateway.SayBadLineEnd.Reply()
	switch {
	case line.End != smtpwire.EndCRLF:
		r = gateway.SayBareLF.Reply()
		c.End = gateway.EndProtocol
	case c.Conduct.Mixed:
		r = gateway.SayMixedEnds.Reply()
		c.End = gateway.EndProtocol
	case errors.Is(err, smtpwire.ErrLineTooLong):
		r = gateway.SayLineTooLong.Reply(strconv.Itoa(c.limits.CommandLine))
	}
	c.answer("", r)
}

// broken ends the session after an error of the connection.
func (c *session) broken(err error) {
	var timeout net.Error
	late := errors.As(err, &timeout) && timeout.Timeout()
	switch {
	case late && c.srv.draining.Load() && c.tx == nil:
		c.leaveWith(gateway.EndShutdown, gateway.Word(gateway.Drop, gateway.ShuttingDown, nil))
	case late, errors.Is(err, errSlow):
		c.leaveWith(gateway.EndTimeout, gateway.Word(gateway.Drop, gateway.OutOfTime, nil))
	case errors.Is(err, smtpwire.ErrFlood):
		c.leaveWith(gateway.EndLimit, gateway.SayTooMuchRefused.Reply())
	case c.ctx.Err() != nil:
		c.End = gateway.EndShutdown
	default:
		c.End = gateway.EndClosed
	}
}

// leaveWith says a last reply that answers no command, and ends the session.
func (c *session) leaveWith(end string, r gateway.Reply) {
	c.End = end
	c.say(r)
}

// alien refuses a peer that speaks something other than SMTP, once and shortly.
func (c *session) alien(kind smtpwire.Alien) {
	c.Commands++
	c.Errors++
	r := gateway.SayNoSMTP.Reply()
	c.Conduct.Alien = "binary"
	switch kind {
	case smtpwire.AlienHTTP:
		r, c.Conduct.Alien = gateway.SayNoHTTP.Reply(), "HTTP"
	case smtpwire.AlienTLS:
		r, c.Conduct.Alien = gateway.SayNoTLSHello.Reply(), "TLS"
	}
	c.watch()
	c.noteRefusal("", r)
	c.leaveWith(gateway.EndProtocol, r)
}

// caught turns a panic into a 421 for this client alone.
func (c *session) caught() {
	p := recover()
	if p == nil {
		return
	}
	c.srv.log().Error("smtp session: panic", "id", c.ID.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	c.leaveWith(gateway.EndFault, gateway.SayFault.Reply())
}

// finish ends what is left of the session: the transaction, the connection, the event.
func (c *session) finish() {
	c.flush()
	c.endTransaction()
	c.unheardOf()
	c.Done = time.Now()
	if c.greetedOnce {
		c.srv.hidden.saw(&c.Session)
		c.journalConnection()
	}
	c.linger()
	_ = c.conn.Close()
	if c.r != nil {
		c.srv.pool.Put(c.r)
	}
}

func (c *session) normalises() bool {
	return c.Snapshot.Normalise != nil && c.Snapshot.Normalise(&c.Session)
}
