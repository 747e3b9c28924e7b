package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of a server. A live view sets the time of each of its writes itself.
const (
	headerTime     = 5 * time.Second
	readTime       = 15 * time.Second
	writeTime      = 90 * time.Second // an operation may take a minute
	idleTime       = 60 * time.Second
	maxHeader      = 16 << 10
	maxConnections = 256
	maxOfClient    = 64 // of one address that is not loopback, where a proxy may speak for many
)

// MaxConnections is how many connections a console holds at most.
func MaxConnections() int { return maxConnections }

// Server serves a console on listeners.
type Server struct {
	Handler     http.Handler
	Networks    []netip.Prefix // whose connections are served; others are closed without a word
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	mu      sync.Mutex
	open    int
	clients map[netip.Addr]int
	turned  uint64
}

// Turned returns how many connections were closed at once: of strangers, and those that were too many.
func (s *Server) Turned() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turned
}

// Serve answers on a listener until the context is done.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{Handler: s.Handler, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0), // strangers do not write our log
		BaseContext: func(net.Listener) context.Context { return ctx }, // live views end with it
		TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.Certificate}}
	stop := context.AfterFunc(ctx, func() { _ = h.Close() })
	defer stop()
	if err := h.ServeTLS(&listener{l, s}, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web.console: %w", err)
	}
	return nil
}

// enter takes a place for a client.
func (s *Server) enter(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := slices.ContainsFunc(s.Networks, func(n netip.Prefix) bool { return n.Contains(a) })
	if !in || s.open >= maxConnections || s.clients[a] >= maxOfClient && !a.IsLoopback() {
		s.turned++
		return false
	}
	if s.clients == nil {
		s.clients = map[netip.Addr]int{}
	}
	s.open++
	s.clients[a]++
	return true
}

func (s *Server) leave(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.clients[a]--; s.clients[a] == 0 {
		delete(s.clients, a)
	}
}

// listener closes the connections of strangers, and those that are too many.
type listener struct {
	net.Listener
	server *Server
}

// Accept waits for the next connection that is served.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var a netip.Addr
		if at, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			a = at.AddrPort().Addr().Unmap().WithZone("")
		}
		if !l.server.enter(a) {
			_ = conn.Close()
			continue
		}
		return &placed{Conn: conn, server: l.server, client: a}, nil
	}
}

// placed gives its place back when it ends.
type placed struct {
	net.Conn
	server *Server
	client netip.Addr
	once   sync.Once
}

func (p *placed) Close() error {
	p.once.Do(func() { p.server.leave(p.client) })
	return p.Conn.Close()
}
