// Package addrpool shares calls out over the addresses of one service: round
// robin over those that work, a bound on calls at the same time, a breaker and
// a health record for each address, and a loop that probes them.
//
// It knows no protocol. What an address is a client of is the type parameter,
// made by Config.Open; a probe is a function. It never answers a call by
// itself, never repeats one that may have had an effect (the caller says which
// errors are safe to repeat), and never uses an address whose breaker is open.
// There is no RFC for this.
package addrpool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Defaults of Config.
const (
	DefaultPerAddress   = 8                // calls at the same time
	DefaultInterval     = 30 * time.Second // between probes of a working address
	DefaultProbeTimeout = 15 * time.Second // for one probe
	DefaultTripAfter    = 3                // failures in a row
	DefaultRetryAfter   = 2 * time.Second  // first pause of an open breaker
	DefaultRetryMax     = 30 * time.Second // longest pause
)

// ErrNoAddress means that every address has an open breaker: no call was made.
var ErrNoAddress = errors.New("no address works, and a probe will tell when one does")

// Config says what a Pool does. Addresses and Open are required; the zero value
// of everything else is the default named beside it.
type Config[T any] struct {
	// Addresses of the service, in the form that Open understands. No duplicates.
	Addresses []string
	// Open makes the client of an address. It must not connect; its error is a
	// configuration error.
	Open func(address string) (T, error)
	// Probe asks the service whether it really works and returns a short text
	// about it, such as its version. Nil: there are no probes, and a call is let
	// through to find out whether an address with an open breaker works again.
	Probe func(ctx context.Context, client T) (string, error)
	// Repeatable says of an error of a call that nothing was done and another
	// address may be tried, once. Nil: never.
	Repeatable func(error) bool
	// Blames says of an error of a call that the address is at fault. Nil: every
	// error but context.Canceled (a caller that went away says nothing).
	Blames func(error) bool
	// Distrusts says of an error that the address must not be used any more, at
	// once, such as a scanner that does not find a test virus. Nil: never.
	Distrusts func(error) bool

	PerAddress   int           // calls at the same time per address (DefaultPerAddress)
	Interval     time.Duration // between probes (DefaultInterval)
	ProbeTimeout time.Duration // for one probe (DefaultProbeTimeout)
	TripAfter    int           // failures in a row that open the breaker (DefaultTripAfter)
	RetryAfter   time.Duration // first pause of an open breaker, then doubled (DefaultRetryAfter)
	RetryMax     time.Duration // longest pause (DefaultRetryMax)
}

// Pool is safe for use by many goroutines.
type Pool[T any] struct {
	cfg Config[T]

	mu      sync.Mutex
	members []*member[T]
	next    int           // where round robin goes on
	waiting []*waiter[T]  // calls waiting for a slot, first come first served
	probers int           // Run loops at work
	wake    chan struct{} // tells Run that a breaker opened
}

// member is one address. Its fields but client are guarded by Pool.mu.
type member[T any] struct {
	client  T
	health  Health
	pause   time.Duration // of the open breaker
	probing bool
}

// New makes a pool; it does not connect. It fails when there is no address, when
// one is named twice, or when Open refuses one.
func New[T any](cfg Config[T]) (*Pool[T], error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("addrpool: no address")
	}
	if cfg.Open == nil {
		return nil, errors.New("addrpool: no way to open an address")
	}
	cfg.setDefaults()
	p := &Pool[T]{cfg: cfg, wake: make(chan struct{}, 1)}
	seen := make(map[string]bool)
	for _, address := range cfg.Addresses {
		if seen[address] {
			return nil, fmt.Errorf("addrpool: address %q is named twice", address)
		}
		seen[address] = true
		client, err := cfg.Open(address)
		if err != nil {
			return nil, fmt.Errorf("addrpool: address %q: %w", address, err)
		}
		p.members = append(p.members, &member[T]{client: client, health: Health{Address: address}})
	}
	return p, nil
}

func (c *Config[T]) setDefaults() {
	positive(&c.PerAddress, DefaultPerAddress)
	positive(&c.Interval, DefaultInterval)
	positive(&c.ProbeTimeout, DefaultProbeTimeout)
	positive(&c.TripAfter, DefaultTripAfter)
	positive(&c.RetryAfter, DefaultRetryAfter)
	positive(&c.RetryMax, DefaultRetryMax)
	c.RetryMax = max(c.RetryMax, c.RetryAfter)
	if c.Repeatable == nil {
		c.Repeatable = func(error) bool { return false }
	}
	if c.Blames == nil {
		c.Blames = func(err error) bool { return !errors.Is(err, context.Canceled) }
	}
	if c.Distrusts == nil {
		c.Distrusts = func(error) bool { return false }
	}
}

func positive[N int | time.Duration](n *N, otherwise N) {
	if *n <= 0 {
		*n = otherwise
	}
}
