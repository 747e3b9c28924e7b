package e2e

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// client is an SMTP client that says what it is told. Everything it waits for is bounded.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// clientTime bounds each wait of a client for the daemon, where a test does not know better.
const clientTime = 30 * time.Second

// dial connects and reads the banner.
func (w *world) dial(t testing.TB) *client {
	t.Helper()
	c, banner := w.connect(t)
	if !strings.HasPrefix(banner, "220 "+cmp.Or(w.name, hostname)+" ESMTP") {
		t.Fatalf("banner %q", banner)
	}
	return c
}

// connect connects and reads the first reply, whatever it is.
func (w *world) connect(t testing.TB) (c *client, banner string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", w.addr(), clientTime)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c = &client{t: t, conn: conn, in: bufio.NewReader(conn)}
	return c, c.reply()
}

// hello dials and says EHLO.
func (w *world) hello(t testing.TB) *client {
	t.Helper()
	c := w.dial(t)
	c.want("250", "EHLO client.example.org")
	return c
}

// send writes octets.
func (c *client) send(octets string) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(clientTime))
	if _, err := c.conn.Write([]byte(octets)); err != nil {
		c.t.Fatalf("send %.100q: %v", octets, err)
	}
}

// reply reads one reply, its lines joined by "\n"; at the end of the connection it is "" and what came before is lost.
func (c *client) reply() string { return c.replyWithin(clientTime) }

func (c *client) replyWithin(d time.Duration) string {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(d))
	var lines []string
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				c.t.Fatalf("no reply within %v", d)
			}
			return ""
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(text) < 4 {
			c.t.Fatalf("reply line %q", line)
		}
		lines = append(lines, text)
		if text[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// say sends a command and reads its reply.
func (c *client) say(command string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.reply()
}

// want says a command whose reply must begin so.
func (c *client) want(begin, command string) string {
	c.t.Helper()
	r := c.say(command)
	if !strings.HasPrefix(r, begin) {
		c.t.Fatalf("%.100q was answered with %q, not %q", command, r, begin)
	}
	return r
}

// closed fails unless the daemon closes the connection and says no more.
func (c *client) closed() {
	c.t.Helper()
	if r := c.reply(); r != "" {
		c.t.Errorf("the daemon said %q and did not close", r)
	}
}

// startTLS encrypts the session; the certificate is not looked at.
func (c *client) startTLS() {
	c.t.Helper()
	c.want("220 ", "STARTTLS")
	secure := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.conn, c.in = secure, bufio.NewReader(secure)
	c.want("250", "EHLO client.example.org")
}

// head is a header section that no check objects to.
const head = "From: alice@example.org\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nSubject: hello\r\n\r\n"

// told is what a sender heard in one transaction, up to the step that was refused.
type told struct{ mail, rcpt, data, dot string }

// last is the last reply.
func (t told) last() string {
	for _, r := range []string{t.dot, t.data, t.rcpt} {
		if r != "" {
			return r
		}
	}
	return t.mail
}

// accepted reports whether the sender may forget the message.
func (t told) accepted() bool { return strings.HasPrefix(t.dot, "250") }

// deliver runs a transaction to one recipient as far as it gets; the message is head and the text.
func (c *client) deliver(rcpt, text string) (t told) {
	c.t.Helper()
	return c.deliverFrom("alice@example.org", rcpt, text)
}

func (c *client) deliverFrom(from, rcpt, text string) (t told) {
	c.t.Helper()
	if t.mail = c.say("MAIL FROM:<" + from + ">"); !strings.HasPrefix(t.mail, "250") {
		return t
	}
	if t.rcpt = c.say("RCPT TO:<" + rcpt + ">"); !strings.HasPrefix(t.rcpt, "250") {
		return t
	}
	if t.data = c.say("DATA"); !strings.HasPrefix(t.data, "354") {
		return t
	}
	c.send(head + text + "\r\n.\r\n")
	t.dot = c.reply()
	return t
}

// chunk is BDAT with a whole message.
func chunk(message string) string { return fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message) }
