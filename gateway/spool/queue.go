package spool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// QueueOptions are what a Queue needs. Dir and NextHop must be set.
type QueueOptions struct {
	Dir      string // of the queue alone; made when it is not there
	MaxBytes int64  // of all messages together; 0: what the file system has besides Reserve
	// MaxMessages is how many there may be; 0 is 1,000,000.
	MaxMessages   int
	Reserve       int64 // octets that stay free in the file system; 0 is 1 GiB
	ReserveInodes int64 // files that can still be made; 0 is 10,000
	Tuning
	Log     *slog.Logger           // faults of ours; nil for none
	NextHop func() gateway.NextHop // of the configuration in force
	Known   func(route string) bool
	// Told hears of every change, from several goroutines, and must not wait; nil for nobody.
	Told func(*Change)
	// Notice makes the notice to whoever sent a message that it failed, and returns nil once that notice is kept durably.
	// ErrNoNotice says that there can be none; after every other error it is asked again. It may be asked twice for the same
	// failure after a crash. nil: nobody is told.
	Notice func(ctx context.Context, f *Failure) error

	disk disk // nil is the file system
}

// Tuning is what may change while the queue runs. The zero value are the defaults.
type Tuning struct {
	Schedule []time.Duration // before the second attempt, the third, ...; the last one again and again; nil is 1, 2, 5, 10, 15, 30 min
	Lifetime time.Duration   // 0 is 5 days
	PerRoute int             // deliveries to a route at once; 0 is 10, half a pool
	Together int             // deliveries at once in all; 0 is 50
}

func (t *Tuning) after(attempts int) time.Duration {
	s := t.Schedule
	if len(s) == 0 {
		s = []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute}
	}
	return s[min(max(attempts, 1), len(s))-1]
}

func (t *Tuning) lifetime() time.Duration { return orElse(t.Lifetime, 5*24*time.Hour) }
func (t *Tuning) perRoute() int           { return orElse(t.PerRoute, 10) }
func (t *Tuning) together() int           { return orElse(t.Together, 50) }

func orElse[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Why a message was not taken.
var (
	// ErrLatched says that the disk failed to flush what it had taken: nothing more is promised on it until a person has
	// looked (Unlatch).
	ErrLatched = errors.New("spool: shut since its disk failed")
	// ErrTwice says that a message of this id is in the queue.
	ErrTwice = errors.New("spool: that message is in the queue")
	// ErrNoNotice says that no notice can be made of a failure.
	ErrNoNotice = errors.New("no notice can be made")
)

// Queue is the durable spool. One process owns its folder. It is safe for concurrent use.
type Queue struct {
	opts    QueueOptions
	dirs    folders
	disk    disk
	log     *slog.Logger
	wake    chan struct{}
	outs    sync.Pool // *bufio.Writer
	buffers sync.Pool // *[]byte of copyBuffer

	stuck atomic.Int32 // flushes whose callers did not wait for them

	folderMu sync.Mutex
	made     map[string]bool // folders whose names are flushed

	roomMu sync.Mutex
	room   durable.Vacancy
	roomAt time.Time
	roomOK bool

	mu       sync.Mutex
	index    index
	tuning   Tuning
	coming   map[gateway.ID]int64 // messages that are being written, and their octets
	latched  error                // why it is shut; nil while it is open
	latchAt  time.Time
	unsaved  map[gateway.ID]*state // what could not be written; it counts more than what lies there
	unmoved  int                   // damaged files that could not be set aside
	inFlight int
	turn     int       // of the routes
	looked   time.Time // when Run last looked at the clock
	wall     time.Time // what the clock on the wall said then
}

var _ gateway.Spool = (*Queue)(nil)

// OpenQueue opens the queue in a folder, makes it where it is not there, and finds what lies in it: a file that is damaged
// as far as its beginning and its size show is set aside; the rest is proved before it is sent. When the disk cannot flush,
// the queue is open for what lies in it and shut for more.
func OpenQueue(o QueueOptions) (*Queue, error) {
	if o.Dir == "" || o.NextHop == nil {
		return nil, errors.New("spool: no folder, or no next hop")
	}
	q := newQueue(o)
	if err := q.prepare(); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := q.load(); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := q.probe(); err != nil {
		q.latch("probe", err)
	}
	return q, nil
}

// newQueue makes a queue that has looked at nothing yet.
func newQueue(o QueueOptions) *Queue {
	q := &Queue{opts: o, dirs: folders{o.Dir}, disk: o.disk, log: o.Log, wake: make(chan struct{}, 1), tuning: o.Tuning,
		index: newIndex(), coming: make(map[gateway.ID]int64), made: make(map[string]bool), unsaved: make(map[gateway.ID]*state)}
	if q.disk == nil {
		q.disk = durable.Real{}
	}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	q.outs.New = func() any { return bufio.NewWriterSize(nil, copyBuffer) }
	q.buffers.New = func() any { buf := make([]byte, copyBuffer); return &buf }
	return q
}

// Tune changes what may change.
func (q *Queue) Tune(t Tuning) {
	q.mu.Lock()
	q.tuning = t
	q.mu.Unlock()
	q.nudge()
}

// nudge lets Run look again.
func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// latch shuts the queue for new messages.
func (q *Queue) latch(step string, err error) {
	q.mu.Lock()
	first := q.latched == nil
	if first {
		q.latched, q.latchAt = fmt.Errorf("%s: %w", step, err), time.Now()
	}
	q.mu.Unlock()
	if first {
		q.log.Error("spool: shut for new messages", "step", step, "error", err)
		q.tell(&Change{What: "latched", Said: gateway.CleanText(step+": "+err.Error(), 300)})
	}
}

// Unlatch opens the queue again, once a file could be written, flushed and renamed on its disk.
func (q *Queue) Unlatch() error {
	if err := q.probe(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	q.mu.Lock()
	was := q.latched != nil
	q.latched = nil
	q.mu.Unlock()
	if was {
		q.tell(&Change{What: "unlatched"})
	}
	return nil
}

// probe takes the way of a message with a file of nothing.
func (q *Queue) probe() error {
	name, named := filepath.Join(q.dirs.tmp(), "probe"), filepath.Join(q.dirs.tmp(), "probed")
	if err := durable.Remove(q.disk, name); err != nil {
		return err
	}
	f, err := q.disk.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(magic))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = q.disk.Rename(name, named)
	}
	if err == nil {
		err = q.disk.SyncDir(q.dirs.tmp())
	}
	if err == nil {
		err = q.disk.Remove(named)
	}
	return err
}

