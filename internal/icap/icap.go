// Package icap asks scanners that speak ICAP (RFC 3507): one client for one service at one address, with OPTIONS, and with
// RESPMOD or REQMOD for content that is shown as the body of an HTTP message.
//
// Only 204, or a 200 whose body is octet for octet what was sent, to content that was sent whole is clean, and 204 to a
// preview, by which a service says that it needs no more of this kind. A service says that it found something with X-Infection-Found, X-Virus-ID or X-Violations-Found, with an HTTP status other than 200, or with
// other content. Whatever else comes, and whatever is cut off, too long or doubled, is an error and never a verdict. What
// comes back is compared and thrown away. The package never decides what a find means.
package icap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Defaults of Config.
const (
	DefaultDialTimeout = 5 * time.Second
	DefaultTimeout     = 60 * time.Second // for a whole call
	DefaultMaxSize     = 32 << 20         // octets of content
	DefaultIdle        = 30 * time.Second // for which a connection is kept
	maxIdle            = 4                // connections that are kept
	optionsAge         = time.Hour        // for which OPTIONS are believed where they do not say
)

var (
	// ErrTooBig means that the content is over Config.MaxSize.
	ErrTooBig = errors.New("icap: content is over the size limit")
	// ErrSource means that the content could not be read. The service is not at fault.
	ErrSource = errors.New("icap: content could not be read")
	// ErrUnreachable means that no connection was made: nothing was sent.
	ErrUnreachable = errors.New("icap: not reachable")
	// ErrReply means that what came back is no reply of an ICAP server, or is not whole.
	ErrReply = errors.New("icap: bad reply")
	// ErrStatus means that the server answered with an error of its own.
	ErrStatus = errors.New("icap: refused")
	// ErrBlind means that the service works but does not find the EICAR test file.
	ErrBlind = errors.New("icap: does not find the EICAR test file")
)

// Repeatable says that err came before anything was sent, so that the call may be made again elsewhere.
func Repeatable(err error) bool { return errors.Is(err, ErrUnreachable) }

// Blames says that err is the fault of the server or of the way to it, rather than of the content or a caller that went away.
func Blames(err error) bool {
	return err != nil && !errors.Is(err, ErrTooBig) && !errors.Is(err, ErrSource) && !errors.Is(err, context.Canceled)
}

// Distrusts says that err means that no verdict of this service can be believed.
func Distrusts(err error) bool { return errors.Is(err, ErrBlind) }

// Config of a Client. Address and Service are required.
type Config struct {
	Address     string        // host:port
	Service     string        // the path of the service: "avscan"
	Request     bool          // REQMOD instead of RESPMOD: content as an upload, where a service knows nothing else
	TLS         *tls.Config   // nil: in clear
	MaxSize     int64         // octets over which Scan fails with ErrTooBig; 0: DefaultMaxSize
	DialTimeout time.Duration // 0: DefaultDialTimeout
	Timeout     time.Duration // of a whole call; 0: DefaultTimeout
	NoVirus     bool          // the service finds no EICAR, on purpose: Probe asks for OPTIONS only
}

// Client of one service; safe for use by many goroutines.
type Client struct {
	cfg Config

	mu      sync.Mutex
	idle    []*conn
	options Options
	until   time.Time // the options are believed
}

// Options are what a service says of itself (RFC 3507 section 4.10).
type Options struct {
	Methods string
	Service string // what it calls itself; printable
	ISTag   string // of its state: another one means another database
	Preview int    // octets that it wants to see first; -1 for none
	Max     int    // connections at once; 0 for not told
	Allows  bool   // answers 204 outside a preview
}

// New makes a client; it does not connect.
func New(cfg Config) (*Client, error) {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(cfg.Address, "tcp:"))
	if err != nil || host == "" {
		return nil, fmt.Errorf("icap: address %q: want host:port", cfg.Address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("icap: address %q: port %q is not a number from 1 to 65535", cfg.Address, port)
	}
	if cfg.Service == "" || strings.ContainsFunc(cfg.Service, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("icap: service %q: want the path of the service", cfg.Service)
	}
	if cfg.MaxSize < 0 || cfg.DialTimeout < 0 || cfg.Timeout < 0 {
		return nil, errors.New("icap: a limit is negative")
	}
	cfg.Service = strings.TrimPrefix(cfg.Service, "/")
	if cfg.MaxSize == 0 {
		cfg.MaxSize = DefaultMaxSize
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = DefaultDialTimeout
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	return &Client{cfg: cfg}, nil
}

// Address as it was configured.
func (c *Client) Address() string { return c.cfg.Address }

// ISTag is the state of the service as it last told: it changes with its database. "" for not known.
func (c *Client) ISTag() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.options.ISTag
}

// conn is one connection.
type conn struct {
	net.Conn
	reader
	since time.Time // it is idle
	used  bool      // for a call before this
}

// get takes an idle connection, or makes one. fresh wants a new one.
func (c *Client) get(ctx context.Context, fresh bool) (*conn, error) {
	c.mu.Lock()
	for !fresh && len(c.idle) > 0 {
		last := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if time.Since(last.since) < DefaultIdle {
			c.mu.Unlock()
			return last, nil
		}
		last.Close()
	}
	c.mu.Unlock()
	dialer := net.Dialer{Timeout: c.cfg.DialTimeout}
	raw, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(c.cfg.Address, "tcp:"))
	if err == nil && c.cfg.TLS != nil {
		secured := tls.Client(raw, c.cfg.TLS)
		if err = secured.HandshakeContext(ctx); err != nil {
			raw.Close()
		}
		raw = secured
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return &conn{Conn: raw, reader: newReader(raw)}, nil
}

// put keeps a connection that can be used again.
func (c *Client) put(k *conn) {
	k.since, k.used = time.Now(), true
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) >= maxIdle {
		k.Close()
		return
	}
	c.idle = append(c.idle, k)
}

// with runs one call over a connection. One that was kept and turns out to be closed before a word of an answer is replaced
// once: the server may have ended it.
func (c *Client) with(ctx context.Context, call func(ctx context.Context, k *conn) (keep bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	for again := false; ; again = true {
		k, err := c.get(ctx, again)
		if err != nil {
			return err
		}
		k.heard = false
		stop := context.AfterFunc(ctx, func() { k.Close() })
		keep, err := call(ctx, k)
		if stop() && keep && err == nil {
			c.put(k)
			return nil
		}
		k.Close()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
			return fmt.Errorf("%w (%w)", ctx.Err(), err)
		case again || !k.used || k.heard || errors.Is(err, ErrSource):
			return err
		}
	}
}

// Close ends the connections that are kept. The client can be used on.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.idle {
		k.Close()
	}
	c.idle = nil
}
