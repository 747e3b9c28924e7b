package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
)

// Defaults of Options.
const (
	DefaultQueue    = 8192
	DefaultDays     = 21
	DefaultMaxBytes = 10 << 30

	batchRows  = 500
	batchWait  = 250 * time.Millisecond
	queueBytes = 64 << 20 // of events waiting, roughly
)

// ErrClosed says that the log was closed.
var ErrClosed = errors.New("log: closed")

// Options of a Log. Only Dir is required.
type Options struct {
	Dir      string       // the folder of the day files; made with mode 0700 when it is not there
	Queue    int          // events that may wait for the disk; 0: DefaultQueue
	Days     int          // no event older than this many days is kept; 0: DefaultDays
	MaxBytes int64        // of all files together; the oldest day goes first; 0: DefaultMaxBytes
	Log      *slog.Logger // of damage, and of failure and recovery, once each; nil: none

	pragmas []string // of tests
}

// Stats are the counts of a Log since it was opened.
type Stats struct {
	Queued  int   // events that wait now
	Written int64 // events that are in a file
	Dropped int64 // events that found no room in the queue, or the log full
	Failed  int64 // events that the disk or SQLite refused
	Damaged int64 // files that were set aside
	Files   int   // day files, as of the last look (once a minute)
	Bytes   int64 // their size, likewise
}

// Log writes events into the day files, by one goroutine. Its methods are safe for concurrent use and never wait for the
// disk, but for Flush and Close. One folder has one Log; who opens it holds the lock of the state directory.
type Log struct {
	o     Options
	queue chan item
	stop  chan struct{}
	done  chan struct{}

	mu     sync.RWMutex // so that nothing is taken behind the back of the last write
	closed bool

	held                              atomic.Int64 // octets in the queue, roughly
	written, dropped, failed, damaged atomic.Int64
	files, bytes                      atomic.Int64
	full                              atomic.Bool
	lastDrop                          atomic.Int64 // Unix seconds
	trouble                           atomic.Pointer[string]
}

// item is one thing for the writer: an event, a count, or a barrier.
type item struct {
	event   *gateway.Event
	weight  int64
	early   earlyRow
	barrier chan struct{}
}

// Open begins to write into the folder. It fails only when the folder cannot be made: a damaged file is set aside, and a
// disk that takes nothing costs the events, which are counted.
func Open(o Options) (*Log, error) {
	if o.Queue <= 0 {
		o.Queue = DefaultQueue
	}
	if o.Days <= 0 {
		o.Days = DefaultDays
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	l := &Log{o: o, queue: make(chan item, o.Queue), stop: make(chan struct{}), done: make(chan struct{})}
	w := &writer{l: l, open: make(map[day]*dayFile)}
	w.tick(time.Now())
	go w.run()
	return l, nil
}

// Write takes an event and reports whether it has room for it; it never waits. The event must not change afterwards.
func (l *Log) Write(e *gateway.Event) bool {
	if e == nil || e.Record == nil {
		return false
	}
	return l.put(item{event: e, weight: weigh(e)})
}

// Early takes a count of connections from a network that were refused before the banner in one minute. A prefix that is
// not valid stands for all networks that there was no room to name.
func (l *Log) Early(minute time.Time, network netip.Prefix, reason gateway.Reason, n int) bool {
	name := otherNetworks
	if network.IsValid() {
		name = network.String()
	}
	return l.put(item{early: earlyRow{minute: minute.Unix() / 60, net: name, reason: string(reason), n: n}, weight: 64})
}

const otherNetworks = "other"

func (l *Log) put(it item) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed || l.full.Load() {
		l.drop()
		return false
	}
	if l.held.Add(it.weight) <= queueBytes {
		select {
		case l.queue <- it:
			return true
		default:
		}
	}
	l.held.Add(-it.weight)
	l.drop()
	return false
}

func (l *Log) drop() {
	l.dropped.Add(1)
	l.lastDrop.Store(time.Now().Unix())
}

// weigh guesses the memory that an event holds.
func weigh(e *gateway.Event) int64 {
	n := 2048 + 256*len(e.Record.Findings) + 192*len(e.Record.Rcpts)
	for _, of := range e.Evidence {
		for i := range of {
			n += len(of[i].Text)
		}
	}
	return int64(n)
}

// Flush waits until everything that was taken before is in its file, or was refused by it.
func (l *Log) Flush(ctx context.Context) error {
	b := make(chan struct{})
	select {
	case <-l.done:
		return ErrClosed // also while the queue has room that nobody empties
	default:
	}
	select {
	case l.queue <- item{barrier: b}:
	case <-l.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-b:
		return nil
	case <-l.done:
		select {
		case <-b:
			return nil
		default:
			return ErrClosed // the barrier came behind what Close wrote
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close writes what waits and closes the files, in at most the time of ctx. What is written later is dropped and counted.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.stop)
	}
	l.mu.Unlock()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("log: close: %w", ctx.Err())
	}
}

// Stats returns the counts.
func (l *Log) Stats() Stats {
	return Stats{Queued: len(l.queue), Written: l.written.Load(), Dropped: l.dropped.Load(), Failed: l.failed.Load(),
		Damaged: l.damaged.Load(), Files: int(l.files.Load()), Bytes: l.bytes.Load()}
}

// Health reports whether events are being kept: false while the last batch was refused, while the log is full, and for a
// minute after an event found no room. The text says what is wrong, or how much was kept.
func (l *Log) Health() (ok bool, detail string) {
	s := l.Stats()
	switch t := l.trouble.Load(); {
	case t != nil:
		return false, *t
	case l.full.Load():
		return false, fmt.Sprintf("full: today's file alone is over the limit of %d octets; events are dropped", l.o.MaxBytes)
	case s.Dropped > 0 && time.Now().Unix()-l.lastDrop.Load() < 60:
		return false, fmt.Sprintf("too slow: %d events were dropped", s.Dropped)
	}
	detail = fmt.Sprintf("%d events written, %d waiting, %d files, %d octets", s.Written, s.Queued, s.Files, s.Bytes)
	if s.Damaged > 0 {
		detail += fmt.Sprintf(", %d damaged files set aside", s.Damaged)
	}
	return true, detail
}

// Reader returns a reader of the same folder.
func (l *Log) Reader() *Reader { return NewReader(l.o.Dir) }
