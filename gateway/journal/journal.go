package journal

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
)

// Store keeps events so that they can be searched. Its methods never wait: they report whether there was room.
type Store interface {
	Write(e *gateway.Event) bool
	// Early takes a count for a network, a reason and a minute; a prefix that is not valid stands for all others.
	Early(minute time.Time, network netip.Prefix, reason gateway.Reason, n int) bool
	// Fate takes what became of a message in the spool, to be found beside its event.
	Fate(f *gateway.Fate) bool
}

// Options of a Journal; all may be left out.
type Options struct {
	Sinks []Sink // where lines go
	Store Store  // nil: none
	Queue int    // events that may wait; 0: DefaultQueue
}

// DefaultQueue is how many events wait for being told.
const DefaultQueue = 16384

// gather is how long after an event those that follow are told with it: to wake a goroutine, and to call the kernel, costs
// as much as an event.
const gather = 5 * time.Millisecond

// queueOctets bounds the memory of events that wait, roughly: a message of a thousand recipients is no message of one.
const queueOctets = 64 << 20

// quietTime is how long after the last loss the alarm is over.
const quietTime = time.Minute

// Journal implements gateway.Journal. Its methods are safe for concurrent use.
type Journal struct {
	o       Options
	metrics *Metrics
	health  *Health
	early   tally
	lines   lineMaker // of the goroutine
	wake    chan struct{}
	mu      sync.Mutex
	queue   []*gateway.Event // under mu, as are those below
	taken   int64            // events that were, since the start; of these all but waiting are told
	waiting int              // events that are not told yet, those at hand among them
	held    int64            // octets of them, roughly
	closed  bool             // nothing is taken behind the back of the last write
	stop    chan struct{}
	done    chan struct{}

	lost     atomic.Int64     // events and lines that found no room anywhere
	lastLoss atomic.Int64     // Unix nanoseconds
	spare    []*gateway.Event // of the goroutine: the queue's other memory
	alarmed  bool             // of the goroutine
	reported []int64          // of the goroutine: what each sink had lost at the last look
}

var _ gateway.Journal = (*Journal)(nil)

// New starts a Journal. Its part "journal" is watched in Health, and never makes the gateway unready: mail does not wait
// for the log.
func New(o Options) *Journal {
	if o.Queue <= 0 {
		o.Queue = DefaultQueue
	}
	j := &Journal{o: o, metrics: newMetrics(), wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	j.health = newHealth(j.metrics)
	j.health.Watch("journal", j.state)
	j.metrics.Gauge("journal_queue", "Events that wait for being told.", func() float64 { return float64(j.queued()) })
	go j.run()
	return j
}

// Metrics returns the metrics of this journal, to which others may add.
func (j *Journal) Metrics() *Metrics { return j.metrics }

// Health returns the list of parts that tell how they are.
func (j *Journal) Health() *Health { return j.health }

// Write takes an event. It never waits. When there is no room, the event is counted and its line is still tried.
func (j *Journal) Write(e *gateway.Event) {
	if e == nil || e.Record == nil {
		return
	}
	j.metrics.observe(e)
	w := weigh(e)
	j.mu.Lock()
	room := !j.closed && j.waiting < j.o.Queue && j.held+w <= queueOctets
	if room {
		j.waiting++
		j.taken++
		j.held += w
		if j.queue = append(j.queue, e); len(j.queue) == 1 {
			select {
			case j.wake <- struct{}{}:
			default:
			}
		}
	}
	j.mu.Unlock()
	if !room {
		j.lose("queue")
		j.tell(newLine(e))
	}
}

// settleLook is how often Settle looks.
const settleLook = 2 * time.Millisecond

// Settle waits until every event that was written before it was called has been told, or ctx is done.
func (j *Journal) Settle(ctx context.Context) error {
	j.mu.Lock()
	upTo := j.taken
	j.mu.Unlock()
	for {
		j.mu.Lock()
		told := j.taken - int64(j.waiting)
		j.mu.Unlock()
		if told >= upTo {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleLook):
		}
	}
}

// queued is how many events are not told yet.
func (j *Journal) queued() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.waiting
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

// Early counts a connection that was refused before the banner.
func (j *Journal) Early(client netip.Addr, reason gateway.Reason) {
	j.metrics.refused(reason)
	j.early.add(time.Now(), client, reason)
}

