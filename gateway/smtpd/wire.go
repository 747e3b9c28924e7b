package smtpd

import (
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

const (
	// flushAt is how many octets of replies may wait for the client to be ready for them.
	flushAt = 4 << 10
	// keepOut is the largest reply buffer that a waiting session keeps.
	keepOut = 256
	// textWidth is how much text stands in one reply line: 512 octets of RFC 5321 section 4.5.3.1.5 less the codes.
	textWidth = 490
	// lingerTime and lingerOctets bound how long a client that was sent away can be listened to, so that the last reply
	// arrives: closing with unread input would reset the connection and lose it.
	lingerTime   = 500 * time.Millisecond
	lingerOctets = 256 << 10
)

// say puts a reply behind those that wait. Every refusal has the reference of the transaction, or else of the session.
func (c *session) say(r gateway.Reply) {
	r = c.referenced(r)
	c.lastReply = r
	if c.tx != nil {
		c.tx.last = r
	}
	c.out = appendReply(c.out, r)
	if len(c.out) >= flushAt {
		c.flush()
	}
}

func (c *session) referenced(r gateway.Reply) gateway.Reply {
	id := c.ID
	switch {
	case c.tx != nil:
		id = c.tx.env.ID
	case c.ended != 0:
		id = c.ended
	}
	return r.WithReference(id)
}

// flush writes the replies that wait. A failed write ends the session at its next read.
func (c *session) flush() {
	if len(c.out) > 0 && c.failed == nil {
		_ = c.raw.SetWriteDeadline(time.Now().Add(c.limits.WriteTimeout))
		_, c.failed = c.conn.Write(c.out)
	}
	if c.out = c.out[:0]; cap(c.out) > keepOut {
		c.out = nil
	}
}

// beforeRead is called by the reader before it reads from the connection: replies are batched as long as commands wait in
// the buffer, and no longer (RFC 2920 section 3.2).
func (c *session) beforeRead() error {
	c.flush()
	if c.failed != nil {
		return c.failed
	}
	if c.meter != nil {
		return c.meter.next(c)
	}
	return nil
}

// appendReply writes a reply as it goes over the wire, in lines that are no longer than the RFC allows.
func appendReply(b []byte, r gateway.Reply) []byte {
	wire := smtpwire.Reply{Code: r.Code, Enhanced: enhanced(r.Enhanced)}
	if len(r.Text) <= textWidth && strings.IndexByte(r.Text, '\n') < 0 {
		wire.Lines = []string{r.Text}
		return wire.Append(b)
	}
	for text := range strings.SplitSeq(r.Text, "\n") {
		for len(text) > textWidth {
			cut := strings.LastIndexByte(text[:textWidth], ' ')
			if cut <= 0 {
				cut = textWidth
			}
			wire.Lines = append(wire.Lines, text[:cut])
			text = strings.TrimPrefix(text[cut:], " ")
		}
		wire.Lines = append(wire.Lines, text)
	}
	return wire.Append(b)
}

// enhanced reads an enhanced code; none where the text is none.
func enhanced(s string) (code smtpwire.EnhancedCode) {
	for i := range code {
		part, rest, _ := strings.Cut(s, ".")
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > 999 {
			return smtpwire.EnhancedCode{}
		}
		code[i], s = n, rest
	}
	return code
}

// linger lets the last reply arrive at a client that is still sending.
func (c *session) linger() {
	switch c.End {
	case gateway.EndProtocol, gateway.EndLimit, gateway.EndRefused, gateway.EndTimeout:
	default:
		return
	}
	tcp, ok := c.raw.(*net.TCPConn)
	if !ok || c.failed != nil {
		return
	}
	if t, ok := c.conn.(*tls.Conn); ok {
		_ = c.raw.SetWriteDeadline(time.Now().Add(lingerTime))
		_ = t.CloseWrite()
	}
	_ = tcp.CloseWrite()
	_ = tcp.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, struct{ io.Reader }{tcp}, lingerOctets)
}
