package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gatepost/gateway"
)

// ErrNoRoom says that the bodies on disk would exceed their bound, or that the file system is nearly full. The sender is
// told 452 and comes back.
var ErrNoRoom = errors.New("body: no room")

// Buffer sizes in the heap: most mail fits the first, and what goes to a file goes through the second.
const (
	smallBuffer = 16 << 10
	fileBuffer  = 64 << 10
	// leastRoom is what Room has at least for the next read.
	leastRoom = 4 << 10
)

// What the zero value of Bodies stands for.
const (
	defaultMemory    = 1280 << 10
	defaultMaxMemory = 64 << 20
)

// Bodies makes message bodies. The zero value keeps up to 1.25 MiB of each in memory, 64 MiB together, and the rest in the
// system's temporary folder, without a bound of its own.
type Bodies struct {
	Dir       string // for files; "" is the system's temporary folder
	Memory    int64  // octets of the largest body that stays in memory; 0 is 1.25 MiB
	MaxMemory int64  // octets of memory for all of them together; a body that finds none goes to a file; 0 is 64 MiB
	Disk      int64  // octets of all bodies on disk together; 0 is no bound
	Reserve   int64  // octets that stay free in the file system; a body that would take them is refused

	onDisk  atomic.Int64
	pending atomic.Int64
	small   sync.Pool
	buffers sync.Pool
	regions memory
}

// OnDisk returns how many octets of bodies are in files now.
func (b *Bodies) OnDisk() int64 { return b.onDisk.Load() }

// InMemory returns how many octets of memory bodies take now, with what is kept at hand for the next ones; without those
// of at most 16 KiB each, which are garbage like any other.
func (b *Bodies) InMemory() int64 { return int64(b.regions.octets()) }

// Open returns how many bodies are being written or read now.
func (b *Bodies) Open() int64 { return b.pending.Load() }

// New begins a body.
func (b *Bodies) New() gateway.BodyWriter {
	b.pending.Add(1)
	return &body{owner: b}
}

func (b *Bodies) memory() int {
	if b.Memory <= 0 {
		return defaultMemory
	}
	return int(b.Memory)
}

func (b *Bodies) maxMemory() int {
	if b.MaxMemory <= 0 {
		return defaultMaxMemory
	}
	return int(b.MaxMemory)
}

// get returns an empty buffer of the heap, of smallBuffer or fileBuffer octets.
func (b *Bodies) get(size int) []byte {
	pool := &b.small
	if size == fileBuffer {
		pool = &b.buffers
	}
	if p, ok := pool.Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, size)
}

func (b *Bodies) put(buf []byte) {
	buf = buf[:0]
	switch cap(buf) {
	case smallBuffer:
		b.small.Put(&buf)
	case fileBuffer:
		b.buffers.Put(&buf)
	}
}

// body is one message: first written, then read. It lies in a small buffer, then in a region, then in a file.
type body struct {
	owner  *Bodies
	mem    []byte  // the whole message; once there is a file, what is not yet in it
	region *region // where mem lies, or nil
	file   *os.File
	inFile int64
	closed bool
}

