package mime

import "io"

// Source is a message that is read, at any place and never changed.
type Source interface {
	io.ReaderAt
	Size() int64
}

// InMemory is a Source that may lie in memory as a whole.
type InMemory interface {
	Memory() []byte // nil when it does not
}

// Bytes is a message in memory.
func Bytes(b []byte) Source { return octets(b) }

type octets []byte

func (o octets) Size() int64    { return int64(len(o)) }
func (o octets) Memory() []byte { return o }
func (o octets) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(o)) {
		return 0, io.EOF
	}
	n := copy(p, o[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// memory returns the octets of a source that lies in memory.
func memory(s Source) []byte {
	if m, ok := s.(InMemory); ok {
		return m.Memory()
	}
	return nil
}

// windowSize is how much of a message that lies in a file is in memory at once, besides a header section that is longer.
const windowSize = 64 << 10

// window is a look at octets of a message that moves forward. at is the place of the next octet within buf.
type window struct {
	r    io.Reader // nil: buf is all there is
	buf  []byte
	at   int
	base int64 // the place of buf[0] in what is read
	err  error // of the reader; io.EOF at its end
}

// place is that of the next octet.
func (w *window) place() int64 { return w.base + int64(w.at) }

// rest are the octets that are in sight.
func (w *window) rest() []byte { return w.buf[w.at:] }

// more brings more octets into sight, and keeps those that are. It reports whether there were any.
func (w *window) more() bool {
	if w.r == nil || w.err != nil {
		return false
	}
	if w.at > 0 {
		n := copy(w.buf, w.buf[w.at:])
		w.base, w.at, w.buf = w.base+int64(w.at), 0, w.buf[:n]
	}
	if len(w.buf) == cap(w.buf) {
		grown := make([]byte, len(w.buf), max(2*cap(w.buf), windowSize))
		copy(grown, w.buf)
		w.buf = grown
	}
	for {
		n, err := w.r.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		if err != nil {
			w.err = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
}

// failed is a fault of the reader, but for its end.
func (w *window) failed() error {
	if w.err == io.EOF {
		return nil
	}
	return w.err
}
