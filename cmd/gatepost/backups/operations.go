package backups

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"gatepost/appliance/backup"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// Again is after how long one that failed is tried again.
const Again = 15 * time.Minute

// mostFiles is how many backups are listed.
const mostFiles = 1000

func statusQuestion() control.Operation {
	return control.Look("backup status", "/backups", "Show how backups are: what came of each target, when the next is due, which lie on this machine", access.SystemRead)
}

func startQuestion() control.Operation {
	return control.Do("backup start", "/backups", "Make a backup now, in the background, and bring it to each target", access.ApplianceChange)
}

func fetchQuestion() control.Operation {
	o := control.Do("backup fetch", "/backups/fetch", "Fetch a backup that lies on this machine, encrypted as it is", access.ApplianceChange)
	o.Shows = true
	return o
}

// Desk is what the operations work with, and what the schedule and they share. It is made once.
type Desk struct {
	State  string // folder of the state
	Backup *config.Backup

	asked chan struct{}

	mu      sync.Mutex
	began   time.Time // zero: none is being made
	trouble string
}

// NewDesk makes one.
func NewDesk(b *config.Bootstrap) *Desk {
	return &Desk{State: b.StateDir, Backup: &b.Backup, asked: make(chan struct{}, 1)}
}

// Operations are those of the noun.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(statusQuestion(), d.status), control.Define(startQuestion(), d.start), control.Define(fetchQuestion(), d.fetch)}
}

// Asked tells each time somebody wants a backup now. Whoever reads it has one made by Making.
func (d *Desk) Asked() <-chan struct{} { return d.asked }

// Making has one made by do, and tells meanwhile that it is.
func (d *Desk) Making(do func() error) {
	d.mu.Lock()
	d.began = time.Now().UTC()
	d.mu.Unlock()
	err := do()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.began, d.trouble = time.Time{}, ""
	if err != nil {
		d.trouble = gateway.CleanText(err.Error(), 500)
	}
}

// Due is when the next backup is, given what came of the last: the past and zero are now. A clock that was set back makes one due.
func Due(last []Outcome, every time.Duration, now time.Time) (due time.Time) {
	for i := range last {
		wait := every
		if last[i].Error != "" {
			wait = min(every, Again)
		}
		at := last[i].Tried.Add(wait)
		if last[i].Tried.Sub(now) > time.Minute {
			return time.Time{}
		}
		if i == 0 || at.Before(due) {
			due = at
		}
	}
	return due
}

func (d *Desk) status(context.Context, *struct{}) (*api.Backups, error) {
	last, err := Outcomes(d.State)
	if err != nil {
		return nil, fmt.Errorf("what came of the last backup is not known: %w", err)
	}
	d.mu.Lock()
	out := &api.Backups{Every: d.Backup.Every, Began: d.began, Trouble: d.trouble, With: append([]string{}, d.Backup.With...), Keep: d.Backup.Keep, Opens: opens(d.Backup)}
	d.mu.Unlock()
	if now := time.Now(); d.Backup.Used() {
		if out.Next = Due(last, d.Backup.Every, now).UTC(); out.Next.Before(now) {
			out.Next = now.UTC().Truncate(time.Second)
		}
	}
	for _, t := range targetsIn(d.State, d.Backup) {
		row := api.BackupTarget{Name: t.Name, Where: where(&t)}
		if i := slices.IndexFunc(last, func(o Outcome) bool { return o.Target == t.Name }); i >= 0 {
			o := &last[i]
			row.Tried, row.Good, row.File, row.Octets, row.Error = o.Tried, o.Good, o.File, o.Octets, o.Error
		}
		out.Targets = append(out.Targets, row)
	}
	out.Files, out.Missed = d.files()
	return out, nil
}

// opens says what opens the backups that are made.
func opens(b *config.Backup) string {
	switch {
	case len(b.Recipients) > 0:
		return "keys"
	case b.PassphraseFile != "":
		return "passphrase"
	}
	return ""
}

// where is a target's place. Nothing in it is secret: passwords stand in files.
func where(t *config.BackupTarget) string {
	switch {
	case t.Directory != "":
		return t.Directory
	case t.S3 != "":
		return t.S3 + "/" + t.Bucket + "/" + t.Prefix
	}
	return t.SFTP
}

// folders are the targets on this machine by their names, and where backups are made without any.
func (d *Desk) folders() map[string]string {
	out := map[string]string{Here: filepath.Join(d.State, backup.Folder)}
	for i := range d.Backup.Targets {
		if t := &d.Backup.Targets[i]; t.Directory != "" {
			out[t.Name] = t.Directory
		}
	}
	return out
}

// files lists the backups on this machine, and what could not be looked at.
func (d *Desk) files() (out []api.BackupFile, missed []string) {
	out = []api.BackupFile{}
	for name, dir := range d.folders() {
		all, err := In(dir)
		if err != nil {
			missed = append(missed, gateway.CleanText(err.Error(), 300))
			continue
		}
		for i := range all {
			out = append(out, api.BackupFile{Target: name, Name: filepath.Base(all[i].File), Host: all[i].Host, Time: all[i].Time, Octets: all[i].Octets})
		}
	}
	slices.Sort(missed)
	slices.SortFunc(out, func(a, b api.BackupFile) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), mostFiles)], missed
}

func (d *Desk) start(ctx context.Context, _ *struct{}) (*api.Backups, error) {
	control.Changed(ctx, control.Change{Object: "backup"})
	if opens(d.Backup) == "" {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "nobody could open it: [backup] of gatepost.toml names no recipients and no passphrase_file"}
	}
	d.mu.Lock()
	making := !d.began.IsZero()
	d.mu.Unlock()
	if !making {
		select {
		case d.asked <- struct{}{}:
		default: // it was asked for, and begins in a moment
		}
	}
	out, err := d.status(ctx, nil)
	if err == nil && out.Began.IsZero() {
		out.Began = time.Now().UTC()
	}
	return out, err
}

func (d *Desk) fetch(ctx context.Context, in *api.BackupFetch) (*control.File, error) {
	control.Changed(ctx, control.Change{Object: gateway.CleanText(in.Name, 300)})
	none := &control.Fault{Status: http.StatusNotFound, Field: "name", Message: "there is no such backup on this machine"}
	dir, known := d.folders()[in.Target]
	if _, _, ok := backup.ParseName(in.Name); !known || !ok || filepath.Base(in.Name) != in.Name {
		return nil, none
	}
	f, err := os.OpenFile(filepath.Join(dir, in.Name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(none, err, f.Close())
	}
	return &control.File{Name: in.Name, Type: "application/octet-stream", From: f, Size: info.Size()}, nil
}
