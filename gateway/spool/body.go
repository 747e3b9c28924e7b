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

// Buffer sizes: most mail fits the first, and what fits none goes to a file behind the last.
const (
	smallBuffer = 16 << 10
	midBuffer   = 64 << 10
	fileBuffer  = 128 << 10
)

// Bodies makes message bodies. The zero value keeps up to 256 KiB of each in memory and the rest in the system's
// temporary folder, without a bound of its own.
type Bodies struct {
	Dir     string // for files; "" is the system's temporary folder
	Memory  int64  // octets of one body in memory; 0 is 256 KiB
	Disk    int64  // octets of all bodies on disk together; 0 is no bound
	Reserve int64  // octets that stay free in the file system; a body that would take them is refused

	onDisk  atomic.Int64
	small   sync.Pool
	mid     sync.Pool
	large   sync.Pool
	pending atomic.Int64
}

// OnDisk returns how many octets of bodies are in files now.
func (b *Bodies) OnDisk() int64 { return b.onDisk.Load() }

// Open returns how many bodies are being written or read now.
func (b *Bodies) Open() int64 { return b.pending.Load() }

// New begins a body.
func (b *Bodies) New() gateway.BodyWriter {
	b.pending.Add(1)
	return &body{owner: b}
}

func (b *Bodies) memory() int {
	if b.Memory <= 0 {
		return 256 << 10
	}
	return int(b.Memory)
}

// get returns an empty buffer of at least n octets, which is at most the memory bound.
func (b *Bodies) get(n int) []byte {
	pool, size := &b.large, max(b.memory(), n, fileBuffer)
	switch {
	case n <= smallBuffer:
		pool, size = &b.small, smallBuffer
	case n <= midBuffer:
		pool, size = &b.mid, midBuffer
	}
	if p, ok := pool.Get().(*[]byte); ok && cap(*p) >= n {
		return (*p)[:0]
	}
	return make([]byte, 0, size)
}

func (b *Bodies) put(buf []byte) {
	buf = buf[:0]
	switch c := cap(buf); {
	case c == 0:
	case c == smallBuffer:
		b.small.Put(&buf)
	case c == midBuffer:
		b.mid.Put(&buf)
	default:
		b.large.Put(&buf)
	}
}

// body is one message: first written, then read. In a file only what is behind the buffer of Bodies.Memory octets stands.
type body struct {
	owner  *Bodies
	mem    []byte // the whole message; once there is a file, what is not yet in it
	file   *os.File
	inFile int64
	closed bool
}

func (b *body) Write(p []byte) (int, error) {
	if b.file == nil && len(b.mem)+len(p) <= b.owner.memory() {
		b.grow(len(b.mem) + len(p))
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

// grow takes the next larger buffer when the one at hand is full.
func (b *body) grow(n int) {
	if n <= cap(b.mem) {
		return
	}
	next := append(b.owner.get(n), b.mem...)
	b.owner.put(b.mem)
	b.mem = next
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
	whole := b.mem
	if err := b.flush(whole); err != nil {
		return err
	}
	if cap(whole) < fileBuffer {
		b.owner.put(whole)
		whole = b.owner.get(fileBuffer)
	}
	b.mem = whole[:0]
	return nil
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
		b.owner.put(b.mem)
		b.mem = nil
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

// Close gives the memory and the file back; once.
func (b *body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.owner.pending.Add(-1)
	b.owner.put(b.mem)
	b.mem = nil
	if b.file == nil {
		return nil
	}
	b.owner.onDisk.Add(-b.inFile)
	return b.file.Close()
}
