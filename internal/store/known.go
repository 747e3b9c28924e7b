package store

import (
	"context"
	"database/sql"
	"log/slog"
)

// Known keeps what is known of domains, paths and sealers over a restart (memory.Keeper), in one SQLite file. It is safe
// for concurrent use.
type Known struct{ db *sql.DB }

// knownSchema has one table for all kinds: they are read whole at the start, and never searched by anybody but a person,
// who reads the JSON by `sqlite3 known.db`.
const knownSchema = `CREATE TABLE IF NOT EXISTS known (
  kind  TEXT NOT NULL, -- domain, path, sealer
  name  TEXT NOT NULL, -- of a path: the host, a space, and what it tells
  value TEXT NOT NULL, -- JSON; times are Unix seconds
  PRIMARY KEY (kind, name)
) WITHOUT ROWID`

// OpenKnown opens the file, making it when it is not there. One that is damaged is set aside, with a line in the log, and
// an empty one takes its place: all is learned anew.
func OpenKnown(ctx context.Context, path string, log *slog.Logger) (*Known, error) {
	db, err := openSmall(ctx, path, small{what: "memory of domains and paths", lost: "all is learned anew", schema: knownSchema,
		probe: "SELECT sum(length(kind) + length(name) + length(value)) FROM known"}, log)
	if err != nil {
		return nil, err
	}
	return &Known{db}, nil
}

// OpenReputation opens a file of the same form that keeps what came of mail: the kinds are address and name, the names
// "client:192.0.2.1".
func OpenReputation(ctx context.Context, path string, log *slog.Logger) (*Known, error) {
	db, err := openSmall(ctx, path, small{what: "reputation", lost: "everybody is a stranger again", schema: knownSchema,
		probe: "SELECT sum(length(kind) + length(name) + length(value)) FROM known"}, log)
	if err != nil {
		return nil, err
	}
	return &Known{db}, nil
}

// OpenRecipients opens a file of the same form that keeps which recipients next hops know: the names are the route, a line
// end and the address, the values when that was said, in Unix seconds.
func OpenRecipients(ctx context.Context, path string, log *slog.Logger) (*Known, error) {
	db, err := openSmall(ctx, path, small{what: "memory of recipients", lost: "next hops are asked again", schema: knownSchema,
		probe: "SELECT sum(length(kind) + length(name) + length(value)) FROM known"}, log)
	if err != nil {
		return nil, err
	}
	return &Known{db}, nil
}

// Load implements memory.Keeper.
func (k *Known) Load(ctx context.Context, kind string, yield func(name string, value []byte)) error {
	rows, err := k.db.QueryContext(ctx, "SELECT name, value FROM known WHERE kind = ?", kind)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var value []byte
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		yield(name, value)
	}
	return rows.Err()
}

// Save implements memory.Keeper: all of it, or nothing.
func (k *Known) Save(ctx context.Context, kind string, changed map[string][]byte) error {
	tx, err := k.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	put, err := tx.PrepareContext(ctx, "INSERT OR REPLACE INTO known (kind, name, value) VALUES (?,?,?)")
	if err != nil {
		return err
	}
	defer put.Close()
	drop, err := tx.PrepareContext(ctx, "DELETE FROM known WHERE kind = ? AND name = ?")
	if err != nil {
		return err
	}
	defer drop.Close()
	for name, value := range changed {
		if value == nil {
			_, err = drop.ExecContext(ctx, kind, name)
		} else {
			_, err = put.ExecContext(ctx, kind, name, string(value))
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Close ends the use of the file.
func (k *Known) Close() error { return k.db.Close() }
