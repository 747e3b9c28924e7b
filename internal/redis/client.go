package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Settings say where Redis is and how it is spoken to. Zero is the default of what has one.
type Settings struct {
	// Addrs are host:port, or the path of a unix socket. Several are the nodes of a Cluster, or with Master Sentinels.
	Addrs []string
	// Master is the name that Sentinels know the master by; empty: no Sentinel.
	Master string
	// Cluster says that a single address is one of a Cluster.
	Cluster bool

	User, Password                 string // of Redis; empty: none
	SentinelUser, SentinelPassword string // of the Sentinels
	TLS                            *tls.Config

	// Secret is the installation's key (16 octets or more), the same on all nodes: no address or name of a person stands
	// in Redis, but its HMAC.
	Secret []byte
	// Cell parts installations that share a Redis: keys begin with "gp:CELL:". Letters, digits, "-" and "_", at most 32.
	// Default: "gp:" alone.
	Cell string

	// Timeout bounds a call with all that belongs to it. 10 ms to 1 s, default 50 ms.
	Timeout time.Duration
	// Pool is how many connections there may be. 1 to 1000, default 16.
	Pool int
	// Wait and LongestWait are how long nothing is asked after a failure: the first, doubled with each failed probe up to
	// the longest. Default 1 s and 30 s.
	Wait, LongestWait time.Duration
	// Probed says that its owner calls Probe again and again. Then no other call probes while the breaker is open, so that no
	// mail waits for a server that hangs.
	Probed bool

	// dial is for tests, which count what goes through a connection.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// String names the addresses and no secret, so that settings in a message give nothing away.
func (s Settings) String() string { return "redis at " + strings.Join(s.Addrs, ", ") }

// GoString is String.
func (s Settings) GoString() string { return s.String() }

// Defaults.
const (
	defaultTimeout = 50 * time.Millisecond
	defaultPool    = 16
	defaultWait    = time.Second
	defaultLongest = 30 * time.Second
	// leastDial is longer than a call: go-redis goes on with a dial whose caller has left, and the next one gains.
	leastDial = 150 * time.Millisecond
	// buffer is that of a connection and direction; go-redis would take 32 KiB.
	buffer = 4 << 10
)

// complete checks the settings and sets the defaults.
func (s *Settings) complete() error {
	if len(s.Addrs) == 0 {
		return errors.New("redis: no address")
	}
	if len(s.Secret) < 16 {
		return fmt.Errorf("redis: a secret of %d octets, 16 are the least", len(s.Secret))
	}
	if len(s.Cell) > 32 || strings.Trim(s.Cell, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return fmt.Errorf("redis: cell %q: not 0 to 32 letters, digits, - and _", s.Cell)
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	if s.Timeout < 10*time.Millisecond || s.Timeout > time.Second {
		return fmt.Errorf("redis: timeout %v: not 10ms to 1s", s.Timeout)
	}
	if s.Pool == 0 {
		s.Pool = defaultPool
	}
	if s.Pool < 1 || s.Pool > 1000 {
		return fmt.Errorf("redis: a pool of %d: not 1 to 1000", s.Pool)
	}
	if s.Wait == 0 {
		s.Wait = defaultWait
	}
	if s.LongestWait == 0 {
		s.LongestWait = max(defaultLongest, s.Wait)
	}
	if s.Wait < 0 || s.LongestWait < s.Wait {
		return fmt.Errorf("redis: waits %v and %v: the longest is the shorter", s.Wait, s.LongestWait)
	}
	return nil
}

// options are those of go-redis. Nothing is sent twice by itself: a script that counts would count twice.
func (s *Settings) options(age *atomic.Int64) *goredis.UniversalOptions {
	dialTimeout := max(leastDial, s.Timeout)
	dial := s.dial
	if dial == nil {
		dial = goredis.NewDialer(&goredis.Options{TLSConfig: s.TLS, DialTimeout: dialTimeout})
	}
	inClear := s.TLS == nil
	return &goredis.UniversalOptions{
		Addrs: s.Addrs, MasterName: s.Master, IsClusterMode: s.Cluster,
		Username: s.User, Password: s.Password,
		SentinelUsername: s.SentinelUser, SentinelPassword: s.SentinelPassword,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if inClear && !here(network, addr) {
				return nil, fmt.Errorf("%w: %s", errClear, addr)
			}
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &bounded{Conn: c, age: age, born: age.Load()}, nil
		},
		Protocol:        2,    // what version 3 adds, we do not use
		DisableIdentity: true, // CLIENT SETINFO is one more round trip, and an ACL may forbid it
		MaxRetries:      -1,
		DialerRetries:   1,
		DialTimeout:     dialTimeout,
		ReadTimeout:     s.Timeout, WriteTimeout: s.Timeout,
		ContextTimeoutEnabled: true,
		PoolSize:              s.Pool, MaxActiveConns: s.Pool, PoolTimeout: s.Timeout,
		PipelinePoolSize: -1, // a second pool beside it
		ReadBufferSize:   buffer, WriteBufferSize: buffer,
		MaxRedirects: 1, // a slot that moved
	}
}

// errClear says that a server was named, by Sentinels or nodes of a Cluster say, that would be spoken to in clear.
var errClear = errors.New("not on this machine, and not asked without TLS")

// here reports whether an address is on this machine.
func here(network, addr string) bool {
	if network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Client is a connection to Redis with its breaker. Its methods are safe for concurrent use.
type Client struct {
	r       goredis.UniversalClient
	b       breaker
	timeout time.Duration
	prefix  string
	hash    hasher
	age     atomic.Int64 // of the connections: what is of an age breaks together

	grey, release, forgets, teach, mark, gcra, history script
}

// Open makes a client. It asks nobody: that Redis is away is no error here, and it is found when it comes.
func Open(s Settings) (*Client, error) {
	if err := s.complete(); err != nil {
		return nil, err
	}
	goredis.SetLogger(silent{})
	c := &Client{
		timeout: s.Timeout, prefix: "gp:",
		b: breaker{first: s.Wait, longest: s.LongestWait, probed: s.Probed}, hash: newHasher(s.Secret),
		grey: newScript(greySource), release: newScript(releaseSource), forgets: newScript(forgetSource), teach: newScript(teachSource), mark: newScript(markSource), gcra: newScript(gcraSource), history: newScript(reputationSource),
	}
	c.r = goredis.NewUniversalClient(s.options(&c.age))
	if s.Cell != "" {
		c.prefix += s.Cell + ":"
	}
	return c, nil
}

// silent is go-redis's logger, which it has one of for the process: what it says is in errors and in Health, and while
// Redis is away it would say it for each dial.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Close ends all connections. Calls that run fail.
func (c *Client) Close() error { return c.r.Close() }

// Health is how it fares.
func (c *Client) Health() Health { return c.b.health() }

// Ping asks whether Redis answers; the breaker counts it like any other call.
func (c *Client) Ping(ctx context.Context) error {
	return c.do(ctx, func(ctx context.Context) error { return c.r.Ping(ctx).Err() })
}

// do makes one call through the breaker, within the time of one.
func (c *Client) do(ctx context.Context, call func(context.Context) error) error {
	return c.doAs(ctx, false, call)
}

// doAs is do; prober says that the call is Probe's.
func (c *Client) doAs(ctx context.Context, prober bool, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	probe, err := c.b.allow(prober)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err = call(bounded)
	kind := classify(err)
	gone := err != nil && ctx.Err() != nil
	if kind == Away && !gone {
		c.age.Add(1)
	}
	c.b.report(probe, err, kind, gone)
	switch {
	case gone:
		return ctx.Err()
	case kind == Fine:
		return nil
	}
	return &Error{Kind: kind, Err: err}
}
