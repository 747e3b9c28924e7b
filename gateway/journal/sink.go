package journal

import (
	"bufio"
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// Sink takes lines. Send never waits: it reports whether there was room. Close writes what waits, for at most the time of
// ctx; later lines find no room.
type Sink interface {
	Name() string
	Send(l *Line) bool
	Close(ctx context.Context) error
}

// DefaultSinkQueue is how many lines wait for a sink.
const DefaultSinkQueue = 4096

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

// Writer is a sink that writes each line's JSON, such as to stdout. A writer that hangs costs lines, never time of others.
type Writer struct{ *pump }

// NewWriter begins to write lines to w; queue is how many may wait, 0 for DefaultSinkQueue.
func NewWriter(name string, w io.Writer, queue int) *Writer {
	s := &Writer{newPump(name, queue)}
	go s.run(w)
	return s
}

// run writes together what waits together.
func (s *Writer) run(w io.Writer) {
	defer close(s.done)
	buf := bufio.NewWriterSize(w, 32<<10)
	pending := int64(0)
	for l := range s.lines {
		pending++
		_, err := buf.Write(l.JSON)
		if err == nil && (len(s.lines) == 0 || buf.Buffered() > 16<<10) {
			err = buf.Flush()
		}
		switch {
		case err != nil:
			s.lost.Add(pending)
			pending = 0
			buf.Reset(w) // the error of a bufio.Writer stays; the next line may get through
		case buf.Buffered() == 0:
			pending = 0
		}
	}
}
