package backups

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
)

const (
	ours   = "gatepost-mx.example.org-20261127T160000Z.age"
	older  = "gatepost-mx.example.org-20261126T160000Z.age"
	nobody = "gatepost-mx.example.org-20261125T160000Z.age"
)

// desk is one with a folder of its own, a target that is away and one far off.
func desk(t *testing.T, b *config.Backup) (*control.Surface, *Desk, *[]string) {
	t.Helper()
	d := NewDesk(&config.Bootstrap{StateDir: t.TempDir(), Backup: *b})
	audited := new([]string)
	s := &control.Surface{Operations: d.Operations(), Audit: func(_ context.Context, e control.Entry) {
		*audited = append(*audited, e.Operation+": "+e.Change.Object+" "+e.Error)
	}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s, d, audited
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestOperations: what is told of targets and files, who may ask for one and download it, and that it is audited.
func TestOperations(t *testing.T) {
	disk := t.TempDir()
	s, d, audited := desk(t, &config.Backup{Every: 24 * time.Hour, Keep: 3, Recipients: []string{"age1x"}, Targets: []config.BackupTarget{
		{Name: "disk", Directory: disk}, {Name: "nas", SFTP: "sftp://g@nas/b"}, {Name: "cloud", S3: "https://s3.example.org", Bucket: "b", Prefix: "p/"}}})
	tried := time.Now().UTC().Truncate(time.Second)
	if err := keep(d.State, []Outcome{{Target: "disk", Tried: tried, Good: tried, File: ours, Octets: 3}, {Target: "nas", Tried: tried, Error: "away"}}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(disk, ours), "age")
	write(t, filepath.Join(disk, "notes.txt"), "no backup")
	write(t, filepath.Join(d.State, "backups", older), "older")
	write(t, filepath.Join(d.State, "secret"), "never")
	if err := os.Symlink(filepath.Join(d.State, "secret"), filepath.Join(disk, nobody)); err != nil {
		t.Fatal(err)
	}
	owner := access.Actor{Name: "o", Role: access.Owner}
	for _, role := range access.Roles() {
		who := access.Actor{Name: "x", Role: role}
		if _, err := controltest.Ask[*api.Backups](t.Context(), s, who, "backup status", &struct{}{}); (controltest.Status(err) == 403) != !role.Has(access.SystemRead) {
			t.Errorf("%s: status: %v", role, err)
		}
		if role == access.Owner {
			continue
		}
		if _, err := controltest.Ask[*api.Backups](t.Context(), s, who, "backup start", &struct{}{}); controltest.Status(err) != 403 {
			t.Errorf("%s: start: %v", role, err)
		}
		if _, err := controltest.Ask[*control.File](t.Context(), s, who, "backup fetch", &api.BackupFetch{Target: "disk", Name: ours}); controltest.Status(err) != 403 {
			t.Errorf("%s: fetch: %v", role, err)
		}
	}
	*audited = nil
	got, err := controltest.Ask[*api.Backups](t.Context(), s, owner, "backup status", &struct{}{})
	if err != nil || len(got.Targets) != 3 || got.Targets[0].Octets != 3 || got.Targets[1].Error != "away" || !got.Targets[2].Good.IsZero() || got.Targets[2].Where != "https://s3.example.org/b/p/" || !got.Next.Equal(tried.Add(Again)) || got.Opens != "keys" {
		t.Errorf("%+v, %v", got, err)
	}
	if len(got.Files) != 2 || got.Files[0] != (api.BackupFile{Target: "disk", Name: ours, Host: "mx.example.org", Time: time.Date(2026, 11, 27, 16, 0, 0, 0, time.UTC), Octets: 3}) || got.Files[1].Target != Here {
		t.Errorf("%+v", got.Files)
	}
	for name, want := range map[api.BackupFetch]string{{Target: "disk", Name: ours}: "age", {Target: Here, Name: older}: "older"} {
		f, err := controltest.Ask[*control.File](t.Context(), s, owner, "backup fetch", &name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(f.From)
		if f.From.Close(); err != nil || string(text) != want || f.Size != int64(len(want)) || f.Name != name.Name {
			t.Errorf("%v: %q, %d, %v", name, text, f.Size, err)
		}
	}
	for _, in := range []api.BackupFetch{{Target: "disk", Name: older}, {Target: "nas", Name: ours}, {Target: "disk", Name: "notes.txt"}, {Target: "", Name: ours}, {Target: "disk", Name: nobody},
		{Target: Here, Name: "../secret"}, {Target: "disk", Name: "gatepost-/../../" + filepath.Base(d.State) + "/secret-20261125T160000Z.age"}} {
		if f, err := controltest.Ask[*control.File](t.Context(), s, owner, "backup fetch", &in); err == nil {
			t.Errorf("%v: %+v", in, f)
		}
	}
	if len(*audited) != 9 || !strings.HasPrefix(strings.Join(*audited, "\n"), "backup fetch: gatepost-mx.example.org-2026112") {
		t.Errorf("audited is %q", *audited)
	}
}

// TestStart: one is asked for once, however often, and is told to be made while it is; not where nobody could open it; what failed is told.
func TestStart(t *testing.T) {
	owner := access.Actor{Name: "o", Role: access.Owner}
	s, _, _ := desk(t, &config.Backup{})
	if _, err := controltest.Ask[*api.Backups](t.Context(), s, owner, "backup start", &struct{}{}); controltest.Status(err) != 409 || !strings.Contains(err.Error(), "nobody could open it") {
		t.Error(err)
	}
	s, d, _ := desk(t, &config.Backup{PassphraseFile: "/x"})
	for range 3 {
		if got, err := controltest.Ask[*api.Backups](t.Context(), s, owner, "backup start", &struct{}{}); err != nil || got.Began.IsZero() || got.Opens != "passphrase" {
			t.Errorf("%+v, %v", got, err)
		}
	}
	status := func() *api.Backups {
		t.Helper()
		got, err := controltest.Ask[*api.Backups](t.Context(), s, owner, "backup status", &struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := status(); !got.Began.IsZero() || len(got.Targets) != 1 || got.Targets[0].Name != Here || !got.Next.IsZero() {
		t.Errorf("%+v", got)
	}
	<-d.Asked()
	d.Making(func() error {
		if status().Began.IsZero() {
			t.Error("nothing is told of the one that is being made")
		}
		_, err := controltest.Ask[*api.Backups](t.Context(), s, owner, "backup start", &struct{}{})
		return errors.Join(errors.New("no disk"), err)
	})
	if got := status(); got.Trouble != "no disk" || !got.Began.IsZero() {
		t.Errorf("%+v", got)
	}
	select {
	case <-d.Asked():
		t.Error("another is asked for")
	default:
	}
}

// TestShowStatus shows what people read.
func TestShowStatus(t *testing.T) {
	var out bytes.Buffer
	showStatus(&out, &api.Backups{})
	if !strings.HasPrefix(out.String(), "nobody could open a backup") {
		t.Error(out.String())
	}
	out.Reset()
	at := time.Date(2026, 11, 27, 16, 0, 0, 0, time.UTC)
	showStatus(&out, &api.Backups{Every: 24 * time.Hour, Next: at, Opens: "keys", Began: at, Trouble: "no \x1b disk", Missed: []string{"/mnt: no"}, Targets: []api.BackupTarget{{Name: "nas", Where: "sftp://x", Good: at, Octets: 5e6, Error: "away"}, {Name: "new"}},
		Files: []api.BackupFile{{Target: "disk", Name: ours, Octets: 2000}}})
	for _, want := range []string{"one is made every 24h0m0s, the next " + cli.Stamp(at), "one is being made", "5.0 MB", "away", "none yet", ours, "cannot be looked at: /mnt: no"} {
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
