package digest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

// Store remembers what was told, over restarts. What it returned nil for survives a power cut. Recipients are in lower case.
type Store interface {
	// Told says which of some messages a recipient was told of.
	Told(ctx context.Context, rcpt string, ids []gateway.ID) (map[gateway.ID]bool, error)
	// Tell notes that he was told of them.
	Tell(ctx context.Context, rcpt string, ids []gateway.ID) error
	// Last is the time of day, as an instant, up to which the digests of a domain went out; zero where there was none.
	Last(ctx context.Context, domain string) (time.Time, error)
	// SetLast notes it.
	SetLast(ctx context.Context, domain string, at time.Time) error
	// Expire forgets messages that arrived before a time, and tokens that ended before now.
	Expire(ctx context.Context, arrived, now time.Time) error
}

// Kept finds messages; quarantine.Vault does.
type Kept interface {
	Find(ctx context.Context, f *quarantine.Filter) ([]quarantine.Row, error)
}

// Clock is a time of day in minutes, of the local zone.
type Clock int

// Domain is when digests of a domain go out.
type Domain struct {
	Name string
	At   []Clock
}

// Settings are what policy says.
type Settings struct {
	Domains []Domain // those that have a digest
	// DomainOf names which of Domains an address belongs to; "" for none.
	DomainOf func(a gateway.Address) string
	Language string
	Portal   string        // what links begin with, without / at its end; "": there are none
	Valid    time.Duration // of links
	Keep     time.Duration // the longest that mail is kept
	Zone     *time.Location
}

// Options are what a Digest needs. All must be set but Told.
type Options struct {
	Kept     Kept
	Store    Store
	Key      []byte // of tokens, KeySize octets
	Host     string
	Settings func() *Settings
	Address  func(text string) (gateway.Address, error)
	// Send hands a digest to the next hop of its recipient, or to the spool. After an error that wraps ErrRefused it is not tried
	// again before the next time of day; after ErrAway nobody of the domain is tried for a while.
	Send func(ctx context.Context, to gateway.Address, mail []byte, utf8 bool) error
	// Sent hears of each digest that was, or could not be, sent; nil for nobody.
	Sent func(to string, messages int, err error)
	Log  *slog.Logger
}

// Why a digest did not go out.
var (
	ErrRefused = errors.New("refused")              // by the next hop, for good
	ErrAway    = errors.New("the next hop is away") // for all of the domain
)

// Bounds of the work.
const (
	look      = 30 * time.Second // how often the clock is looked at
	again     = 5 * time.Minute  // after what failed; twice as long after each further time
	slowest   = 2 * time.Hour    // but no longer
	page      = 1000             // messages asked for at once
	forgetLag = 7 * 24 * time.Hour
	ahead     = time.Hour // a digest that went out later than this from now was sent by a wrong clock
)

// Digest sends digests. It is safe for concurrent use.
type Digest struct {
	opts  Options
	mu    sync.Mutex // one round at a time
	tries map[string]*try
	count struct {
		sync.Mutex
		sent, failed, messages uint64
	}
}

// try is what is left of a time of day at which some of a domain could not be told.
type try struct {
	due   time.Time       // the time of day
	left  map[string]bool // whom to try again; nil: all
	next  time.Time       // when
	delay time.Duration
}

// New makes what sends digests.
func New(o Options) *Digest { return &Digest{opts: o, tries: map[string]*try{}} }

// Stats are what was done since the start.
type Stats struct{ Sent, Failed, Messages uint64 }

// Stats returns them.
func (d *Digest) Stats() Stats {
	d.count.Lock()
	defer d.count.Unlock()
	return Stats{d.count.sent, d.count.failed, d.count.messages}
}

