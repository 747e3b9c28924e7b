package smtpd

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"gatepost/gateway"
)

// gate counts connections, in all and for each client, before a session costs anything.
type gate struct {
	mu      sync.Mutex
	total   int
	clients map[netip.Addr]int
}

// earlyWrite bounds the writing of a refusal before the banner.
const earlyWrite = time.Second

// clientKey is what counts as one client: an IPv4 address, or an IPv6 /64.
func clientKey(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// enter counts a connection in, or says why it is too many. Trusted clients are counted and never refused.
func (g *gate) enter(a netip.Addr, limits *gateway.Limits, trusted bool) gateway.Reason {
	key := clientKey(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case trusted:
	case g.total >= limits.Connections:
		return gateway.TooManyConnections
	case g.clients[key] >= limits.PerClient:
		return gateway.TooManyFromClient
	}
	if g.clients == nil {
		g.clients = make(map[netip.Addr]int)
	}
	g.total++
	g.clients[key]++
	return ""
}

func (g *gate) leave(a netip.Addr) {
	key := clientKey(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.clients[key]--; g.clients[key] <= 0 {
		delete(g.clients, key)
	}
}

// addrPort returns the address of one end of a connection; the zero value for what is no TCP connection.
func addrPort(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	if t, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
