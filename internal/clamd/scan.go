package clamd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// chunkSize of the stream, in octets: one system call sends a chunk.
	chunkSize = 64 << 10
	// closeGrace is how long clamd may take to close the connection after its
	// reply, and to be heard after a write failed.
	closeGrace = 5 * time.Second
	// AnySize as the size of a Scan: the source's end is the only measure.
	AnySize = -1
)

// Result of a scan.
type Result struct {
	Finding
	Version  Version       // of the clamd, as the last Version call saw it; zero if there was none
	Size     int64         // octets scanned
	Duration time.Duration // of the whole call
}

// Scan sends r to clamd as one stream and returns its verdict. The source must
// deliver exactly size octets (or any number, with AnySize); a source that fails
// or is shorter or longer is ErrSource. Its Read is not interrupted when ctx
// ends, so it should not be one that blocks.
//
// A nil error means that Kind is Clean, Infected or Exceeded. The errors are
// ErrTooBig, ErrSource, ErrUnreachable, ErrReply, ErrRefused, the context's, or a
// network error.
func (c *Client) Scan(ctx context.Context, r io.Reader, size int64) (Result, error) {
	result, _, err := c.scan(ctx, r, size)
	if err != nil {
		return Result{}, fmt.Errorf("clamd: scan at %s: %w", c.cfg.Address, err)
	}
	return result, nil
}

// reply is what the reading side of a scan came to.
type reply struct {
	line []byte // nil: there was none
	err  error
}

// scan also returns how many octets were written before it ended.
func (c *Client) scan(ctx context.Context, r io.Reader, size int64) (Result, int64, error) {
	start := time.Now()
	if c.cfg.MaxSize > 0 && size > c.cfg.MaxSize {
		return Result{}, 0, fmt.Errorf("%w of %d octets set for this client: %d", ErrTooBig, c.cfg.MaxSize, size)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	conn, release, err := c.connect(ctx)
	if err != nil {
		return Result{}, 0, err
	}
	defer release()
	b := c.buffers.Get().(*buffer)
	s := &stream{conn: conn, timeout: c.cfg.IOTimeout, b: b}
	replies := make(chan reply, 1)
	go func() {
		// The verdict may take all of the call's time; ctx bounds it.
		line, err := readReply(conn, b.reply[:], 0, s.stop)
		s.stop()
		replies <- reply{line, err}
	}()
	sendErr := s.send(r, size)
	if sendErr != nil {
		// What clamd has to say is the better error, unless it is said already or
		// the source failed: then the connection is closed without an end mark.
		if errors.Is(sendErr, ErrSource) || errors.Is(sendErr, errStopped) {
			release()
		} else {
			_ = conn.SetReadDeadline(time.Now().Add(closeGrace))
		}
	}
	got := <-replies
	finding, err := judge(got, sendErr)
	c.buffers.Put(b)
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, ErrTooBig) && !errors.Is(err, ErrSource) {
			err = fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		return Result{}, s.written, err
	}
	result := Result{Finding: finding, Size: s.written, Duration: time.Since(start)}
	if v := c.version.Load(); v != nil {
		result.Version = *v
	}
	return result, s.written, nil
}

// judge weighs what was sent against what came back.
func judge(got reply, sendErr error) (Finding, error) {
	switch {
	case errors.Is(sendErr, ErrSource):
		return Finding{}, sendErr
	case string(got.line) == limitReply:
		// Whatever happened to the connection, this is why.
		return Finding{}, ErrTooBig
	case sendErr != nil && got.line != nil:
		_, err := parseScan(string(got.line))
		if err != nil {
			return Finding{}, err
		}
		return Finding{}, fmt.Errorf("%w: %q before the end of the stream", ErrReply, got.line)
	case errors.Is(sendErr, errStopped):
		return Finding{}, got.err
	case sendErr != nil:
		return Finding{}, fmt.Errorf("%w (%w)", sendErr, got.err)
	case got.err != nil:
		return Finding{}, got.err
	}
	return parseScan(string(got.line))
}

// buffer is all the memory of a scan, used again for the next one.
type buffer struct {
	data  [chunkSize]byte
	head  [len(command) + 4]byte // the command and the first chunk's length
	reply [maxReply + 1]byte
	parts [3][]byte
	vec   net.Buffers
}

const command = "zINSTREAM\x00"

// stream is the sending side of a scan.
type stream struct {
	conn    net.Conn
	timeout time.Duration
	b       *buffer
	written int64 // octets of data

	mu      sync.Mutex
	stopped bool
}

// errStopped means that sending ended because reading did.
var errStopped = errors.New("clamd: stream cut short by a reply")

// stop ends sending, now and for good, because a reply is there or none will
// come. That it comes after the last octet is the normal case.
func (s *stream) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	now := time.Now()
	_ = s.conn.SetWriteDeadline(now)
	_ = s.conn.SetReadDeadline(now.Add(closeGrace))
}

// send writes the command, the chunks and the end mark. The end mark is written
// only when the source ended by itself, at its full size.
func (s *stream) send(r io.Reader, size int64) error {
	head := append(s.b.head[:0], command...)
	for {
		n, end, err := fill(r, s.b.data[:])
		if err != nil {
			return fmt.Errorf("%w after %d octets: %w", ErrSource, s.written+int64(n), err)
		}
		total := s.written + int64(n)
		if size >= 0 && (total > size || end && total < size) {
			return fmt.Errorf("%w: %d octets where %d were announced", ErrSource, total, size)
		}
		s.b.vec = s.b.parts[:0]
		if n > 0 {
			head = binary.BigEndian.AppendUint32(head, uint32(n))
			s.b.vec = append(s.b.vec, head, s.b.data[:n])
		} else if len(head) > 0 {
			s.b.vec = append(s.b.vec, head)
		}
		if end {
			s.b.vec = append(s.b.vec, endMark())
		}
		if err := s.write(); err != nil {
			return fmt.Errorf("clamd: write stream: %w", err)
		}
		s.written = total
		head = head[:0]
		if end {
			return nil
		}
	}
}

// endMark is a chunk of no octets.
func endMark() []byte { return []byte{0, 0, 0, 0} }

// write sends the parts with one writev.
func (s *stream) write() error {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return errStopped
	}
	err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err = s.b.vec.WriteTo(s.conn); err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopped
	}
	return err
}

// fill reads until buf is full or the source ends. Only io.EOF is an end: a
// source that says io.ErrUnexpectedEOF was cut off.
func fill(r io.Reader, buf []byte) (n int, end bool, err error) {
	for idle := 0; n < len(buf); {
		m, err := r.Read(buf[n:])
		if m < 0 || m > len(buf)-n {
			return n, false, errors.New("read returned an impossible count")
		}
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle > 100 {
			return n, false, io.ErrNoProgress
		}
	}
	return n, false, nil
}
