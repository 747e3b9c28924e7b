// Package spamd asks a SpamAssassin daemon about messages: one client for one
// address, with the SPAMC/SPAMD protocol 1.5 of SpamAssassin's spamd/PROTOCOL.
//
// A result comes only from a whole, well-formed reply with EX_OK and a score that
// agrees with its own flag. The package never changes a message, teaches
// spamd only by Tell, never holds more of a message than one buffer, never retries,
// and never decides what a score means.
//
// It asks with REPORT, because that is the only verb with which a spamd as Debian
// installs it tells the scores of single rules: CHECK has the total only, SYMBOLS
// and HEADERS (X-Spam-Status) have names without scores, and the headers with
// scores (_TESTSSCORES_) need a change of spamd's configuration. The total is
// exact (to 0.1) from the Spam header; the report's table rounds each rule to 0.1,
// and to 1 from 10 points on.
package spamd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/internal/addrpool"
)

// Defaults of Config.
const (
	DefaultMaxSize     = 512 << 10        // octets of a message
	DefaultDialTimeout = 5 * time.Second  // to connect
	DefaultIOTimeout   = 10 * time.Second // for one write, and for a whole PING
	DefaultTimeout     = 30 * time.Second // for a whole call
)

var (
	// ErrTooBig means that the message is over Config.MaxSize.
	ErrTooBig = errors.New("spamd: message is over the size limit")
	// ErrSource means that the message could not be read, or was shorter than
	// announced. spamd is not at fault.
	ErrSource = errors.New("spamd: message could not be read")
	// ErrRequest means that the request cannot be sent as it is.
	ErrRequest = errors.New("spamd: bad request")
	// ErrUnreachable means that no connection was made: nothing was sent.
	ErrUnreachable = errors.New("spamd: not reachable")
	// ErrReply means that what came back is not a reply of spamd, or is not whole.
	ErrReply = errors.New("spamd: bad reply")
	// ErrBlind means that spamd works but does not see the GTUBE test text: it has
	// no rules, and its scores are worth nothing.
	ErrBlind = errors.New("spamd: does not see the GTUBE test text")
)

// Repeatable says that err came before anything was sent, so that the call may
// be made again elsewhere.
func Repeatable(err error) bool { return errors.Is(err, ErrUnreachable) }

// Blames says that err is the fault of spamd or of the way to it, rather than of
// the message, the request or a caller that went away.
func Blames(err error) bool {
	for _, other := range []error{ErrTooBig, ErrSource, ErrRequest, context.Canceled} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil
}

// Distrusts says that err means that no score of this spamd can be believed.
func Distrusts(err error) bool { return errors.Is(err, ErrBlind) }

// Config of a Client. Only Address is required.
type Config struct {
	// Address is unix:/path, /path, tcp:host:port or host:port.
	Address     string
	MaxSize     int64         // octets over which Check fails with ErrTooBig; 0: DefaultMaxSize
	DialTimeout time.Duration // 0: DefaultDialTimeout
	IOTimeout   time.Duration // 0: DefaultIOTimeout
	Timeout     time.Duration // of a whole call; 0: DefaultTimeout
}

// Client of one spamd; safe for use by many goroutines.
type Client struct {
	cfg     Config
	network string // unix or tcp
	target  string // path or host:port
	buffers sync.Pool
	version atomic.Pointer[string]
}

// New makes a client; it does not connect. It fails when the address is none of
// the four forms or a limit is negative.
func New(cfg Config) (*Client, error) {
	network, target, err := addrpool.ParseAddress(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("spamd: %w", err)
	}
	if cfg.MaxSize < 0 || cfg.DialTimeout < 0 || cfg.IOTimeout < 0 || cfg.Timeout < 0 {
		return nil, errors.New("spamd: a limit is negative")
	}
	if cfg.MaxSize == 0 {
		cfg.MaxSize = DefaultMaxSize
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = DefaultDialTimeout
	}
	if cfg.IOTimeout == 0 {
		cfg.IOTimeout = DefaultIOTimeout
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	c := &Client{cfg: cfg, network: network, target: target}
	c.buffers.New = func() any { return new([bufferSize]byte) }
	return c, nil
}

// Address as it was configured.
func (c *Client) Address() string { return c.cfg.Address }

// connect dials. The connection is closed when ctx ends, which ends every read
// and write; release undoes that and closes it.
func (c *Client) connect(ctx context.Context) (conn net.Conn, release func(), err error) {
	dialer := net.Dialer{Timeout: c.cfg.DialTimeout}
	conn, err = dialer.DialContext(ctx, c.network, c.target)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		// The dialer may notice the call's deadline before the context does.
		if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
			return nil, nil, context.DeadlineExceeded
		}
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return conn, func() { stop(); conn.Close() }, nil
}
