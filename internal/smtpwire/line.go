package smtpwire

import (
	"bytes"
	"io"
)

// LineEnd is what a line ended with.
type LineEnd uint8

// The line ends. Only CRLF is one by RFC 5321 section 2.3.8.
const (
	EndNone LineEnd = iota // no end was seen
	EndCRLF
	EndLF // a bare LF
)

// Line is one line without its end. Text lies in the Reader's buffer and is
// valid until its next call.
type Line struct {
	Text []byte
	End  LineEnd
}

// ReadLine reads one line of at most limit octets, its end included as RFC
// 5321 section 4.5.3.1 counts (more than LineBuffer is taken as LineBuffer).
//
// A line is good only when err is nil: it ended with CRLF. Otherwise err is
//   - ErrLineTooLong: Text is its first limit octets, the rest was discarded;
//   - ErrNUL or ErrBareCR: Text is the line as it came;
//   - ErrBareLF: the line ended with a bare LF and has no other fault, so a
//     caller that normalises may use Text;
//   - ErrFlood: an overlong line without end; close;
//   - io.EOF before the first octet, io.ErrUnexpectedEOF in mid-line, or the
//     error of the connection.
//
// End is set in the first three too: EndLF there deserves the same distrust
// as ErrBareLF.
func (r *Reader) ReadLine(limit int) (Line, error) {
	r.shrink()
	limit = min(max(limit, 2), LineBuffer)
	seen := 0
	for {
		b := r.buf[r.r:r.w]
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			i += seen
			if i >= limit {
				return r.overlong(limit)
			}
			r.advance(i + 1)
			return checkLine(b[:i])
		}
		if len(b) >= limit {
			return r.overlong(limit)
		}
		seen = len(b)
		if err := r.fill(); err != nil {
			if err == io.EOF && r.Buffered() > 0 {
				err = io.ErrUnexpectedEOF
			}
			return Line{}, err
		}
	}
}

// checkLine judges b, a line up to and without its LF.
func checkLine(b []byte) (Line, error) {
	l := Line{Text: b, End: EndLF}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		l.Text, l.End = b[:n-1], EndCRLF
	}
	switch {
	case bytes.IndexByte(l.Text, 0) >= 0:
		return l, ErrNUL
	case bytes.IndexByte(l.Text, '\r') >= 0:
		return l, ErrBareCR
	case l.End == EndLF:
		return l, ErrBareLF
	}
	return l, nil
}

// overlong discards a line through its LF and returns its beginning.
func (r *Reader) overlong(limit int) (Line, error) {
	head := bytes.Clone(r.buf[r.r : r.r+limit])
	var last byte
	for discarded := 0; discarded <= lineDiscard; {
		b := r.buf[r.r:r.w]
		i := bytes.IndexByte(b, '\n')
		if i >= 0 {
			if i > 0 {
				last = b[i-1]
			}
			r.advance(i + 1)
			l := Line{Text: head, End: EndLF}
			if last == '\r' {
				l.End = EndCRLF
			}
			return l, ErrLineTooLong
		}
		if len(b) > 0 {
			last = b[len(b)-1]
			discarded += len(b)
			r.advance(len(b))
		}
		if err := r.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return Line{}, err
		}
	}
	return Line{}, ErrFlood
}
