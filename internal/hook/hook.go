// Package hook asks a check of the operator's own: one client for one URL, to which a JSON document about a message is
// posted, and which answers with another. docs/hook.md describes both.
//
// Each request is signed where a secret is set (HMAC-SHA-256 over the time and the body), so that the other side knows who
// asks. A reply is read whole, strictly and bounded; a redirect is never followed and no proxy is asked. Nothing is sent
// twice, but where the server ended a connection that was kept, before it said a word. The package never decides what a
// word means for the message.
package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// Bounds and defaults.
const (
	DefaultDialTimeout = 5 * time.Second
	DefaultTimeout     = 10 * time.Second // of a whole call
	maxHead            = 16 << 10         // octets of a reply's header section
	maxReply           = 64 << 10         // octets of a reply
)

var (
	// ErrUnreachable means that no connection was made: nothing was sent.
	ErrUnreachable = errors.New("hook: not reachable")
	// ErrReply means that what came back is no reply of a hook, or is not whole.
	ErrReply = errors.New("hook: bad reply")
	// ErrStatus means that the server answered with another status than 200.
	ErrStatus = errors.New("hook: refused")
	// ErrRequest means that the request cannot be sent as it is.
	ErrRequest = errors.New("hook: bad request")
)

// Repeatable says that err came before anything was sent, so that the call may be made again elsewhere.
func Repeatable(err error) bool { return errors.Is(err, ErrUnreachable) }

// Blames says that err is the fault of the hook or of the way to it, rather than of the request or a caller that went away.
func Blames(err error) bool {
	return err != nil && !errors.Is(err, ErrRequest) && !errors.Is(err, context.Canceled)
}

// Config of a Client. Only URL is required.
type Config struct {
	URL         string        // http or https, with a path
	Secret      []byte        // that requests are signed with; nil: they are not
	Timeout     time.Duration // of a whole call; 0: DefaultTimeout
	DialTimeout time.Duration // 0: DefaultDialTimeout
	Agent       string        // what we call ourselves
	TLS         *tls.Config   // of https; nil: the system's authorities, TLS 1.2 or later
}

// Client of one hook; safe for use by many goroutines.
type Client struct {
	cfg  Config
	http *http.Client
}

// New makes a client; it does not connect. It fails when the URL is none or a limit is negative.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("hook: %q is no URL of http or https without a user", cfg.URL)
	}
	if cfg.Timeout < 0 || cfg.DialTimeout < 0 {
		return nil, errors.New("hook: a limit is negative")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = DefaultDialTimeout
	}
	dialer := net.Dialer{Timeout: cfg.DialTimeout}
	if u.Scheme == "http" {
		dialer.Control = nearby
	}
	c := &Client{cfg: cfg}
	c.http = &http.Client{
		Transport: &http.Transport{TLSClientConfig: cfg.TLS, TLSHandshakeTimeout: cfg.DialTimeout, DisableCompression: true, MaxResponseHeaderBytes: maxHead, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if err != nil && ctx.Err() == nil {
					return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
				}
				return conn, err
			}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// nearby refuses to connect in clear to an address that is neither loopback nor private, whatever a name resolves to: what is
// posted tells of mail.
func nearby(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if a := to.Addr().Unmap(); err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()) {
		return nil
	}
	return fmt.Errorf("%s is neither loopback nor private, and http is in clear", address)
}

// Address is the URL as it was configured.
func (c *Client) Address() string { return c.cfg.URL }

// Ask posts a document and returns the answer to it. The errors are ErrRequest, ErrUnreachable, ErrReply, ErrStatus, the
// context's, or a network error.
func (c *Client) Ask(ctx context.Context, d *Document) (Answer, error) {
	start := time.Now()
	d.Format = Format
	body, err := json.Marshal(d)
	if err != nil {
		return Answer{}, fmt.Errorf("hook: %s: %w: %w", c.cfg.URL, ErrRequest, err)
	}
	text, err := c.post(ctx, body)
	var a Answer
	if err == nil {
		a, err = parseAnswer(text)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("hook: %s: %w", c.cfg.URL, err)
	}
	a.Duration = time.Since(start)
	return a, nil
}

// Probe asks whether the hook is there: it posts a document that says it is a probe, which must be answered as any other. It
// returns what the hook calls itself, at most.
func (c *Client) Probe(ctx context.Context) (string, error) {
	a, err := c.Ask(ctx, &Document{Probe: true})
	if err != nil {
		return "", err
	}
	if a.Text != "" {
		return a.Text, nil
	}
	return "answers", nil
}

// post sends one body and returns the reply's.
func (c *Client) post(ctx context.Context, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.cfg.Agent)
	// Not sent, having no value: it tells the transport that a request may be made again where a connection that was kept
	// turns out to be closed. A question has no effect, and a hook that was restarted would fail each of them once.
	req.Header["Idempotency-Key"] = nil
	if c.cfg.Secret != nil {
		req.Header.Set("X-Gatepost-Signature", Sign(c.cfg.Secret, time.Now(), body))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, worded(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w with %d", ErrStatus, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, worded(ctx, fmt.Errorf("%w: %w", ErrReply, err))
	}
	if len(text) > maxReply {
		return nil, fmt.Errorf("%w: over %d octets", ErrReply, maxReply)
	}
	return text, nil
}

// worded words an error that the end of the call brought about, and keeps the URL out of it, which the caller adds.
func worded(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}

// Sign returns the value of X-Gatepost-Signature: "t=" with the time in seconds since 1970, and "v1=" with the hexadecimal
// HMAC-SHA-256 of that number, a full stop and the body. The time is in it so that an old request cannot be sent again.
func Sign(secret []byte, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
