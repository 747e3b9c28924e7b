package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Idle says which connections to hold.
type Idle struct {
	Addr  string `json:"addr"`
	Count int    `json:"count"`
	TLS   bool   `json:"tls"` // STARTTLS (RFC 3207) and a second EHLO; otherwise only EHLO
}

// Held are connections that say nothing more.
type Held struct {
	mu    sync.Mutex
	conns []net.Conn
}

// openers is how many connections are opened at the same time.
const openers = 32

// Hold opens the connections, from many addresses, and brings each to where a client waits. What was opened is closed
// when one of them fails.
func (i Idle) Hold(ctx context.Context, timeout time.Duration) (*Held, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	h := &Held{}
	deadline := time.Now().Add(timeout)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range openers {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1))
				if n > i.Count {
					return
				}
				conn, err := i.open(n, deadline)
				if err != nil {
					stop(fmt.Errorf("connection %d of %d to %s: %w", n, i.Count, i.Addr, err))
					return
				}
				h.mu.Lock()
				h.conns = append(h.conns, conn)
				h.mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// open opens one connection.
func (i Idle) open(n int, deadline time.Time) (net.Conn, error) {
	conn, err := dialFrom(n, i.Addr, deadline)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 512)}
	err = c.begin(deadline)
	if err == nil && i.TLS {
		err = c.startTLS()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c.conn, nil
}

// startTLS begins TLS and says EHLO again. The certificate is whatever the server has: this measures.
func (c *client) startTLS() error { return c.encrypt(&tls.Config{InsecureSkipVerify: true}) }

func (c *client) encrypt(config *tls.Config) error {
	if err := c.write("STARTTLS\r\n"); err != nil {
		return err
	}
	if err := c.expect("STARTTLS", 220, nil); err != nil {
		return err
	}
	conn := tls.Client(c.conn, config)
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	c.conn, c.r = conn, bufio.NewReaderSize(conn, 512)
	if err := c.write("EHLO "+Helo, "\r\n"); err != nil {
		return err
	}
	return c.expect("EHLO", 250, nil)
}

// Alive says how many of the connections the server has not closed. It is for connections that nothing is to be read
// from: what is read is lost.
func (h *Held) Alive() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, c := range h.conns {
		var timeout net.Error
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Microsecond))
		if _, err := c.Read(make([]byte, 1)); errors.As(err, &timeout) && timeout.Timeout() {
			n++
		}
	}
	return n
}

// Close closes them all.
func (h *Held) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		if t, ok := c.(*tls.Conn); ok {
			c = t.NetConn() // no farewell, which a server that has gone would not take
		}
		_ = c.Close() // to end it is all that is wanted
	}
	h.conns = nil
	return nil
}
