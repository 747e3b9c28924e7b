package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"

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
	var key octets
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

// greylistRows is how many rows one statement writes: each costs a third of what it would alone.
const greylistRows = 100

// Save implements greylist.Keeper.
func (g *Greylist) Save(ctx context.Context, c greylist.Changes) error {
	put, drop := rowsOf(&c)
	err := g.write(ctx, put, drop, c.Whole)
	if err != nil {
		return fmt.Errorf("greylist: %w", err)
	}
	return nil
}

// rowsOf takes changes apart: rows to put, a key and its value in turn, and keys to drop, both in the order in which the file
// has them, so that its pages are touched once.
func rowsOf(c *greylist.Changes) (put, drop []any) {
	type row struct {
		key   []byte
		value int64
	}
	rows := make([]row, 0, len(c.Pairs)+len(c.Identities))
	for k, r := range c.Pairs {
		rows = append(rows, row{append(k.Tag[:], k.Pair[:]...), int64(r)})
	}
	for id, p := range c.Identities {
		rows = append(rows, row{id[:], int64(p)})
	}
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.key, b.key) })
	for _, r := range rows {
		if r.value == 0 {
			drop = append(drop, r.key)
		} else {
			put = append(put, r.key, r.value)
		}
	}
	return put, drop
}

// write does all of it, or nothing.
func (g *Greylist) write(ctx context.Context, put, drop []any, whole bool) error {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	if whole {
		if _, err := tx.ExecContext(ctx, "DELETE FROM stranger"); err != nil {
			return err
		}
	}
	if err := inParts(ctx, tx, "INSERT OR REPLACE INTO stranger (key, value) VALUES ", "(?,?)", "", put); err != nil {
		return err
	}
	if err := inParts(ctx, tx, "DELETE FROM stranger WHERE key IN (", "?", ")", drop); err != nil {
		return err
	}
	return tx.Commit()
}

// inParts runs a statement for some rows at once, as often as it takes.
func inParts(ctx context.Context, tx *sql.Tx, head, row, tail string, values []any) error {
	each := strings.Count(row, "?")
	for len(values) > 0 {
		n := min(len(values)/each, greylistRows)
		if _, err := tx.ExecContext(ctx, head+strings.Repeat(row+",", n-1)+row+tail, values[:n*each]...); err != nil {
			return err
		}
		values = values[n*each:]
	}
	return nil
}

// Close ends the use of the file.
func (g *Greylist) Close() error { return g.db.Close() }
