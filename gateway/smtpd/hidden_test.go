package smtpd

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestHiddenClients: a balancer that hides its clients is noticed, and nothing else is taken for one.
func TestHiddenClients(t *testing.T) {
	type session struct {
		from, helo string
		trusted    bool
		proxy      bool
	}
	name := func(i int) string { return fmt.Sprintf("mx%d.example", i%30) }
	tests := []struct {
		name    string
		session func(i int) session
		n       int
		found   bool
	}{
		{"balancer", func(i int) session { return session{from: "10.0.0.8", helo: name(i)} }, 50, true},
		{"balancer of IPv6", func(i int) session { return session{from: "fd00::8", helo: name(i)} }, 50, true},
		{"with some that come past it", func(i int) session {
			if i%20 == 0 {
				return session{from: "198.51.100.7", helo: name(i)}
			}
			return session{from: "100.64.0.8", helo: name(i)}
		}, 100, true},
		{"too few", func(i int) session { return session{from: "10.0.0.8", helo: name(i)} }, 49, false},
		{"the internet", func(i int) session { return session{from: fmt.Sprintf("198.51.100.%d", i), helo: name(i)} }, 200, false},
		{"one client of the internet", func(i int) session { return session{from: "198.51.100.7", helo: name(i)} }, 200, false},
		{"a mail server inside", func(i int) session { return session{from: "10.0.0.8", helo: "intern.example"} }, 200, false},
		{"half of it", func(i int) session {
			return session{from: []string{"10.0.0.8", "198.51.100.7"}[i%2], helo: name(i)}
		}, 200, false},
		{"trusted", func(i int) session { return session{from: "10.0.0.8", helo: name(i), trusted: true} }, 200, false},
		{"a proxy that names them", func(i int) session { return session{from: "10.0.0.8", helo: name(i), proxy: true} }, 200, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, at := &Server{}, time.Unix(1e9, 0)
			see := func(x session) {
				at = at.Add(time.Second)
				g := &gateway.Session{Listener: "smtp", Client: netip.AddrPortFrom(netip.MustParseAddr(x.from), 1), Trusted: x.trusted, Done: at}
				g.Helo.Name = x.helo
				if x.proxy {
					g.Proxy = netip.MustParseAddrPort("10.0.0.9:1")
				}
				s.hidden.saw(g)
			}
			for i := range tt.n {
				see(tt.session(i))
			}
			if ok, detail := s.ClientsSeen(); ok == tt.found || tt.found && !strings.Contains(detail, "proxy_from = [") {
				t.Fatalf("%v, %q", ok, detail)
			}
			at = at.Add(hiddenWindow)
			for i := range hiddenLeast { // mended
				see(session{from: fmt.Sprintf("198.51.100.%d", i), helo: name(i)})
			}
			if ok, detail := s.ClientsSeen(); !ok {
				t.Errorf("mended: %q", detail)
			}
		})
	}
}
