package directory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a directory is.
type Options struct {
	Name   string
	Kind   string // for people: "file", "csv", "ldap"
	Source Source
	// Copy is the file that what was read last is kept in; "" for none.
	Copy string
	// Every is how often the source is looked at: read where it cannot tell whether it changed; 0: 30 seconds.
	Every time.Duration
	// Timeout bounds one reading; 0: 10 minutes.
	Timeout time.Duration
	// AllowEmpty takes a source without a single address for what it says.
	AllowEmpty bool
	// Lenient leaves out what is no address, counted, where a source has values that nobody wrote as an address.
	Lenient bool
	// Tell is told what became of it, in words for a log; nil: nobody.
	Tell func(Event)
}

const (
	defaultEvery   = 30 * time.Second
	defaultTimeout = 10 * time.Minute
	mostAgain      = 5 * time.Minute // between tries after a failure
	leastAgain     = 15 * time.Second
)

// Event is one thing that happened to a directory.
type Event struct {
	Directory string
	What      string // "read", "failed" or "held back"
	Addresses int    // that are in force now
	Err       error  // why not
}

// Why what was read is not taken.
var (
	errEmpty  = errors.New("it has no address at all, which allow_empty would allow")
	errShrank = errors.New("less than half of the addresses are left")
)

// Status is how a directory is.
type Status struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Ready     bool      `json:"ready"` // it was ever read
	Addresses int       `json:"addresses"`
	Read      time.Time `json:"read,omitzero"`       // when what is in force was last seen at its source
	FromCopy  bool      `json:"from_copy,omitempty"` // the source was not read since the start
	Tried     time.Time `json:"tried,omitzero"`
	Error     string    `json:"error,omitempty"` // of the last try
	Held      int       `json:"held,omitempty"`  // addresses of a reading that is held back
	HeldBack  bool      `json:"held_back,omitempty"`
	Told      string    `json:"told,omitempty"` // what the source said of the last good reading
}

// OK reports whether what is in force is what the source says.
func (s *Status) OK() bool { return s.Ready && s.Error == "" && !s.HeldBack }

// content is what is in force.
type content struct {
	set  *set
	read time.Time
}

// Directory is a list that is kept up to date while Run runs. It is safe for concurrent use.
type Directory struct {
	o   Options
	now atomic.Pointer[content] // nil while it was never read

	reading sync.Mutex // one reading at a time

	mu      sync.Mutex
	status  Status
	changed string // state of the source that was read last, good or not
}

// New makes a directory of which nothing is read yet.
func New(o Options) *Directory {
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Tell == nil {
		o.Tell = func(Event) {}
	}
	return &Directory{o: o, status: Status{Name: o.Name, Kind: o.Kind}}
}

// Name is what the configuration calls it.
func (d *Directory) Name() string { return d.o.Name }

// Has reports whether an address is in it. ready is false while it was never read: then nothing is known. age is how long
// ago its source was seen like this.
func (d *Directory) Has(local, domain string) (found, ready bool, age time.Duration) {
	c := d.now.Load()
	if c == nil {
		return false, false, 0
	}
	return c.set.has(lookup(local, domain)), true, time.Since(c.read)
}

// Status returns how it is.
func (d *Directory) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// Load takes over the copy, where there is one and nothing is known yet. A copy that is damaged is as none, and an error.
func (d *Directory) Load() error {
	if d.o.Copy == "" || d.now.Load() != nil {
		return nil
	}
	s, at, err := readCopy(d.o.Copy)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		if err := os.Rename(d.o.Copy, d.o.Copy+".damaged"); err != nil {
			return err
		}
		return fmt.Errorf("%w and set aside; the source is read anew", err)
	}
	if time.Until(at) > 0 { // the clock was ahead
		at = time.Now()
	}
	d.now.Store(&content{s, at})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Ready, d.status.FromCopy, d.status.Addresses, d.status.Read = true, true, len(s.hashes), at
	return nil
}

