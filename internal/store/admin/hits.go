package admin

import (
	"context"
	"errors"
	"strings"
	"time"

	"gatepost/internal/hits"
)

// ListHits keeps how often entries of lists were met (hits.Store).
type ListHits struct{ db *DB }

var _ hits.Store = ListHits{}

// ListHits are those of these control data.
func (db *DB) ListHits() ListHits { return ListHits{db} }

// ownList is the list of entries that are in own_list.
const ownList = "access.own"

// Note implements hits.Store.
func (h ListHits) Note(ctx context.Context, node string, entries []hits.Entry, now time.Time) error {
	return h.db.Write(ctx, func(tx *Tx) error {
		want := map[hits.Entry]bool{}
		for _, e := range entries {
			want[e] = true
		}
		var gone []int64
		err := tx.Each("SELECT id, list, kind, rcpt, value FROM list_entry WHERE node = ? AND list <> ?", []any{node, ownList}, func(scan func(...any) error) error {
			var id int64
			var e hits.Entry
			if err := scan(&id, &e.List, &e.Kind, &e.Rcpt, &e.Value); err != nil {
				return err
			}
			if !want[e] {
				gone = append(gone, id)
			}
			delete(want, e) // it is there
			return nil
		})
		for i := 0; i < len(gone) && err == nil; i++ {
			_, err = tx.Exec("DELETE FROM list_entry WHERE id = ?", gone[i])
		}
		for e := range want {
			if err == nil {
				_, err = tx.Exec("INSERT INTO list_entry (node, list, kind, rcpt, value, since, last, seen) VALUES (?, ?, ?, ?, ?, ?, 0, ?)", node, e.List, e.Kind, e.Rcpt, e.Value, Micros(now), Micros(now))
			}
		}
		if err == nil {
			_, err = tx.Exec("UPDATE list_entry SET seen = ? WHERE node = ?", Micros(now), node)
		}
		return err
	})
}

// Add implements hits.Store.
func (h ListHits) Add(ctx context.Context, node string, all []hits.Hit) error {
	return h.db.Write(ctx, func(tx *Tx) error {
		for i := range all {
			if err := addHit(tx, node, &all[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// addHit adds one.
func addHit(tx *Tx, node string, x *hits.Hit) error {
	last := Micros(x.Last)
	if x.List == ownList {
		_, err := tx.Exec(`INSERT INTO list_entry (node, list, kind, rcpt, value, since, last, seen) SELECT ?, ?, kind, rcpt, sender, ?, 0, ? FROM own_list WHERE rcpt = ? AND sender = ? AND kind = ?
 ON CONFLICT (list, rcpt, value, kind, node) DO NOTHING`, node, x.List, last, last, x.Rcpt, x.Value, x.Kind)
		if err != nil {
			return err
		}
	}
	var id int64
	err := tx.One("SELECT id FROM list_entry WHERE list = ? AND rcpt = ? AND value = ? AND kind = ? AND node = ?", []any{x.List, x.Rcpt, x.Value, x.Kind, node}, &id)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err == nil {
		_, err = tx.Exec("UPDATE list_entry SET last = ? WHERE id = ? AND last < ?", last, id, last)
	}
	if err == nil {
		_, err = tx.Exec("INSERT INTO list_hit (entry, day, n) VALUES (?, ?, ?) ON CONFLICT (entry, day) DO UPDATE SET n = list_hit.n + excluded.n", id, x.Day, x.N)
	}
	return err
}

// Counts implements hits.Store.
func (h ListHits) Counts(ctx context.Context, since int64, rcpts []string) (out []hits.Count, err error) {
	where, args := "e.list <> ?", []any{since, ownList}
	if rcpts != nil {
		if len(rcpts) == 0 {
			return nil, nil
		}
		where = "e.list = ? AND e.rcpt IN (?" + strings.Repeat(", ?", len(rcpts)-1) + ")"
		for _, r := range rcpts {
			args = append(args, r)
		}
	}
	err = h.db.Read(ctx, func(tx *Tx) error {
		out = nil
		return tx.Each(`SELECT e.list, e.kind, e.rcpt, e.value, MIN(e.since), MAX(e.last), CAST(COALESCE(SUM(h.n), 0) AS BIGINT) FROM list_entry e LEFT JOIN list_hit h ON h.entry = e.id AND h.day >= ?
 WHERE `+where+" GROUP BY e.list, e.kind, e.rcpt, e.value", args, func(scan func(...any) error) error {
			var c hits.Count
			var since, last int64
			if err := scan(&c.List, &c.Kind, &c.Rcpt, &c.Value, &since, &last, &c.N); err != nil {
				return err
			}
			c.Since, c.Last = Time(since), Time(last)
			out = append(out, c)
			return nil
		})
	})
	return out, err
}

// Prune implements hits.Store.
func (h ListHits) Prune(ctx context.Context, before int64, silent time.Time) error {
	return h.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec("DELETE FROM list_hit WHERE day < ?", before)
		if err == nil {
			_, err = tx.Exec(ownGone, ownList)
		}
		if err == nil {
			_, err = tx.Exec("DELETE FROM list_entry WHERE seen < ?", Micros(silent))
		}
		return err
	})
}

// ownGone takes away what was counted of entries of own lists that are no more.
const ownGone = "DELETE FROM list_entry WHERE list = ? AND NOT EXISTS (SELECT 1 FROM own_list o WHERE o.rcpt = list_entry.rcpt AND o.sender = list_entry.value AND o.kind = list_entry.kind)"
