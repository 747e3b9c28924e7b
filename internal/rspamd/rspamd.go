// Package rspamd asks an rspamd about messages: one client for one address, with the HTTP protocol that rspamd's normal
// worker (checkv2, ping) and its controller (learnspam, learnham) speak. There is no RFC for it; rspamd's own
// documentation (protocol.html) describes it.
//
// A result comes only from a whole, well-formed reply of bounded size. The package never changes a message, never follows a
// redirect, asks no proxy, ignores whatever rspamd would have changed in the message (milter headers, subjects), never
// retries, and never decides what a score means.
package rspamd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"gatepost/internal/addrpool"
)

// Defaults of Config.
const (
	DefaultMaxSize     = 512 << 10        // octets of a message
	DefaultDialTimeout = 5 * time.Second  // to connect
	DefaultTimeout     = 30 * time.Second // for a whole call
	pingTimeout        = 10 * time.Second // for a whole ping
)

var (
	// ErrTooBig means that the message is over Config.MaxSize.
	ErrTooBig = errors.New("rspamd: message is over the size limit")
	// ErrSource means that the message could not be read, or was shorter than announced. rspamd is not at fault.
	ErrSource = errors.New("rspamd: message could not be read")
	// ErrRequest means that the request cannot be sent as it is.
	ErrRequest = errors.New("rspamd: bad request")
	// ErrUnreachable means that no connection was made: nothing was sent.
	ErrUnreachable = errors.New("rspamd: not reachable")
	// ErrReply means that what came back is not a reply of rspamd, or is not whole.
	ErrReply = errors.New("rspamd: bad reply")
	// ErrBlind means that rspamd works but does not see the GTUBE test text: it looks at nothing.
	ErrBlind = errors.New("rspamd: does not see the GTUBE test text (gtube_patterns)")
	// ErrDenied means that the controller does not take the password.
	ErrDenied = errors.New("rspamd: the controller does not take the password")
)

// Repeatable says that err came before anything was sent, so that the call may be made again elsewhere.
func Repeatable(err error) bool { return errors.Is(err, ErrUnreachable) }

// Blames says that err is the fault of rspamd or of the way to it, rather than of the message, the request or a caller that
// went away.
func Blames(err error) bool {
	for _, other := range []error{ErrTooBig, ErrSource, ErrRequest, context.Canceled} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil
}

// Distrusts says that err means that no score of this rspamd can be believed.
func Distrusts(err error) bool { return errors.Is(err, ErrBlind) }

// Config of a Client. Only Address is required.
type Config struct {
	// Address is unix:/path, /path, tcp:host:port or host:port; of the normal worker to check, of the controller to learn.
	Address     string
	Password    string        // of the controller; only Learn sends it
	MaxSize     int64         // octets over which Check fails with ErrTooBig; 0: DefaultMaxSize
	DialTimeout time.Duration // 0: DefaultDialTimeout
	Timeout     time.Duration // of a whole call; 0: DefaultTimeout
}

// Client of one rspamd; safe for use by many goroutines.
type Client struct {
	cfg  Config
	http *http.Client
}

// New makes a client; it does not connect. It fails when the address is none of the four forms or a limit is negative.
func New(cfg Config) (*Client, error) {
	network, target, err := addrpool.ParseAddress(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("rspamd: %w", err)
	}
	if cfg.MaxSize < 0 || cfg.DialTimeout < 0 || cfg.Timeout < 0 {
		return nil, errors.New("rspamd: a limit is negative")
	}
	if cfg.MaxSize == 0 {
		cfg.MaxSize = DefaultMaxSize
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = DefaultDialTimeout
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	dialer := net.Dialer{Timeout: cfg.DialTimeout}
	c := &Client{cfg: cfg}
	c.http = &http.Client{
		// rspamd closes each connection after its reply; one that was kept could only fail under a message.
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHead,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, target)
				if err != nil && ctx.Err() == nil {
					return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
				}
				return conn, err
			}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Address as it was configured.
func (c *Client) Address() string { return c.cfg.Address }
