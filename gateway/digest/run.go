package digest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	// Send hands a digest to the next hop of its recipient, or to the spool. An error that wraps ErrRefused is not tried again
	// before the next time of day.
	Send func(ctx context.Context, to gateway.Address, mail []byte, utf8 bool) error
	// Sent hears of each digest that was, or could not be, sent; nil for nobody.
	Sent func(to string, messages int, err error)
	Log  *slog.Logger
}

// ErrRefused says that the next hop refuses a digest for good.
var ErrRefused = errors.New("refused")

// Bounds of the work.
const (
	look      = 30 * time.Second // how often the clock is looked at
	again     = 5 * time.Minute  // after what failed
	page      = 1000             // messages asked for at once
	forgetLag = 7 * 24 * time.Hour
)

// Digest sends digests. It is safe for concurrent use.
type Digest struct {
	opts   Options
	mu     sync.Mutex // one round at a time
	failed map[string]time.Time
	count  struct {
		sync.Mutex
		sent, failed, messages uint64
	}
}

// New makes what sends digests.
func New(o Options) *Digest { return &Digest{opts: o, failed: map[string]time.Time{}} }

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

// tick sends what is due. A domain that has a digest for the first time waits for its next time of day.
func (d *Digest) tick(ctx context.Context, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.opts.Settings()
	due := map[string]time.Time{}
	for _, dom := range s.Domains {
		done, err := d.opts.Store.Last(ctx, dom.Name)
		if err != nil {
			return err
		}
		last := latest(dom.At, now, s.Zone)
		switch {
		case done.IsZero():
			if err := d.opts.Store.SetLast(ctx, dom.Name, now); err != nil {
				return err
			}
		case done.Before(last) && !now.Before(d.failed[dom.Name].Add(again)):
			due[dom.Name] = last
		}
	}
	if len(due) == 0 {
		return nil
	}
	_, failed, err := d.round(ctx, s, now, func(domain string) bool { return !due[domain].IsZero() }, "", true)
	for name, last := range due {
		if err != nil || failed[name] {
			d.failed[name] = now
			continue
		}
		delete(d.failed, name)
		if err := d.opts.Store.SetLast(ctx, name, last); err != nil {
			return err
		}
	}
	if s.Keep > 0 {
		err = errors.Join(err, d.opts.Store.Expire(ctx, now.Add(-s.Keep-forgetLag), now))
	}
	return err
}

// Told is what a recipient is told of, or would be.
type Told struct {
	Rcpt     string           `json:"rcpt"`
	Messages int              `json:"messages"`
	Rows     []quarantine.Row `json:"-"`
	Error    string           `json:"error,omitempty"`
	Text     string           `json:"text,omitempty"` // without links, which are the recipient's
}

// Now tells what would be sent now, whatever the time of day, and sends it where send says so. Only recipients of domains that have a
// digest are told; rcpt picks one.
func (d *Digest) Now(ctx context.Context, rcpt string, send bool) ([]Told, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out, _, err := d.round(ctx, d.opts.Settings(), time.Now(), func(domain string) bool { return domain != "" }, rcpt, send)
	return out, err
}

// box is what is new for a recipient.
type box struct {
	to     gateway.Address
	domain string
	rows   []quarantine.Row // the newest, Most at most
	ids    []gateway.ID
}

