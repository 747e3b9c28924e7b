package journal

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Sink takes lines. Send never waits: it reports whether there was room. Close writes what waits, for at most the time of
// ctx; later lines find no room.
type Sink interface {
	Name() string
	Send(l *Line) bool
	Close(ctx context.Context) error
}

// DefaultSinkQueue is how many lines wait for a sink.
const DefaultSinkQueue = 8192

// pump is the queue of a sink and the goroutine that empties it.
type pump struct {
	name   string
	lines  chan *Line
	mu     sync.RWMutex
	closed bool
	done   chan struct{}
	lost   atomic.Int64 // lines that were taken and could not be handed on
}

func newPump(name string, size int) *pump {
	if size <= 0 {
		size = DefaultSinkQueue
	}
	return &pump{name: name, lines: make(chan *Line, size), done: make(chan struct{})}
}

// Name returns the name of the sink, as metrics show it.
func (p *pump) Name() string { return p.name }

// Send takes a line if there is room.
func (p *pump) Send(l *Line) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return false
	}
	select {
	case p.lines <- l:
		return true
	default:
		return false
	}
}

// Lost returns how many lines were taken and could not be handed on.
func (p *pump) Lost() int64 { return p.lost.Load() }

// Close ends the taking and waits for what was taken.
func (p *pump) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.lines)
	}
	p.mu.Unlock()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Writer is a sink that writes each line's JSON, such as to stdout: together what comes within linger, so that at a kill -9
// only the last moment is missing. A writer that hangs costs lines, never time of others.
type Writer struct {
	name  string
	most  int
	wake  chan struct{}
	done  chan struct{}
	lost  atomic.Int64
	limit int // octets that may wait

	mu     sync.Mutex
	buf    []byte
	lines  int // in buf, and in what is being written
	closed bool
}

const (
	// linger is how long a line waits for others.
	linger = 2 * time.Millisecond
	// lineOctets is how long a line is thought to be; they are bounded in number and in octets.
	lineOctets = 2 << 10
	maxWrite   = 64 << 10
)

// NewWriter begins to write lines to w; queue is how many may wait, 0 for DefaultSinkQueue.
func NewWriter(name string, w io.Writer, queue int) *Writer {
	if queue <= 0 {
		queue = DefaultSinkQueue
	}
	s := &Writer{name: name, most: queue, limit: max(queue*lineOctets, 2*maxLine), wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run(w)
	return s
}

// Name returns the name of the sink, as metrics show it.
func (s *Writer) Name() string { return s.name }

// Lost returns how many lines were taken and could not be written.
func (s *Writer) Lost() int64 { return s.lost.Load() }

// Send takes a line if there is room. It keeps nothing of it.
func (s *Writer) Send(l *Line) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.lines >= s.most || len(s.buf)+len(l.JSON) > s.limit {
		return false
	}
	if s.lines++; len(s.buf) == 0 {
		s.nudge()
	}
	s.buf = append(s.buf, l.JSON...)
	return true
}

func (s *Writer) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close ends the taking and waits for what was taken.
func (s *Writer) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.nudge()
	s.mu.Unlock()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes together what waits together.
func (s *Writer) run(w io.Writer) {
	defer close(s.done)
	var spare []byte
	for {
		<-s.wake
		for {
			s.mu.Lock()
			if len(s.buf) < maxWrite && !s.closed && len(s.buf) > 0 {
				s.mu.Unlock()
				time.Sleep(linger)
				s.mu.Lock()
			}
			b, n, closed := s.buf, s.lines, s.closed
			s.buf = spare[:0]
			s.mu.Unlock()
			if len(b) > 0 {
				s.write(w, b)
			}
			s.mu.Lock()
			s.lines -= n
			s.mu.Unlock()
			if spare = b; len(b) == 0 {
				if closed {
					return
				}
				break
			}
		}
	}
}

// write writes lines, in pieces that a pipe likes, and counts those that are not written whole.
func (s *Writer) write(w io.Writer, b []byte) {
	for len(b) > 0 {
		end := len(b)
		if end > maxWrite {
			end = bytes.LastIndexByte(b[:maxWrite], '\n') + 1
		}
		n, err := w.Write(b[:end])
		if err != nil {
			s.lost.Add(int64(bytes.Count(b[:end], []byte{'\n'}) - bytes.Count(b[:min(max(n, 0), end)], []byte{'\n'})))
		}
		b = b[end:]
	}
}
