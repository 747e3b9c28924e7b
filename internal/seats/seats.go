// Package seats bounds the connections of a listener, in all and of each client, so that none takes what others need.
//
// No RFC applies.
package seats

import (
	"net"
	"net/netip"
	"sync"
)

// Bounds are how many connections may be open at the same time.
type Bounds struct {
	Most   int // in all
	OfEach int // of one client; not of loopback, where a proxy may speak for many
}

// Seats counts connections. The zero value is ready for use, by several listeners, too; it must not be copied.
type Seats struct {
	mu      sync.Mutex
	open    int
	clients map[netip.Prefix]int
	turned  uint64
}

// Enter takes a seat for a client, or counts that there was none.
func (p *Seats) Enter(client netip.Prefix, b Bounds) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open >= b.Most || p.clients[client] >= b.OfEach && !client.Addr().IsLoopback() {
		p.turned++
		return false
	}
	if p.clients == nil {
		p.clients = make(map[netip.Prefix]int)
	}
	p.open++
	p.clients[client]++
	return true
}

// Leave gives the seat of a client back.
func (p *Seats) Leave(client netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	if p.clients[client]--; p.clients[client] == 0 {
		delete(p.clients, client)
	}
}

// TurnAway counts a connection that is not served for another cause.
func (p *Seats) TurnAway() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turned++
}

// Counts returns how many connections are open, of how many clients, and how many were turned away.
func (p *Seats) Counts() (open, clients int, turned uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, len(p.clients), p.turned
}

// Listen closes connections for which there is no seat, and those of whom is says that nobody may come in. is tells whom an
// address counts for; the address of what is no TCP is the zero one.
func (p *Seats) Listen(l net.Listener, b Bounds, is func(netip.Addr) (client netip.Prefix, may bool)) net.Listener {
	return &listener{l, p, b, is}
}

type listener struct {
	net.Listener
	seats  *Seats
	bounds Bounds
	is     func(netip.Addr) (netip.Prefix, bool)
}

// Accept waits for the next connection that has a seat.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var a netip.Addr
		if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			a = tcp.AddrPort().Addr().Unmap().WithZone("")
		}
		client, may := l.is(a)
		if !may {
			l.seats.TurnAway()
		} else if l.seats.Enter(client, l.bounds) {
			return &seated{Conn: c, leave: sync.OnceFunc(func() { l.seats.Leave(client) })}, nil
		}
		_ = c.Close()
	}
}

type seated struct {
	net.Conn
	leave func()
}

// Close gives the seat back.
func (c *seated) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// Client is whom an address counts for: an IPv4 address, or an IPv6 /64, which one host has all of. Each loopback address is
// one for itself; of the zero address it is the zero prefix.
func Client(a netip.Addr) netip.Prefix {
	switch {
	case !a.IsValid():
		return netip.Prefix{}
	case a.Is4() || a.IsLoopback():
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.PrefixFrom(a, 64).Masked()
}
