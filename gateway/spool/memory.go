package spool

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// grain is the unit in which memory is counted.
	grain = 64 << 10
	// keepFree is how much memory stays at hand when no body needs it. More goes back to the system.
	keepFree = 8 << 20
)

// memory lends regions for bodies. They lie outside of the heap, for two reasons: what they hold is counted exactly, where
// a heap of buffers would grow to a multiple of it before it is collected; and a region is one piece, of which only what
// was used takes memory.
type memory struct {
	mu      sync.Mutex
	touched int       // octets that all regions hold, used ones and free ones
	spare   int       // of them, what the free ones hold
	free    []*region // the last was given back last: it is the warmest
	empty   []*region // free ones that hold nothing
}

// region is one piece of address space for one body.
type region struct {
	buf     []byte
	touched int // octets from its beginning that may hold memory, whole grains
}

// usable is how many octets of a region may be used, at most most of them.
func (r *region) usable(most int) int { return min(r.touched, most) }

// get lends a region of size octets of which n can be used at once. It is nil when limit, the most that all regions may
// hold, leaves no room.
func (m *memory) get(size, n, limit int) *region {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := pop(&m.free)
	if r != nil {
		m.spare -= r.touched
	} else if r = pop(&m.empty); r == nil {
		buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return nil // a file does as well
		}
		r = &region{buf: buf}
	}
	if !m.extend(r, n, limit) {
		m.giveBack(r)
		return nil
	}
	return r
}

// grow makes the first n octets of a region usable; false when there is no room.
func (m *memory) grow(r *region, n, limit int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.extend(r, n, limit)
}

// put takes a region back. Nobody may read it any more.
func (m *memory) put(r *region) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.giveBack(r)
}

// octets returns how much memory the regions hold.
func (m *memory) octets() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.touched
}

// What follows is called with the lock held.

func (m *memory) extend(r *region, n, limit int) bool {
	n = min((n+grain-1)/grain*grain, len(r.buf))
	more := n - r.touched
	if more <= 0 {
		return true
	}
	for m.touched+more > limit && len(m.free) > 0 {
		m.drop()
	}
	if m.touched+more > limit {
		return false
	}
	m.touched += more
	r.touched = n
	return true
}

func (m *memory) giveBack(r *region) {
	m.free = append(m.free, r)
	m.spare += r.touched
	for m.spare > keepFree || len(m.free) > keepFree/grain {
		m.drop()
	}
}

// drop takes its memory from the region that lies free for the longest time. Its address stays: whoever would still read
// there, by a fault of ours, reads zeros, and does not end the process.
func (m *memory) drop() {
	r := m.free[0]
	m.free = slices.Delete(m.free, 0, 1)
	m.spare -= r.touched
	m.touched -= r.touched
	_ = unix.Madvise(r.buf, unix.MADV_DONTNEED) // it cannot fail for what Mmap returned
	r.touched = 0
	m.empty = append(m.empty, r)
}

func pop(list *[]*region) *region {
	n := len(*list)
	if n == 0 {
		return nil
	}
	r := (*list)[n-1]
	(*list)[n-1] = nil
	*list = (*list)[:n-1]
	return r
}
