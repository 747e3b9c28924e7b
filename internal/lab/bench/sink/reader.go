package sink

import (
	"bytes"
	"io"

	"gatepost/internal/lab/bench/mark"
)

// reader reads commands and messages out of one buffer.
type reader struct {
	conn io.Reader
	buf  []byte
	r, w int // what is read and not used yet is buf[r:w]
}

func (r *reader) buffered() int { return r.w - r.r }

// few is so little that moving it costs less than a short read.
const few = 1 << 10

// fill reads more. What is not used yet moves to the buffer's front when it is
// little, or when there is no room behind it.
func (r *reader) fill() error {
	if r.r > 0 && (r.buffered() < few || r.w == len(r.buf)) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.conn.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// line reads one command without its CRLF. It is valid until the next call.
func (r *reader) line() ([]byte, error) {
	for {
		b := r.buf[r.r:r.w]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			r.r += i + 1
			return bytes.TrimRight(b[:i], "\r"), nil
		}
		if len(b) > maxLine {
			return nil, errLine
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// got is what is known of a message that was read.
type got struct {
	marked bool
	id     uint64
	size   int64 // as the mark says
	octets int64 // from the mark to the end, without the dot
	ended  bool  // its last line is the trailer
}

// kept is how much of a message stays in the buffer while it is read on: the
// trailer, and a dot's line that may have begun.
const kept = mark.TrailerLen + len(dot)

// dot ends a message (RFC 5321 section 4.1.1.4).
const dot = "\r\n.\r\n"

// message reads a message up to the dot.
func (r *reader) message() (m got, err error) {
	at := 0
	for { // until the mark, or the end, is in the buffer
		b := r.buf[r.r:r.w]
		if bytes.HasPrefix(b, []byte(dot[2:])) { // an empty message: the CRLF of DATA was the first half
			r.r += len(dot) - 2
			return m, nil
		}
		end := findDot(b)
		if end >= 0 {
			b = b[:end] // what follows the dot is no part of it
		}
		if at, m.id, m.size, m.marked = mark.FindField(b); m.marked {
			break
		}
		if end >= 0 || len(b) == len(r.buf) {
			break // at is 0: all of it counts, whatever it is
		}
		if err := r.fill(); err != nil {
			return m, err
		}
	}
	r.r += at
	for {
		b := r.buf[r.r:r.w]
		if i := findDot(b); i >= 0 {
			m.octets += int64(i)
			m.ended = m.marked && mark.EndsWith(b[:i], m.id)
			r.r += i + len(dot) - 2
			return m, nil
		}
		if used := len(b) - kept; used > 0 {
			m.octets += int64(used)
			r.r += used
		}
		if err := r.fill(); err != nil {
			return m, err
		}
	}
}

// findDot finds the line that is a single dot; what is before it is content, the
// CRLF of its last line included. It looks for dots, of which mail has few, and
// not for line ends.
func findDot(b []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '.')
		if i < 0 {
			return -1
		}
		i += from
		if i >= 2 && b[i-1] == '\n' && b[i-2] == '\r' && i+2 < len(b) && b[i+1] == '\r' && b[i+2] == '\n' {
			return i
		}
		from = i + 1
	}
}
