package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Reader searches the day files, whether or not a Log writes them, in this process or another, or the log that nodes share in a
// PostgreSQL. It changes nothing. Its zero value is of no use; its methods are safe for concurrent use.
type Reader struct {
	dir    string
	shared *shared // in place of the folder; nil: there is none
	names  *Names  // nil: what has pseudonyms is found by them only
}

// NewReader returns a reader of a log folder. A folder that is not there is an empty log.
func NewReader(dir string) *Reader { return &Reader{dir: dir} }

// Known returns a reader that finds events of known addresses also where those have pseudonyms.
func (r *Reader) Known(names *Names) *Reader {
	return &Reader{dir: r.dir, shared: r.shared, names: names}
}

// Gap is a day that could not be read.
type Gap struct {
	Day string `json:"day"`
	Why string `json:"why"`
}

// errStop ends a walk over the days early.
var errStop = errors.New("stop")

// walk opens the day files between two days, the newest first (or the oldest, where forward), and gives each to see. A
// file that cannot be read is a gap and never ends the walk; the end of ctx does.
func (r *Reader) walk(ctx context.Context, from, to day, forward bool, see func(context.Context, *view) error) ([]Gap, error) {
	if r.shared != nil {
		return r.shared.walk(ctx, from, to, forward, see)
	}
	files, err := list(r.dir)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	if !forward {
		slices.Reverse(files)
	}
	var gaps []Gap
	for _, f := range files {
		if f.day < from || f.day > to {
			continue
		}
		if f.aside {
			gaps = append(gaps, Gap{string(f.day), "the file is damaged and was set aside"})
			continue
		}
		err := r.day(ctx, f, see)
		switch {
		case err == nil:
		case errors.Is(err, errStop):
			return gaps, nil
		case ctx.Err() != nil:
			return gaps, ctx.Err()
		default:
			gaps = append(gaps, Gap{string(f.day), err.Error()})
		}
	}
	return gaps, nil
}

// day opens one file for reading. A file that is being made has no schema yet and holds nothing.
func (r *Reader) day(ctx context.Context, f file, see func(context.Context, *view) error) error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	db, v, err := openRead(ctx, f.path)
	if err != nil {
		return err
	}
	defer db.Close()
	switch {
	case v > schema:
		return ErrNewer
	case v == 0:
		return nil
	}
	// One transaction, since closing a day moves what is read from one table to others.
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing was changed
	at := &view{tx: tx, file: viewed{f.day, info, tx}, blocks: v >= 2, parts: v >= 2, fates: v >= 3, judging: v >= 4, sieves: v >= 5}
	var id int
	if err := tx.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	at.named = id == nameState || id == bothState
	if at.parts {
		var unparted bool
		if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM unparted)").Scan(&unparted); err != nil {
			return err
		}
		at.parts = !unparted
	}
	return see(ctx, at)
}

// openRead opens a file that another may be writing. One that nobody writes and that lies where we may not write needs the
// promise that it stays as it is: SQLite would make a file beside it.
func openRead(ctx context.Context, path string) (*sql.DB, int, error) {
	values := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(2000)", "query_only(1)"}}
	for {
		db, err := sql.Open("sqlite", dsn(path, values))
		if err != nil {
			return nil, 0, err
		}
		db.SetMaxOpenConns(1)
		v, err := version(ctx, db)
		if err == nil {
			return db, v, nil
		}
		_ = db.Close()
		var se *sqlite.Error
		if !errors.As(err, &se) || se.Code()&0xff != sqlite3.SQLITE_CANTOPEN && se.Code()&0xff != sqlite3.SQLITE_READONLY ||
			values.Has("immutable") || size(path+"-wal") > 0 {
			return nil, 0, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, 0, err
		}
		values.Set("immutable", "1")
	}
}

// Oldest returns the first moment of which the log may hold something; zero when it is empty.
func (r *Reader) Oldest() (time.Time, error) {
	if r.shared != nil {
		return r.shared.oldest()
	}
	files, err := list(r.dir)
	if err != nil {
		return time.Time{}, fmt.Errorf("log: %w", err)
	}
	for _, f := range files {
		if !f.aside {
			return f.day.start(), nil
		}
	}
	return time.Time{}, nil
}
