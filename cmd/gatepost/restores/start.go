package restores

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"gatepost/appliance/backup"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// verify reads the upload as "gatepost backup verify" does. A key that does not open it may be given again; a file that is no use goes.
func (d *Desk) verify(ctx context.Context, in *api.RestoreKey) (*api.Restore, error) {
	key, err := backup.KeyTyped(in.Key)
	if err != nil {
		return nil, keyFault(err)
	}
	if err := d.begin(verifies, received, verified); err != nil {
		return nil, err
	}
	m, err := d.read(ctx, key)
	if err != nil {
		next := none
		if errors.Is(err, backup.ErrKey) || ctx.Err() != nil {
			next = received
		}
		d.end(next)
		return nil, fault(err)
	}
	d.mu.Lock()
	d.key, d.manifest = key, m
	d.enter(verified)
	d.mu.Unlock()
	control.Changed(ctx, control.Change{Object: "backup of " + m.Host, After: m.Head})
	return d.status(ctx, nil)
}

func (d *Desk) read(ctx context.Context, key backup.Key) (*backup.Manifest, error) {
	f, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return backup.Verify(ctx, f, key, d.Known)
}

// open opens the upload; what is read of it is counted.
func (d *Desk) open(ctx context.Context) (io.ReadCloser, error) {
	f, err := os.Open(d.path())
	if err != nil {
		return nil, err
	}
	d.octets.Store(0)
	return struct {
		io.Reader
		io.Closer
	}{&counting{ctx: ctx, r: f, n: &d.octets}, f}, nil
}

// start stages the backup and restarts. Where the daemon may not replace the documents they stay, and those of the backup lie beside.
func (d *Desk) start(ctx context.Context, _ *struct{}) (*api.Restore, error) {
	if err := d.begin(goes, verified); err != nil {
		return nil, err
	}
	// Whoever asked may go away: what was begun is brought to its end.
	ctx = context.WithoutCancel(ctx)
	to := &backup.Target{State: d.State, Config: d.Config, KeepConfig: !replaceable(d.Config), Known: d.Known}
	done, err := to.Stage(ctx, func() (io.ReadCloser, error) { return d.open(ctx) }, d.key)
	if err != nil {
		d.end(verified)
		return nil, fault(err)
	}
	control.Changed(ctx, control.Change{Object: "backup of " + done.Manifest.Host, After: done.Manifest.Head})
	d.Log.Warn("a backup is restored: this process ends, and the next one puts it in place", "host", done.Manifest.Host, "made", done.Manifest.Time, "before", done.Before)
	out, err := d.status(ctx, nil)
	d.mu.Lock()
	d.forget()
	d.enter(goes)
	d.mu.Unlock()
	time.AfterFunc(leaveAfter, d.Restart)
	return out, err
}

// keyFault is what somebody is told whose key is none.
func keyFault(err error) error {
	return &control.Fault{Status: http.StatusBadRequest, Message: words(err), Field: "key"}
}

// words are an error without what it is of.
func words(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "backup: "), "restore: ")
}

// fault tells what to do about a backup that cannot be used.
func fault(err error) error {
	switch {
	case errors.Is(err, backup.ErrKey):
		return &control.Fault{Status: http.StatusBadRequest, Message: "this key or passphrase does not open it", Hint: "give the private key that belongs to the public one of [backup] recipients, or its passphrase; the file is kept", Field: "key"}
	case errors.Is(err, backup.ErrNewer):
		return &control.Fault{Status: http.StatusConflict, Message: words(err), Hint: "update this machine to that version first, then upload the backup again; nothing was changed"}
	case errors.Is(err, backup.ErrNoBackup):
		return &control.Fault{Status: http.StatusBadRequest, Message: "it is no backup, or it was changed or cut off", Hint: "copy it again from where it came and upload it anew, or take the next older one; nothing was changed", Field: "file"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &control.Fault{Status: http.StatusGatewayTimeout, Message: "it was not read to its end", Hint: "give the key again; the file is kept"}
	}
	return &control.Fault{Status: http.StatusInsufficientStorage, Message: words(err)}
}

// parts are what is in a backup, for people.
func parts(m *backup.Manifest) (out []string) {
	has := func(prefix string) bool {
		return slices.ContainsFunc(m.Members, func(x backup.Member) bool { return strings.HasPrefix(x.Name, prefix) })
	}
	for _, p := range [...]struct{ prefix, words string }{
		{"config/", "documents (gatepost.toml, policy.toml and what lies beside)"}, {"state/settings/", "settings of the appliance"},
		{"state/admin.db", "users, versions of the policy, audit log"}, {"state/keys/", "keys"}, {"state/dkim/", "keys of DKIM"}, {"state/certs/", "certificates"},
		{"files/", "files elsewhere that the documents name"},
	} {
		if has(p.prefix) {
			out = append(out, p.words)
		}
	}
	for _, w := range m.With {
		switch w {
		case backup.WithLog:
			out = append(out, "message log")
		case backup.WithQuarantine:
			out = append(out, "mail in quarantine")
		}
	}
	return out
}
