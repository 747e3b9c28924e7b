package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/accept"
	"gatepost/internal/smtpwire"
)

// Deliverer ends a transaction whose message was read whole and judged. Only its 250 is a 250.
type Deliverer interface {
	Deliver(ctx context.Context, e *gateway.Envelope, v *gateway.Verdict) accept.Result
}

// Server serves SMTP on any number of listeners. Set its fields before the first Serve; only Spool, TLS, Memory, Front and Log may be nil.
type Server struct {
	Current func() *gateway.Snapshot      // the configuration for a new session
	Deliver Deliverer                     //
	NewBody func() gateway.BodyWriter     // where a message goes while it arrives
	Journal gateway.Journal               //
	IDs     *gateway.IDs                  //
	TLS     func(ask bool) *tls.Config    // for STARTTLS, where ask for the client's certificate as well; nil, or a nil result: it is not offered
	Spool   gateway.Spool                 // what stands in for next hops that are away, as Deliver has it; nil: nothing
	Memory  gateway.Memory                // what is remembered of clients; nil: nothing
	Leaving func() (leaving, closed bool) // an operator drains the host: a proxy's health check is told 421, and, once it is closed, each new client; nil: nobody does
	Log     *slog.Logger                  // faults of ours only

	// Front is a first, cheap line: whether a client that is not trusted comes too fast for a session to begin, and what
	// gateway.RateConnections tells of it. It must not wait. nil: nobody does.
	Front func(client netip.Addr) (args []string, over bool)

	Pressure func() float64 // share of the memory limit in use, 0 to 1, asked every second; nil: not known
	OnStress func(Stress)   // is told when load begins to be shed, and when that is over; may be nil

	pool         smtpwire.Pool
	gate         gate
	lingering    atomic.Int32 // refused clients that are listened to
	heading      atomic.Int32 // connections of proxies that are not a client's yet
	healthChecks atomic.Int64
	accepting    acceptance
	hidden       hidden
	stress       stress
	routes       atomic.Pointer[routeList]
	begin        sync.Once
	table        map[string]command

	draining  atomic.Bool // is set with mu held
	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	empty     chan struct{} // closed when the server drains and the last session is gone
}

// closeGrace is how long Shutdown waits for sessions whose connections it has closed, and for listeners. A relay that is under way may last
// longer; its message is then with the next hop or it is not, and the sender hears nothing and comes back.
const closeGrace = 5 * time.Second

// ErrStopped says that Serve was called after Shutdown.
var ErrStopped = errors.New("smtp server: stopped")

// Serve takes connections from the listener until ctx is done, Shutdown is called or the listener fails, and closes it.
// Sessions go on: Shutdown ends them. name goes into the journal. It returns nil when it was told to stop.
func (s *Server) Serve(ctx context.Context, l net.Listener, name string) error {
	return s.serve(ctx, l, name, nil)
}

// ServeProxied is Serve for a listener behind proxies: each connection must come from one of the networks and begin with
// a PROXY header, version 1 or 2, which tells whose it is. Any other is closed without a word.
func (s *Server) ServeProxied(ctx context.Context, l net.Listener, name string, from []netip.Prefix) error {
	return s.serve(ctx, l, name, append([]netip.Prefix{}, from...))
}