func (b *body) Write(p []byte) (int, error) {
	if b.file == nil && b.fits(len(p)) {
		b.mem = append(b.mem, p...)
		return len(p), nil
	}
	if b.file == nil {
		if err := b.spill(); err != nil {
			return 0, err
		}
	}
	if len(b.mem)+len(p) > fileBuffer {
		if err := b.flush(b.mem); err != nil {
			return 0, err
		}
		b.mem = b.mem[:0]
		if len(p) >= fileBuffer/2 {
			if err := b.flush(p); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	b.mem = append(b.mem, p...)
	return len(p), nil
}

// Room lends the free memory behind what was written, at least leastRoom octets of it and at most most, so that a message
// can be read to where it stays. Keep then takes what was put there. A Write takes it back.
func (b *body) Room(most int) ([]byte, error) {
	if b.file == nil && !(b.region != nil && b.fits(most)) && !b.fits(leastRoom) {
		if err := b.spill(); err != nil {
			return nil, err
		}
	}
	if b.file != nil && cap(b.mem)-len(b.mem) < leastRoom {
		if err := b.flush(b.mem); err != nil {
			return nil, err
		}
		b.mem = b.mem[:0]
	}
	n := len(b.mem)
	return b.mem[n:min(n+most, cap(b.mem))], nil
}

// Keep takes the first n octets of what Room lent as written.
func (b *body) Keep(n int) { b.mem = b.mem[:len(b.mem)+n] }

// fits makes room for n more octets in memory, and says whether there is any.
func (b *body) fits(n int) bool {
	n += len(b.mem)
	most := b.owner.memory()
	switch {
	case n > most:
		return false
	case n <= cap(b.mem):
		return true
	case n <= smallBuffer:
		b.mem = b.owner.get(smallBuffer) // there was none
		return true
	}
	// Twice as much as is at hand, so that the lock is taken a few times only.
	next := min(max(n, 2*cap(b.mem), grain), most)
	if b.region != nil {
		if !b.owner.regions.grow(b.region, next, b.owner.maxMemory()) {
			return false
		}
		b.mem = b.region.buf[:len(b.mem):b.region.usable(most)]
		return true
	}
	r := b.owner.regions.get(most, next, b.owner.maxMemory())
	if r == nil {
		return false
	}
	small := b.mem
	b.region, b.mem = r, append(r.buf[:0:r.usable(most)], small...)
	b.owner.put(small)
	return true
}

// spill moves the message to a file without a name.
func (b *body) spill() error {
	if err := b.owner.room(); err != nil {
		return err
	}
	dir := b.owner.Dir
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := unnamed(dir)
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	b.file = f
	if err := b.flush(b.mem); err != nil {
		return err
	}
	b.forget()
	b.mem = b.owner.get(fileBuffer)
	return nil
}

// forget gives the memory back.
func (b *body) forget() {
	if b.region != nil {
		b.owner.regions.put(b.region)
	} else {
		b.owner.put(b.mem)
	}
	b.region, b.mem = nil, nil
}

// unnamed makes a file that vanishes with its last descriptor. Where the file system cannot (O_TMPFILE), the name is
// removed at once.
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir+"/body"), nil
	}
	f, err := os.CreateTemp(dir, "body-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// room reports ErrNoRoom when the file system has no more than its reserve.
func (b *Bodies) room() error {
	if b.Reserve <= 0 {
		return nil
	}
	dir := b.Dir
	if dir == "" {
		dir = os.TempDir()
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if int64(fs.Bavail)*fs.Bsize < b.Reserve {
		return ErrNoRoom
	}
	return nil
}

func (b *body) flush(p []byte) error {
	n := int64(len(p))
	if b.owner.onDisk.Add(n) > b.owner.Disk && b.owner.Disk > 0 {
		b.owner.onDisk.Add(-n)
		return ErrNoRoom
	}
	b.inFile += n
	if _, err := b.file.Write(p); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

// Done ends the writing.
func (b *body) Done() (gateway.Body, error) {
	if b.file != nil {
		if err := b.flush(b.mem); err != nil {
			b.Discard()
			return nil, err
		}
		b.forget()
	}
	return b, nil
}

// Discard gives everything back.
func (b *body) Discard() { b.Close() }

// Size returns the octets written.
func (b *body) Size() int64 {
	if b.file != nil {
		return b.inFile
	}
	return int64(len(b.mem))
}

// ReadAt reads from memory or from the file; it fails once the body is closed.
func (b *body) ReadAt(p []byte, at int64) (int, error) {
	switch {
	case b.closed:
		return 0, os.ErrClosed
	case b.file != nil:
		return b.file.ReadAt(p, at)
	case at < 0:
		return 0, errors.New("body: negative offset")
	case at >= int64(len(b.mem)):
		return 0, io.EOF
	}
	n := copy(p, b.mem[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Rest is the octets from an offset to the end, where they lie; see gateway.Rester.
func (b *body) Rest(from int64) io.Reader {
	switch {
	case b.closed:
		return io.NewSectionReader(b, from, 0) // a panic would be the alternative; the size that is missing is noticed
	case b.file != nil:
		return io.NewSectionReader(b.file, from, b.inFile-from)
	}
	return bytes.NewReader(b.mem[from:])
}

// Memory is the body where it lies, or nil when it is in a file; see gateway.InMemory.
func (b *body) Memory() []byte {
	if b.closed || b.file != nil {
		return nil
	}
	return b.mem
}

// Close gives the memory and the file back; once.
func (b *body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.owner.pending.Add(-1)
	b.forget()
	if b.file == nil {
		return nil
	}
	b.owner.onDisk.Add(-b.inFile)
	return b.file.Close()
}
