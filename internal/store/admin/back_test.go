package admin

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/store"
)

// TestBackFromNewer has a later version, with a migration that is made up, change control data and write more; the power is cut while it runs.
// The version before opens nothing of it, gets the copy that the later one made before its first change, and has all that was its own.
// What the later one wrote lies beside, and it goes on with it where it is put in place by hand.
func TestBackFromNewer(t *testing.T) {
	ctx := t.Context()
	ran := filepath.Join(t.TempDir(), "admin.db")
	write := func(db *DB, word string) {
		t.Helper()
		must(t, db.Write(ctx, func(tx *Tx) error {
			_, err := tx.Insert("INSERT INTO scratch (word, octets, number) VALUES (?, ?, ?)", word, []byte{1}, int64(1))
			return err
		}))
	}
	old, err := Open(ctx, Options{Path: ran})
	must(t, err)
	scratch(t, old)
	write(old, "of the old version")
	must(t, old.Close())
	later := Options{Path: ran, later: []step{{990, "990-made-up", "ALTER TABLE scratch RENAME COLUMN octets TO bytes; CREATE TABLE made_up (x INTEGER)"}}}
	newer, err := Open(ctx, later)
	must(t, err)
	must(t, newer.Write(ctx, func(tx *Tx) error {
		_, err := tx.Insert("INSERT INTO scratch (word, bytes, number) VALUES (?, ?, ?)", "of the newer version", []byte{1}, int64(1))
		return err
	}))
	path := filepath.Join(t.TempDir(), "admin.db") // as the disk is when the power is cut: with a write-ahead log
	all, err := filepath.Glob(ran + "*")
	must(t, err)
	for _, name := range all {
		text, err := os.ReadFile(name)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(filepath.Dir(path), filepath.Base(name)), text, 0o600))
	}
	must(t, newer.Close())
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, Options{Path: path}); !errors.Is(err, ErrNewer) {
		t.Fatalf("the old version opens it: %v", err)
	}
	back := &store.Back{Log: slog.New(slog.DiscardHandler)}
	if done, err := back.File(ctx, path, Known); !done || err != nil {
		t.Fatal(done, err)
	}
	again, err := Open(ctx, Options{Path: path})
	must(t, err)
	if got := words(t, again); !slices.Equal(got, []string{"of the old version"}) {
		t.Errorf("it has %q", got)
	}
	write(again, "after the way back")
	must(t, again.Close())
	if done, err := back.File(ctx, path, Known); done || err != nil {
		t.Errorf("it is put back twice: %v, %v", done, err)
	}
	again, err = Open(ctx, Options{Path: path})
	must(t, err)
	if got := words(t, again); len(got) != 2 {
		t.Errorf("then it has %q", got)
	}
	must(t, again.Close())
	aside, err := filepath.Glob(path + ".newer-*")
	if err != nil || len(aside) != 1 || strings.HasSuffix(aside[0], "-wal") {
		t.Fatalf("beside lies %q, %v", aside, err)
	}
	later.Path = aside[0]
	kept, err := Open(ctx, later)
	must(t, err)
	if got := words(t, kept); !slices.Equal(got, []string{"of the old version", "of the newer version"}) {
		t.Errorf("what the newer version wrote is %q", got)
	}
	must(t, kept.Close())
}
