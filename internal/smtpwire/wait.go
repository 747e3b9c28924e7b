package smtpwire

import (
	"io"
	"syscall"
)

// firstOctets are read first where a read is the only way to wait, as under
// TLS: commands that were pipelined fit mostly. More follows with the next
// read.
const firstOctets = 512

// take gets a buffer for commands, where there is none.
func (r *Reader) take() {
	if r.small == nil {
		r.small = r.pool.line()
	}
	if r.buf == nil {
		r.buf = r.small
	}
}

// release gives the buffer for commands back. Nothing is in it.
func (r *Reader) release() {
	r.shrink()
	if r.pool == nil || r.small == nil || len(r.buf) != LineBuffer || r.lent {
		return
	}
	r.pool.smalls.Put((*[LineBuffer]byte)(r.small))
	r.small, r.buf = nil, nil
}

func (p *Pool) line() []byte {
	if p != nil {
		if small, ok := p.smalls.Get().(*[LineBuffer]byte); ok {
			return small[:]
		}
	}
	return make([]byte, LineBuffer)
}

// wait is fill for a connection that may be silent for minutes, of which there
// are many: it takes a buffer only when there is something to read.
func (r *Reader) wait() error {
	if r.err != nil {
		return r.err
	}
	if r.beforeRead != nil {
		if err := r.beforeRead(); err != nil {
			r.err = err
			return err
		}
	}
	r.release()
	r.r, r.w = 0, 0
	if r.raw != nil {
		return r.waitRaw()
	}
	if r.few == nil {
		r.few = make([]byte, firstOctets)
	}
	n, err := r.src.Read(r.few)
	if n > 0 {
		r.take()
		r.w = copy(r.buf, r.few[:n])
		clear(r.few[:n])
	}
	r.err = err
	switch {
	case n > 0:
		return nil
	case err != nil:
		return err
	}
	return r.fill()
}

// waitRaw waits on the socket itself.
func (r *Reader) waitRaw() error {
	if r.try == nil {
		r.try = r.attempt // once: it is a closure
	}
	r.errno = nil
	if err := r.raw.Read(r.try); err != nil {
		r.err = err
		return err
	}
	if r.errno != nil {
		r.err = r.errno
		return r.err
	}
	return nil
}

// attempt reads what is there, and says whether there was anything: octets, the
// end, or an error.
func (r *Reader) attempt(fd uintptr) bool {
	r.take()
	for {
		n, err := syscall.Read(int(fd), r.buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			r.release()
			return false
		case err != nil:
			r.errno = err
		case n == 0:
			r.errno = io.EOF
		default:
			r.w = n
		}
		return true
	}
}
