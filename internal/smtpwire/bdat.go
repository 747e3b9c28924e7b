package smtpwire

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ParseBDAT reads the argument of BDAT: the count of octets that follow the
// line, and whether they are the last (RFC 3030 section 2). After an error the
// peers are out of step, for the chunk that follows cannot be skipped: close.
func ParseBDAT(arg string) (n int64, last bool, err error) {
	count, word, more := strings.Cut(arg, " ")
	if more && !equalFold(word, "LAST") {
		return 0, false, fmt.Errorf("%w: BDAT: not LAST", ErrCommand)
	}
	if count == "" || strings.Trim(count, "0123456789") != "" {
		return 0, false, fmt.Errorf("%w: BDAT: no count", ErrCommand)
	}
	n, err = strconv.ParseInt(count, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("%w: BDAT: count too large", ErrCommand)
	}
	return n, more, nil
}

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
	defer r.shrink()
	for n > 0 {
		full := r.full()
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
		if full {
			r.grow()
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
