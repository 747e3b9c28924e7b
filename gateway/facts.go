package gateway

import (
	"sync"
	"sync/atomic"
)

// Facts keeps things worth knowing once: verified reverse name, parsed header, SPF result. Each is computed at its first
// use, by whoever asks first; others that ask meanwhile wait for the same answer. So checks share work without calling
// each other. The zero value is ready.
type Facts struct {
	mu    sync.Mutex
	cells map[string]*cell
}

type cell struct {
	once  sync.Once
	known atomic.Bool
	value any
}

// Known reports whether a fact is there already, so that asking for it waits for nothing.
func Known(f *Facts, name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cells[name]
	return c != nil && c.known.Load()
}

// Fact returns the fact of that name, computing it if nobody has. One name has one type. When compute panics the panic
// goes on, and later callers get the zero value: a fact that could not be told is never told as something.
func Fact[T any](f *Facts, name string, compute func() T) T {
	f.mu.Lock()
	c := f.cells[name]
	if c == nil {
		if f.cells == nil {
			f.cells = make(map[string]*cell)
		}
		c = new(cell)
		f.cells[name] = c
	}
	f.mu.Unlock()
	c.once.Do(func() {
		defer c.known.Store(true)
		c.value = compute()
	})
	v, _ := c.value.(T)
	return v
}
