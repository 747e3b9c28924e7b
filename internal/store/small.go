package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
)

// small is a file beside the log that remembers something, and without which the gateway works.
type small struct {
	what   string // for errors and the log
	lost   string // what it means when it is lost
	schema string // made where it is not there
	probe  string // a query that reads through all of it
	full   bool   // what was written survives a power cut, each transaction
}

// openSmall opens such a file, making it when it is not there. One that is damaged is set aside, with a line in the log, and
// an empty one takes its place.
func openSmall(ctx context.Context, path string, s small, log *slog.Logger) (*sql.DB, error) {
	db, err := s.open(ctx, path)
	if err == nil || !isDamage(err) {
		return db, err
	}
	if log != nil {
		log.Warn(s.what+": the file is damaged and set aside; "+s.lost, "file", path+damaged, "error", err)
	}
	if err := os.Rename(path, path+damaged); err != nil {
		return nil, fmt.Errorf("%s: %w", s.what, err)
	}
	for _, beside := range [...]string{"-wal", "-shm"} {
		if err := os.Remove(path + beside); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return s.open(ctx, path)
}

func (s *small) open(ctx context.Context, path string) (*sql.DB, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite would make it readable by others
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.what, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.what, err)
	}
	pragmas := []string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "temp_store(MEMORY)", "journal_size_limit(8388608)", "secure_delete(1)"}
	if s.full {
		pragmas[2] = "synchronous(FULL)"
	}
	db, err := sql.Open("sqlite", dsn(path, url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.what, err)
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, s.schema)
	if err == nil { // a file that is broken inside opens well: read through it once
		_, err = db.ExecContext(ctx, s.probe)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.what, err), db.Close())
	}
	return db, nil
}

// numbers reads the one column of what a query answers. It takes what QueryContext returns.
func numbers(rows *sql.Rows, err error) (out []int64, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}
