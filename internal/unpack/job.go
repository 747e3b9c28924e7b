package unpack

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// What goes through the two pipes are frames: four octets of length, then so much. A job is one frame with a Job; for each
// item one frame with an Item, then its content in frames, of which an empty one is the end; and an empty frame behind the
// last item. The answer is a frame with a Hello, sent before the job is read, and one with the Report.

// Job is what a process is told first.
type Job struct {
	Limits Limits        `json:"limits"`
	Time   time.Duration `json:"time"` // after which it tells what it has
}

// Hello is what a process says of itself before it reads anything.
type Hello struct {
	Confined bool   `json:"confined"` // all of it is in force
	How      string `json:"how"`
}

const (
	maxHeader = 64 << 10 // octets of a frame that is JSON, but for the report
	maxChunk  = 256 << 10
	// maxReport bounds a report: what a hostile process may have the gateway read.
	maxReport = 8 << 20
)

// errFrame says that the other side does not speak as it should.
var errFrame = errors.New("unpack: not a frame")

func writeFrame(w io.Writer, b []byte) error {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(b)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFrame(w, b)
}

// readFrame reads a frame into room, which it may replace.
func readFrame(r io.Reader, room []byte, most int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > int64(most) {
		return nil, fmt.Errorf("%w: %d octets, at most %d", errFrame, n, most)
	}
	if int64(cap(room)) < n {
		room = make([]byte, n)
	}
	room = room[:n]
	if _, err := io.ReadFull(r, room); err != nil {
		return nil, noEOF(err)
	}
	return room, nil
}

func readJSON(r io.Reader, most int, v any) error {
	b, err := readFrame(r, nil, most)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return nil
}

// noEOF makes an end in the middle of something the error that it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
