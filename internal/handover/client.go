package handover

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/smtpwire"
)

// client is one connection to a server that is looked at. Its certificate is not: check --live does that.
type client struct {
	nc     net.Conn
	in     *smtpwire.Reader
	banner string
	offers []string
}

// open connects and greets, under TLS where it is offered.
func (p *Probe) open(ctx context.Context) (*client, error) {
	dial := p.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: stepTime}).DialContext
	}
	network, address := "tcp", p.Address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	nc, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &client{nc: nc, in: smtpwire.NewReader(nc)}
	if err := c.greet(p); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *client) greet(p *Probe) error {
	r, err := c.reply()
	if err != nil {
		return err
	}
	if !r.Is(220) {
		return errors.New("banner: " + said(r))
	}
	c.banner = said(r)
	hello := "EHLO "
	if p.LMTP {
		hello = "LHLO "
	}
	if err := c.hello(hello + p.Hostname); err != nil {
		return err
	}
	if !c.offered("STARTTLS") {
		return nil
	}
	if r, err = c.command("STARTTLS"); err != nil || !r.Is(220) {
		return err // in clear, then
	}
	host, _, _ := net.SplitHostPort(p.Address)
	t := tls.Client(c.nc, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	_ = c.nc.SetDeadline(time.Now().Add(stepTime))
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	c.nc, c.in = t, smtpwire.NewReader(t)
	return c.hello(hello + p.Hostname)
}

func (c *client) hello(line string) error {
	r, err := c.command(line)
	if err != nil {
		return err
	}
	if !r.Is(250) {
		return errors.New(line[:4] + ": " + said(r))
	}
	c.offers = r.Lines
	return nil
}

// offered reports whether a keyword stands in the answer to EHLO.
func (c *client) offered(keyword string) bool {
	for _, line := range c.offers[min(1, len(c.offers)):] {
		if word, _, _ := strings.Cut(line, " "); strings.EqualFold(word, keyword) {
			return true
		}
	}
	return false
}

// size is the SIZE that was named.
func (c *client) size() (most int64, named bool) {
	for _, line := range c.offers {
		word, value, _ := strings.Cut(line, " ")
		if strings.EqualFold(word, "SIZE") {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return max(n, 0), true
		}
	}
	return 0, false
}

// ask is MAIL, RCPT and RSET. It returns what RCPT was told, or MAIL where that was refused, and how long it took.
func (c *client) ask(from, to string) (r smtpwire.Reply, took time.Duration, err error) {
	r, err = c.command("MAIL FROM:<" + from + ">")
	if err != nil || !r.Is(250) {
		return r, 0, err
	}
	began := time.Now()
	r, err = c.command("RCPT TO:<" + to + ">")
	took = time.Since(began)
	if err != nil || r.Code == 421 {
		return r, took, err
	}
	_, err = c.command("RSET")
	return r, took, err
}

func (c *client) command(line string) (smtpwire.Reply, error) {
	_ = c.nc.SetWriteDeadline(time.Now().Add(stepTime))
	if _, err := c.nc.Write([]byte(line + "\r\n")); err != nil {
		return smtpwire.Reply{}, err
	}
	return c.reply()
}

func (c *client) reply() (smtpwire.Reply, error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(2 * stepTime))
	return c.in.ReadReply()
}

func (c *client) close() {
	_ = c.nc.SetDeadline(time.Now().Add(time.Second))
	_, _ = c.nc.Write([]byte("QUIT\r\n"))
	_ = c.nc.Close()
}
