package smtpwire

import (
	"bytes"
	"errors"
	"io"
)

var errFinished = errors.New("dot-writer: already ended")

// DotWriter writes a message after a 354: stuffs a dot before each line that
// begins with one (RFC 5321 section 4.5.2) and changes nothing else. A bare
// CR, a bare LF or a NUL is an error; nothing of the slice that has it is
// written. It cannot end the message by accident: only Finish does, and there
// is no Close. After an error close the connection, so that the peer drops
// what it got.
type DotWriter struct {
	w         io.Writer
	err       error // sticky
	size      int64 // octets of the message taken
	lines     int64
	partial   bool  // the last octet written was not the LF of a CRLF
	pendingCR bool  // a CR was taken and waits for its LF
	dots      []int // where check found dots behind line ends, in the slice at hand
}

// NewDotWriter returns a DotWriter on w. Large slices go to w whole; a
// message of dots makes many small ones, so w should be a bufio.Writer, which
// the caller flushes.
func NewDotWriter(w io.Writer) *DotWriter { return &DotWriter{w: w} }

// Reset begins another message on w; what was learned of the one before is
// forgotten.
func (d *DotWriter) Reset(w io.Writer) { *d = DotWriter{w: w, dots: d.dots[:0]} }

// LineStart tells whether the next octet begins a line, and nothing is held
// back: a clean message may go on past the DotWriter here (see
// [Result.Clean]), as long as it is written to the same destination and ends
// with a CRLF. Then Finish ends it.
func (d *DotWriter) LineStart() bool { return d.err == nil && !d.partial && !d.pendingCR }

// Size returns the octets of the message taken so far, before stuffing.
func (d *DotWriter) Size() int64 { return d.size }

// Write takes the next octets of the message. The slice may end anywhere. The
// error is *ContentError or that of the destination, and stays.
func (d *DotWriter) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	body, heldLF, err := d.check(p)
	if err != nil {
		d.err = err
		return 0, err
	}
	if heldLF {
		d.put([]byte("\r\n"))
		d.partial = false
	}
	if len(body) > 0 {
		d.stuff(body)
		d.partial = body[len(body)-1] != '\n'
	}
	if d.err != nil {
		return 0, d.err
	}
	d.pendingCR = p[len(p)-1] == '\r'
	d.size += int64(len(p))
	return len(p), nil
}

// check judges p and returns what of it can be written now: without a LF that
// belongs to the CR before it (heldLF), and without a CR at its end.
func (d *DotWriter) check(p []byte) (body []byte, heldLF bool, err error) {
	body = p
	if d.pendingCR {
		if p[0] != '\n' {
			return nil, false, &ContentError{BareCR, d.size - 1, d.lines + 1}
		}
		heldLF = true
		body = p[1:]
	}
	if n := len(body); n > 0 && body[n-1] == '\r' {
		body = body[:n-1]
	}
	found := layout{bareLF: -1}
	d.dots = d.dots[:0]
	for at := 0; ; {
		i := bytes.IndexByte(body[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
		if i == 0 || body[at-2] != '\r' {
			found.bareLF = at - 1
			break
		}
		found.crlf++
		if at < len(body) && body[at] == '.' {
			d.dots = append(d.dots, at)
		}
	}
	lines := d.lines
	if heldLF {
		lines++
	}
	if kind, at := firstViolation(body, found); kind != 0 {
		lines += int64(bytes.Count(body[:at], []byte{'\n'}))
		if heldLF {
			at++
		}
		return nil, false, &ContentError{kind, d.size + int64(at), lines + 1}
	}
	d.lines = lines + int64(found.crlf)
	return body, heldLF, nil
}

// stuff writes b, which is clean, with a dot more at each place that check found.
func (d *DotWriter) stuff(b []byte) {
	if !d.partial && b[0] == '.' {
		d.put([]byte{'.'})
	}
	from := 0
	for _, at := range d.dots {
		d.put(b[from : at+1]) // through the dot; it begins the next part again
		from = at
	}
	d.put(b[from:])
}

// Finish ends the message: the final CRLF if it has none (added tells), then
// the lone dot. Call it only when every octet of the message was written. It
// writes nothing after an error and nothing twice. The caller flushes.
func (d *DotWriter) Finish() (added bool, err error) {
	if d.err == nil && d.pendingCR {
		d.err = &ContentError{BareCR, d.size - 1, d.lines + 1}
	}
	if d.err != nil {
		return false, d.err
	}
	end := ".\r\n"
	if d.partial {
		end = "\r\n.\r\n"
	}
	added = d.partial
	d.put([]byte(end))
	if d.err != nil {
		return added, d.err
	}
	d.err = errFinished
	return added, nil
}

// Abort gives the message up. It writes nothing, and no later call does.
func (d *DotWriter) Abort() {
	if d.err == nil {
		d.err = errFinished
	}
}

func (d *DotWriter) put(b []byte) {
	if d.err != nil {
		return
	}
	n, err := d.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	d.err = err
}
