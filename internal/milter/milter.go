// Package milter asks mail filters of Sendmail's and Postfix's kind: one client for one address, with the milter protocol
// (version 6, as libmilter's mfdef.h and Postfix's milter8.c have it; there is no RFC).
//
// A whole dialogue is replayed for a message that is there already: connect, HELO, MAIL, each RCPT, DATA, header fields,
// body, end. What the filter would change in the message is counted and not done. A result comes only from a whole dialogue
// of well-formed packets; silence, a closed connection and packets that make no sense are errors, never a word of the
// filter. The package never retries, and never decides what a word means for the message.
package milter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"gatepost/internal/addrpool"
)

// Defaults of Config.
const (
	DefaultDialTimeout = 5 * time.Second  // to connect
	DefaultTimeout     = 30 * time.Second // for a whole dialogue
)

var (
	// ErrSource means that the message could not be read. The filter is not at fault.
	ErrSource = errors.New("milter: message could not be read")
	// ErrUnreachable means that no connection was made: nothing was sent.
	ErrUnreachable = errors.New("milter: not reachable")
	// ErrReply means that what came back is no packet of a milter at this place, or is not whole.
	ErrReply = errors.New("milter: bad reply")
)

// Repeatable says that err came before anything was sent, so that the call may be made again elsewhere.
func Repeatable(err error) bool { return errors.Is(err, ErrUnreachable) }

// Blames says that err is the fault of the filter or of the way to it, rather than of the message or a caller that went away.
func Blames(err error) bool {
	return err != nil && !errors.Is(err, ErrSource) && !errors.Is(err, context.Canceled)
}

// Config of a Client. Only Address is required.
type Config struct {
	Address     string        // unix:/path, /path, tcp:host:port or host:port
	DialTimeout time.Duration // 0: DefaultDialTimeout
	Timeout     time.Duration // of a whole dialogue; 0: DefaultTimeout
}

// Client of one filter; safe for use by many goroutines.
type Client struct {
	cfg             Config
	network, target string
}

// New makes a client; it does not connect. It fails when the address is none of the four forms or a limit is negative.
func New(cfg Config) (*Client, error) {
	network, target, err := addrpool.ParseAddress(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("milter: %w", err)
	}
	if cfg.DialTimeout < 0 || cfg.Timeout < 0 {
		return nil, errors.New("milter: a limit is negative")
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = DefaultDialTimeout
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	return &Client{cfg: cfg, network: network, target: target}, nil
}

// Address as it was configured.
func (c *Client) Address() string { return c.cfg.Address }

// Kind of a filter's word. The zero value is none.
type Kind uint8

// The words.
const (
	NoWord     Kind = iota
	Accept          // it has nothing against the message
	Quarantine      // it wants it kept for a person to see, or refuses some of several recipients
	Discard         // it wants it to vanish
	TempFail        // it refuses it for now
	Reject          // it refuses it
)

func (k Kind) String() string {
	return [...]string{"no word", "accept", "quarantine", "discard", "tempfail", "reject"}[k]
}

// Result of a dialogue.
type Result struct {
	Kind Kind
	// Code, Enhanced and Text are what it wants to be said: 550, "5.7.1" and printable words. 0 and "" where it said none.
	Code           int
	Enhanced, Text string
	At             string   // the step at which it said so: "connect", "helo", "mail", "rcpt", "data", "header", "body", "end"
	Refused        []string // the recipients that it refuses, where it takes others
	Changes        []string // what it would change, one word each with a name: "add header X-Spam"; at most 50
	Version        uint32   // of the protocol that it speaks
	Duration       time.Duration
}

// Message is one message with what is known of where it comes from. What is empty is not told.
type Message struct {
	ID       string // of the transaction
	Host     string // our own name
	Daemon   string // what we call ourselves
	Client   string // verified reverse name of the client
	IP       string // of the client
	Port     uint16
	Helo     string
	From     string   // in angle brackets
	FromArgs []string // parameters of MAIL: "SIZE=1000"
	Rcpts    []string // in angle brackets
	Protocol string   // "ESMTPS"
	Cipher   string   // of the TLS session
	TLS      string   // its version
	Header   [][2]string
	Body     Source // what follows the empty line
	Size     int64  // octets of it
}

// Source is read at any place, so that it can be read again.
type Source interface {
	ReadAt(b []byte, at int64) (int, error)
}

// Check replays the dialogue of a message. The errors are ErrSource, ErrUnreachable, ErrReply, the context's, or a network
// error.
func (c *Client) Check(ctx context.Context, m *Message) (Result, error) {
	start := time.Now()
	var r Result
	err := c.with(ctx, func(d *dialogue) error {
		err := d.whole(m)
		r = d.result
		return err
	})
	if err != nil {
		return Result{}, fmt.Errorf("milter: check at %s: %w", c.cfg.Address, err)
	}
	r.Duration = time.Since(start)
	return r, nil
}

// Probe asks whether a filter is there: it negotiates and goes. It returns what it speaks as "milter protocol 6".
func (c *Client) Probe(ctx context.Context) (string, error) {
	var version uint32
	err := c.with(ctx, func(d *dialogue) error {
		if err := d.negotiate(); err != nil {
			return err
		}
		version = d.result.Version
		return d.send(cmdQuit)
	})
	if err != nil {
		return "", fmt.Errorf("milter: probe of %s: %w", c.cfg.Address, err)
	}
	return fmt.Sprintf("milter protocol %d", version), nil
}

// with runs a dialogue over a new connection, which is closed when ctx ends.
func (c *Client) with(ctx context.Context, run func(d *dialogue) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	dialer := net.Dialer{Timeout: c.cfg.DialTimeout}
	conn, err := dialer.DialContext(ctx, c.network, c.target)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() { stop(); conn.Close() }()
	if err := run(newDialogue(conn)); err != nil {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		return err
	}
	return nil
}