// Daemon tells what the daemon did; a verb that is not of the list reads as a note.
func (j *Journal) Daemon(verb Verb, attrs ...slog.Attr) {
	verb = verb.known()
	j.tell(daemonLine(time.Now(), verb, verb.severity(), attrs))
}

// tell gives a line to each sink.
func (j *Journal) tell(l *Line) {
	j.metrics.lines.WithLabelValues(string(l.Verb)).Inc()
	for _, s := range j.o.Sinks {
		if !s.Send(l) {
			j.lose(s.Name())
		}
	}
}

func (j *Journal) lose(where string) { j.loseMany(where, 1) }

func (j *Journal) loseMany(where string, n int64) {
	j.metrics.dropped.WithLabelValues(j.metrics.bound("sink", where)).Add(float64(n))
	j.lost.Add(n)
	j.lastLoss.Store(time.Now().UnixNano())
}

// state is the part "journal": not well for a minute after a loss.
func (j *Journal) state() (bool, string) {
	n := j.lost.Load()
	if n == 0 {
		return true, "nothing lost"
	}
	if since := time.Since(time.Unix(0, j.lastLoss.Load())); since < quietTime {
		return false, countText(n) + " found no room"
	}
	return true, countText(n) + " found no room earlier"
}

// run tells events until the end, and once a minute what was refused early.
func (j *Journal) run() {
	defer close(j.done)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	flushed := time.Now().Unix() / 60
	for {
		select {
		case <-j.wake:
			select {
			case <-time.After(gather):
			case <-j.stop:
			}
			j.keep()
		case now := <-second.C:
			if m := now.Unix() / 60; m != flushed { // a clock that jumps back flushes as well
				flushed = m
				j.flush(m)
			}
			j.sinkLosses()
			j.alarm()
		case <-j.stop:
			j.keep()
			j.flush(1 << 62)
			return
		}
	}
}

// keep tells all events that wait.
func (j *Journal) keep() {
	j.mu.Lock()
	events := j.queue
	j.queue = j.spare[:0]
	j.mu.Unlock()
	for _, e := range events {
		w := weigh(e)
		j.tell(j.lines.line(e))
		if j.o.Store != nil && !j.o.Store.Write(e) {
			j.lose("store")
		}
		j.mu.Lock()
		j.waiting--
		j.held -= w
		j.mu.Unlock()
	}
	clear(events)
	j.spare = events
}

// flush tells what was refused early, up to but without a minute.
func (j *Journal) flush(before int64) {
	groups := groupEarly(j.early.take(before))
	for _, l := range earlyLines(groups) {
		j.tell(l)
	}
	if j.o.Store == nil {
		return
	}
	for _, g := range groups {
		for _, c := range g.kept() {
			if !j.o.Store.Early(time.Unix(g.minute*60, 0), c.network, g.reason, c.n) {
				j.lose("store")
			}
		}
	}
}

// sinkLosses counts what sinks took and could not hand on since the last look.
func (j *Journal) sinkLosses() {
	if j.reported == nil {
		j.reported = make([]int64, len(j.o.Sinks))
	}
	for i, s := range j.o.Sinks {
		if l, ok := s.(interface{ Lost() int64 }); ok {
			if n := l.Lost(); n > j.reported[i] {
				j.loseMany(s.Name(), n-j.reported[i])
				j.reported[i] = n
			}
		}
	}
}

// alarm tells once when events begin to be lost, and once when that is over.
func (j *Journal) alarm() {
	ok, detail := j.state()
	if ok == !j.alarmed {
		return
	}
	j.alarmed = !ok
	verb := Alarm
	if ok {
		verb = AlarmOver
	}
	j.Daemon(verb, slog.String("part", "journal"), slog.String("detail", detail))
}

// Close tells what waits and closes the sinks, all within the time of ctx. The store is its owner's to close, afterwards.
func (j *Journal) Close(ctx context.Context) error {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		close(j.stop)
	}
	j.mu.Unlock()
	var errs []error
	select {
	case <-j.done:
	case <-ctx.Done():
		errs = append(errs, ctx.Err())
	}
	for _, s := range j.o.Sinks {
		if err := s.Close(ctx); err != nil {
			errs = append(errs, errors.New("journal: "+s.Name()+": "+err.Error()))
		}
	}
	return errors.Join(errs...)
}

func countText(n int64) string {
	if n == 1 {
		return "1 event or line"
	}
	return strconv.FormatInt(n, 10) + " events or lines"
}
