// Package restores is how the first run takes a backup in place of answers: the file is kept on the data partition while it comes, read in
// full, and staged; the next start puts it in place, by the way that brings a restore to its end that was cut off (appliance/backup).
//
// It takes nothing once a domain is served. The key is never written, neither to disk nor to a log, and is forgotten with the file. No RFC
// applies here.
package restores

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"gatepost/appliance/backup"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/durable"
)

// Bounds of what is taken.
const (
	MaxUpload  = 1 << 40       // octets; what is free bounds it before
	UploadTime = 6 * time.Hour // of an upload, and of reading it
	reserve    = 64 << 20      // octets that stay free
	forgotten  = time.Hour     // after which a file and its key go that nobody restored
	leaveAfter = time.Second   // until the restart, so that whoever asked is answered
)

// fileName is the upload in the state folder. A name with a point is in no backup, and a restore leaves it.
const fileName = ".restore-upload"

// The states of a Desk.
const (
	none     = "none"
	receives = "receives"
	received = "received"
	verifies = "verifies"
	verified = "verified"
	goes     = "restores"
)

// Desk takes one backup at a time.
type Desk struct {
	State  string // the state folder
	Config string // the folder of the documents
	Known  backup.Known
	// Served reports whether mail is accepted for some domain: then nothing is taken any more.
	Served func() bool
	// Restart ends this process so that another is started, which puts what was staged in place.
	Restart func()
	Log     *slog.Logger

	mu       sync.Mutex
	state    string // "" is none
	since    time.Time
	size     int64
	octets   atomic.Int64
	key      backup.Key
	manifest *backup.Manifest
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	upload := control.Do("restore upload", "/restore/upload", "Take the file of a backup in the first run: it is kept until it is restored, or for an hour", access.ApplianceChange)
	upload.Upload, upload.Body, upload.Time = true, MaxUpload, UploadTime
	verify := control.Do("restore verify", "/restore/verify", "Read the backup that was uploaded from beginning to end, and say what is in it", access.ApplianceChange)
	start := control.Do("restore start", "/restore/start", "Put the backup that was verified in the place of what is here: the gateway restarts", access.ApplianceChange)
	verify.Time, start.Time = UploadTime, UploadTime
	return []control.Operation{
		control.Define(control.Look("restore status", "/restore", "Show which backup was uploaded in the first run, and how far it is", access.ApplianceChange), d.status),
		control.DefineUpload(upload, d.upload),
		control.Define(verify, d.verify),
		control.Define(start, d.start),
		control.Define(control.Do("restore discard", "/restore/discard", "Throw away the backup that was uploaded", access.ApplianceChange), d.discard),
	}
}

