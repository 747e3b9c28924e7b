// Package clamd asks a ClamAV daemon about streams of data: one client for one
// address, with zINSTREAM, PING, VERSION and STATS as clamd(8) describes them.
//
// Only the exact reply "stream: OK" to a stream that was sent whole is clean. No
// error, no silence, no reply that is cut off, too long or doubled, and no source
// that failed half-way ever becomes a verdict, and clamd never sees the end mark
// of a stream that was not complete. The package never holds more than one chunk
// of the data, never retries, keeps no connection open between calls, and never
// decides what a signature means for a message.
package clamd

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
	DefaultDialTimeout = 5 * time.Second  // to connect
	DefaultIOTimeout   = 30 * time.Second // for one write, or one read that is not waiting for a verdict
	DefaultTimeout     = 60 * time.Second // for a whole call
)

var (
	// ErrTooBig means that clamd takes no stream of this size (StreamMaxLength),
	// or that the size is over Config.MaxSize. It is no verdict.
	ErrTooBig = errors.New("clamd: stream is over the size limit")
	// ErrSource means that the data could not be read, or were not as long as
	// announced. clamd is not at fault.
	ErrSource = errors.New("clamd: data could not be read")
	// ErrUnreachable means that no connection was made: nothing was sent.
	ErrUnreachable = errors.New("clamd: not reachable")
	// ErrReply means that what came back is not a reply of clamd, or is not whole.
	ErrReply = errors.New("clamd: bad reply")
	// ErrRefused means that clamd answered, but with an error of its own.
	ErrRefused = errors.New("clamd: refused")
	// ErrBlind means that clamd works but does not find the EICAR test file: its
	// verdicts are worth nothing.
	ErrBlind = errors.New("clamd: does not find the EICAR test file")
)

// errHere is a fault of this side, of which clamd knows nothing.
var errHere = errors.New("fault on this side")

// Repeatable says that err came before anything was sent, so that the call may
// be made again elsewhere.
func Repeatable(err error) bool { return errors.Is(err, ErrUnreachable) }

// Blames says that err is the fault of clamd or of the way to it, rather than of
// the data or of a caller that went away.
func Blames(err error) bool {
	return err != nil && !errors.Is(err, ErrTooBig) && !errors.Is(err, ErrSource) && !errors.Is(err, errHere) && !errors.Is(err, context.Canceled)
}

// Distrusts says that err means that no verdict of this clamd can be believed.
func Distrusts(err error) bool { return errors.Is(err, ErrBlind) }

// Config of a Client. Only Address is required.
type Config struct {
	// Address is unix:/path, /path, tcp:host:port or host:port.
	Address string
	// MaxSize in octets over which Scan fails with ErrTooBig before it connects;
	// 0: only clamd's own limit counts.
	MaxSize     int64
	DialTimeout time.Duration // 0: DefaultDialTimeout
	IOTimeout   time.Duration // 0: DefaultIOTimeout
	Timeout     time.Duration // of a whole call; 0: DefaultTimeout
}

// Client of one clamd; safe for use by many goroutines.
type Client struct {
	cfg     Config
	network string // unix or tcp
	target  string // path or host:port
	buffers sync.Pool
	version atomic.Pointer[Version]
}

// New makes a client; it does not connect. It fails when the address is none of
// the four forms or a limit is negative.
func New(cfg Config) (*Client, error) {
	network, target, err := addrpool.ParseAddress(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("clamd: %w", err)
	}
	if cfg.MaxSize < 0 || cfg.DialTimeout < 0 || cfg.IOTimeout < 0 || cfg.Timeout < 0 {
		return nil, errors.New("clamd: a limit is negative")
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
	c.buffers.New = func() any { return new(buffer) }
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
