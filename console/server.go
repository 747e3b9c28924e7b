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
	"time"

	"gatepost/internal/seats"
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

func bounds() seats.Bounds { return seats.Bounds{Most: maxConnections, OfEach: maxOfClient} }

// Server serves a console on listeners.
type Server struct {
	Handler     http.Handler
	Networks    []netip.Prefix // whose connections are served; others are closed without a word
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	seats seats.Seats
}

// Turned returns how many connections were closed at once: of strangers, and those that were too many.
func (s *Server) Turned() uint64 {
	_, _, turned := s.seats.Counts()
	return turned
}

// Serve answers on a listener until the context is done.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{Handler: s.Handler, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0), // strangers do not write our log
		BaseContext: func(net.Listener) context.Context { return ctx }, // live views end with it
		TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.Certificate}}
	stop := context.AfterFunc(ctx, func() { _ = h.Close() })
	defer stop()
	if err := h.ServeTLS(s.seats.Listen(l, bounds(), s.client), "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web.console: %w", err)
	}
	return nil
}

// client is whom an address counts for, itself alone, and whether it is in one of the networks.
func (s *Server) client(a netip.Addr) (netip.Prefix, bool) {
	return netip.PrefixFrom(a, a.BitLen()), slices.ContainsFunc(s.Networks, func(n netip.Prefix) bool { return n.Contains(a) })
}
