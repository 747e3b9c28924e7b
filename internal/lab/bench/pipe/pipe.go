// Package pipe is a relay for measurements that looks at nothing: what a client
// sends goes to the next hop as it is, and back. It shows what carrying the
// octets and every round trip through one more process costs, and so what a
// gateway can at best take that does not answer its clients itself.
//
// It listens on loopback only, has no limits, and is no proxy for any other use.
package pipe

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// Pipe is a running relay.
type Pipe struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once closed
}

// Start listens on a free port of 127.0.0.1 and relays to an address.
func Start(to string) (*Pipe, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	p := &Pipe{listener: l, to: to, conns: map[net.Conn]bool{}}
	p.running.Go(p.serve)
	return p, nil
}

// Addr is where it listens.
func (p *Pipe) Addr() string { return p.listener.Addr().String() }

// Close ends the relay and its connections.
func (p *Pipe) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.running.Wait()
	return err
}

func (p *Pipe) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.relay(conn) })
	}
}

// keep notes a connection for Close; it is closed at once when that has been.
func (p *Pipe) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Pipe) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Pipe) relay(client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	hop, err := net.Dial("tcp", p.to)
	if err != nil {
		return // the client sees the end of its connection
	}
	if !p.keep(hop) {
		return
	}
	defer p.drop(hop)
	var both sync.WaitGroup
	both.Go(func() { carry(hop, client) })
	carry(client, hop)
	both.Wait()
}

// carry copies until one side ends, and ends the other then. The octets go through
// our memory: a TCPConn would have the kernel move them unseen, which nothing
// that reads mail can.
func carry(to, from net.Conn) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 64<<10)) // its end is all that counts
	if t, ok := to.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}
