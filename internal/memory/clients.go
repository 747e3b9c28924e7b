// Package memory keeps in the process what is remembered of clients (gateway.Memory): who passed the tests of the gate, and
// who failed them. It is bounded, forgets by itself, and survives a restart through a Store, which is written behind about
// every second and read once at the start. A kill may lose the last second; a store that fails loses what it would have
// kept, and never makes anybody wait.
//
// It never decides what is known or bad: it keeps until when. No RFC applies.
package memory

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
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

const (
	shards     = 64
	sample     = 8 // clients that are looked at to make room for one
	saveEvery  = time.Second
	sweepEvery = time.Hour
	saveTime   = 10 * time.Second
)

// Clients remembers clients. Its methods are safe for concurrent use and never wait for the store.
type Clients struct {
	o      Options
	shards [shards]shard
	count  atomic.Int64
	broken bool // of Run: the store fails
}

// key is a client in little room: an IPv4 address, or the upper half of an IPv6 one.
type key struct {
	upper uint64
	four  bool
}

// entry is until when what holds, in Unix seconds.
type entry struct{ pregreet, protocol, bad int64 }

type shard struct {
	mu      sync.Mutex
	entries map[key]entry
	changed map[key]struct{} // since the last save
}

// New makes an empty memory.
func New(o Options) *Clients {
	if o.Most <= 0 {
		o.Most = DefaultMost
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Clients{o: o}
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

func (c *Clients) shard(k key) *shard {
	return &c.shards[k.upper*0x9e3779b97f4a7c15>>58] // Fibonacci hashing: neighbours are spread
}

// Recall implements gateway.Memory.
func (c *Clients) Recall(client netip.Addr) gateway.Remembered {
	p := gateway.ClientOf(client)
	if !p.IsValid() {
		return gateway.Remembered{}
	}
	k := keyOf(p)
	s := c.shard(k)
	s.mu.Lock()
	e := s.entries[k]
	s.mu.Unlock()
	return gateway.Remembered{Pregreet: moment(e.pregreet), Protocol: moment(e.protocol), Bad: moment(e.bad)}
}

// Learn adds what was learned of a client: of each time the later one holds.
func (c *Clients) Learn(client netip.Addr, r gateway.Remembered) {
	p := gateway.ClientOf(client)
	if !p.IsValid() || r == (gateway.Remembered{}) {
		return
	}
	c.put(p, r, true)
}

func (c *Clients) put(p netip.Prefix, r gateway.Remembered, changed bool) {
	k := keyOf(p)
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.entries[k]
	was := e
	e.pregreet, e.protocol, e.bad = max(e.pregreet, second(r.Pregreet)), max(e.protocol, second(r.Protocol)), max(e.bad, second(r.Bad))
	if e == was {
		return
	}
	if !known {
		if len(s.entries) >= (c.o.Most+shards-1)/shards {
			s.drop(time.Now().Unix())
		} else {
			c.count.Add(1)
		}
	}
	if s.entries == nil {
		s.entries = make(map[key]entry)
	}
	s.entries[k] = e
	if changed {
		if s.changed == nil {
			s.changed = make(map[key]struct{})
		}
		s.changed[k] = struct{}{}
	}
}

// drop makes room for one: of a few, the client that would be forgotten first. It is called with the lock held.
func (s *shard) drop(now int64) {
	var victim key
	first, n := int64(0), 0
	for k, e := range s.entries {
		if end := e.end(); n == 0 || end < first {
			victim, first = k, end
		}
		if n++; n == sample || first < now {
			break
		}
	}
	delete(s.entries, victim)
	delete(s.changed, victim)
}

func (e entry) end() int64 { return max(e.pregreet, e.protocol, e.bad) }

// Len returns how many clients are remembered.
func (c *Clients) Len() int { return int(c.count.Load()) }

// Load takes over what the store kept. A store that cannot be read costs the memory and nothing else.
func (c *Clients) Load(ctx context.Context) {
	if c.o.Store == nil {
		return
	}
	now := time.Now().Unix()
	err := c.o.Store.Load(ctx, func(p netip.Prefix, r gateway.Remembered) {
		if p = gateway.ClientOf(p.Addr()); p.IsValid() && max(second(r.Pregreet), second(r.Protocol), second(r.Bad)) > now {
			c.put(p, r, false)
		}
	})
	if err != nil {
		c.o.Log.Warn("memory of clients: not all could be read; those that are missing are tested again", "error", err)
	}
}

// Run saves what changed, about every second and once more at the end, until ctx is done.
func (c *Clients) Run(ctx context.Context) {
	save, sweep := time.NewTicker(saveEvery), time.NewTicker(sweepEvery)
	defer save.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			c.save(context.WithoutCancel(ctx))
			return
		case <-save.C:
			c.save(ctx)
		case now := <-sweep.C:
			c.sweep(ctx, now)
		}
	}
}

// save hands the store what changed. What it does not take is tried again.
func (c *Clients) save(ctx context.Context) {
	if c.o.Store == nil {
		return
	}
	batch := map[netip.Prefix]gateway.Remembered{}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for k := range s.changed {
			e := s.entries[k]
			batch[k.prefix()] = gateway.Remembered{Pregreet: moment(e.pregreet), Protocol: moment(e.protocol), Bad: moment(e.bad)}
		}
		clear(s.changed)
		s.mu.Unlock()
	}
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	err := c.o.Store.Save(ctx, batch)
	c.tell(err)
	if err == nil {
		return
	}
	for p := range batch {
		k := keyOf(p)
		s := c.shard(k)
		s.mu.Lock()
		if _, ok := s.entries[k]; ok {
			s.changed[k] = struct{}{}
		}
		s.mu.Unlock()
	}
}

// tell says once that the store fails, and once that it works again.
func (c *Clients) tell(err error) {
	switch {
	case err != nil && !c.broken:
		c.o.Log.Warn("memory of clients: cannot be saved; a restart would forget", "error", err)
	case err == nil && c.broken:
		c.o.Log.Info("memory of clients: is saved again")
	}
	c.broken = err != nil
}

// sweep forgets what is over, here and in the store.
func (c *Clients) sweep(ctx context.Context, now time.Time) {
	c.expire(now)
	if c.o.Store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	c.tell(c.o.Store.Forget(ctx, now))
}

func (c *Clients) expire(now time.Time) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for k, e := range s.entries {
			if e.end() <= now.Unix() {
				delete(s.entries, k)
				delete(s.changed, k)
				c.count.Add(-1)
			}
		}
		s.mu.Unlock()
	}
}

// second and moment turn times into seconds and back; a zero time is 0.
func second(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func moment(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}
