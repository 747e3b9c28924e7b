package smtpd

import (
	"net"
	"net/netip"
	"strconv"
	"sync"

	"gatepost/gateway"
)

// gate counts connections, in all, for each client and for the networks around it, before a session costs anything. Its
// lock is held for a few map operations and never over anything else.
type gate struct {
	mu      sync.Mutex
	total   int
	clients map[netip.Prefix]int // of clients and of both networks around each
}

// places are what one connection is counted under: the client itself, and the two networks around it (IPv4 /26 and /21,
// IPv6 /56 and /48), of the size that is given to a small site and to a large one.
type places [3]netip.Prefix

// placesOf are those of an address; none for what is no address.
func placesOf(a netip.Addr) (out places) {
	out[0] = gateway.ClientOf(a)
	near, far := 56, 48
	if out[0].Addr().Is4() {
		near, far = 26, 21
	}
	out[1], _ = out[0].Addr().Prefix(near) // the zero prefix for what is no address: those are counted together
	out[2], _ = out[0].Addr().Prefix(far)
	return out
}

// standing is what is known of a client before it says anything.
type standing struct{ trusted, known, proven, bad, relay bool }

// perClient is how many connections the client may have at once.
func (s standing) perClient(l *gateway.Limits) int {
	switch {
	case s.bad:
		return min(l.PerClientBad, l.PerClient)
	case s.known:
		return max(l.PerClientKnown, l.PerClient)
	}
	return l.PerClient
}

// crowded says which limit a connection met.
type crowded struct {
	why  gateway.Reason
	args []string
}

// enter counts a connection in, or says why it is too many. Trusted clients are counted and never refused. A network may
// always have what one client in it may have.
func (g *gate) enter(a netip.Addr, limits *gateway.Limits, s standing) (c crowded, refused bool) {
	at, most := placesOf(a), s.perClient(limits)
	network := max(limits.PerNetwork, most)
	wide := max(limits.PerWideNetwork, network)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !s.trusted {
		switch {
		case g.total >= limits.Connections:
			return crowded{why: gateway.TooManyConnections}, true
		case g.clients[at[0]] >= most:
			return crowded{gateway.TooManyFromClient, []string{strconv.Itoa(most)}}, true
		case g.clients[at[1]] >= network:
			return crowded{gateway.TooManyFromNetwork, []string{at[1].String(), strconv.Itoa(network)}}, true
		case g.clients[at[2]] >= wide:
			return crowded{gateway.TooManyFromNetwork, []string{at[2].String(), strconv.Itoa(wide)}}, true
		}
	}
	if g.clients == nil {
		g.clients = make(map[netip.Prefix]int)
	}
	g.total++
	for _, p := range at {
		g.clients[p]++
	}
	return crowded{}, false
}

// leave counts a connection out.
func (g *gate) leave(a netip.Addr) {
	at := placesOf(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	for _, p := range at {
		if g.clients[p]--; g.clients[p] <= 0 {
			delete(g.clients, p)
		}
	}
}

// open returns how many connections are counted.
func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
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
