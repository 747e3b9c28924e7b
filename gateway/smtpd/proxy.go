package smtpd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

const (
	// proxyTime is how long a proxy may take for its header: it sends it before anything else.
	proxyTime = 5 * time.Second
	// healthTime and healthCommands bound a health check.
	healthTime     = 10 * time.Second
	healthCommands = 10
)

// arrival is a connection that is not yet let in.
type arrival struct {
	conn          net.Conn
	listener      string
	client, local netip.AddrPort
	proxy         netip.AddrPort // who forwards it; the zero value without a proxy
	said          []byte         // by the client, behind the header
}

// knock lets a connection in or turns it away. On a listener behind proxies its header is read first, in a goroutine of
// its own: nothing is said before it, and whoever is no proxy of ours hears nothing at all.
func (s *Server) knock(base context.Context, conn net.Conn, listener string, from []netip.Prefix) {
	defer s.noPanic(conn, listener)
	a := arrival{conn: conn, listener: listener, client: addrPort(conn.RemoteAddr()), local: addrPort(conn.LocalAddr())}
	if from == nil {
		s.start(base, a)
		return
	}
	a.proxy = a.client
	snap := s.Current()
	switch {
	case snap == nil:
		s.shut(a, gateway.NotReady)
	case !within(from, a.proxy.Addr()):
		s.shut(a, gateway.ProxyStranger)
	case int(s.heading.Add(1)) > snap.Limits.Connections:
		s.heading.Add(-1)
		s.shut(a, gateway.TooManyConnections)
	default:
		go func() {
			defer s.noPanic(conn, listener)
			defer s.heading.Add(-1)
			s.behindProxy(base, a)
		}()
	}
}

// noPanic ends one connection, and never the accept loop, where something panics before a session has begun.
func (s *Server) noPanic(conn net.Conn, listener string) {
	if p := recover(); p != nil {
		s.logPanic(listener, p)
		_ = conn.Close()
	}
}

// shut closes a connection without a word: there is nobody on it who could read one. It is counted.
func (s *Server) shut(a arrival, why gateway.Reason) {
	_ = a.conn.Close()
	s.Journal.Early(a.client.Addr(), why)
}

// behindProxy reads the header of a connection and goes on with what it says.
func (s *Server) behindProxy(base context.Context, a arrival) {
	_ = a.conn.SetReadDeadline(time.Now().Add(proxyTime))
	h, err := readProxyHeader(a.conn)
	switch {
	case errors.Is(err, errBadProxyHeader):
		s.shut(a, gateway.ProxyBad)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.shut(a, gateway.ProxySlow)
	case err != nil:
		s.shut(a, gateway.ProxyMissing)
	case h.health:
		s.healthChecks.Add(1)
		s.healthCheck(a.conn, h.rest)
	default:
		_ = a.conn.SetReadDeadline(time.Time{})
		a.client, a.local, a.said = h.client, h.local, h.rest
		s.start(base, a)
	}
}

// healthCheck answers a proxy that asks for itself (LOCAL, UNKNOWN). It is no session: nothing is journalled, no limit
// and no wait is met, and there is no way to hand over a message. A gateway that stops says 421, so that the proxy sends
// clients elsewhere.
func (s *Server) healthCheck(conn net.Conn, said []byte) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(healthTime))
	snap := s.Current()
	if leaving, _ := s.leaving(); leaving || snap == nil || s.draining.Load() {
		_, _ = conn.Write(appendReply(nil, gateway.Word(gateway.Drop, gateway.ShuttingDown, nil)))
		return
	}
	if len(snap.Policy.Domains) == 0 {
		_, _ = conn.Write(appendReply(nil, gateway.Word(gateway.Drop, gateway.NotSetUp, nil)))
		return
	}
	if _, err := conn.Write(appendReply(nil, gateway.SayBanner.Reply(snap.Hostname, snap.Banner))); err != nil {
		return
	}
	r := s.pool.Get(&headed{conn, said})
	defer s.pool.Put(r)
	for range healthCommands {
		line, err := r.ReadLine(smtpwire.LineBuffer)
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(string(line.Text), " ")
		reply := gateway.SayHealthCheck.Reply()
		switch strings.ToUpper(verb) {
		case "QUIT":
			reply = gateway.SayBye.Reply()
		case "NOOP", "RSET":
			reply = gateway.SayOK.Reply()
		case "HELO", "EHLO":
			reply = gateway.SayHelo.Reply(snap.Hostname)
		}
		if _, err := conn.Write(appendReply(nil, reply)); err != nil || reply.Code == 221 {
			return
		}
	}
}

// HealthChecks returns how often a proxy asked for itself.
func (s *Server) HealthChecks() int64 { return s.healthChecks.Load() }

// headed reads first what was read before.
type headed struct {
	net.Conn
	first []byte
}

func (h *headed) Read(p []byte) (int, error) {
	if len(h.first) == 0 {
		return h.Conn.Read(p)
	}
	n := copy(p, h.first)
	h.first = h.first[n:]
	return n, nil
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
