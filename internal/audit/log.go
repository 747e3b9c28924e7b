package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/durable"
)

// How many entries wait for the disk at most, how many are appended at once, how long noting waits, how long an attempt may
// take, and when the next one is made.
const (
	maxQueue   = 4096
	atOnce     = 100
	noteWait   = time.Second
	appendTime = 5 * time.Second
	againFirst = time.Second
	againMost  = 30 * time.Second
)

// The files in the folder: entries on their way to the store, and the last entry that this node saw there.
const (
	waitingFile = "audit.waiting"
	headFile    = "audit.head"
)

// Log notes entries and brings them to the store, by way of a file. It is made by New; Run does the work.
type Log struct {
	store Store
	node  string
	dir   string
	log   *slog.Logger
	out   *outbox
	fresh chan struct{} // there is something in the queue
	wake  chan struct{} // there is something in the file
	keeps sync.Mutex    // one at a time puts the queue into the file

	mu     sync.Mutex
	queue  []note // not in the file yet
	unsent []note // in the file, and somebody waits for the store to have them
	ended  bool   // Run is over: who notes writes to the file himself
	lost   int64  // that are in the daemon's log only
	failed error  // of the last attempt
}

// note is an entry on its way.
type note struct {
	Entry
	done chan bool // told once: true when it is in the store, or in the file and the store does not take it; false when it is lost
}

// New makes a log over a store, of the node with this name. What an earlier process could not bring there, in the folder's file,
// comes first.
func New(store Store, node, dir string, log *slog.Logger) *Log {
	return &Log{store: store, node: node, dir: dir, log: log, out: &outbox{name: filepath.Join(dir, waitingFile)},
		fresh: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

// Note notes an entry. It returns when the entry is in the store, or on disk while the store is away; and after a second in any
// case, or when ctx is done: the entry then follows by itself. It reports whether the entry is known to outlive a crash now. Time,
// node and source are set where they are not.
func (l *Log) Note(ctx context.Context, e Entry) (kept bool) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.Node == "" {
		e.Node = l.node
	}
	e.clean()
	n := note{e, make(chan bool, 1)}
	l.mu.Lock()
	full, ended := len(l.queue) >= maxQueue, l.ended
	if !full {
		l.queue = append(l.queue, n)
	}
	l.mu.Unlock()
	switch {
	case full:
		l.lose([]note{n}, errFull)
		return false
	case ended:
		l.keep()
		return <-n.done
	}
	signal(l.fresh)
	t := time.NewTimer(noteWait)
	defer t.Stop()
	select {
	case kept = <-n.done:
	case <-t.C:
	case <-ctx.Done():
	}
	return kept
}

// signal puts a value into a channel that has none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run brings to the store what is noted until ctx is done, and then what is left, if the store takes it.
func (l *Log) Run(ctx context.Context) {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	var sender sync.WaitGroup
	sender.Go(func() { l.send(sending) })
	for running := true; running; {
		select {
		case <-l.fresh:
		case <-ctx.Done():
			running = false
			l.mu.Lock()
			l.ended = true
			l.mu.Unlock()
		}
		l.keep()
	}
	stop()
	sender.Wait()
}

// keep puts what is in the queue into the file. What the file does not take goes to the store at once, and else to the daemon's
// own log.
func (l *Log) keep() {
	l.keeps.Lock()
	defer l.keeps.Unlock()
	l.mu.Lock()
	batch := l.queue
	l.queue = nil
	l.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	if err := l.out.put(batch); err != nil {
		l.log.Error("audit: entries cannot be written to the file in which they wait", "error", err)
		ctx, cancel := context.WithTimeout(context.Background(), appendTime)
		defer cancel()
		if _, failed := l.store.Append(ctx, entriesOf(batch)); failed != nil {
			l.lose(batch, errors.Join(err, failed))
			release(batch, false)
			return
		}
		release(batch, true)
		return
	}
	l.mu.Lock()
	if l.failed == nil && !l.ended {
		l.unsent = append(l.unsent, batch...)
	} else {
		release(batch, true)
	}
	l.mu.Unlock()
	signal(l.wake)
}

func entriesOf(batch []note) []Entry {
	out := make([]Entry, len(batch))
	for i := range batch {
		out[i] = batch[i].Entry
	}
	return out
}

// release lets go whoever waits for entries.
func release(batch []note, kept bool) {
	for _, n := range batch {
		n.done <- kept
	}
}

// lose writes entries to the daemon's log, which is the only place that has them.
func (l *Log) lose(batch []note, why error) {
	for i := range batch {
		l.log.Error("audit: an entry is here only", "error", why, "entry", text(&batch[i].Entry))
	}
	l.mu.Lock()
	l.lost += int64(len(batch))
	l.mu.Unlock()
}

// send brings what is in the file to the store, until ctx is done, and once more then. A store that does not take it is left
// alone for a while, and longer each time.
func (l *Log) send(ctx context.Context) {
	wait, pause := time.Duration(0), againFirst
	for ctx.Err() == nil {
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		if ctx.Err() == nil && l.flush(ctx) {
			wait, pause = 0, againFirst
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
			continue
		}
		wait, pause = pause, min(2*pause, againMost)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTime)
	defer cancel()
	l.flush(last)
}

// flush appends all that is in the file; false where the store does not take it.
func (l *Log) flush(ctx context.Context) bool {
	var head Head
	for {
		entries, end, lines, bad, err := l.out.next(atOnce)
		for _, line := range bad {
			l.log.Error("audit: what waits is no entry, and is left out", "line", line)
		}
		if err == nil && len(entries) > 0 {
			limited, cancel := context.WithTimeout(ctx, appendTime)
			head, err = l.store.Append(limited, entries)
			cancel()
		}
		if err == nil && lines > 0 {
			err = l.out.done(end, lines)
		}
		l.told(err, entries)
		if err != nil {
			return false
		}
		if lines == 0 {
			break
		}
	}
	if head.Number > 0 {
		if err := durable.WriteFile(filepath.Join(l.dir, headFile), []byte(head.String()+"\n"), 0o600); err != nil {
			l.log.Error("audit: the head of the chain cannot be noted", "error", err)
		}
	}
	return true
}

// told remembers how an attempt ended and lets go whoever waited for it.
func (l *Log) told(err error, sent []Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if l.failed == nil {
			l.log.Error("audit: the store does not take entries; they wait", "waiting", l.out.waiting(), "error", err)
		}
		release(l.unsent, true)
		l.failed, l.unsent = err, nil
		return
	}
	if l.failed != nil {
		l.log.Info("audit: the store takes entries again")
	}
	l.failed = nil
	in := map[string]bool{}
	for i := range sent {
		in[sent[i].Source] = true
	}
	var left []note
	for _, n := range l.unsent {
		if in[n.Source] {
			n.done <- true
		} else {
			left = append(left, n)
		}
	}
	l.unsent = left
}

