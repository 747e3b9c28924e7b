package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/internal/durable"
)

// Names beside a file: what a version kept of the form before its first change of the tables, and what a version set aside that went back.
const (
	copyMark  = ".copy-"
	newerMark = ".newer-"
	newerKept = 3 // of what was set aside
	backTime  = "20060102T150405.000000"
)

// ErrNoCopy says that a later version changed a file, and that there is no copy of the form before.
var ErrNoCopy = errors.New("a later version changed it, and there is no copy of the form before")

// Back is how a version that comes after a later one gets its files of SQLite in the form that it knows. Nobody else has them open.
type Back struct {
	Log  *slog.Logger
	step func(what string) // of tests, which are cut off there
}

func (b *Back) at(what string) {
	if b.step != nil {
		b.step(what)
	}
}

// File sets a file aside that a later version changed, as PATH.newer-TIME with all that is in it, and puts the newest copy in its place that
// this version knows: that was made before the later one changed its first table (PATH.copy-TIME). known reports whether this version
// knows the form of a file. One that it knows stays as it is, with all that the later version wrote. It reports whether one was put
// back. Without a copy nothing is changed, and the error is ErrNoCopy. Cut off at any step it can be called again.
func (b *Back) File(ctx context.Context, path string, known func(ctx context.Context, path string) (bool, error)) (bool, error) {
	_, err := os.Lstat(path)
	missing := errors.Is(err, os.ErrNotExist)
	if missing {
		// Cut off between the two renames: what was set aside is all that there is.
		if aside, err := filepath.Glob(path + newerMark + "*"); err != nil || len(aside) == 0 {
			return false, err
		}
	} else if err != nil {
		return false, err
	} else if ok, err := rested(ctx, path, known); ok || err != nil {
		return false, err
	}
	from, err := newestCopy(ctx, path, known)
	if err != nil {
		return false, err
	}
	b.at("copy")
	half := path + ".copying"
	if err := copyFile(from, half); err != nil {
		return false, err
	}
	if !missing {
		if err := b.aside(path); err != nil {
			return false, err
		}
	}
	b.at("put")
	if err := os.Rename(half, path); err != nil {
		return false, err
	}
	if err := durable.SyncFolder(filepath.Dir(path)); err != nil {
		return false, err
	}
	b.Log.Warn("a later version changed this file: the copy of the form before is put back", "file", path, "copy", from)
	return true, b.prune(path)
}

// Days sets those files of the message log aside that a later version changed; what comes begins a new one of the day. It returns how many.
func (b *Back) Days(ctx context.Context, dir string) (n int, err error) {
	all, err := list(dir)
	if err != nil {
		return 0, err
	}
	for _, f := range all {
		if f.aside {
			continue
		}
		ok, err := rested(ctx, f.path, knownDay)
		if err != nil {
			return n, fmt.Errorf("%s: %w", f.path, err)
		}
		if ok {
			continue
		}
		if err := b.aside(f.path); err != nil {
			return n, err
		}
		n++
		b.Log.Warn("a later version changed this day of the message log: it is set aside, and this version does not search it", "file", f.path)
	}
	return n, nil
}

// knownDay reports whether we read a day's file.
func knownDay(ctx context.Context, path string) (bool, error) {
	db, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"ro"}}))
	if err != nil {
		return false, err
	}
	at, err := version(ctx, db)
	return at <= schema, errors.Join(err, db.Close())
}

// rested brings what stands in the write-ahead log of a file into the file, so that it is one file, and reports whether we know its form. One
// that is damaged is known: who opens it next tells.
func rested(ctx context.Context, path string, known func(context.Context, string) (bool, error)) (bool, error) {
	db, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(5000)"}}))
	if err != nil {
		return false, err
	}
	db.SetMaxOpenConns(1)
	var mode string
	err = db.QueryRowContext(ctx, "PRAGMA journal_mode=DELETE").Scan(&mode)
	if err = errors.Join(err, db.Close()); err != nil {
		return isDamage(err), unlessDamage(err)
	}
	if mode != "delete" {
		return false, fmt.Errorf("%s: another process has it open", path)
	}
	ok, err := known(ctx, path)
	return ok || isDamage(err), unlessDamage(err)
}

func unlessDamage(err error) error {
	if isDamage(err) {
		return nil
	}
	return err
}

// newestCopy is the newest copy of a file that we know.
func newestCopy(ctx context.Context, path string, known func(context.Context, string) (bool, error)) (string, error) {
	copies, err := filepath.Glob(path + copyMark + "*")
	if err != nil {
		return "", err
	}
	slices.Sort(copies)
	for _, name := range slices.Backward(copies) {
		if strings.HasSuffix(name, "-wal") || strings.HasSuffix(name, "-shm") {
			continue
		}
		if ok, err := known(ctx, name); ok && err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s: %w", path, ErrNoCopy)
}

// aside renames a file that has no write-ahead log.
func (b *Back) aside(path string) error {
	b.at("aside")
	if err := os.Rename(path, path+newerMark+time.Now().UTC().Format(backTime)); err != nil {
		return err
	}
	return durable.SyncFolder(filepath.Dir(path))
}

// prune removes what was set aside long ago.
func (b *Back) prune(path string) error {
	old, err := filepath.Glob(path + newerMark + "*")
	if err != nil {
		return err
	}
	slices.Sort(old)
	for _, name := range old[:max(0, len(old)-newerKept)] {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file and brings it to disk. What an earlier try left is replaced.
func copyFile(from, to string) error {
	if err := durable.Remove(durable.Real{}, to); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
