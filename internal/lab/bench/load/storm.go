package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Storm is connections of clients that a server refuses, as fast as it does.
type Storm struct {
	Addr        string
	Connections int           // at the same time
	For         time.Duration // no connection begins later
	Talk        bool          // the server refuses at RCPT; otherwise its first words are the refusal
	Timeout     time.Duration // for one connection
}

// Refused is what a storm met.
type Refused struct {
	Connections int64
	Elapsed     time.Duration
	Reply       string // one of the refusals
}

// Rate is refused connections a second.
func (r Refused) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Connections) / r.Elapsed.Seconds()
}

// Run connects again and again. A client that is not refused ends it with an error.
func (s Storm) Run(ctx context.Context) (Refused, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	began := time.Now()
	var count, client atomic.Int64
	var reply atomic.Value
	var wg sync.WaitGroup
	for range s.Connections {
		wg.Go(func() {
			for ctx.Err() == nil && time.Since(began) < s.For {
				said, err := s.one(int(client.Add(1)))
				if err != nil {
					stop(fmt.Errorf("storm on %s: %w", s.Addr, err))
					return
				}
				count.Add(1)
				reply.Store(said)
			}
		})
	}
	wg.Wait()
	r := Refused{Connections: count.Load(), Elapsed: time.Since(began)}
	r.Reply, _ = reply.Load().(string)
	err := context.Cause(ctx)
	if err == nil && r.Connections == 0 {
		err = fmt.Errorf("storm on %s: nobody was refused", s.Addr)
	}
	return r, err
}

// one is one client: refused, it waits for the server's end of the connection.
func (s Storm) one(n int) (reply string, err error) {
	deadline := time.Now().Add(s.Timeout)
	conn, err := dialFrom(n, s.Addr, deadline)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 512)}
	if !s.Talk {
		return c.refused("banner")
	}
	if err := c.begin(deadline); err != nil {
		return "", err
	}
	if err := c.write("MAIL FROM:<" + From + ">\r\n"); err != nil {
		return "", err
	}
	if err := c.expect("MAIL", 250, nil); err != nil {
		return "", err
	}
	if err := c.write("RCPT TO:<" + To + ">\r\n"); err != nil {
		return "", err
	}
	if reply, err = c.refused("RCPT"); err != nil {
		return "", err
	}
	return reply, c.quit()
}

var errNotRefused = errors.New("not refused")

// refused reads a reply that must be a refusal. One before the banner is followed by the end of the connection.
func (c *client) refused(step string) (string, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("%s: reply: %w", step, err)
	}
	text := string(bytes.TrimRight(line, "\r\n"))
	if len(text) < 4 || text[0] != '4' && text[0] != '5' {
		return "", fmt.Errorf("%s: reply %q: %w", step, text, errNotRefused)
	}
	if step != "banner" {
		return text, nil
	}
	if _, err := io.Copy(io.Discard, c.r); err != nil {
		return "", fmt.Errorf("%s: end of the connection: %w", step, err)
	}
	return text, nil
}