// Run sends digests at their times until the context is done.
func (d *Digest) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if err := d.tick(ctx, time.Now()); err != nil && ctx.Err() == nil {
			d.opts.Log.Warn("digest", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// latest is the last of some times of day that is not after now; zero for none.
func latest(at []Clock, now time.Time, zone *time.Location) (last time.Time) {
	if zone == nil {
		zone = time.UTC
	}
	y, m, day := now.In(zone).Date()
	for back := range 2 {
		for _, c := range at {
			if t := time.Date(y, m, day-back, int(c)/60, int(c)%60, 0, 0, zone); !t.After(now) && t.After(last) {
				last = t
			}
		}
	}
	return last
}

// due are the domains whose time has come, or comes again for those whom it failed for. A domain that has a digest for the first
// time waits for its next time of day.
func (d *Digest) due(ctx context.Context, s *Settings, now time.Time) (map[string]*try, error) {
	out := map[string]*try{}
	for _, dom := range s.Domains {
		done, err := d.opts.Store.Last(ctx, dom.Name)
		if err != nil {
			return nil, err
		}
		if done.IsZero() || done.After(now.Add(ahead)) {
			if err := d.opts.Store.SetLast(ctx, dom.Name, now); err != nil {
				return nil, err
			}
			continue
		}
		last := latest(dom.At, now, s.Zone)
		if !done.Before(last) {
			delete(d.tries, dom.Name)
			continue
		}
		t := d.tries[dom.Name]
		if t == nil || t.due.Before(last) {
			t = &try{due: last, next: now, delay: again}
			d.tries[dom.Name] = t
		}
		if !now.Before(t.next) {
			out[dom.Name] = t
		}
	}
	return out, nil
}

// tick sends what is due. Where some of a domain cannot be told now, those are tried again, and the others not before the next time
// of day: a full mailbox makes no digest of a day one of minutes. That the time of day is over is noted when all were told, so that
// a restart before begins it anew.
func (d *Digest) tick(ctx context.Context, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.opts.Settings()
	due, err := d.due(ctx, s, now)
	if err != nil || len(due) == 0 {
		return err
	}
	_, failed, err := d.round(ctx, s, now, func(domain, rcpt string) bool {
		t := due[domain]
		return t != nil && (t.left == nil || t.left[rcpt])
	}, "", true)
	for name, t := range due {
		if err == nil && len(failed[name]) == 0 {
			delete(d.tries, name)
			if err := d.opts.Store.SetLast(ctx, name, t.due); err != nil {
				return err
			}
			continue
		}
		if err == nil {
			t.left = failed[name]
		}
		t.next, t.delay = now.Add(t.delay), min(2*t.delay, slowest)
	}
	if s.Keep > 0 {
		err = errors.Join(err, d.opts.Store.Expire(ctx, now.Add(-s.Keep-forgetLag), now))
	}
	return err
}

// Told is what a recipient is told of, or would be.
type Told struct {
	Rcpt     string `json:"rcpt"`
	Messages int    `json:"messages"`
	Error    string `json:"error,omitempty"`
	Text     string `json:"text,omitempty"` // where one recipient was picked; without links, which are his
}

// Now tells what would be sent now, whatever the time of day, and sends it where send says so. Only recipients of domains that have a
// digest are told; rcpt picks one.
func (d *Digest) Now(ctx context.Context, rcpt string, send bool) ([]Told, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out, _, err := d.round(ctx, d.opts.Settings(), time.Now(), func(domain, _ string) bool { return domain != "" }, rcpt, send)
	return out, err
}

// round tells those whom want picks, and returns by domain who could not be told and is to be tried again.
func (d *Digest) round(ctx context.Context, s *Settings, now time.Time, want func(domain, rcpt string) bool, rcpt string, send bool) (out []Told, failed map[string]map[string]bool, err error) {
	boxes, err := d.collect(ctx, s, want, rcpt)
	if err != nil {
		return nil, nil, err
	}
	failed = map[string]map[string]bool{}
	away := map[string]error{}
	for _, name := range slices.Sorted(maps.Keys(boxes)) {
		if ctx.Err() != nil {
			return out, failed, context.Cause(ctx)
		}
		b := boxes[name]
		rows, err := d.rows(ctx, name, b)
		if err != nil {
			return out, failed, err
		}
		if len(rows) == 0 {
			continue // they were released or deleted meanwhile
		}
		t := Told{Rcpt: b.to.Text, Messages: len(b.ids)}
		if rcpt != "" {
			t.Text = d.mail(s, b, rows, now, false).plain(wordsOf(s.Language))
		}
		if send {
			err := away[b.domain]
			if err == nil {
				err = d.send(ctx, s, name, b, rows, now)
				d.note(&t, err)
			}
			if err != nil {
				t.Error = gateway.CleanText(err.Error(), 300)
				if !errors.Is(err, ErrRefused) {
					if failed[b.domain] == nil {
						failed[b.domain] = map[string]bool{}
					}
					failed[b.domain][name] = true
				}
				if errors.Is(err, ErrAway) {
					away[b.domain] = err // each further one would wait as long for nothing
				}
			}
		}
		out = append(out, t)
	}
	return out, failed, nil
}

func (d *Digest) note(t *Told, err error) {
	d.count.Lock()
	if err != nil {
		d.count.failed++
	} else {
		d.count.sent++
		d.count.messages += uint64(t.Messages)
	}
	d.count.Unlock()
	if d.opts.Sent != nil {
		d.opts.Sent(t.Rcpt, t.Messages, err)
	}
}

// send hands a digest on, and then notes what it told.
func (d *Digest) send(ctx context.Context, s *Settings, name string, b *box, rows []quarantine.Row, now time.Time) error {
	text, utf8 := d.mail(s, b, rows, now, true).Make()
	if err := d.opts.Send(ctx, b.to, text, utf8); err != nil {
		return err
	}
	if err := d.opts.Store.Tell(context.WithoutCancel(ctx), name, b.ids); err != nil {
		return fmt.Errorf("it was sent, and that could not be noted, so that it is sent again: %w", err)
	}
	return nil
}
