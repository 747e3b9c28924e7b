package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schema is the user_version of the files that are written. Those of 1, which have no blocks, of 2, which have no
// fates, of 3, which have no judging, and of 4, which have no sieves, are read as they are.
const schema = 5

// ErrNewer means that a file was written by a later version of the program.
var ErrNewer = errors.New("log file: written by a newer version")

// steps returns the migrations in their order; the n-th leads to user_version n.
func steps() ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	out := make([]string, len(names))
	for i, n := range names {
		text, err := migrations.ReadFile(n)
		if err != nil {
			return nil, err
		}
		out[i] = string(text)
	}
	return out, nil
}

// migrate brings a file to the newest schema, each step in a transaction of its own.
func migrate(ctx context.Context, db *sql.DB) error {
	all, err := steps()
	if err != nil {
		return err
	}
	at, err := version(ctx, db)
	if err != nil {
		return err
	}
	if at > len(all) {
		return ErrNewer
	}
	for i := at; i < len(all); i++ {
		if err := step(ctx, db, all[i], i+1); err != nil {
			return fmt.Errorf("log file: migration %d: %w", i+1, err)
		}
	}
	return nil
}

func step(ctx context.Context, db *sql.DB, text string, to int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", to)); err != nil {
		return err
	}
	return tx.Commit()
}

func version(ctx context.Context, db *sql.DB) (int, error) {
	var v int
	err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v)
	return v, err
}