// Run throws away what a process before left, and what nobody restores, until the context is done.
func (d *Desk) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		d.tidy(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tidy removes a file that is nobody's, and one that lay for too long, with its key.
func (d *Desk) tidy(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.state {
	case "", none:
	case received, verified:
		if now.Sub(d.since) < forgotten {
			return
		}
	default:
		return
	}
	d.forget()
}

// forget drops file and key. The caller has the lock.
func (d *Desk) forget() {
	d.key, d.manifest = backup.Key{}, nil
	d.enter(none)
	if err := durable.Remove(durable.Real{}, d.path()); err != nil {
		d.Log.Error("restore: the upload cannot be removed", "error", err)
	}
}

func (d *Desk) path() string { return filepath.Join(d.State, fileName) }

// enter is the beginning of a state. The caller has the lock.
func (d *Desk) enter(state string) {
	d.state, d.since = state, time.Now()
	d.octets.Store(0)
}

// begin enters a state from one of those that it may follow.
func (d *Desk) begin(state string, from ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Served() {
		return &control.Fault{Status: http.StatusConflict, Message: "this gateway is set up: a backup is restored here in the first run only", Hint: "stop it and use gatepost backup restore, or reset it"}
	}
	for _, f := range from {
		if d.state == f || d.state == "" && f == none {
			d.enter(state)
			return nil
		}
	}
	f := &control.Fault{Status: http.StatusConflict, Message: "no backup was uploaded, or it was thrown away", Hint: "upload it"}
	switch d.state {
	case receives, verifies:
		f.Message, f.Hint = "another upload is under way since "+d.since.UTC().Format(time.TimeOnly)+" UTC", "wait until it is done"
	case received:
		f.Message, f.Hint = "the backup was not verified yet", "give its key"
	case goes:
		f.Message, f.Hint = "a backup is being restored", "wait until the gateway has restarted"
	}
	return f
}

// end is the state behind what was begun.
func (d *Desk) end(state string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if state == none {
		d.forget()
		return
	}
	d.enter(state)
}

func (d *Desk) status(context.Context, *struct{}) (*api.Restore, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := &api.Restore{State: d.state, Octets: d.octets.Load(), Size: d.size, Since: d.since, Most: d.room(), Served: d.Served()}
	if out.State == "" {
		out.State = none
	}
	if !replaceable(d.Config) {
		out.Keeps = d.Config
	}
	if m := d.manifest; m != nil {
		out.Host, out.Version, out.Time, out.Files, out.Inside, out.Left, out.Parts = m.Host, m.Version, m.Time, len(m.Members), m.Octets(), m.Left, parts(m)
	}
	return out, nil
}

// room is how large a file may be, in octets.
func (d *Desk) room() int64 {
	left, err := durable.RoomOf(d.State)
	if err != nil {
		return 0
	}
	return max(left.Octets-reserve, 0)
}

// replaceable reports whether the daemon's user may replace what is in a folder for good. An appliance shows its settings below /run, in a
// folder of that user, and the settings are in the state folder.
func replaceable(folder string) bool {
	whole, err := filepath.EvalSymlinks(folder)
	return err == nil && !ofOneBoot(whole) && unix.Access(whole, unix.W_OK|unix.X_OK) == nil
}

// ofOneBoot reports whether a folder is gone at the next boot (FHS 3.0 section 3.15).
func ofOneBoot(folder string) bool { return strings.HasPrefix(folder+"/", "/run/") }

// upload keeps the file while it comes. One that breaks off leaves nothing.
func (d *Desk) upload(ctx context.Context, in *api.RestoreSize, body io.Reader) (*api.Restore, error) {
	if err := d.begin(receives, none, received, verified); err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.key, d.manifest, d.size = backup.Key{}, nil, in.Size
	d.mu.Unlock()
	n, err := d.receive(ctx, body, in.Size)
	if err != nil {
		d.end(none)
		return nil, err
	}
	d.mu.Lock()
	d.size = n
	d.enter(received)
	d.mu.Unlock()
	control.Changed(ctx, control.Change{Object: "backup", After: map[string]int64{"octets": n}})
	return d.status(ctx, nil)
}

func (d *Desk) receive(ctx context.Context, body io.Reader, size int64) (n int64, err error) {
	if err := durable.Remove(durable.Real{}, d.path()); err != nil {
		return 0, err
	}
	room := d.room()
	full := &control.Fault{Status: http.StatusInsufficientStorage, Message: "the data partition has no room for it: nothing of it is kept", Hint: "give the machine a larger disk; it needs room for the file and for what is in it"}
	if size > room {
		return 0, full
	}
	f, err := os.OpenFile(d.path(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	in := &counting{ctx: ctx, r: io.LimitReader(body, room+1), n: &d.octets}
	n, err = io.Copy(f, in)
	err = errors.Join(err, f.Sync(), f.Close())
	switch {
	case n > room, durable.NoRoom(err):
		return n, full
	case in.err != nil:
		return n, broken(in.err)
	}
	return n, err
}

// broken words what kept the file from coming whole.
func broken(err error) error {
	if f, ok := errors.AsType[*control.Fault](err); ok {
		return f
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &control.Fault{Status: http.StatusRequestEntityTooLarge, Message: "the file is too large"}
	}
	return &control.Fault{Status: http.StatusBadRequest, Message: "the upload broke off: nothing of it is kept", Hint: "send it again"}
}

// counting counts what is read, and ends with a context.
type counting struct {
	ctx context.Context
	r   io.Reader
	n   *atomic.Int64
	err error
}

func (c *counting) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		c.err = err
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (d *Desk) discard(ctx context.Context, _ *struct{}) (*api.Restore, error) {
	d.mu.Lock()
	busy := d.state == receives || d.state == verifies || d.state == goes
	if !busy {
		d.forget()
	}
	d.mu.Unlock()
	if busy {
		return nil, d.begin(none)
	}
	return d.status(ctx, nil)
}
