package gateway

import "sync"

// Facts keeps things worth knowing once: verified reverse name, parsed header, SPF result. Each is computed at its first
// use, by whoever asks first; others that ask meanwhile wait for the same answer. So checks share work without calling
// each other. The zero value is ready.
type Facts struct {
	mu    sync.Mutex
	cells *cell // the newest; there are few, and a map would cost more than looking through them
}

// cell is one fact. The lock of its Facts guards it until known is set; value is not written from then on.
type cell struct {
	name  string
	next  *cell
	known bool
	value any
	wait  chan struct{} // closed when it is known; made by the first who waits
}

// Known reports whether a fact is there already, so that asking for it waits for nothing.
func Known(f *Facts, name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.find(name)
	return c != nil && c.known
}

// find returns the cell of a fact, or nil. The lock is held.
func (f *Facts) find(name string) *cell {
	c := f.cells
	for c != nil && c.name != name {
		c = c.next
	}
	return c
}

// Fact returns the fact of that name, computing it if nobody has. One name has one type. When compute panics the panic
// goes on, and later callers get the zero value: a fact that could not be told is never told as something.
func Fact[T any](f *Facts, name string, compute func() T) T {
	c, mine := f.cell(name)
	if mine {
		defer f.tell(c)
		v := compute()
		c.value = v
		return v
	}
	v, _ := c.value.(T)
	return v
}

// cell returns the cell of a fact that is known, waiting for it where somebody computes it; mine says that nobody has, and
// that the caller must.
func (f *Facts) cell(name string) (c *cell, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c = f.find(name)
	switch {
	case c == nil:
		c = &cell{name: name, next: f.cells}
		f.cells = c
		return c, true
	case c.known:
		return c, false
	case c.wait == nil:
		c.wait = make(chan struct{})
	}
	wait := c.wait
	f.mu.Unlock()
	<-wait
	f.mu.Lock()
	return c, false
}

// tell wakes those who wait for a fact.
func (f *Facts) tell(c *cell) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.known = true
	if c.wait != nil {
		close(c.wait)
	}
}
