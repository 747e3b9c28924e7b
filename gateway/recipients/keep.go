package recipients

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Keeper keeps what is known over a restart, as JSON; *store.Known is one. It is safe for concurrent use.
type Keeper interface {
	// Load yields all that is kept of a kind.
	Load(ctx context.Context, kind string, yield func(name string, value []byte)) error
	// Save keeps these, each in place of what was kept under its name. One without a value is forgotten.
	Save(ctx context.Context, kind string, changed map[string][]byte) error
}

// Refusals are not kept: the next hop is asked again, and says it again.
const (
	keptKind  = "recipient"
	saveEvery = 30 * time.Second
	saveTime  = 5 * time.Second // for the last time, at a stop
	// staleFor is how old a yes may be that stands in while no next hop can be asked.
	staleFor = 30 * 24 * time.Hour
	maxKey   = 600 // octets of a route and a recipient
)

// Keep has a store keep what is known, from now on. It is called before Load and Run, and not at all without a store.
func (c *Cache) Keep(store Keeper) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keeper, c.changed = store, make(map[string]struct{})
	c.known.gone = func(key string) { c.changed[key] = struct{}{} }
}

// Load takes over what the store kept. What this process has learned already is newer.
func (c *Cache) Load(ctx context.Context) error {
	if c.keeper == nil {
		return nil
	}
	now := time.Now()
	return c.keeper.Load(ctx, keptKind, func(name string, value []byte) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, ok := c.known.peek(name); ok {
			return
		}
		at, ok := keptTime(name, value, now)
		if !ok {
			c.changed[name] = struct{}{} // it goes from the store too
			return
		}
		c.known.put(name, at)
	})
}

// keptTime reads what was kept of a name: when it was learned. ok is false for what we did not write, or is too old.
func keptTime(name string, value []byte, now time.Time) (at time.Time, ok bool) {
	route, rcpt, two := strings.Cut(name, "\n")
	seconds, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || !two || route == "" || rcpt == "" || strings.Contains(rcpt, "\n") || len(name) > maxKey {
		return at, false
	}
	if at = time.Unix(seconds, 0); at.After(now) { // the clock was ahead
		at = now
	}
	return at, now.Sub(at) < staleFor
}

// Run saves what changed, until ctx is done, and once more then.
func (c *Cache) Run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	failed := false
	for last := false; !last; {
		within := ctx
		select {
		case <-tick.C:
		case <-ctx.Done():
			var cancel context.CancelFunc
			within, cancel = context.WithTimeout(context.WithoutCancel(ctx), saveTime)
			defer cancel()
			last = true
		}
		if err := c.save(within); (err != nil) != failed {
			if failed = err != nil; failed {
				log.Warn("recipients: what was learned is not saved; a restart will forget it", "error", err)
			}
		}
	}
}

// save saves what changed since the last time. What could not be saved is tried again.
func (c *Cache) save(ctx context.Context) error {
	c.mu.Lock()
	changed := c.changed
	if len(changed) == 0 {
		c.mu.Unlock()
		return nil
	}
	c.changed = make(map[string]struct{})
	batch := make(map[string][]byte, len(changed))
	for key := range changed {
		batch[key] = nil
		if at, ok := c.known.peek(key); ok && len(key) <= maxKey {
			batch[key] = strconv.AppendInt(nil, at.Unix(), 10)
		}
	}
	c.mu.Unlock()
	err := c.keeper.Save(ctx, keptKind, batch)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		for key := range changed {
			c.changed[key] = struct{}{}
		}
	}
	return err
}

// touched notes that what is known of a recipient is to be saved. The cache is locked.
func (c *Cache) touched(key string) {
	if c.changed != nil {
		c.changed[key] = struct{}{}
	}
}
