package unpack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Server is the process that looks into one message.
type Server struct {
	Formats []Format
	TypeOf  func(content []byte) string // the media type of content
	// Confine takes the process's rights away, before the first octet of the job is read. An error ends the process.
	Confine func() (Hello, error)
}

// Serve reads one job, does it, writes one report, and ends. Its error is the end of the process: there is no report then,
// and who waits for it knows nothing.
func (s *Server) Serve(in io.Reader, out io.Writer) error {
	hello, err := s.Confine()
	if err != nil {
		return err
	}
	if err := writeJSON(out, hello); err != nil {
		return err
	}
	r := bufio.NewReaderSize(in, 32<<10)
	var job Job
	if err := readJSON(r, maxHeader, &job); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), job.Time)
	defer cancel()
	w := NewWalk(ctx, job.Limits, s.TypeOf, s.Formats)
	for {
		more, err := s.item(r, w, job.Limits)
		switch {
		case errors.Is(err, ErrLimit):
			return writeReport(out, w.Report(), w.Shown()) // what is left of the job is not read: nobody would look at it
		case err != nil:
			return err
		case !more:
			return writeReport(out, w.Report(), w.Shown())
		}
	}
}

// item reads one item and has it walked; more is false behind the last one.
func (s *Server) item(r io.Reader, w *Walk, l Limits) (more bool, err error) {
	head, err := readFrame(r, nil, maxHeader)
	if err != nil || len(head) == 0 {
		return false, noEOF(err)
	}
	var i Item
	if err := json.Unmarshal(head, &i); err != nil {
		return false, fmt.Errorf("item: %w", err)
	}
	// An item comes out of a message and is no longer than it; its size is a hint, and Octets bounds what is believed.
	content := make([]byte, 0, max(0, min(i.Size, l.Octets, 64<<20)))
	var chunk []byte
	for {
		chunk, err = readFrame(r, chunk, maxChunk)
		if err != nil {
			return false, noEOF(err)
		}
		if len(chunk) == 0 {
			break
		}
		if int64(len(content)+len(chunk)) > l.Octets {
			return false, w.Over(TooMuch, -1)
		}
		content = append(content, chunk...)
	}
	i.Size = int64(len(content))
	return true, w.Item(i, content)
}

func writeReport(out io.Writer, r Report, contents [][]byte) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	for len(b) > maxReport && len(r.Objects) > 0 { // the walk bounds what is in it; this is for what it did not think of
		r.Objects = r.Objects[:len(r.Objects)/2]
		if r.Limit == "" {
			r.Limit = TooManyEntries
		}
		if b, err = json.Marshal(r); err != nil {
			return err
		}
	}
	if err := writeFrame(out, b); err != nil {
		return err
	}
	return writeShown(out, &r, contents)
}
