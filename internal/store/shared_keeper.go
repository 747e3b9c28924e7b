package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// sharedKeeper is the goroutine of a Log that keeps the bounds of age and size of a shared log. Each node does so: the narrowest
// bounds hold.
type sharedKeeper struct {
	l       *Log
	failing bool
}

// run looks each minute.
func (k *sharedKeeper) run() {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		ctx, cancel := context.WithTimeout(k.l.ctx, time.Minute)
		err := k.look(ctx, time.Now())
		cancel()
		if k.l.ctx.Err() != nil {
			return
		}
		if err != nil && !k.failing {
			k.l.o.Log.Warn("old days of the message log cannot be removed", "error", err)
		}
		k.failing = err != nil
		select {
		case <-k.l.ctx.Done():
			return
		case <-minute.C:
		}
	}
}

// look removes days that are too old, and the oldest where all are too large.
func (k *sharedKeeper) look(ctx context.Context, now time.Time) error {
	s, o := k.l.shared, &k.l.o
	all, err := s.days(ctx)
	if err != nil {
		return err
	}
	sizes, total, err := s.sizes(ctx)
	if err != nil {
		return err
	}
	today := dayOf(now)
	var first error
	for _, d := range slices.Clone(all) {
		old := d < today.add(1-o.Days)
		if !old && (total <= o.MaxBytes || d >= today) {
			continue
		}
		if err := s.drop(ctx, d); err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		total -= sizes[d]
		all = slices.DeleteFunc(all, func(x day) bool { return x == d })
		o.Log.Info("a day of the message log was removed", "day", string(d), "for", map[bool]string{true: "age", false: "size"}[old])
	}
	k.l.files.Store(int64(len(all)))
	k.l.bytes.Store(total)
	k.l.full.Store(total > o.MaxBytes)
	return first
}

// sizes are the octets of each day on the server's disk, and of all.
func (s *shared) sizes(ctx context.Context) (map[day]int64, int64, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT n.nspname::text, sum(pg_total_relation_size(c.oid))::bigint FROM pg_catalog.pg_class c
 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname LIKE 'gatepost\_log\_%' AND c.relkind = 'r' GROUP BY 1`)
	if err != nil {
		return nil, 0, fmt.Errorf("log: %w", err)
	}
	defer rows.Close()
	out, total := map[day]int64{}, int64(0)
	for rows.Next() {
		var name string
		var n sql.NullInt64 // NULL for a table that goes at this moment
		if err := rows.Scan(&name, &n); err != nil {
			return nil, 0, fmt.Errorf("log: %w", err)
		}
		if t, err := time.Parse(schemaPrefix+"20060102", name); err == nil {
			out[dayOf(t)] = n.Int64
			total += n.Int64
		}
	}
	return out, total, rows.Err()
}

// drop removes a day. While somebody reads it for longer than a moment, it stays until the next minute, so that who comes meanwhile
// does not wait behind.
func (s *shared) drop(ctx context.Context, d day) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("log: %s: %w", d, err)
	}
	defer tx.Rollback() // of no effect after Commit
	for _, statement := range [...]string{fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(sharedLock)), "SET LOCAL lock_timeout = '500ms'",
		"DROP SCHEMA IF EXISTS " + schemaOf(d) + " CASCADE"} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("log: %s: %w", d, err)
		}
	}
	return tx.Commit()
}