// Retain empties the text of entries that are older, and leaves their places in the chain. It returns how many it emptied.
func (l *Log) Retain(ctx context.Context, older time.Time) (int64, error) {
	by := Entry{Time: time.Now(), Node: l.node, Actor: "gatepost", Via: string(access.BySelf), After: older.UTC().Format(time.DateOnly)}
	by.clean()
	return l.store.Erase(ctx, older, by)
}

// Seen is the last entry that this node saw in the store; none before the first.
func (l *Log) Seen() ([]Head, error) {
	text, err := os.ReadFile(filepath.Join(l.dir, headFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h, err := ParseHead(string(text))
	if err != nil {
		return nil, err
	}
	return []Head{h}, nil
}

// Counts is how many entries wait for the store, and how many are in the daemon's own log only.
func (l *Log) Counts() (waiting, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.waiting() + int64(len(l.queue)), l.lost
}

// Health reports whether entries reach the store, and how many wait and were lost.
func (l *Log) Health() (bool, string) {
	waiting, lost := l.Counts()
	l.mu.Lock()
	failed := l.failed
	l.mu.Unlock()
	switch {
	case failed != nil && waiting > 0:
		return false, fmt.Sprintf("%d entries wait, %d are in the daemon's log only: %v", waiting, lost, failed)
	case lost > 0:
		return false, fmt.Sprintf("%d entries are in the daemon's log only, until the next start", lost)
	}
	return true, fmt.Sprintf("%d entries wait", waiting)
}
