package smtpwire

import (
	"io"
)

// Chunks reads the message of one transaction that comes by BDAT (RFC 3030).
// The rules for content are those of DATA (BINARYMIME is not offered), but
// there are no dots to unstuff and nothing but the count ends a chunk.
type Chunks struct {
	c         content
	pendingCR bool // the last chunk ended with a CR, not yet delivered
}

// NewChunks returns a reader that writes the message to dst.
func NewChunks(dst io.Writer, lim Limits) *Chunks {
	return &Chunks{c: content{lim: lim.withDefaults(), dst: dst}}
}

// Read reads the next chunk, exactly n octets, from r. Call it for every chunk
// of the transaction, also after an error that leaves the peers in step: the
// chunk is then read and thrown away, and the error is the same again. Nil
// after the chunk that was last means that the whole message is in dst.
//
// The errors are those of [Reader.ReadData]. A chunk that was cut off is
// io.ErrUnexpectedEOF and never a message.
func (k *Chunks) Read(r *Reader, n int64, last bool) error {
	r.grow()
	defer r.shrink()
	for n > 0 {
		if r.Buffered() == 0 {
			if err := r.fill(); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		b := r.buf[r.r:r.w]
		if int64(len(b)) > n {
			b = b[:n]
		}
		err := k.piece(b)
		r.advance(len(b))
		n -= int64(len(b))
		if err != nil {
			return err
		}
	}
	if last {
		if err := k.end(); err != nil {
			return err
		}
	}
	return k.c.fault
}

// Result returns the measures so far. A CR at the end of a chunk counts with
// the next.
func (k *Chunks) Result() Result { return k.c.res }

// piece takes b, and keeps a CR at its end until the next octet is known.
func (k *Chunks) piece(b []byte) error {
	if k.pendingCR {
		k.pendingCR = false
		joined := []byte{'\r'}
		if b[0] == '\n' {
			joined, b = append(joined, '\n'), b[1:]
		}
		if err := k.take(joined); err != nil {
			return err
		}
	}
	if len(b) > 0 && b[len(b)-1] == '\r' {
		k.pendingCR = true
		b = b[:len(b)-1]
	}
	return k.take(b)
}

func (k *Chunks) take(b []byte) error {
	lines := k.c.res.Lines
	return k.c.take(b, k.c.scanLines(b), lines)
}

// end takes a CR that ended the message.
func (k *Chunks) end() error {
	if !k.pendingCR {
		return nil
	}
	k.pendingCR = false
	return k.take([]byte{'\r'})
}
