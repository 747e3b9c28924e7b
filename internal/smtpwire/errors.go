package smtpwire

import (
	"errors"
	"fmt"
)

// Faults of one line. After each of them the line was read to its end.
var (
	// ErrBareLF: the line ended at a LF without CR. What follows it may be
	// smuggled (the sender's side may have seen no line end there), so a
	// caller that refuses bare LF should also close.
	ErrBareLF = errors.New("line: bare LF")
	// ErrBareCR: a CR that no LF follows.
	ErrBareCR = errors.New("line: bare CR")
	// ErrNUL: an octet of value zero.
	ErrNUL = errors.New("line: NUL octet")
	// ErrLineTooLong: longer than the caller's limit; the rest of the line
	// was discarded.
	ErrLineTooLong = errors.New("line: too long")
)

// ErrFlood says that more had to be discarded than is worth reading: close
// the connection.
var ErrFlood = errors.New("discarded input: over the limit")

// ErrTooBig says that a message has more octets than its limit. It was read
// to its end and the peers are in step (552 5.3.4).
var ErrTooBig = errors.New("message: over the size limit")

// Violation is a kind of octet sequence that no message may have.
type Violation uint8

// The violations of RFC 5321 section 2.3.8 (and 4.5.2 for NUL).
const (
	BareLF Violation = iota + 1
	BareCR
	NUL
)

func (v Violation) String() string {
	switch v {
	case BareLF:
		return "bare LF"
	case BareCR:
		return "bare CR"
	case NUL:
		return "NUL octet"
	}
	return "no violation"
}

// ContentError says where a message first broke the rules. It was read to its
// end, the peers are in step (550 5.6.0), and nothing from the offset on was
// delivered.
type ContentError struct {
	Violation Violation
	Offset    int64 // octets of the message (dots unstuffed) before it
	Line      int64 // line number, from 1
}

func (e *ContentError) Error() string {
	return fmt.Sprintf("message: %s at octet %d in line %d", e.Violation, e.Offset, e.Line)
}

// SinkError wraps the error of the destination of a message. The message was
// read to its end and the peers are in step (451 4.3.0).
type SinkError struct{ Err error }

func (e *SinkError) Error() string { return "message: keeping it: " + e.Err.Error() }

// Unwrap returns the destination's error.
func (e *SinkError) Unwrap() error { return e.Err }

// InStep tells of an error of ReadLine, ReadData or Chunks.Read whether both
// peers still agree where the next command begins, so that it can be answered
// with a refusal and the dialogue can go on. It is false for every error of the
// connection itself, for [ErrFlood], and for errors of replies; the connection
// must then be closed. The errors of the Parse functions are not its business:
// a line that was read well and makes no sense leaves the peers in step.
func InStep(err error) bool {
	if err == nil {
		return true
	}
	var content *ContentError
	var sink *SinkError
	return errors.As(err, &content) || errors.As(err, &sink) ||
		errors.Is(err, ErrTooBig) || errors.Is(err, ErrBareLF) || errors.Is(err, ErrBareCR) ||
		errors.Is(err, ErrNUL) || errors.Is(err, ErrLineTooLong)
}
