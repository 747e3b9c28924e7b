package spamd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	bufferSize = 64 << 10 // octets of a message in memory
	maxUser    = 256      // octets of a user's name
	// replyGrace is how long spamd may take to say why it took no more of a
	// message.
	replyGrace = 5 * time.Second
)

// Request is one message to check.
type Request struct {
	// Message, of which exactly Size octets are read. Its Read is not interrupted
	// when the context ends, so it should not be one that blocks.
	Message io.Reader
	Size    int64
	// User whose preferences count, if spamd has any; empty: spamd's own.
	User string
}

// Result of a check.
type Result struct {
	Report
	Version  string        // of SpamAssassin, as the last Version call saw it; empty if there was none
	Duration time.Duration // of the whole call
}

// Check asks spamd for the score of a message. The errors are ErrTooBig,
// ErrSource, ErrRequest, ErrUnreachable, ErrReply, a *CodeError, the context's, or
// a network error.
func (c *Client) Check(ctx context.Context, req Request) (Result, error) {
	start := time.Now()
	answer, err := c.do(ctx, "REPORT", req)
	if err != nil {
		return Result{}, fmt.Errorf("spamd: check at %s: %w", c.cfg.Address, err)
	}
	result := Result{Report: answer.report(), Duration: time.Since(start)}
	if v := c.version.Load(); v != nil {
		result.Version = *v
	}
	return result, nil
}

// do sends one request with a message and reads the whole reply.
func (c *Client) do(ctx context.Context, verb string, req Request) (got answer, err error) {
	err = c.exchange(ctx, verb+" SPAMC/1.5", req, func(conn io.Reader) (err error) {
		got, err = readAnswer(conn)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	return got, nil
}

// exchange sends one request, whose first lines are head, with a message, and has the reply read.
func (c *Client) exchange(ctx context.Context, head string, req Request, read func(conn io.Reader) error) error {
	if req.Size < 0 || req.Message == nil {
		return fmt.Errorf("%w: no message", ErrRequest)
	}
	if req.Size > c.cfg.MaxSize {
		return fmt.Errorf("%w of %d octets: %d", ErrTooBig, c.cfg.MaxSize, req.Size)
	}
	if len(req.User) > maxUser || strings.ContainsFunc(req.User, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: user %.80q", ErrRequest, req.User)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	conn, release, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer release()
	sendErr := c.send(conn, head, req)
	if errors.Is(sendErr, ErrSource) {
		// The connection closes; spamd sees that the length does not agree.
		return sendErr
	}
	if sendErr != nil {
		_ = conn.SetReadDeadline(time.Now().Add(replyGrace))
	}
	err = read(conn)
	var code *CodeError
	if sendErr != nil && !errors.As(err, &code) {
		// A result for a message that spamd did not get whole is none.
		err = fmt.Errorf("%w (%w)", sendErr, errors.Join(err, ErrReply))
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}

// send writes the request and its message, and closes the sending side: a spamd
// waits for the rest of a last line that does not end.
func (c *Client) send(conn net.Conn, head string, req Request) error {
	b := c.buffers.Get().(*[bufferSize]byte)
	defer c.buffers.Put(b)
	out := append(b[:0], head...)
	out = append(out, "\r\nContent-length: "...)
	out = strconv.AppendInt(out, req.Size, 10)
	if req.User != "" {
		out = append(out, "\r\nUser: "...)
		out = append(out, req.User...)
	}
	out = append(out, "\r\n\r\n"...)
	left := req.Size
	for {
		n := int(min(left, int64(len(b)-len(out))))
		m, err := io.ReadFull(req.Message, b[len(out):len(out)+n])
		if err != nil {
			return fmt.Errorf("%w: %d octets missing: %w", ErrSource, left-int64(m), err)
		}
		left -= int64(n)
		out = b[:len(out)+n]
		if err := conn.SetWriteDeadline(time.Now().Add(c.cfg.IOTimeout)); err != nil {
			return fmt.Errorf("spamd: write message: %w", err)
		}
		if _, err := conn.Write(out); err != nil {
			return fmt.Errorf("spamd: write message: %w", err)
		}
		if left == 0 {
			break
		}
		out = b[:0]
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // if it matters, the reply will be missing
	}
	return nil
}
