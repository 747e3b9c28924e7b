package load

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"time"
)

// client is one connection.
type client struct {
	conn  net.Conn
	r     *bufio.Reader
	buf   []byte
	parts [3][]byte

	pipelining, size bool // what the server offers
}

// dial connects, reads the banner and says EHLO. The session must end by deadline.
func dial(addr string, deadline time.Time) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Until(deadline))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 2<<10)}
	if err := c.begin(deadline); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) begin(deadline time.Time) error {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := c.expect("banner", 220, nil); err != nil {
		return err
	}
	if err := c.write("EHLO "+Helo, "\r\n"); err != nil {
		return err
	}
	return c.expect("EHLO", 250, func(line []byte) {
		word, _, _ := bytes.Cut(line, []byte(" "))
		c.pipelining = c.pipelining || string(word) == "PIPELINING"
		c.size = c.size || string(word) == "SIZE"
	})
}

// quit ends the session in good order.
func (c *client) quit() error {
	defer c.conn.Close()
	if err := c.write("QUIT\r\n"); err != nil {
		return err
	}
	return c.expect("QUIT", 221, nil)
}

// write writes the texts at once.
func (c *client) write(texts ...string) error {
	c.buf = c.buf[:0]
	for _, t := range texts {
		c.buf = append(c.buf, t...)
	}
	if _, err := c.conn.Write(c.buf); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// expect reads one reply, which must have the code. each gets the text of its lines.
func (c *client) expect(step string, code int, each func(line []byte)) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("%s: reply: %w", step, err)
		}
		text := bytes.TrimRight(line, "\r\n")
		if len(text) < 3 || string(text[:3]) != strconv.Itoa(code) {
			return fmt.Errorf("%s: reply %q, not %d", step, text, code)
		}
		if each != nil && len(text) > 4 {
			each(text[4:])
		}
		if len(text) == 3 || text[3] != '-' {
			return nil
		}
	}
}

// send hands over one message and returns its identity.
func (c *client) send(m *Message, pipeline bool) (uint64, error) {
	if err := c.envelope(m, pipeline); err != nil {
		return 0, err
	}
	id := m.next()
	c.buf = m.appendHead(c.buf[:0], id, time.Now())
	head := len(c.buf)
	c.buf = appendEnd(c.buf, id)
	c.parts = [3][]byte{c.buf[:head], m.body, c.buf[head:]}
	whole := net.Buffers(c.parts[:])
	if _, err := whole.WriteTo(c.conn); err != nil {
		return 0, fmt.Errorf("message: write: %w", err)
	}
	return id, c.expect("message", 250, nil)
}

// envelope says MAIL, RCPT and DATA, each after the reply to the one before unless they go in one write.
func (c *client) envelope(m *Message, pipeline bool) error {
	size := ""
	if c.size {
		size = " SIZE=" + strconv.Itoa(m.size)
	}
	steps := [3]struct {
		name, line string
		code       int
	}{
		{"MAIL", "MAIL FROM:<" + From + ">" + size + "\r\n", 250},
		{"RCPT", "RCPT TO:<" + To + ">\r\n", 250},
		{"DATA", "DATA\r\n", 354},
	}
	together := pipeline && c.pipelining
	if together {
		if err := c.write(steps[0].line, steps[1].line, steps[2].line); err != nil {
			return err
		}
	}
	for _, s := range steps {
		if !together {
			if err := c.write(s.line); err != nil {
				return err
			}
		}
		if err := c.expect(s.name, s.code, nil); err != nil {
			return err
		}
	}
	return nil
}
