package store

import (
	"context"
	"database/sql"
	"errors"
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

// Count gives each event of a time that Search lists to see, in no order, and each once. A million are read in a second while
// their day lasts, and in two or three when it is over.
func (r *Reader) Count(ctx context.Context, w Window, see func(*Brief)) ([]Gap, error) {
	low, high := w.ids()
	return r.walk(ctx, w.first(), w.last(), false, func(ctx context.Context, v *view) error {
		seen, err := v.countBlocks(ctx, low, high, see)
		if err != nil {
			return err
		}
		return errors.Join(v.bad, v.countIndex(ctx, low, high, seen, see))
	})
}

// countBlocks reads the blocks, the newest first: what they say of an event is the later word.
func (v *view) countBlocks(ctx context.Context, low, high int64, see func(*Brief)) (map[int64]bool, error) {
	if !v.blocks {
		return nil, nil
	}
	rows, err := v.tx.QueryContext(ctx, "SELECT rows FROM block WHERE low < ? AND high >= ? ORDER BY seq DESC", high, low)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	seen := map[int64]bool{}
	var block sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&block); err != nil {
			return seen, err
		}
		if bad := eachRow(block, func(c *columns) bool {
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
	}
	return seen, rows.Err()
}

// countIndex reads the table of days that are over.
func (v *view) countIndex(ctx context.Context, low, high int64, seen map[int64]bool, see func(*Brief)) error {
	rows, err := v.tx.QueryContext(ctx, `SELECT id, ts, kind, verdict, reason, deciding, took, rcpts, transactions FROM event
 WHERE id >= ? AND id < ? AND (kind = 1 OR transactions = 0 OR verdict >= ?)`, low, high, int(gateway.Defer))
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
