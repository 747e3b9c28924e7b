package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Handshakes is sessions with or without TLS that bring nothing, as fast as a server takes them.
type Handshakes struct {
	Addr        string
	Connections int           // at the same time
	For         time.Duration // no session begins later
	TLS         bool          // STARTTLS and a second EHLO; otherwise only EHLO
	Resume      bool          // each but the first of a connection's place resumes the session before (RFC 8446 section 2.2)
	Hybrid      bool          // X25519MLKEM768 is offered too, as senders do that are new; otherwise X25519 alone
	Timeout     time.Duration // for one session
}

// Shaken is what they met.
type Shaken struct {
	Sessions int64
	Elapsed  time.Duration
	Version  string
	Curve    string
}

var errNotResumed = errors.New("the session was not resumed")

// Run connects again and again. A session that is not encrypted as was asked ends it with an error.
func (h Handshakes) Run(ctx context.Context) (Shaken, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	began := time.Now()
	var count, client atomic.Int64
	var last atomic.Pointer[tls.ConnectionState]
	var wg sync.WaitGroup
	for range h.Connections {
		wg.Go(func() {
			config := h.config()
			for first := true; ctx.Err() == nil && time.Since(began) < h.For; first = false {
				state, err := h.one(int(client.Add(1)), config)
				if err == nil && h.Resume && !first && !state.DidResume {
					err = errNotResumed
				}
				if err != nil {
					stop(fmt.Errorf("handshakes with %s: %w", h.Addr, err))
					return
				}
				count.Add(1)
				last.Store(&state)
			}
		})
	}
	wg.Wait()
	s := Shaken{Sessions: count.Load(), Elapsed: time.Since(began)}
	if state := last.Load(); state != nil && h.TLS {
		s.Version, s.Curve = tls.VersionName(state.Version), state.CurveID.String()
	}
	err := context.Cause(ctx)
	if err == nil && s.Sessions == 0 {
		err = fmt.Errorf("handshakes with %s: none came about", h.Addr)
	}
	return s, err
}

// config is that of one place, whose tickets are its own.
func (h Handshakes) config() *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, ServerName: "mx.gatepost.test", CurvePreferences: []tls.CurveID{tls.X25519}}
	if h.Hybrid {
		c.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.X25519}
	}
	if h.Resume {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	return c
}

func (h Handshakes) one(n int, config *tls.Config) (state tls.ConnectionState, err error) {
	deadline := time.Now().Add(h.Timeout)
	conn, err := dialFrom(n, h.Addr, deadline)
	if err != nil {
		return state, err
	}
	defer conn.Close()
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 512)}
	if err := c.begin(deadline); err != nil {
		return state, err
	}
	if h.TLS {
		if err := c.encrypt(config); err != nil {
			return state, err
		}
		state = c.conn.(*tls.Conn).ConnectionState()
	}
	return state, c.quit()
}
