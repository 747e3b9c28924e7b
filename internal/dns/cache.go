package dns

import (
	"container/list"
	"time"
)

// key is a question as the cache and the lookups under way know it.
type key struct {
	name string // canonical
	typ  Type
}

// entry is a cached result.
type entry struct {
	key     key
	res     *result
	expires time.Time // when it leaves the cache
	fresh   time.Time // when the records' own TTL ends; not before expires
	size    int
}

// cache keeps results up to a number of entries and of octets, and forgets
// those that were used least recently. The resolver's lock guards it.
type cache struct {
	maxEntries, maxOctets int
	octets                int
	entries               map[key]*list.Element // of *entry
	used                  *list.List            // the most recently used in front
}

func newCache(maxEntries, maxOctets int) *cache {
	return &cache{maxEntries: maxEntries, maxOctets: maxOctets, entries: map[key]*list.Element{}, used: list.New()}
}

// get returns the entry for k if it has not expired at now.
func (c *cache) get(k key, now time.Time) *entry {
	el := c.entries[k]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry)
	if !now.Before(e.expires) {
		c.remove(el)
		return nil
	}
	c.used.MoveToFront(el)
	return e
}

// put keeps res until keep has passed; nothing is kept for no time.
func (c *cache) put(k key, res *result, now time.Time, keep time.Duration) {
	if old := c.entries[k]; old != nil {
		c.remove(old)
	}
	if keep <= 0 {
		return
	}
	e := &entry{key: k, res: res, expires: now.Add(keep), size: res.size() + len(k.name)}
	e.fresh = e.expires
	if ttl := time.Duration(res.ttl) * time.Second; res.status != Failed && res.status != Bogus {
		e.fresh = now.Add(ttl)
	}
	c.entries[k] = c.used.PushFront(e)
	c.octets += e.size
	for len(c.entries) > c.maxEntries || c.octets > c.maxOctets {
		c.remove(c.used.Back())
	}
}

func (c *cache) remove(el *list.Element) {
	e := c.used.Remove(el).(*entry)
	delete(c.entries, e.key)
	c.octets -= e.size
}

// size is about how much memory a result holds on to, in octets.
func (r *result) size() int {
	n := 400 + len(r.detail)
	for i := range r.records {
		n += r.records[i].size()
	}
	for _, name := range r.chain {
		n += 16 + len(name)
	}
	return n
}
