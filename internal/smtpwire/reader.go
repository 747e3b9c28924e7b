package smtpwire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
)

const (
	// LineBuffer is the size of the buffer for commands, and so the greatest
	// limit that ReadLine takes, in octets.
	LineBuffer = 4 << 10
	// bodyBuffer is borrowed while a message comes fast.
	bodyBuffer = 64 << 10
	// lineDiscard is the most that is thrown away of one overlong line.
	lineDiscard = 64 << 10
	// emptyReads in a row end in io.ErrNoProgress.
	emptyReads = 100
)

// Reader reads one side of an SMTP dialogue: lines, then the octets of a
// message, then lines again, all from one buffer. It is not safe for
// concurrent use. Get it from a [Pool] or from [NewReader].
type Reader struct {
	src        io.Reader
	raw        syscall.RawConn // of src; nil where it is no socket
	beforeRead func() error
	pool       *Pool
	small      []byte // LineBuffer; nil while the connection waits
	buf        []byte // small, or a bodyBuffer while a message comes fast, or lent
	lent       bool   // buf is memory of a message's destination (see Room)
	r, w       int    // buf[r:w] is read and not yet consumed
	err        error  // of src; sticky
	consumed   int64

	try   func(fd uintptr) bool // r.attempt
	few   []byte                // firstOctets; read into, where only a read can wait
	errno error                 // of attempt
}

// Pool keeps Readers and the large buffers that they borrow while a message
// is read, for all connections. The zero value is ready; it must not be
// copied.
type Pool struct {
	readers sync.Pool // *Reader
	smalls  sync.Pool // *[LineBuffer]byte
	bodies  sync.Pool // *[bodyBuffer]byte
}

// Get returns an empty Reader on src.
func (p *Pool) Get(src io.Reader) *Reader {
	r, ok := p.readers.Get().(*Reader)
	if !ok {
		r = &Reader{pool: p}
	}
	r.on(src)
	return r
}

// Put takes r back; it must not be used afterwards. What it held is wiped.
func (p *Pool) Put(r *Reader) {
	if r.pool != p {
		return
	}
	r.Reset(nil)
	r.release()
	r.beforeRead, r.consumed = nil, 0
	p.readers.Put(r)
}

// NewReader returns a Reader of its own, without a pool.
func NewReader(src io.Reader) *Reader {
	r := &Reader{}
	r.on(src)
	return r
}

// Reset drops and wipes what is buffered and goes on with src, as after
// STARTTLS. Look at Buffered before: what a client sent in clear behind
// STARTTLS must never be executed, and its presence is reason to close. The
// hook of BeforeRead stays.
func (r *Reader) Reset(src io.Reader) {
	clear(r.buf[:r.w])
	r.r, r.w, r.err, r.few = 0, 0, nil, nil
	r.shrink()
	r.on(src)
}

func (r *Reader) on(src io.Reader) {
	r.src, r.raw = src, nil
	if s, ok := src.(syscall.Conn); ok {
		r.raw, _ = s.SyscallConn() // its errors come again with the first read
	}
}

// BeforeRead sets a function that is called before every read from the
// connection, and only then: the place to flush replies (RFC 2920 section
// 3.2), to renew a deadline and to demand a minimum rate (see Consumed). Its
// error ends the reading as an error of the connection. Nil removes it.
func (r *Reader) BeforeRead(hook func() error) { r.beforeRead = hook }

// Buffered returns how many octets were received and not yet consumed.
func (r *Reader) Buffered() int { return r.w - r.r }

// LineBuffered tells whether the next ReadLine needs no read from the
// connection: a pipelined command waits.
func (r *Reader) LineBuffered() bool { return bytes.IndexByte(r.buf[r.r:r.w], '\n') >= 0 }

// Consumed returns the octets consumed since the Reader was got.
func (r *Reader) Consumed() int64 { return r.consumed }

// Peek waits for input and returns up to n octets of what is there (at least
// one) without consuming it. They are valid until the next call. It is how a
// TLS hello is noticed, which may never have a line end (see [Sniff]), and a
// client that talks before the banner. Here alone a timeout does not stay:
// after it, reading can go on. While it waits it holds no buffer.
func (r *Reader) Peek(n int) ([]byte, error) {
	if r.r == r.w {
		if err := r.wait(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				r.err = nil
			}
			return nil, err
		}
	}
	return r.buf[r.r:min(r.w, r.r+n)], nil
}

func (r *Reader) advance(n int) {
	r.r += n
	r.consumed += int64(n)
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
}

// fill reads once more from src, behind what is buffered. The buffer must not
// be full of unconsumed octets.
func (r *Reader) fill() error {
	if r.err != nil {
		return r.err
	}
	r.take()
	if r.r > 0 {
		copy(r.buf, r.buf[r.r:r.w])
		r.r, r.w = 0, r.w-r.r
	}
	for range emptyReads {
		if r.beforeRead != nil {
			if err := r.beforeRead(); err != nil {
				r.err = err
				return err
			}
		}
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		r.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	r.err = io.ErrNoProgress
	return r.err
}

// grow borrows a large buffer, for a message whose sender fills the small one
// in one read. A slow sender never gets it.
func (r *Reader) grow() {
	if !r.large() {
		r.move(r.pool.large())
	}
}

// full tells whether the last read filled the buffer.
func (r *Reader) full() bool { return r.buf != nil && r.w == len(r.buf) }

// large tells whether a large buffer is in use.
func (r *Reader) large() bool { return len(r.buf) == bodyBuffer && !r.lent }

func (p *Pool) large() []byte {
	if p != nil {
		if large, ok := p.bodies.Get().(*[bodyBuffer]byte); ok {
			return large[:]
		}
	}
	return make([]byte, bodyBuffer)
}

// shrink gives the large buffer back as soon as what is left fits the small.
func (r *Reader) shrink() {
	if r.large() && r.Buffered() <= LineBuffer {
		large := r.buf
		r.move(r.small)
		r.giveBack(large)
	}
}

func (r *Reader) giveBack(large []byte) {
	if r.pool != nil {
		r.pool.bodies.Put((*[bodyBuffer]byte)(large))
	}
}

// lend reads on into space, which is somebody else's. What is buffered is
// dropped.
func (r *Reader) lend(space []byte) {
	if r.large() {
		r.giveBack(r.buf)
	}
	r.buf, r.r, r.w, r.lent = space, 0, 0, true
}

// own ends a loan, if there is one. What is buffered is dropped.
func (r *Reader) own() {
	if r.lent {
		r.buf, r.lent = r.small, false
	}
	r.r, r.w = 0, 0
}

// settle ends a loan: what is buffered, the commands behind a message, moves
// to memory of our own.
func (r *Reader) settle() {
	switch {
	case !r.lent:
		r.shrink()
		return
	case r.Buffered() > LineBuffer:
		r.move(r.pool.large()) // a loan is no larger
	default:
		r.move(r.small)
	}
	r.lent = false
}

func (r *Reader) move(to []byte) {
	n := copy(to, r.buf[r.r:r.w])
	r.buf, r.r, r.w = to, 0, n
}
