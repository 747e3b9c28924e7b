package dialog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// directive does what "-- NAME ..." says.
func (r *runner) directive(ctx context.Context, args []string) error {
	if do, ok := r.hooks.Do[args[0]]; ok {
		return do(ctx, args[1:])
	}
	switch args[0] {
	case "connect":
		return r.connect(ctx)
	case "close":
		r.close()
		return nil
	case "half-close", "reset":
		return r.breakOff(args[0])
	case "wait", "silent", "timeout":
		return r.timed(ctx, args)
	case "tls":
		return r.startTLS(ctx)
	case "send":
		if len(args) != 2 || r.hooks.Send[args[1]] == nil {
			return fmt.Errorf("-- send %q: the test has no such octets", args[1:])
		}
		return r.send(r.hooks.Send[args[1]], "(octets)")
	case "expect-closed":
		return r.expectClosed()
	}
	return fmt.Errorf("-- %s: neither dialog nor the test knows this name", args[0])
}

// breakOff ends one side or all of the connection.
func (r *runner) breakOff(how string) error {
	switch conn := r.conn.(type) {
	case *tls.Conn:
		if how == "half-close" {
			return conn.CloseWrite()
		}
		if tcp, ok := conn.NetConn().(*net.TCPConn); ok {
			defer r.forget(tcp)
			return tcp.SetLinger(0)
		}
	case *net.TCPConn:
		if how == "half-close" {
			return conn.CloseWrite()
		}
		defer r.forget(conn)
		return conn.SetLinger(0)
	}
	return fmt.Errorf("-- %s: no TCP connection", how)
}

// forget closes the TCP connection without an end of TLS.
func (r *runner) forget(conn *net.TCPConn) {
	conn.Close()
	r.conn, r.in = nil, nil
}

// timed does the steps that take a time.
func (r *runner) timed(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("-- %s: want one time, such as 200ms", args[0])
	}
	d, err := time.ParseDuration(args[1])
	if err != nil || d <= 0 {
		return fmt.Errorf("-- %s: %q is no time such as 200ms", args[0], args[1])
	}
	switch args[0] {
	case "timeout":
		r.limit = d
		return nil
	case "silent":
		return r.silent(d)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// silent fails when the server says something or closes within d.
func (r *runner) silent(d time.Duration) error {
	if r.conn == nil {
		return errors.New("the connection is closed")
	}
	if err := r.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	_, err := r.in.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the server closed the connection: %w", err)
	}
	said, _ := r.in.Peek(r.in.Buffered())
	return fmt.Errorf("the server said %q", said)
}

func (r *runner) startTLS(ctx context.Context) error {
	if r.conn == nil {
		return errors.New("the connection is closed")
	}
	if r.hooks.TLS == nil {
		return errors.New("-- tls: the test gave no TLS configuration")
	}
	if err := r.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	secure := tls.Client(r.conn, r.hooks.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	r.conn = secure
	r.in.Reset(secure)
	return nil
}

// expectClosed waits for the server's end of the connection. A reset is one too:
// a server that closes with unread octets behind it sends one.
func (r *runner) expectClosed() error {
	if r.conn == nil {
		return errors.New("the client closed the connection itself")
	}
	if err := r.conn.SetReadDeadline(time.Now().Add(r.limit)); err != nil {
		return err
	}
	_, err := r.in.Peek(1)
	switch {
	case err == nil:
		said, _ := r.in.Peek(r.in.Buffered())
		return fmt.Errorf("the server said %q", said)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the server did not close the connection within %v", r.limit)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		r.close()
		return nil
	}
	return err
}
