package rspamd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Ping asks whether rspamd is there. Only "pong" is nil.
func (c *Client) Ping(ctx context.Context) error {
	if err := c.ping(ctx); err != nil {
		return fmt.Errorf("rspamd: ping %s: %w", c.cfg.Address, err)
	}
	return nil
}

func (c *Client) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(c.cfg.Timeout, pingTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://rspamd/ping", nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return blamed(ctx, nil, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReply, err)
	}
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "pong" {
		return fmt.Errorf("%w: %.80q", ErrReply, body)
	}
	return nil
}

// gtube is a message with the Generic Test for Unsolicited Bulk Email, put together here so that neither the source nor the
// program contains it.
func gtube() string {
	return strings.Join([]string{"Subject: probe\r\n\r\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-", "STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"}, "")
}

// Probe asks whether rspamd really works: ping, and a check that must see GTUBE. It returns the version as "rspamd 3.4".
func (c *Client) Probe(ctx context.Context) (string, error) {
	if err := c.Ping(ctx); err != nil {
		return "", err
	}
	message := gtube()
	r, err := c.Check(ctx, Request{Message: strings.NewReader(message), Size: int64(len(message))})
	if err == nil && !r.Spam() {
		err = fmt.Errorf("rspamd: probe of %s: %w: %s, score %g", c.cfg.Address, ErrBlind, r.Action, r.Score)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace("rspamd " + r.Version), nil
}