// serve is the accept loop. from is nil on a listener without proxies.
func (s *Server) serve(ctx context.Context, l net.Listener, name string, from []netip.Prefix) error {
	s.begin.Do(s.init)
	if !s.listen(l) {
		_ = l.Close()
		return ErrStopped
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer func() {
		stop()
		_ = l.Close()
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	base := context.WithoutCancel(ctx)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			s.accepting.works(s.log(), name)
			s.knock(base, conn, name, from)
		case ctx.Err() != nil || s.draining.Load():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("smtp listener %s: %w", name, err)
		default: // out of descriptors: those who wait in the backlog are taken as soon as some are free
			s.accepting.fails(s.log(), name, err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		}
	}
}

func (s *Server) init() {
	s.table = commandTable()
	s.listeners = make(map[net.Listener]struct{})
	s.sessions = make(map[*session]struct{})
	s.empty = make(chan struct{})
	if s.Pressure != nil {
		go s.watchPressure()
	}
}

func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

// start lets a connection in, in a goroutine of its own, or turns it away here and now. It never waits.
func (s *Server) start(base context.Context, a arrival) {
	snap, client := s.Current(), a.client.Addr()
	if snap == nil {
		s.turnAway(a.conn, client, gateway.NotReady, gateway.SayNoConfig.Reply())
		return
	}
	if len(snap.Policy.Domains) == 0 { // whatever comes is meant for a gateway that somebody is about to set up: it shall come again
		s.turnAway(a.conn, client, gateway.NotSetUp, gateway.Word(gateway.Drop, gateway.NotSetUp, nil))
		return
	}
	if s.stress.full.Load() {
		s.turnAway(a.conn, client, gateway.Overloaded, gateway.Word(gateway.Drop, gateway.Overloaded, nil))
		return
	}
	if _, closed := s.leaving(); closed {
		s.turnAway(a.conn, client, gateway.ShuttingDown, gateway.Word(gateway.Drop, gateway.ShuttingDown, nil))
		return
	}
	standing := s.standing(client, snap)
	if args, over := s.front(client, standing); over {
		s.turnAway(a.conn, client, gateway.RateConnections, gateway.Word(gateway.Drop, gateway.RateConnections, args))
		return
	}
	if c, refused := s.gate.enter(client, &snap.Limits, standing); refused {
		s.turnAway(a.conn, client, c.why, gateway.Word(gateway.Drop, c.why, c.args))
		return
	}
	s.weigh(&snap.Limits)
	c := newSession(s, a, snap)
	c.Relay = standing.relay
	c.Trusted, c.Conduct.Known, c.Conduct.Proven, c.Conduct.Bad = standing.trusted, standing.known, standing.proven, standing.bad
	c.ctx, c.cancel = context.WithCancel(base)
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		c.cancel()
		s.gate.leave(client)
		s.turnAway(a.conn, client, gateway.ShuttingDown, gateway.Word(gateway.Drop, gateway.ShuttingDown, nil))
		return
	}
	s.sessions[c] = struct{}{}
	s.mu.Unlock()
	go func() {
		defer s.leave(c)
		defer func() {
			if p := recover(); p != nil { // in what ends a session: the session itself catches its own
				s.log().Error("smtp session: panic at its end", "panic", fmt.Sprint(p))
			}
		}()
		c.serve()
	}()
}

// front is what Front tells of a client that is not trusted.
func (s *Server) front(client netip.Addr, is standing) (args []string, over bool) {
	if s.Front == nil || is.trusted {
		return nil, false
	}
	return s.Front(client)
}

// leaving is what Leaving tells.
func (s *Server) leaving() (leaving, closed bool) {
	if s.Leaving == nil {
		return false, false
	}
	return s.Leaving()
}

// standing is what is known of a client before it says anything.
func (s *Server) standing(client netip.Addr, snap *gateway.Snapshot) standing {
	out := standing{trusted: snap.Policy.Trusts(client)}
	if len(snap.Policy.Relays) > 0 {
		out.relay = snap.Policy.Relay(client, time.Now())
		out.trusted = out.trusted || out.relay
	}
	if s.Memory != nil {
		r, now := s.Memory.Recall(client), time.Now()
		out.known, out.proven, out.bad = r.Known(now), r.Proven(now), r.IsBad(now)
	}
	return out
}

func (s *Server) leave(c *session) {
	c.cancel()
	s.gate.leave(c.Client.Addr())
	if s.Stressed() {
		s.weigh(c.limits)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
	if s.draining.Load() && len(s.sessions) == 0 {
		s.closeEmpty()
	}
}

// closeEmpty is called with the lock held.
func (s *Server) closeEmpty() {
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// Shutdown stops accepting and tells idle clients 421. Transactions may end until ctx is done; then all connections are
// closed. It returns nil when every session is gone, and the error of ctx when it had to close some.
func (s *Server) Shutdown(ctx context.Context) error {
	s.begin.Do(s.init)
	s.mu.Lock()
	s.draining.Store(true)
	listeners := slices.Collect(maps.Keys(s.listeners))
	for c := range s.sessions {
		c.wake()
	}
	if len(s.sessions) == 0 {
		s.closeEmpty()
	}
	s.mu.Unlock()
	closed := make(chan struct{})
	go func() { // without the lock, which every session takes at its end: Close waits for an Accept that hangs
		defer close(closed)
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	err := s.drain(ctx)
	select {
	case <-closed:
	case <-time.After(closeGrace):
		s.log().Error("smtp listener: does not close")
	}
	return err
}

// drain waits for the last session, and closes those that are left when ctx is done.
func (s *Server) drain(ctx context.Context) error {
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.sessions {
		c.kill()
	}
	s.mu.Unlock()
	select {
	case <-s.empty:
	case <-time.After(closeGrace):
	}
	return ctx.Err()
}

// Sessions returns how many connections are open.
func (s *Server) Sessions() int {
	s.begin.Do(s.init) // it may be asked before the first Serve
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

func (s *Server) logPanic(listener string, p any) {
	s.log().Error("smtp listener: panic at a new connection", "listener", listener, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}
