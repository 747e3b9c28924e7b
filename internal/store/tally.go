package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"os"
	"time"

	"gatepost/gateway"
)

// Brief is what of an event is counted. Its texts are only good until the function that is given it returns.
type Brief struct {
	ID      gateway.ID
	Time    time.Time
	Kind    gateway.EventKind
	Verdict gateway.Outcome
	Reason  string
	Check   string
	Took    time.Duration
	Rcpts   string // addresses in lower case, a space behind each

	Transactions int // of a connection
}

// Mark is how far Count has read. The zero value has read nothing.
type Mark struct{ files map[day]readTo }

// readTo is how far a file was read.
type readTo struct {
	file os.FileInfo
	seq  int64 // of stories
}

// ErrMark says that a file is not the one that was read before: what was counted is to be counted anew.
var ErrMark = errors.New("log: a file was replaced since it was counted")

// Count gives each event of a time that Search lists to see, in no order, and each once. A million are read in a second while
// their day lasts, and in two or three when it is over.
func (r *Reader) Count(ctx context.Context, w Window, see func(*Brief)) ([]Gap, error) {
	gaps, _, err := r.CountSince(ctx, w, Mark{}, see)
	return gaps, err
}

// CountSince is Count for what was written since it gave a Mark for the same time, and gives the next. An event that is written again
// is given again. Where it answers an error or gaps, what it gave to see is not all, and the Mark is of no use.
func (r *Reader) CountSince(ctx context.Context, w Window, m Mark, see func(*Brief)) ([]Gap, Mark, error) {
	low, high := w.ids()
	next := Mark{maps.Clone(m.files)}
	if next.files == nil {
		next.files = make(map[day]readTo)
	}
	replaced := false
	gaps, err := r.walk(ctx, w.first(), w.last(), false, func(ctx context.Context, v *view) error {
		at, known := m.files[v.file.day]
		now := readTo{v.file.info, 0}
		// What nodes share has no one order: it is counted anew.
		if replaced = known && (v.shared || !os.SameFile(at.file, now.file)); replaced {
			return errStop
		}
		if v.blocks {
			if err := v.tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq), 0) FROM stories").Scan(&now.seq); err != nil {
				return err
			}
		}
		next.files[v.file.day] = now
		if known && at.seq == now.seq {
			return nil
		}
		after := int64(-1)
		if known {
			after = at.seq
		}
		seen, err := v.countBlocks(ctx, low, high, after, see)
		if err != nil {
			return err
		}
		return errors.Join(v.bad, v.countIndex(ctx, low, high, after, seen, see))
	})
	if replaced {
		err = ErrMark
	}
	return gaps, next, err
}

// countBlocks reads the blocks, the newest first: what they say of an event is the later word.
func (v *view) countBlocks(ctx context.Context, low, high, after int64, see func(*Brief)) (map[int64]bool, error) {
	seen := map[int64]bool{}
	err := v.eachBlock(ctx, low, high, nil, func(b *blockRow) bool {
		if b.seq <= after {
			return false
		}
		if bad := eachRow(b.rows, func(c *columns) bool {
			if c.id >= low && c.id < high && !seen[c.id] {
				seen[c.id] = true
				if c.kind == gateway.TransactionEvent || c.transactions == 0 || c.verdict >= gateway.Defer {
					see(&Brief{gateway.ID(c.id), time.UnixMilli(c.began).UTC(), c.kind, c.verdict, c.reason, c.check, time.Duration(c.took) * time.Millisecond, c.rcpts, c.transactions})
				}
			}
			return true
		}); bad != nil && v.bad == nil {
			v.bad = bad
		}
		return true
	})
	return seen, err
}

// countIndex reads the table of days that are over.
func (v *view) countIndex(ctx context.Context, low, high, after int64, seen map[int64]bool, see func(*Brief)) error {
	text := `SELECT id, ts, kind, verdict, reason, deciding, took, rcpts, transactions FROM event
 WHERE id >= ? AND id < ? AND (kind = 1 OR transactions = 0 OR verdict >= ?)`
	args := []any{low, high, int(gateway.Defer)}
	if after >= 0 {
		text, args = text+" AND block > ?", append(args, after)
	}
	rows, err := v.tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var b Brief
		var id, ts, took int64
		var reason, check, rcpts sql.NullString
		if err := rows.Scan(&id, &ts, &b.Kind, &b.Verdict, &reason, &check, &took, &rcpts, &b.Transactions); err != nil {
			return err
		}
		if seen[id] {
			continue
		}
		b.ID, b.Time, b.Took = gateway.ID(id), time.UnixMilli(ts).UTC(), time.Duration(took)*time.Millisecond
		b.Reason, b.Check, b.Rcpts = reason.String, check.String, rcpts.String
		see(&b)
	}
	return rows.Err()
}

// RowOf is the row of an event that was not written yet, or is in no file: as Search would list it.
func RowOf(e *gateway.Event) Row {
	c := columnsOf(e, 0, nil)
	c.joinRcpts()
	return c.row()
}
