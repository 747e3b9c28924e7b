package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
)

// Defaults of Options.
const (
	DefaultQueue    = 65536
	DefaultDays     = 21
	DefaultMaxBytes = 10 << 30

	batchRows   = 500
	batchOctets = 1 << 20
	batchWait   = 250 * time.Millisecond
	queueBytes  = 64 << 20 // of events waiting, as they are stored
	maxSpare    = 4        // batches whose memory is used again
)

// ErrClosed says that the log was closed.
var ErrClosed = errors.New("log: closed")

// Options of a Log. Only Dir is required, or Shared.
type Options struct {
	Dir      string       // the folder of the day files; made with mode 0700 when it is not there
	Queue    int          // events that may wait for the disk; 0: DefaultQueue. Their octets are bounded as well
	Days     int          // no event older than this many days is kept; 0: DefaultDays
	MaxBytes int64        // of all files together; the oldest day goes first; 0: DefaultMaxBytes
	Log      *slog.Logger // of damage, and of failure and recovery, once each; nil: none
	Shared   *Shared      // the log is in a PostgreSQL, in place of the folder; nil: it is not

	// Of tests.
	pragmas []string
	stall   func()        // called before each batch is written: a disk that hangs
	span    int           // octets of a span of a sieve; 0: spanOctets
	closing time.Duration // how long after its end a day is closed; 0: closeAfter
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

// Log writes events into the day files. An event is turned at once into what is stored of it, a tenth of its size in memory;
// one goroutine writes what has gathered, another makes the index of days that are over. Its methods are safe for concurrent
// use and never wait for the disk, but for Flush and Close. One folder has one Log; who opens it holds the lock of the state
// directory.
type Log struct {
	o      Options
	prefix []byte  // the shape of stories
	shared *shared // the PostgreSQL; nil: day files
	wake   chan struct{}
	stop   context.CancelFunc
	ctx    context.Context
	done   chan struct{}

	mu      sync.Mutex
	closed  bool
	encoder *encoder
	days    days
	to      []rcptColumns  // scratch
	filling map[day]*batch // what gathers
	ready   []*batch       // what waits for the disk, in order
	spare   []*batch
	waiting int   // events that are in no file yet, the batch at hand among them
	held    int64 // octets of them

	written, dropped, failed, damaged atomic.Int64
	files, bytes                      atomic.Int64
	full                              atomic.Bool
	lastDrop                          atomic.Int64 // Unix seconds
	asked                             atomic.Int64 // Unix seconds since when the disk is asked to take a batch; 0: it is not
	trouble                           atomic.Pointer[string]
}

// Open begins to write into the folder, or into the PostgreSQL that nodes share. It fails only when the folder cannot be made, or
// the server not be named: a damaged file is set aside, a disk that takes nothing costs the events, which are counted, and a server
// that is away is tried again and again, while events wait as long as there is room.
func Open(o Options) (*Log, error) {
	l, err := prepare(o)
	if err != nil {
		return nil, err
	}
	write, tend := l.local()
	if l.shared != nil {
		write, tend = (&sharedWriter{l: l}).run, (&sharedKeeper{l: l}).run
	}
	var both sync.WaitGroup
	both.Go(write)
	both.Go(tend)
	go func() {
		both.Wait()
		if l.shared != nil {
			_ = l.shared.db.Close() // there is nothing that could be done about it
		}
		close(l.done)
	}()
	return l, nil
}

// local returns what writes day files, and what makes the index of days that are over.
func (l *Log) local() (write, tend func()) {
	w := &writer{l: l, open: make(map[day]*dayFile)}
	w.tick(time.Now())
	return w.run, (&closer{l: l, done: make(map[day]stamp)}).run
}

// prepare makes a Log that nobody writes yet.
func prepare(o Options) (*Log, error) {
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
	if o.closing == 0 {
		o.closing = closeAfter
	}
	var s *shared
	var err error
	if o.Shared != nil {
		s, err = newShared(o.Shared)
	} else if err = os.MkdirAll(o.Dir, 0o700); err != nil {
		err = fmt.Errorf("log folder: %w", err)
	}
	if err != nil {
		return nil, err
	}
	n, err := newEncoder()
	if err != nil {
		return nil, err
	}
	l := &Log{o: o, shared: s, prefix: n.prefix, encoder: n, filling: make(map[day]*batch), wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l, nil
}

// Write takes an event and reports whether there is room for it; it never waits for the disk. The event is not kept.
func (l *Log) Write(e *gateway.Event) bool {
	if e == nil || e.Record == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.room() {
		return false
	}
	b := l.of(l.days.file(e.Record.ID, time.Now()))
	before := b.octets()
	if err := b.add(l.encoder, e, &l.to); err != nil {
		l.failed.Add(1)
		return true
	}
	l.waiting++
	l.took(b, before)
	return true
}

// Early takes a count of connections from a network that were refused before the banner in one minute. A prefix that is
// not valid stands for all networks that there was no room to name.
func (l *Log) Early(minute time.Time, network netip.Prefix, reason gateway.Reason, n int) bool {
	name := otherNetworks
	if network.IsValid() {
		name = network.String()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.room() {
		return false
	}
	b := l.of(l.days.of(minute.UnixMilli()))
	before := b.octets()
	b.addEarly(earlyRow{minute: minute.Unix() / 60, net: name, reason: string(reason), n: n})
	l.took(b, before)
	return true
}

const otherNetworks = "other"

// room reports whether anything more is taken, and counts what is not. It is called with the lock, as are those below.
func (l *Log) room() bool {
	if l.closed || l.full.Load() || l.waiting >= l.o.Queue || l.held >= queueBytes {
		l.dropped.Add(1)
		l.lastDrop.Store(time.Now().Unix())
		return false
	}
	return true
}

// of returns the batch that gathers for a day.
func (l *Log) of(d day) *batch {
	b := l.filling[d]
	if b == nil {
		if n := len(l.spare); n > 0 {
			b, l.spare = l.spare[n-1], l.spare[:n-1]
		} else {
			b = new(batch)
		}
		b.reset(d)
		l.filling[d] = b
		l.nudge() // the time of a batch begins
	}
	return b
}

// took notes what a batch has taken, and lets it go when it is full.
func (l *Log) took(b *batch, before int64) {
	l.held += b.octets() - before
	if b.events+len(b.early)+len(b.fates) >= batchRows || b.octets() >= batchOctets {
		delete(l.filling, b.day)
		l.ready = append(l.ready, b)
		l.nudge()
	}
}

func (l *Log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// seal lets all go that gathers.
func (l *Log) seal() {
	for _, d := range slices.Sorted(maps.Keys(l.filling)) {
		l.ready = append(l.ready, l.filling[d])
	}
	clear(l.filling)
}

// next gives the writer the oldest batch that waits; nil when none does, and whether one gathers.
func (l *Log) next(all bool) (b *batch, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if all {
		l.seal()
	}
	if len(l.ready) == 0 {
		return nil, len(l.filling) > 0
	}
	b = l.ready[0]
	l.ready[0] = nil
	if l.ready = l.ready[1:]; len(l.ready) == 0 {
		l.ready = nil
	}
	return b, true
}

// release takes a batch back that was written or lost.
func (l *Log) release(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting -= b.events
	l.held -= b.octets()
	if len(l.spare) < maxSpare && cap(b.stories) <= 2*batchOctets {
		l.spare = append(l.spare, b)
	}
}

// Flush waits until everything that was taken before is in its file, or was refused by it.
func (l *Log) Flush(ctx context.Context) error {
	barrier := make(chan struct{})
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.seal()
	l.ready = append(l.ready, &batch{barrier: barrier})
	l.nudge()
	l.mu.Unlock()
	select {
	case <-barrier:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close writes what waits and closes the files, in at most the time of ctx. What is written later is dropped and counted.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stop()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("log: close: %w", ctx.Err())
	}
}

// Stats returns the counts.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	waiting := l.waiting
	l.mu.Unlock()
	return Stats{Queued: waiting, Written: l.written.Load(), Dropped: l.dropped.Load(), Failed: l.failed.Load(),
		Damaged: l.damaged.Load(), Files: int(l.files.Load()), Bytes: l.bytes.Load()}
}

// stalled is after how long a disk that takes nothing is told of. A lock that another process holds is waited for less.
const stalled = 15 * time.Second

// Health reports whether events are being kept: false while the last batch was refused, while the log is full, while the disk does
// not answer, and for a minute after an event found no room. The text says what is wrong, or how much was kept.
func (l *Log) Health() (ok bool, detail string) {
	s := l.Stats()
	switch t := l.trouble.Load(); {
	case t != nil:
		return false, *t
	case l.full.Load():
		return false, fmt.Sprintf("full: today's file alone is over the limit of %d octets; events are dropped", l.o.MaxBytes)
	case l.waits() >= stalled:
		return false, fmt.Sprintf("%s has not answered for %v: %d events wait, and %d found no room", l.where(), l.waits(), s.Queued, s.Dropped)
	case s.Dropped > 0 && time.Now().Unix()-l.lastDrop.Load() < 60:
		return false, fmt.Sprintf("too slow: %d events were dropped", s.Dropped)
	}
	what := "files"
	if l.shared != nil {
		what = "days in PostgreSQL"
	}
	detail = fmt.Sprintf("%d events written, %d waiting, %d %s, %d octets", s.Written, s.Queued, s.Files, what, s.Bytes)
	if s.Damaged > 0 {
		detail += fmt.Sprintf(", %d damaged files set aside", s.Damaged)
	}
	return true, detail
}

// where is what keeps the log, in a word.
func (l *Log) where() string {
	if l.shared != nil {
		return "PostgreSQL"
	}
	return "the disk"
}

// waits is for how long the disk has not answered.
func (l *Log) waits() time.Duration {
	if at := l.asked.Load(); at > 0 {
		return time.Since(time.Unix(at, 0)).Truncate(time.Second)
	}
	return 0
}

// Reader returns a reader of the same log. One of a shared log ends with the Log.
func (l *Log) Reader() *Reader {
	if l.shared != nil {
		return &Reader{shared: l.shared}
	}
	return NewReader(l.o.Dir)
}
