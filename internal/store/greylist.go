package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	"gatepost/greylist"
)

// Greylist keeps what is remembered of strangers over a restart (greylist.Keeper), in one SQLite file. It is used by one
// goroutine at a time.
type Greylist struct{ db *sql.DB }

// greylistSchema holds pairs and identities in one table: their keys tell them apart by their length.
const greylistSchema = `CREATE TABLE IF NOT EXISTS stranger (
  key   BLOB PRIMARY KEY, -- 15 octets: a pair, under a keyed hash; 6: an identity
  value INTEGER NOT NULL  -- greylist.Record, greylist.Passes: times in milliseconds
) WITHOUT ROWID`

// The lengths of the keys.
const (
	tagOctets  = len(greylist.Tag{})
	pairOctets = tagOctets + len(greylist.Key{}.Pair)
)

// OpenGreylist opens the file, making it when it is not there. One that is damaged is set aside, with a line in the log, and
// an empty one takes its place: strangers begin anew, and those who passed wait once more.
func OpenGreylist(ctx context.Context, path string, log *slog.Logger) (*Greylist, error) {
	db, err := openSmall(ctx, path, small{what: "greylist", lost: "all begin anew as strangers", schema: greylistSchema,
		probe: "SELECT sum(value + length(key)) FROM stranger"}, log)
	if err != nil {
		return nil, err
	}
	return &Greylist{db}, nil
}

// Load implements greylist.Keeper. What is no key is left out.
func (g *Greylist) Load(ctx context.Context, pair func(greylist.Key, greylist.Record), identity func(greylist.Tag, greylist.Passes)) error {
	rows, err := g.db.QueryContext(ctx, "SELECT key, value FROM stranger")
	if err != nil {
		return err
	}
	defer rows.Close()
	var key sql.RawBytes
	var value int64
	for rows.Next() {
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		switch len(key) {
		case tagOctets:
			identity(greylist.Tag(key), greylist.Passes(value))
		case pairOctets:
			k := greylist.Key{Tag: greylist.Tag(key[:tagOctets])}
			copy(k.Pair[:], key[tagOctets:])
			pair(k, greylist.Record(value))
		}
	}
	return rows.Err()
}

// Save implements greylist.Keeper.
func (g *Greylist) Save(ctx context.Context, c greylist.Changes) error {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("greylist: %w", err)
	}
	defer tx.Rollback() // of no effect after Commit
	if c.Whole {
		if _, err := tx.ExecContext(ctx, "DELETE FROM stranger"); err != nil {
			return fmt.Errorf("greylist: %w", err)
		}
	}
	put, err := tx.PrepareContext(ctx, "INSERT OR REPLACE INTO stranger (key, value) VALUES (?,?)")
	if err != nil {
		return fmt.Errorf("greylist: %w", err)
	}
	defer put.Close()
	drop, err := tx.PrepareContext(ctx, "DELETE FROM stranger WHERE key = ?")
	if err != nil {
		return fmt.Errorf("greylist: %w", err)
	}
	defer drop.Close()
	write := func(key []byte, value int64) error {
		if value == 0 {
			_, err := drop.ExecContext(ctx, key)
			return err
		}
		_, err := put.ExecContext(ctx, key, value)
		return err
	}
	for k, r := range c.Pairs {
		if err := write(append(k.Tag[:], k.Pair[:]...), int64(r)); err != nil {
			return fmt.Errorf("greylist: %w", err)
		}
	}
	for id, p := range c.Identities {
		if err := write(id[:], int64(p)); err != nil {
			return fmt.Errorf("greylist: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("greylist: %w", err)
	}
	return nil
}

// Close ends the use of the file.
func (g *Greylist) Close() error { return g.db.Close() }
