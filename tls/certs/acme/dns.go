package acme

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gatepost/internal/durable"
)

// Zones is where dns-01 writes: a name server that takes updates.
type Zones interface {
	// Owner is where a name leads by CNAMEs; itself where there are none.
	Owner(ctx context.Context, name string) (string, error)
	// AddTXT makes a record beside others of a name, RemoveTXT removes exactly this one; that there is none is no error.
	AddTXT(ctx context.Context, owner, text string) error
	RemoveTXT(ctx context.Context, owner, text string) error
	// AwaitTXT returns when whoever asks finds the record.
	AwaitTXT(ctx context.Context, owner, text string) error
}

// DNS answers dns-01 (RFC 8555 section 8.4). What it has made is kept in a file until it is removed, so that a crash leaves
// nothing behind for good.
type DNS struct {
	Zones Zones
	File  string // in state_dir/certs
	Log   *slog.Logger

	mu   sync.Mutex
	made []record // nil until the file was read
	read bool
}

// record is a record that was made, or may have been.
type record struct {
	Name  string `json:"name"`
	Owner string `json:"owner"`
	Text  string `json:"text"`
	busy  bool   // its challenge is not over
}

// mostRecords bounds what is kept: a name server that takes records and does not let them go.
const mostRecords = 1000

// Type is "dns-01".
func (*DNS) Type() string { return "dns-01" }

// Present makes the record and waits until it can be seen.
func (d *DNS) Present(ctx context.Context, c Challenge) error {
	name := "_acme-challenge." + c.Name
	owner, err := d.Zones.Owner(ctx, name)
	if err != nil {
		return err
	}
	if err := d.note(record{Name: name, Owner: owner, Text: c.Answer, busy: true}); err != nil {
		return err
	}
	if err := d.Zones.AddTXT(ctx, owner, c.Answer); err != nil {
		return err
	}
	return d.Zones.AwaitTXT(ctx, owner, c.Answer)
}

// Remove removes the record that Present made. Where it cannot, Sweep tries again.
func (d *DNS) Remove(ctx context.Context, c Challenge) error {
	d.mu.Lock()
	d.load()
	at := slices.IndexFunc(d.made, func(r record) bool { return r.Text == c.Answer && r.Name == "_acme-challenge."+c.Name })
	if at < 0 {
		d.mu.Unlock()
		return nil // it was never made
	}
	d.made[at].busy = false
	r := d.made[at]
	d.mu.Unlock()
	return d.take(ctx, r)
}

// Sweep removes what is left of challenges that are over. What cannot be removed is tried again the next time.
func (d *DNS) Sweep(ctx context.Context) {
	d.mu.Lock()
	d.load()
	left := slices.DeleteFunc(slices.Clone(d.made), func(r record) bool { return r.busy })
	d.mu.Unlock()
	for _, r := range left {
		ctx, cancel := context.WithTimeout(ctx, cleanTime)
		if err := d.take(ctx, r); err != nil {
			d.Log.Warn("acme: a record of an old challenge could not be removed", "name", r.Name, "error", words(err))
		}
		cancel()
	}
}

// take removes a record, and forgets it once it is gone.
func (d *DNS) take(ctx context.Context, r record) error {
	if err := d.Zones.RemoveTXT(ctx, r.Owner, r.Text); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made = slices.DeleteFunc(d.made, func(o record) bool { return o.Owner == r.Owner && o.Text == r.Text })
	return d.save()
}

// note keeps a record before it is made.
func (d *DNS) note(r record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.load()
	if len(d.made) >= mostRecords {
		d.made = d.made[1:]
	}
	d.made = append(d.made, r)
	return d.save()
}

// load reads the file once; a damaged one is as good as none. Called with the lock.
func (d *DNS) load() {
	if d.read {
		return
	}
	d.read = true
	if text, err := readFile(d.File); err == nil && json.Unmarshal(text, &d.made) != nil {
		d.made = nil
	}
	d.made = d.made[:min(len(d.made), mostRecords)]
}

func (d *DNS) save() error {
	text, err := json.Marshal(d.made)
	if err != nil {
		return err
	}
	return durable.WriteFile(d.File, text, 0o600)
}

// sweepEvery is how often what is left of old challenges is tried again.
const sweepEvery = time.Hour
