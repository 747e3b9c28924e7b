package control

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// How often a stream says that it lives, and how long a write to it may take.
const (
	streamBeat  = 15 * time.Second
	streamWrite = 10 * time.Second
)

// EventStream writes server-sent events to a client, one at a time, until one side ends it. Its methods are safe for
// concurrent use.
type EventStream struct {
	ctx    context.Context
	cancel context.CancelFunc
	w      http.ResponseWriter
	out    *http.ResponseController
	mu     sync.Mutex
	beside sync.WaitGroup
}

// OpenStream begins a stream: from then on a beat keeps it open as long as alive, asked each time, says so; nil: always. Its
// context, which Context returns, ends with ctx, when a write fails, and with Close. It fails where the client is gone.
func OpenStream(ctx context.Context, w http.ResponseWriter, alive func() bool) (*EventStream, error) {
	s := &EventStream{w: w, out: http.NewResponseController(w)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	_ = s.out.SetReadDeadline(time.Time{}) // all of the request was read; HTTP/1.1 ends its context when that time is over
	if err := s.write(": begin\n\n"); err != nil {
		s.cancel()
		return nil, err
	}
	s.beside.Go(func() { s.beat(alive) })
	return s, nil
}

// Context ends when the stream does.
func (s *EventStream) Context() context.Context { return s.ctx }

// Send writes an event. Of id and event what would end a line is left out, and an empty one is not written; data is one line.
func (s *EventStream) Send(id, event, data string) error {
	var b strings.Builder
	for _, f := range [...][2]string{{"id", line(id)}, {"event", line(event)}} {
		if f[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", f[0], f[1])
		}
	}
	fmt.Fprintf(&b, "data: %s\n\n", line(data))
	return s.write(b.String())
}

// write writes within its time, and ends the stream where it cannot.
func (s *EventStream) write(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ctx.Err(); err != nil {
		return err
	}
	_ = s.out.SetWriteDeadline(time.Now().Add(streamWrite))    // where it cannot be set, the server's own bounds hold
	defer func() { _ = s.out.SetWriteDeadline(time.Time{}) }() // HTTP/2 resets a stream when its time is over, be it idle
	_, err := s.w.Write([]byte(text))
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		s.cancel()
	}
	return err
}

func (s *EventStream) beat(alive func() bool) {
	tick := time.NewTicker(streamBeat)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			if alive != nil && !alive() || s.write(":\n\n") != nil {
				s.cancel()
				return
			}
		}
	}
}

// Close ends the stream, and waits until nothing writes to it any more.
func (s *EventStream) Close() {
	s.cancel()
	s.beside.Wait()
}

// line leaves out what would end a line of an event.
func line(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\r' || c == 0 {
			return -1
		}
		return c
	}, s)
}
