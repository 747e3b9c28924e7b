package relay

import (
	"bytes"
	"errors"
	"io"
	"os"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// readBuffer is what a body that cannot go out from where it lies is read into.
const readBuffer = 64 << 10

// errShort and errLong say that the message is not as long as it was said to be: it is a part of one.
var (
	errShort = errors.New("message ended before its size")
	errLong  = errors.New("message is longer than its size")
)

// unread wraps an error of reading the message, which is no fault of the next hop.
type unread struct{ error }

func (u unread) Unwrap() error { return u.error }

// message is what the sending of one message borrows.
type message struct {
	out  gather
	dots smtpwire.DotWriter
	in   []byte // of readBuffer, once it is needed
	lies caught // catches the octets of a part that lies in memory
}

// caught is a Writer that keeps what a *bytes.Reader shows it.
type caught struct{ p []byte }

func (c *caught) Write(p []byte) (int, error) { c.p = p; return len(p), nil }

// message lends what one message on a connection needs.
func (p *Pools) message(c *conn) *message {
	m, ok := p.bodies.Get().(*message)
	if !ok {
		m = &message{out: gather{own: make([]byte, 0, ownBuffer)}}
	}
	m.out.c = c
	return m
}

// giveBack takes it back, wiped of the connection and of the message.
func (p *Pools) giveBack(m *message) {
	m.out.empty()
	m.out.c, m.lies.p = nil, nil
	m.dots.Reset(nil)
	p.bodies.Put(m)
}

// write sends the whole message, dots stuffed, and fails when it is not of the size that was said. What is clean goes past
// the dot-writer, for it would find nothing; everything else does not.
func (m *message) write(content *gateway.Content) error {
	left := content.Size
	for i, part := range content.Parts {
		done := false
		var err error
		if content.Clean && i == len(content.Parts)-1 && m.dots.LineStart() {
			done, err = m.asItLies(part, content.Dots, &left)
		}
		if err == nil && !done {
			err = m.copyPart(&m.dots, part, &left)
		}
		if err != nil {
			return err
		}
	}
	if left > 0 {
		return unread{errShort}
	}
	return nil
}

// copyPart writes one part and counts its octets down.
func (m *message) copyPart(to io.Writer, part io.Reader, left *int64) error {
	if r, ok := part.(*bytes.Reader); ok {
		if *left -= int64(r.Len()); *left < 0 {
			return unread{errLong}
		}
		_, err := r.WriteTo(to)
		return err
	}
	if m.in == nil {
		m.in = make([]byte, readBuffer)
	}
	for {
		n, err := readFull(part, m.in)
		if *left -= int64(n); *left < 0 {
			return unread{errLong}
		}
		if n > 0 {
			if _, err := to.Write(m.in[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return unread{err}
		}
	}
}

// readFull fills buf as far as the part goes. io.EOF comes only with its end.
func readFull(from io.Reader, buf []byte) (n int, err error) {
	for empty := 0; n < len(buf) && empty < 100; {
		m, err := from.Read(buf[n:])
		if n += m; err != nil {
			return n, err
		}
		if empty++; m > 0 {
			empty = 0
		}
	}
	if n == 0 {
		return 0, io.ErrNoProgress
	}
	return n, nil
}

// asItLies sends a clean part without looking at it: from memory by reference, from a file without reading it. done is
// false, and nothing was written, where it cannot, or where the part is not what was said of it.
func (m *message) asItLies(part io.Reader, dots []int64, left *int64) (done bool, err error) {
	switch r := part.(type) {
	case *bytes.Reader:
		n := int64(r.Len())
		if n > *left || n == 0 {
			return false, nil
		}
		_, _ = r.WriteTo(&m.lies)
		p := m.lies.p
		if !isClean(p, dots) {
			_, err := r.Seek(-n, io.SeekCurrent)
			return false, err
		}
		*left -= n
		from := int64(0)
		for _, at := range dots {
			if err := m.lendAndDot(p[from:at]); err != nil {
				return true, err
			}
			from = at
		}
		return true, m.out.lend(p[from:])
	case *io.SectionReader:
		at, n, f := fileBehind(r)
		if f == nil || n > *left || !isCleanFile(f, at, n, dots) {
			return false, nil
		}
		*left -= n
		from := int64(0)
		for _, dot := range dots {
			if err := m.stretch(f, at+from, dot-from); err != nil {
				return true, err
			}
			if _, err := m.out.Write([]byte{'.'}); err != nil {
				return true, err
			}
			from = dot
		}
		return true, m.stretch(f, at+from, n-from)
	}
	return false, nil
}

func (m *message) lendAndDot(p []byte) error {
	if err := m.out.lend(p); err != nil {
		return err
	}
	_, err := m.out.Write([]byte{'.'})
	return err
}

// stretch sends n octets of a file. Its end is read, so that it goes out in one write with what follows.
func (m *message) stretch(f *os.File, at, n int64) error {
	if bulk := n - fileTail; bulk >= fileTail {
		left, err := m.out.file(f, at, bulk)
		if err != nil {
			return err
		}
		at, n = at+bulk-left, n-bulk+left
	}
	return m.copyPart(&m.out, io.NewSectionReader(f, at, n), &n)
}

// isClean holds what was said of a part against its looks at the places that matter most. It is no proof: the strict
// reader's word is.
func isClean(p []byte, dots []int64) bool {
	last := int64(-1)
	for _, at := range dots {
		if at <= last || at >= int64(len(p)) || p[at] != '.' || at > 0 && (at < 2 || p[at-2] != '\r' || p[at-1] != '\n') {
			return false
		}
		last = at
	}
	return bytes.HasSuffix(p, []byte("\r\n")) && (p[0] != '.' || len(dots) > 0 && dots[0] == 0)
}

// isCleanFile is isClean of a part in a file.
func isCleanFile(f *os.File, at, n int64, dots []int64) bool {
	var b [3]byte
	last := int64(-1)
	for _, dot := range dots {
		if dot <= last || dot >= n || dot > 0 && dot < 2 {
			return false
		}
		before := min(dot, 2)
		p := b[:before+1]
		if _, err := f.ReadAt(p, at+dot-before); err != nil || !bytes.HasSuffix([]byte("\r\n."), p) {
			return false
		}
		last = dot
	}
	if _, err := f.ReadAt(b[:2], at+n-2); n < 2 || err != nil || b[0] != '\r' || b[1] != '\n' {
		return false
	}
	_, err := f.ReadAt(b[:1], at)
	return err == nil && (b[0] != '.' || len(dots) > 0 && dots[0] == 0)
}

// fileBehind returns where an unread section lies in its file; nil when it is not one of a file.
func fileBehind(r *io.SectionReader) (at, n int64, f *os.File) {
	in, at, n := r.Outer()
	f, ok := in.(*os.File)
	if read, err := r.Seek(0, io.SeekCurrent); !ok || err != nil || read != 0 {
		return 0, 0, nil
	}
	return at, n, f
}
