// Package dnslab is a small name server for tests and demonstrations. It
// listens on loopback over UDP and TCP, answers as a recursive resolver would
// from zones given as master-file text (RFC 1035 section 5), and misbehaves
// per name on request: see Fault.
//
// It never forwards a query and never listens anywhere but where it is told;
// it is no name server for a network.
package dnslab

import (
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"

	wire "github.com/miekg/dns"
)

// Zones maps an origin ("example.com", or "." for names written in full) to
// master-file text. A record without a TTL has 300 s. A zone without SOA gets
// one whose negative TTL is 60 s. The owner "*" is a wildcard (RFC 4592).
// Names outside every zone do not exist.
type Zones map[string]string

// Text makes zones from one master-file text in which every name is written
// in full, with or without the final dot.
func Text(records string) Zones { return Zones{".": records} }

// Server is a running name server. All methods may be called at any time from
// any goroutine.
type Server struct {
	addr     string
	udp, tcp *wire.Server
	closed   sync.Once

	mu      sync.Mutex
	zones   map[string]*zone
	faults  map[string][]*fault
	queries map[string]int
	viaTCP  int
	lists   map[string]*list
}

// Start serves zones on a free port of 127.0.0.1. Error: the text of a zone
// that does not parse, or no port to be had.
func Start(zones Zones) (*Server, error) { return StartAt("127.0.0.1:0", zones) }

// StartAt is Start on a host:port of the caller's choice.
func StartAt(addr string, zones Zones) (*Server, error) {
	s := &Server{faults: map[string][]*fault{}, queries: map[string]int{}}
	if err := s.SetZones(zones); err != nil {
		return nil, err
	}
	pc, l, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("dnslab: listen: %w", err)
	}
	s.addr = pc.LocalAddr().String()
	var ready sync.WaitGroup
	ready.Add(2)
	s.udp = &wire.Server{PacketConn: pc, Handler: s, NotifyStartedFunc: ready.Done}
	s.tcp = &wire.Server{Listener: l, Handler: s, NotifyStartedFunc: ready.Done}
	for _, srv := range []*wire.Server{s.udp, s.tcp} {
		// It returns when Close shuts it down; on loopback there is nothing
		// else that could end it.
		go func() { _ = srv.ActivateAndServe() }()
	}
	ready.Wait()
	return s, nil
}

// listen opens the same port for UDP and TCP. With port 0 the kernel picks one
// for UDP that may be taken for TCP, so it tries a few times.
func listen(addr string) (net.PacketConn, net.Listener, error) {
	var last error
	for range 20 {
		pc, err := net.ListenPacket("udp", addr)
		if err != nil {
			return nil, nil, err
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, l, nil
		}
		last = err
		_ = pc.Close()
	}
	return nil, nil, last
}

// Addr returns the host:port of the server, the same for UDP and TCP.
func (s *Server) Addr() string { return s.addr }

// Close stops the server. Queries that are being delayed get no answer.
func (s *Server) Close() {
	s.closed.Do(func() {
		_ = s.udp.PacketConn.Close()
		_ = s.tcp.Listener.Close()
		_ = s.udp.Shutdown()
		_ = s.tcp.Shutdown()
	})
}

// SetZones replaces all zones. When one does not parse, nothing changes.
func (s *Server) SetZones(zones Zones) error {
	parsed := make(map[string]*zone, len(zones)+1)
	for origin, text := range zones {
		z, err := parseZone(origin, text)
		if err != nil {
			return err
		}
		parsed[z.origin] = z
	}
	if parsed["."] == nil {
		z, err := parseZone(".", "")
		if err != nil {
			return err
		}
		parsed["."] = z
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones = parsed
	return nil
}

// Queries returns how often each name was asked for, over UDP and TCP, in
// lower case without the final dot. A query that was answered with a fault counts.
func (s *Server) Queries() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := maps.Clone(s.queries)
	for k := range out {
		if strings.Contains(k, " ") {
			delete(out, k)
		}
	}
	return out
}

// Count returns how often name was asked for with the type written so: "MX".
func (s *Server) Count(name, qtype string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries[plain(name)+" "+qtype]
}

// TCPQueries returns how many queries came over TCP.
func (s *Server) TCPQueries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.viaTCP
}

// plain is a name as Queries and SetFault have it.
func plain(name string) string {
	if name == "." {
		return name
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// TB is what New needs of a testing.TB, so that programs that use this package
// do not carry the testing package.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// New starts a server for one test and closes it at the test's end.
func New(tb TB, zones Zones) *Server {
	tb.Helper()
	s, err := Start(zones)
	if err != nil {
		tb.Fatalf("start name server: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}
