package smtpwire

import (
	"bytes"
	"io"
)

// Room is a destination of a message that lends its own memory, so that what
// comes in is read to where it stays and need not be copied there.
type Room interface {
	io.Writer
	// Room returns free memory behind what was written: at least 4 KiB and at
	// most most octets. The loan ends at the next call of Room or Write, or
	// with the message.
	Room(most int) ([]byte, error)
	// Keep takes the first n octets of what Room returned as written.
	Keep(n int)
}

// ReadData reads the message that follows a 354 (RFC 5321 section 4.1.1.4)
// and writes it to dst, dots unstuffed, in large slices. It ends only at
// CRLF.CRLF, of which the first CRLF belongs to the message, or at .CRLF when
// that comes first; what lies behind stays for ReadLine.
//
// A nil error means that the whole message is in dst. *ContentError,
// ErrTooBig and *SinkError mean that it was read to its end but is to be
// refused; dst has the part before the fault. After any other error there was
// no message and the connection must be closed: io.ErrUnexpectedEOF for a
// connection that ended too early, ErrFlood, or the connection's own error
// (see [InStep]).
func (r *Reader) ReadData(dst io.Writer, lim Limits) (Result, error) {
	defer r.settle()
	c := content{lim: lim.withDefaults(), dst: dst}
	room, _ := dst.(Room)
	if lim.Normalise {
		room = nil // what is repaired can become longer than what came
	}
	atStart := true // at the start of a line, behind a true CRLF
	for {
		full := r.full()
		ended, err := c.data(r, &atStart)
		if err != nil {
			return c.res, err
		}
		if ended {
			return c.res, c.fault
		}
		switch {
		case c.fault != nil && r.lent:
			r.settle() // nothing is written any more
			c.lender = nil
		case room != nil && c.fault == nil && (full || r.lent):
			c.borrow(r, room)
		case full:
			r.grow()
		}
		if err := r.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return c.res, err
		}
	}
}

// borrow has the Reader read on into memory of the destination. What is not
// yet understood is taken along.
func (c *content) borrow(r *Reader, room Room) {
	var rest [4]byte // data leaves two octets at most
	if r.Buffered() > len(rest) {
		return
	}
	n := copy(rest[:], r.buf[r.r:r.w]) // for it may lie in memory that Room gives back
	space, err := room.Room(bodyBuffer)
	if err != nil {
		c.fault, c.lender = &SinkError{err}, nil
		r.own()
	} else {
		c.lender = room
		r.lend(space)
	}
	r.w = copy(r.buf, rest[:n])
}

// data takes what is buffered. It leaves the few octets that cannot be
// understood without the next ones: a CR at the end, and at the start of a
// line a lone dot or dot CR. So no state but atStart crosses two reads.
func (c *content) data(r *Reader, atStart *bool) (ended bool, err error) {
	b := r.buf[r.r:r.w]
	found, lines := layout{bareLF: -1}, c.res.Lines
	// b[:out] has the message without its dots; b[run:p] is to follow it.
	// Moving it together costs one copy for a piece with dots and makes one
	// write of it.
	p, out, run, used := 0, 0, 0, 0
scan:
	for {
		if *atStart {
			p = c.ordinary(b, p, &found)
		}
		used = p
		if p == len(b) {
			break
		}
		if *atStart && b[p] == '.' {
			switch rest := b[p:]; {
			case len(rest) >= 3 && rest[1] == '\r' && rest[2] == '\n':
				ended = true
				break scan
			case len(rest) == 1, len(rest) == 2 && rest[1] == '\r':
				break scan
			}
			out += copy(b[out:], b[run:p])
			p++
			run = p
			if b[p] == '.' {
				c.res.dot(c.res.Delivered + int64(out))
			}
		}
		i := bytes.IndexByte(b[p:], '\n')
		if i < 0 {
			used = len(b)
			if b[used-1] == '\r' {
				used--
			}
			c.longer(used - p)
			*atStart = false // a CR that was left begins no dot line either
			break
		}
		i += p
		bare := found.bareLF
		c.endLine(b, p, i, &found)
		if found.bareLF != bare {
			found.bareLF = out + i - run
		}
		*atStart = i > p && b[i-1] == '\r'
		p = i + 1
	}
	out += copy(b[out:], b[run:used])
	err = c.take(b[:out], found, lines)
	if ended {
		used += len(".\r\n")
	}
	r.advance(used)
	return ended, err
}
