package spamd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Ping asks whether spamd is there. Only "0 PONG" is nil.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.ping(ctx); err != nil {
		return fmt.Errorf("spamd: ping %s: %w", c.cfg.Address, err)
	}
	return nil
}

func (c *Client) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(c.cfg.Timeout, c.cfg.IOTimeout))
	defer cancel()
	conn, release, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer release()
	if _, err = io.WriteString(conn, "PING SPAMC/1.5\r\n\r\n"); err == nil {
		r := bufio.NewReaderSize(conn, maxLine)
		if err = readStatus(r, "PONG"); err == nil {
			if _, end := r.ReadByte(); errors.Is(end, io.EOF) {
				return nil
			}
			err = fmt.Errorf("%w: octets after the reply", ErrReply)
		}
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}

// gtube is a message with the Generic Test for Unsolicited Bulk Email, put
// together here so that neither the source nor the program contains it. Its rule
// also keeps spamd from learning from the message.
func gtube() string {
	return strings.Join([]string{"Subject: probe\r\n\r\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-", "STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"}, "")
}

// Version asks which SpamAssassin answers, such as "4.0.1 (2024-03-25)", and keeps
// it for the Results of later checks. The protocol has no verb for it; it stands
// in the header that HEADERS adds to a message, here to the GTUBE test text. That
// spamd does not see that text is ErrBlind.
func (c *Client) Version(ctx context.Context) (string, error) {
	message := gtube()
	a, err := c.do(ctx, "HEADERS", Request{Message: strings.NewReader(message), Size: int64(len(message))})
	if err == nil && !a.spam {
		err = fmt.Errorf("%w: score %g", ErrBlind, a.score)
	}
	if err != nil {
		return "", fmt.Errorf("spamd: version of %s: %w", c.cfg.Address, err)
	}
	v := checkerVersion(a.body)
	c.version.Store(&v)
	return v, nil
}

// Probe asks whether spamd really works: PING, and a check that must see GTUBE.
// It returns the version as "SpamAssassin 4.0.1 (2024-03-25)".
func (c *Client) Probe(ctx context.Context) (string, error) {
	if err := c.Ping(ctx); err != nil {
		return "", err
	}
	v, err := c.Version(ctx)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace("SpamAssassin " + v), nil
}

// checkerVersion finds "X-Spam-Checker-Version: SpamAssassin VERSION on HOST" in
// a header. A configuration without that field leaves the version unknown: "".
func checkerVersion(header []byte) string {
	for line := range bytes.Lines(header) {
		name, value, ok := strings.Cut(string(bytes.TrimSpace(line)), ":")
		if !ok || !strings.EqualFold(name, "X-Spam-Checker-Version") {
			continue
		}
		value, ok = strings.CutPrefix(strings.TrimSpace(value), "SpamAssassin ")
		if !ok {
			return ""
		}
		value, _, _ = strings.Cut(value, " on ")
		return printable(value[:min(len(value), 64)])
	}
	return ""
}