func (d *Digest) round(ctx context.Context, s *Settings, now time.Time, want func(domain string) bool, rcpt string, send bool) (out []Told, failed map[string]bool, err error) {
	boxes, err := d.collect(ctx, s, want, rcpt)
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, 0, len(boxes))
	for name := range boxes {
		names = append(names, name)
	}
	slices.Sort(names)
	failed = map[string]bool{}
	for _, name := range names {
		if ctx.Err() != nil {
			return out, failed, context.Cause(ctx)
		}
		b := boxes[name]
		t := Told{Rcpt: b.to.Text, Messages: len(b.ids), Rows: b.rows, Text: d.mail(s, b, now, false).plain(wordsOf(s.Language))}
		if send {
			err := d.send(ctx, s, name, b, now)
			if err != nil {
				t.Error = gateway.CleanText(err.Error(), 300)
				failed[b.domain] = failed[b.domain] || !errors.Is(err, ErrRefused)
			}
			d.note(&t, err)
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
func (d *Digest) send(ctx context.Context, s *Settings, name string, b *box, now time.Time) error {
	text, utf8 := d.mail(s, b, now, true).Make()
	if err := d.opts.Send(ctx, b.to, text, utf8); err != nil {
		return err
	}
	if err := d.opts.Store.Tell(context.WithoutCancel(ctx), name, b.ids); err != nil {
		return fmt.Errorf("it was sent, and that could not be noted, so that it is sent again: %w", err)
	}
	return nil
}

func (d *Digest) mail(s *Settings, b *box, now time.Time, links bool) *Mail {
	m := &Mail{Host: d.opts.Host, From: "postmaster@" + b.to.Domain, To: b.to.Text, Language: s.Language, Date: now, Zone: s.Zone, Rows: b.rows,
		More: len(b.ids) - len(b.rows), Until: now.Add(s.Valid)}
	switch {
	case s.Portal == "":
	case !links:
		m.Link = func(gateway.ID) string { return "(link)" }
	default:
		m.Link = func(id gateway.ID) string {
			return s.Portal + "/release/" + Make(d.opts.Key, &Token{ID: id, Rcpt: b.to.Text, Action: Release, Expires: m.Until})
		}
	}
	return m
}

// collect finds what each recipient was not told of.
func (d *Digest) collect(ctx context.Context, s *Settings, want func(domain string) bool, rcpt string) (map[string]*box, error) {
	boxes := map[string]*box{}
	visible := quarantine.Visible
	f := &quarantine.Filter{State: &visible, Rcpt: rcpt, Limit: page}
	for {
		rows, err := d.opts.Kept.Find(ctx, f)
		if err != nil {
			return nil, err
		}
		if err := d.sort(ctx, s, want, rcpt, rows, boxes); err != nil {
			return nil, err
		}
		if len(rows) < page {
			break
		}
		f.Before = rows[len(rows)-1].ID
	}
	return boxes, nil
}

// sort puts a page of messages into the boxes of those who were not told of them.
func (d *Digest) sort(ctx context.Context, s *Settings, want func(string) bool, rcpt string, rows []quarantine.Row, boxes map[string]*box) error {
	places, texts := map[string][]int{}, map[string]string{}
	for i := range rows {
		for j := range rows[i].Rcpts {
			to := &rows[i].Rcpts[j]
			name := strings.ToLower(to.Address)
			if to.State != quarantine.Visible || rows[i].Damaged != "" || rcpt != "" && !strings.EqualFold(rcpt, to.Address) {
				continue
			}
			if at := places[name]; len(at) == 0 || at[len(at)-1] != i {
				places[name], texts[name] = append(at, i), to.Address
			}
		}
	}
	for name, at := range places {
		b := boxes[name]
		if b == nil {
			to, err := d.opts.Address(texts[name])
			if err != nil {
				continue // nobody can be written to there
			}
			if b = (&box{to: to, domain: s.DomainOf(to)}); !want(b.domain) {
				continue
			}
		}
		ids := make([]gateway.ID, len(at))
		for k, i := range at {
			ids[k] = rows[i].ID
		}
		told, err := d.opts.Store.Told(ctx, name, ids)
		if err != nil {
			return err
		}
		for k, i := range at {
			if told[ids[k]] {
				continue
			}
			boxes[name] = b
			if b.ids = append(b.ids, ids[k]); len(b.rows) < Most {
				b.rows = append(b.rows, rows[i])
			}
		}
	}
	return nil
}
