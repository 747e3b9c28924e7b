package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// formOf makes a file of SQLite of a form, which is its user_version, with a word in it.
func formOf(t *testing.T, path string, form, word string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, nil))
	if err == nil {
		_, err = db.Exec("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS w (word TEXT); DELETE FROM w; INSERT INTO w VALUES ('" + word + "'); PRAGMA user_version = " + form)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wordIn reads it.
func wordIn(t *testing.T, path string) (word string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, nil))
	if err == nil {
		err = errors.Join(db.QueryRow("SELECT word FROM w").Scan(&word), db.Close())
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return word
}

// cutOff ends what is under way, as a cut of power does.
type cutOff struct{}

// TestBackCutOff cuts the power at each step of putting a copy back: the next start ends it, what the later version wrote is never lost, and
// of several copies the newest is taken that is known.
func TestBackCutOff(t *testing.T) {
	var steps []string
	for cut := -1; cut < len(steps); cut++ {
		path := filepath.Join(t.TempDir(), "x.db")
		formOf(t, path, "9", "newer")
		formOf(t, path+".copy-20260101T000000.000000", "5", "long ago")
		formOf(t, path+".copy-20260201T000000.000000", "5", "before")
		formOf(t, path+".copy-20260301T000000.000000", "9", "also newer")
		n := 0
		b := &Back{Log: slog.New(slog.DiscardHandler), step: func(what string) {
			if cut < 0 {
				steps = append(steps, what)
			} else if n++; n > cut {
				panic(cutOff{})
			}
		}}
		run := func() (done bool, err error) {
			defer func() {
				if r := recover(); r != nil && r != any(cutOff{}) {
					panic(r)
				}
			}()
			return b.File(t.Context(), path, knownDay)
		}
		done, err := run()
		if cut < 0 && (!done || err != nil) {
			t.Fatal(done, err)
		}
		b.step = nil
		if _, err := b.File(t.Context(), path, knownDay); err != nil {
			t.Errorf("cut before step %d: %v", cut, err)
		}
		aside, err := filepath.Glob(path + ".newer-*")
		if err != nil || len(aside) != 1 {
			t.Fatalf("cut before step %d: beside lies %q, %v", cut, aside, err)
		}
		if now, later := wordIn(t, path), wordIn(t, aside[0]); now != "before" || later != "newer" {
			t.Errorf("cut before step %d: it is %q, beside lies %q", cut, now, later)
		}
	}
	if !slices.Equal(steps, []string{"copy", "aside", "put"}) {
		t.Errorf("steps were %q", steps)
	}
}

// TestBackLeaves: what is known stays as it is, as does what has no copy, what is damaged, and what is not there.
func TestBackLeaves(t *testing.T) {
	b := &Back{Log: slog.New(slog.DiscardHandler)}
	dir := t.TempDir()
	known, alone, broken := filepath.Join(dir, "known.db"), filepath.Join(dir, "alone.db"), filepath.Join(dir, "broken.db")
	formOf(t, known, "5", "mine")
	formOf(t, known+".copy-20260101T000000.000000", "5", "old")
	formOf(t, alone, "9", "newer")
	if err := os.WriteFile(broken, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{known: nil, alone: ErrNoCopy, broken: nil, filepath.Join(dir, "none.db"): nil} {
		if done, err := b.File(t.Context(), path, knownDay); done || !errors.Is(err, want) {
			t.Errorf("%s: %v, %v", path, done, err)
		}
	}
	if wordIn(t, known) != "mine" || wordIn(t, alone) != "newer" {
		t.Error("it was changed")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 4 {
		t.Errorf("in the folder are %v, %v", left, err)
	}
}

// TestBackDays: a day of the message log that a later version changed goes aside whole, so that this version writes the day; others stay.
// It leaves with its day, as every file that was set aside.
func TestBackDays(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	for _, d := range []day{"2026-11-26", "2026-11-27"} {
		f, err := openDay(ctx, dir, d, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	newer := day("2026-11-27").path(dir)
	db, err := sql.Open("sqlite", dsn(newer, nil))
	if err == nil {
		_, err = db.Exec("PRAGMA user_version = 99")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDay(ctx, dir, "2026-11-27", []byte("x")); !errors.Is(err, ErrNewer) {
		t.Fatalf("this version writes it: %v", err)
	}
	b := &Back{Log: slog.New(slog.DiscardHandler)}
	if n, err := b.Days(ctx, dir); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	f, err := openDay(ctx, dir, "2026-11-27", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	var aside int
	for _, x := range all {
		if x.aside && x.day == "2026-11-27" && strings.Contains(x.path, newerMark) {
			aside++
		}
	}
	if aside != 1 || len(all) != 3 {
		t.Errorf("%+v", all)
	}
	if n, err := b.Days(ctx, dir); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
}
