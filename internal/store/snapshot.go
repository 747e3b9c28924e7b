package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// Snapshot copies a file of SQLite, be it of the log or another of the state folder, as it is at one moment into a new file that only we may
// read, and returns its user_version. Who writes to it meanwhile, in this process or another, does not wait; what is not yet written
// to the file by its owner is not in the copy. The copy is not flushed.
func Snapshot(ctx context.Context, from, to string) (version int, err error) {
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite would make it readable by others
	if err != nil {
		return 0, fmt.Errorf("snapshot: %w", err)
	}
	if err := f.Close(); err != nil {
		return 0, fmt.Errorf("snapshot: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(from, url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(5000)"}}))
	if err != nil {
		return 0, errors.Join(fmt.Errorf("snapshot: %w", err), os.Remove(to))
	}
	db.SetMaxOpenConns(1)
	if err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err == nil {
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return 0, errors.Join(fmt.Errorf("snapshot: %w", err), os.Remove(to))
	}
	return version, nil
}

// Schemas are the user_versions of files of the log that this program reads: 1 to the newest.
func Schemas() []int {
	out := make([]int, schema)
	for i := range out {
		out[i] = i + 1
	}
	return out
}