// Sync reads the source and puts it in force where it is good. force takes what would be held back: a source that lost
// more than half of its addresses.
func (d *Directory) Sync(ctx context.Context, force bool) error {
	d.reading.Lock()
	defer d.reading.Unlock()
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	state := d.o.Source.Changed()
	next, told, err := d.read(ctx)
	if err != nil && whole.Err() != nil { // nobody wants it any more, which says nothing of the source
		return fmt.Errorf("directory %s: %w", d.o.Name, whole.Err())
	}
	now := time.Now()
	e := Event{Directory: d.o.Name, What: "read"}
	before := d.now.Load()
	switch {
	case err != nil:
	case len(next.hashes) == 0 && !d.o.AllowEmpty:
		err = errEmpty
	case before != nil && !force && 2*len(next.hashes) < len(before.set.hashes):
		e.What, e.Err = "held back", errShrank
	}
	if err == nil && e.Err == nil {
		if d.o.Copy != "" {
			err = writeCopy(d.o.Copy, next, now)
		}
		if err == nil {
			d.now.Store(&content{next, now})
		}
	}
	if err != nil {
		e.What, e.Err = "failed", err
	}
	d.note(&e, state, told, next, now)
	if e.Err != nil {
		return fmt.Errorf("directory %s: %w", d.o.Name, e.Err)
	}
	return nil
}

// note keeps and tells how a reading went, where it is news.
func (d *Directory) note(e *Event, state, told string, next *set, now time.Time) {
	d.mu.Lock()
	was := d.status
	s := &d.status
	s.Tried, s.Error, s.HeldBack, s.Held = now, "", false, 0
	d.changed = state
	switch e.What {
	case "read":
		s.Ready, s.FromCopy, s.Addresses, s.Read, s.Told = true, false, len(next.hashes), now, told
	case "held back":
		s.HeldBack, s.Held = true, len(next.hashes)
		e.Err = fmt.Errorf("%w: %d of %d; what was read before stays in force until gatepost recipients sync %s --force", errShrank, s.Held, s.Addresses, d.o.Name)
		s.Error = e.Err.Error()
	default:
		s.Error = e.Err.Error()
	}
	e.Addresses = s.Addresses
	news := s.Error != was.Error || e.What == "read" && s.Addresses != was.Addresses
	d.mu.Unlock()
	if news {
		d.o.Tell(*e)
	}
}

// read makes a set of what the source has.
func (d *Directory) read(ctx context.Context) (*set, string, error) {
	next, junk := newSet(), 0
	told, err := d.o.Source.Read(ctx, func(address string) error {
		key, err := Key(address)
		if err != nil {
			if d.o.Lenient {
				junk++
				return nil
			}
			return fmt.Errorf("%s %w", shown(address), err)
		}
		return next.add(key)
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, "", err
	}
	next.done()
	if junk > 0 {
		told = fmt.Sprintf("%d values that are no addresses; ", junk) + told
	}
	return next, told, nil
}

// Run keeps it up to date until ctx is done.
func (d *Directory) Run(ctx context.Context) {
	again := leastAgain
	for {
		wait := d.o.Every
		if d.due() {
			if err := d.Sync(ctx, false); err == nil {
				again = leastAgain
			} else if d.o.Source.Changed() == "" { // an away server: not so long as all is well
				wait = min(again, d.o.Every)
				again = min(2*again, mostAgain)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// due reports whether the source is to be read: at the start, when it has changed, and each time where it cannot tell. One
// that is kept over a reload of the policy is not read before its time.
func (d *Directory) due() bool {
	state := d.o.Source.Changed()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status.Tried.IsZero() || state != "" && state != d.changed {
		return true
	}
	if c := d.now.Load(); c != nil && state != "" && d.status.Error == "" { // looked at, and still the same
		d.status.Read = time.Now()
		d.now.Store(&content{c.set, d.status.Read})
	}
	return state == "" && (d.status.Error != "" || time.Since(d.status.Tried) >= d.o.Every)
}

// lookup is Key of an address that was parsed already.
func lookup(local, domain string) string { return strings.ToLower(local) + "@" + domain }

// shown quotes a text of a source for a message, on one line and not too long.
func shown(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strconv.Quote(text)
}
