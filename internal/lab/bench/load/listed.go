package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Listed is clients that are on a DNS list, each of which tries to get a message for one recipient through.
type Listed struct {
	Addr        string
	From        netip.Prefix  // their addresses, in turn, but for the first and the last of the network
	First       int           // the number of the first client
	Connections int           // at the same time
	For         time.Duration // no connection begins later; 0: each of Connections clients comes once, all at the same time
	Timeout     time.Duration // for one connection
	Proxy       bool          // they come through a proxy, which names them (haproxy.org, proxy-protocol.txt); else From is local
}

// Met is what they met.
type Met struct {
	Sessions int64 // that came to an end of the server's will
	Refused  int64 // of them: 5xx
	Deferred int64 // 4xx, or a connection that was closed
	LetIn    int64 // 250 to RCPT
	Elapsed  time.Duration
	Refusal  string // one of the refusals
	Deferral string
}

// Rate is sessions a second.
func (m Met) Rate() float64 {
	if m.Elapsed <= 0 {
		return 0
	}
	return float64(m.Sessions) / m.Elapsed.Seconds()
}

// Run lets them come.
func (l Listed) Run(ctx context.Context) (Met, error) {
	var refused, deferred, letIn, next atomic.Int64
	var refusal, deferral, failure atomic.Value
	next.Store(int64(l.First))
	began := time.Now()
	var wg sync.WaitGroup
	for range l.Connections {
		wg.Go(func() {
			for ctx.Err() == nil && failure.Load() == nil {
				reply, err := l.one(int(next.Add(1) - 1))
				switch {
				case err != nil:
					failure.Store(err)
				case reply == "" || reply[0] == '4':
					deferred.Add(1)
					deferral.Store(reply)
				case reply[0] == '5':
					refused.Add(1)
					refusal.Store(reply)
				default:
					letIn.Add(1)
				}
				if time.Since(began) >= l.For {
					return
				}
			}
		})
	}
	wg.Wait()
	m := Met{Refused: refused.Load(), Deferred: deferred.Load(), LetIn: letIn.Load(), Elapsed: time.Since(began)}
	m.Sessions = m.Refused + m.Deferred + m.LetIn
	m.Refusal, _ = refusal.Load().(string)
	m.Deferral, _ = deferral.Load().(string)
	err, _ := failure.Load().(error)
	if err != nil {
		err = fmt.Errorf("listed clients on %s: %w", l.Addr, err)
	}
	return m, errors.Join(err, ctx.Err())
}

// Client is the address of a client by its number.
func (l Listed) Client(n int) netip.Addr {
	base := l.From.Masked().Addr().As4()
	size := uint32(1)<<(32-l.From.Bits()) - 2
	v := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	v += 1 + uint32(n)%size
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// one is one client. The reply is that to the first command that was not granted, or to RCPT; "" where the server closed the
// connection.
func (l Listed) one(n int) (reply string, err error) {
	deadline := time.Now().Add(l.Timeout)
	d, named := net.Dialer{Deadline: deadline}, ""
	if l.Proxy {
		named = fmt.Sprintf("PROXY TCP4 %s 127.0.0.1 40000 25\r\n", l.Client(n))
	} else {
		d.LocalAddr = &net.TCPAddr{IP: l.Client(n).AsSlice()}
	}
	conn, err := d.DialContext(context.Background(), "tcp", l.Addr)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 512)}
	for i, line := range []string{named, "EHLO " + Helo + "\r\n", "MAIL FROM:<" + From + ">\r\n", "RCPT TO:<" + To + ">\r\n"} {
		if line != "" && c.write(line) != nil {
			return "", nil
		}
		if reply, err = c.reply(); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return "", fmt.Errorf("step %d: %w", i, err)
			}
			return "", nil
		}
		if reply[0] != '2' {
			break
		}
	}
	if c.write("QUIT\r\n") == nil {
		_, _ = c.reply() // it may close without a word
	}
	return reply, nil
}

var errReply = errors.New("no reply line")

// reply reads a reply and returns its last line.
func (c *client) reply() (string, error) {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		text := bytes.TrimRight(line, "\r\n")
		if len(text) < 3 {
			return "", errReply
		}
		if len(text) == 3 || text[3] != '-' {
			return string(text), nil
		}
	}
}
