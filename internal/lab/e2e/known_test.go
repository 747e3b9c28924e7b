package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/store"
)

// knownFile is where a daemon keeps what is known of domains, paths and sealers.
func knownFile(dir string) string { return filepath.Join(lab.StateDir(dir), "known.db") }

// knows writes what the daemon shall know when it starts.
func (w *world) knows(t *testing.T, kind string, known map[string]any) {
	t.Helper()
	if err := os.MkdirAll(lab.StateDir(w.dir), 0o700); err != nil {
		t.Fatal(err)
	}
	k, err := store.OpenKnown(t.Context(), knownFile(w.dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	changed := map[string][]byte{}
	for name, value := range known {
		if changed[name], err = json.Marshal(value); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Save(t.Context(), kind, changed); err != nil {
		t.Fatal(err)
	}
}

// ago is a time in Unix seconds.
func ago(d time.Duration) int64 { return time.Now().Add(-d).Unix() }

const aDay = 24 * time.Hour

// sealers asks the daemon for the ARC sealers that it proposes.
func (w *world) sealers(t *testing.T) string {
	t.Helper()
	out, errOut, code, err := w.daemon.Command(t.Context(), "arc", "sealers", "--json")
	if err != nil || code != 0 {
		t.Fatalf("%v, exit %d: %s", err, code, errOut)
	}
	return strings.TrimSpace(out)
}

// TestKnownKept: what is known is there at the start, after an end in order and after kill -9, and a file that cannot be used
// costs what was in it and nothing else.
func TestKnownKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{clamav: "off", spamd: "off"})
	first, last := ago(3*aDay), ago(time.Hour)
	w.knows(t, "sealer", map[string]any{"lists.example": map[string]any{"first": first, "last": last, "messages": 7, "days": 3, "authors": []string{"a.example"}}})
	day := func(s int64) string { return time.Unix(s, 0).Format(time.RFC3339) }
	want := fmt.Sprintf(`[{"domain":"lists.example","first":%q,"last":%q,"messages":7,"days":3,"authors":["a.example"]}]`, day(first), day(last))
	w.start(t)
	if got := w.sealers(t); got != want {
		t.Errorf("at the start: %s, not %s", got, want)
	}
	if out, _, _, err := w.daemon.Command(t.Context(), "arc", "sealers"); err != nil || !strings.Contains(out, "lists.example ") || !strings.Contains(out, "7 messages on   3 days") {
		t.Errorf("%q, %v", out, err)
	}
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	if got := w.sealers(t); got != want {
		t.Errorf("after kill -9: %s", got)
	}
	for what, spoil := range map[string]func() error{
		"set aside": func() error { return os.WriteFile(knownFile(w.dir), []byte(strings.Repeat("junk", 5000)), 0o600) },
		"a restart will forget": func() error {
			return os.Mkdir(knownFile(w.dir), 0o700)
		},
	} {
		if err := w.daemon.Stop(); err != nil {
			t.Fatal(err)
		}
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.RemoveAll(knownFile(w.dir) + end); err != nil {
				t.Fatal(err)
			}
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		w.start(t)
		if got := w.sealers(t); got != "[]" {
			t.Errorf("%s: %s", what, got)
		}
		if said := w.daemonSaid(); !strings.Contains(said, what) {
			t.Errorf("the daemon does not say %q", what)
		}
		w.served(t, what)
	}
}

// memoryFull: a full disk under what is remembered delays no mail, and what it could not take is there when it has room.
func memoryFull(t *testing.T) {
	disk := func(dir string) string { return filepath.Join(lab.StateDir(dir), "disk") }
	w, path, _ := onDisk(t, setup{}, func(dir string) string {
		for _, name := range []string{"clients.db", "known.db", "greylist.db", "reputation.db"} {
			if err := errors.Join(os.MkdirAll(disk(dir), 0o755), os.Symlink("disk/"+name, filepath.Join(lab.StateDir(dir), name))); err != nil {
				t.Fatal(err)
			}
		}
		return disk(dir)
	}, "size=1m")
	ballast := filepath.Join(path, "ballast")
	b := &broken{w: w, told: "250"}
	b.breaks = func(t *testing.T) {
		if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err == nil {
			t.Error("the disk is not full")
		}
	}
	says := func(what string) {
		b.until(t, what, func() (string, bool) { return "", strings.Contains(w.daemonSaid(), what) })
	}
	b.mends = func(t *testing.T) {
		says("cannot be saved")
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		says("is saved again")
	}
	b.endure(t)
}