// name is where a message lies, and folder in which folder.
func (q *Queue) name(id gateway.ID, ext string) string {
	return filepath.Join(q.folder(id), id.String()+ext)
}

// folder spreads the messages over 256 folders by what changes most in an id: the milliseconds and the sequence.
func (q *Queue) folder(id gateway.ID) string {
	return filepath.Join(q.dirs.queue(), fmt.Sprintf("%02x", byte(id>>20)^byte(id)))
}

// makeFolder makes a folder, and flushes its name before a message is promised in it.
func (q *Queue) makeFolder(dir string) error {
	q.folderMu.Lock()
	defer q.folderMu.Unlock()
	if q.made[dir] {
		return nil
	}
	err := q.disk.Mkdir(dir)
	if err == nil {
		err = q.disk.SyncDir(q.dirs.queue())
	}
	q.made[dir] = err == nil
	return err
}

func (q *Queue) now() time.Time { return time.Now() }

// Change is something that happened to a message, or to the queue.
type Change struct {
	What     string     `json:"what"` // see the list at Changes
	ID       gateway.ID `json:"id,omitzero"`
	Route    string     `json:"route,omitempty"`
	From     string     `json:"from"`
	Rcpts    []Fate     `json:"rcpts,omitempty"` // those that it is about
	Size     int64      `json:"size,omitempty"`
	Arrived  time.Time  `json:"arrived,omitzero"`
	Attempts int        `json:"attempts,omitempty"`
	Next     time.Time  `json:"next,omitzero"`
	Said     string     `json:"said,omitempty"` // why
	// Relayed is how an attempt ended.
	Relayed *gateway.Relayed `json:"relayed,omitempty"`
}

// Changes returns what Change.What can be.
//
//	queued       a message was taken
//	delivered    a next hop took it for Rcpts
//	deferred     it is tried again for Rcpts
//	failed       it cannot be delivered to Rcpts
//	notified     a notice of that is on its way
//	dead         it is a dead letter for Rcpts
//	damaged      its file is not what was written, and was set aside
//	held, released, retried, bounced, deleted, rerouted    a person's doing
//	latched, unlatched     the queue was shut for new messages since its disk failed, or opened again
func Changes() []string {
	return []string{"queued", "delivered", "deferred", "failed", "notified", "dead", "damaged", "held", "released", "retried",
		"bounced", "deleted", "rerouted", "latched", "unlatched"}
}

func (q *Queue) tell(c *Change) {
	if q.opts.Told != nil {
		q.opts.Told(c)
	}
}
