package memory

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"time"

	"gatepost/gateway"
)

// Store keeps clients over a restart. Only the goroutine of Run, and Load before it, call it.
type Store interface {
	// Load yields every client that was kept.
	Load(ctx context.Context, yield func(client netip.Prefix, r gateway.Remembered)) error
	// Save keeps what is known of these clients, in place of what was kept of them.
	Save(ctx context.Context, clients map[netip.Prefix]gateway.Remembered) error
	// Forget drops the clients of which nothing is known after a time.
	Forget(ctx context.Context, after time.Time) error
}

// Options of Clients; all may be left out.
type Options struct {
	Most  int          // clients at once; 0: DefaultMost. Beyond it, some that end soon are forgotten
	Store Store        // nil: nothing survives a restart
	Log   *slog.Logger // of a store that fails and works again, once each
}

// DefaultMost is how many clients are remembered: about 10 MiB.
const DefaultMost = 1 << 17

// Clients remembers clients. Its methods are safe for concurrent use and never wait for the store.
type Clients struct{ table[key, entry] }

// key is a client in little room: an IPv4 address, or the upper half of an IPv6 one.
type key struct {
	upper uint64
	four  bool
}

// entry is until when what holds, in Unix seconds.
type entry struct{ pregreet, protocol, bad int64 }

// New makes an empty memory.
func New(o Options) *Clients {
	if o.Most <= 0 {
		o.Most = DefaultMost
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Clients{table[key, entry]{name: "memory of clients", loses: "those that are missing are tested again", most: o.Most, log: o.Log,
		hash:  func(k key) uint64 { return k.upper * 0x9e3779b97f4a7c15 }, // Fibonacci hashing: neighbours are spread
		rank:  func(e *entry) int64 { return e.end() },
		ended: func(e *entry, now int64) bool { return e.end() <= now },
		merge: func(into, old *entry) { into.later(*old) }}}
	if o.Store != nil {
		c.store = clientRows{o.Store}
	}
	return c
}

func keyOf(p netip.Prefix) key {
	if p.Addr().Is4() {
		a := p.Addr().As4()
		return key{uint64(binary.BigEndian.Uint32(a[:])), true}
	}
	a := p.Addr().As16()
	return key{binary.BigEndian.Uint64(a[:8]), false}
}

func (k key) prefix() netip.Prefix {
	if k.four {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(k.upper))
		return netip.PrefixFrom(netip.AddrFrom4(a), 32)
	}
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], k.upper)
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

func entryOf(r gateway.Remembered) entry {
	return entry{second(r.Pregreet), second(r.Protocol), second(r.Bad)}
}

func (e entry) remembered() gateway.Remembered {
	return gateway.Remembered{Pregreet: moment(e.pregreet), Protocol: moment(e.protocol), Bad: moment(e.bad)}
}

func (e entry) end() int64 { return max(e.pregreet, e.protocol, e.bad) }

// later takes of each time the later one, and reports whether that changed anything.
func (e *entry) later(o entry) bool {
	was := *e
	e.pregreet, e.protocol, e.bad = max(e.pregreet, o.pregreet), max(e.protocol, o.protocol), max(e.bad, o.bad)
	return *e != was
}

// Recall implements gateway.Memory.
func (c *Clients) Recall(client netip.Addr) gateway.Remembered {
	p := gateway.ClientOf(client)
	if !p.IsValid() {
		return gateway.Remembered{}
	}
	return c.get(keyOf(p)).remembered()
}

// Learn adds what was learned of a client: of each time the later one holds.
func (c *Clients) Learn(client netip.Addr, r gateway.Remembered) {
	p := gateway.ClientOf(client)
	if !p.IsValid() || r == (gateway.Remembered{}) {
		return
	}
	c.update(keyOf(p), func(e *entry, _ bool) change {
		if e.later(entryOf(r)) {
			return major
		}
		return same
	})
}

// Len returns how many clients are remembered.
func (c *Clients) Len() int { return c.len() }

// Load takes over what the store kept. A store that cannot be read costs the memory and nothing else.
func (c *Clients) Load(ctx context.Context) { c.load(ctx) }

// Run saves what changed, about every second and once more at the end, until ctx is done.
func (c *Clients) Run(ctx context.Context) { c.run(ctx) }

// clientRows is a Store as a table sees it.
type clientRows struct{ Store }

func (s clientRows) load(ctx context.Context, yield func(key, *entry)) error {
	return s.Load(ctx, func(p netip.Prefix, r gateway.Remembered) {
		if p = gateway.ClientOf(p.Addr()); p.IsValid() {
			e := entryOf(r)
			yield(keyOf(p), &e)
		}
	})
}

func (s clientRows) save(ctx context.Context, changed map[key]*entry) error {
	batch := make(map[netip.Prefix]gateway.Remembered, len(changed))
	for k, e := range changed {
		if e != nil {
			batch[k.prefix()] = e.remembered()
		}
	}
	return s.Save(ctx, batch)
}

func (s clientRows) forget(ctx context.Context, now time.Time) error { return s.Forget(ctx, now) }
