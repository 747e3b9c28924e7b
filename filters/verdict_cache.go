package filters

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// VerdictKey is what a verdict is good for: this content under this name and type, seen by this engine with this database.
type VerdictKey struct {
	Content    [32]byte // SHA-256
	Name, Type string   // as the engine was shown them: it may go by them
	Engine     string
	Database   string
}

// VerdictCache remembers what engines said of content that came before: that it is clean, or what they found in it. It never
// holds that an engine could not tell. It is bounded in number and age; a nil one remembers nothing.
type VerdictCache struct {
	most int
	age  time.Duration

	mu    sync.Mutex
	known map[VerdictKey]*list.Element
	order *list.List // the last used first

	hits, misses atomic.Uint64
}

type verdictEntry struct {
	key   VerdictKey
	found string
	until time.Time
}

// NewVerdictCache makes one of so many entries, none older than age; nil for none.
func NewVerdictCache(most int, age time.Duration) *VerdictCache {
	if most <= 0 || age <= 0 {
		return nil
	}
	return &VerdictCache{most: most, age: age, known: map[VerdictKey]*list.Element{}, order: list.New()}
}

// Get returns what was found, "" for nothing, and whether it is known.
func (c *VerdictCache) Get(key VerdictKey) (found string, ok bool) {
	if c == nil || key.Database == "" {
		return "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[key]
	if e != nil && !time.Now().Before(e.Value.(*verdictEntry).until) {
		c.drop(e)
		e = nil
	}
	if e == nil {
		c.misses.Add(1)
		return "", false
	}
	c.hits.Add(1)
	c.order.MoveToFront(e)
	return e.Value.(*verdictEntry).found, true
}

// Put remembers what was found; "" for nothing. Without a database nothing is remembered: nobody could tell how long it holds.
func (c *VerdictCache) Put(key VerdictKey, found string) {
	if c == nil || key.Database == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.known[key]; e != nil {
		c.drop(e)
	}
	c.known[key] = c.order.PushFront(&verdictEntry{key, found, time.Now().Add(c.age)})
	if c.order.Len() > c.most {
		c.drop(c.order.Back())
	}
}

func (c *VerdictCache) drop(e *list.Element) {
	delete(c.known, e.Value.(*verdictEntry).key)
	c.order.Remove(e)
}

// Counts returns how often a verdict was known, and how often not.
func (c *VerdictCache) Counts() (hits, misses uint64) {
	if c == nil {
		return 0, 0
	}
	return c.hits.Load(), c.misses.Load()
}
