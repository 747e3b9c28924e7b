package reports

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
	"gatepost/internal/dmarcreport"
	"gatepost/tls/tlsrpt"
)

// Settings are what the operator wants. They are not changed once they are set.
type Settings struct {
	From      string // the address that reports come from
	Org       string // who reports
	Contact   string // more about that; "" for none
	Receiver  string // our host name
	Generator string // program and version
	Format    dmarcreport.Format
	Window    time.Duration // over which the sending is spread, from startAfter past midnight UTC on
	MaxSize   int64         // octets of one mail
	Via       string        // the way out, for people and for what is remembered of destinations
	Hop       NextHop
	Route     string                            // its route
	Sign      func(mail []byte) ([]byte, error) // nil: mail is not signed
	Web       Web                               // how reports go by https; nil: not at all
}

// NextHop is how mail goes out, as gateway.NextHop.
type NextHop interface {
	Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed
}

// Options of Reports.
type Options struct {
	// Open opens the store. It is called when reports are switched on, and again after a while when it fails.
	Open     func(ctx context.Context) (Store, error)
	Resolver dmarcreport.Resolver
	IDs      *gateway.IDs
	Log      *slog.Logger // nil: none
	Queue    int          // events that may wait for being counted; 0: 4096
}

// Reports counts and sends. Its methods are safe for concurrent use. The zero settings are none: it is off.
type Reports struct {
	o        Options
	kind     kind
	settings atomic.Pointer[Settings]
	kept     atomic.Pointer[Store] // nil before it is open
	queue    chan seen
	changed  chan struct{} // tells Run that the settings did

	lost, counted     atomic.Int64 // messages or sessions
	sent, undelivered atomic.Int64 // mails and posts
	lastLoss          atomic.Int64 // Unix seconds

	mu      sync.Mutex
	trouble [2]string // by part; "" for none
}

// seen is what waits for being counted, as its kind knows it, and when it came.
type seen struct {
	what any
	at   time.Time
}

// New returns DMARC reports that are off.
func New(o Options) *Reports { return newReports(o, dmarcKind{}) }

// NewTLS returns TLS reports that are off.
func NewTLS(o Options) *Reports { return newReports(o, tlsKind{}) }

func newReports(o Options, k kind) *Reports {
	if o.Queue <= 0 {
		o.Queue = 4096
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Reports{o: o, kind: k, queue: make(chan seen, o.Queue), changed: make(chan struct{}, 1)}
}

// Set puts settings in force; nil switches reports off. What was counted waits, and is sent or forgotten with its age.
func (r *Reports) Set(s *Settings) {
	r.settings.Store(s)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Take takes an event that the journal has, for DMARC reports. It never waits, and does not change it.
func (r *Reports) Take(e *gateway.Event) {
	if r.settings.Load() != nil && wanted(e) {
		r.take(seen{e, time.Now()})
	}
}

// TakeSession takes how one connection came out, for TLS reports: Count of them that were alike. It never waits.
func (r *Reports) TakeSession(at time.Time, l *tlsrpt.Line) {
	if r.settings.Load() != nil {
		r.take(seen{l, at})
	}
}

func (r *Reports) take(s seen) {
	select {
	case r.queue <- s:
	default:
		r.lose(1)
	}
}

func (r *Reports) lose(n int64) {
	r.lost.Add(n)
	r.lastLoss.Store(time.Now().Unix())
}

const (
	openTime  = 30 * time.Second
	openAgain = time.Minute
)

// Run opens the store once reports are on, counts and sends until ctx is done, keeps what was counted, and closes the store.
func (r *Reports) Run(ctx context.Context) {
	store := r.open(ctx)
	if store == nil {
		return
	}
	r.kept.Store(&store)
	var collecting sync.WaitGroup
	collecting.Go(func() { r.collect(ctx) })
	r.send(ctx)
	collecting.Wait()
	if err := store.Close(); err != nil {
		r.o.Log.Error(r.kind.name()+" reports: store", "error", err)
	}
}

// open waits until reports are on and the store is open, or returns nil when ctx is done.
func (r *Reports) open(ctx context.Context) Store {
	for {
		var again <-chan time.Time
		if r.settings.Load() != nil {
			opening, cancel := context.WithTimeout(ctx, openTime)
			store, err := r.o.Open(opening)
			cancel()
			if err == nil {
				r.tell(counting, "")
				return store
			}
			r.tell(counting, "store: "+err.Error())
			again = time.After(openAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.changed:
		case <-again:
		}
	}
}

// store is what was opened.
func (r *Reports) store() Store { return *r.kept.Load() }

// Stats are counts since the start.
type Stats struct {
	Counted, Lost     int64 // messages or sessions
	Sent, Undelivered int64 // mails and posts that were taken, and that are given up
}

// Stats returns them.
func (r *Reports) Stats() Stats {
	return Stats{r.counted.Load(), r.lost.Load(), r.sent.Load(), r.undelivered.Load()}
}

// Health reports whether reports are counted and sent, and what is wrong. To be off is to be well.
func (r *Reports) Health() (bool, string) {
	if r.settings.Load() == nil {
		return true, "off"
	}
	if time.Now().Unix()-r.lastLoss.Load() < 60 {
		return false, r.kind.counts() + " found no room to be counted"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	trouble := cmp.Or(r.trouble[:]...)
	return trouble == "", trouble
}

// part is what may be in trouble of its own.
type part int

const (
	counting part = iota
	sending
)

// tell keeps what is wrong with a part, "" for nothing, and logs it once.
func (r *Reports) tell(p part, trouble string) {
	r.mu.Lock()
	before := r.trouble[p]
	r.trouble[p] = trouble
	r.mu.Unlock()
	stopped, again := r.kind.name()+" reports: nothing is counted", r.kind.name()+" reports: "+r.kind.counts()+" are counted again"
	if p == sending {
		stopped, again = r.kind.name()+" reports: nothing is sent", r.kind.name()+" reports: they are sent again"
	}
	switch {
	case trouble != "" && trouble != before:
		r.o.Log.Warn(stopped, "why", trouble)
	case trouble == "" && before != "":
		r.o.Log.Info(again)
	}
}
