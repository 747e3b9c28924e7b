package store

import (
	"context"
	"encoding/json"
	"strings"

	"gatepost/gateway"
)

// maxFates bounds how many things that became of one message are given with it.
const maxFates = 1000

// fateRow is one of them, as it is stored.
type fateRow struct {
	id   int64
	what string
	body []byte
}

// Fate takes what became of a message in the spool, and reports whether there is room for it; it never waits for the disk.
func (l *Log) Fate(f *gateway.Fate) bool {
	body, err := json.Marshal(f)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.room() {
		return false
	}
	b := l.of(l.days.of(f.Time.UnixMilli()))
	before := b.octets()
	b.fates = append(b.fates, fateRow{int64(f.ID), string(f.What), body})
	b.fated += int64(len(body)) + 64
	l.took(b, before)
	return true
}

// fates adds what became of a message, in the order in which it was written down.
func (r *Reader) fates(ctx context.Context, id gateway.ID, s *Story) error {
	gaps, err := r.walk(ctx, dayOf(id.Time()), "9999-12-31", true, func(ctx context.Context, v *view) error {
		return v.eachFate(ctx, func(f *gateway.Fate, bad error) error {
			if bad == nil {
				s.Fates = append(s.Fates, *f)
			}
			return bad
		}, "WHERE id = ? ORDER BY seq LIMIT ?", int64(id), maxFates-len(s.Fates))
	})
	for _, g := range gaps {
		if !hasGap(s.Gaps, g) {
			s.Gaps = append(s.Gaps, g)
		}
	}
	return err
}

// eachFate gives what the file has of what became of messages, as the end of a query picks it. What is stored of one and does not
// read is bad, and nothing of it is there. It stops at the first error of see, and answers it.
func (v *view) eachFate(ctx context.Context, see func(f *gateway.Fate, bad error) error, which string, args ...any) error {
	if !v.fates {
		return nil
	}
	rows, err := v.tx.QueryContext(ctx, "SELECT body FROM fate "+which, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var body []byte
		var f gateway.Fate
		if err := rows.Scan(&body); err != nil {
			return err
		}
		if err := see(&f, json.Unmarshal(body, &f)); err != nil {
			return err
		}
	}
	return rows.Err()
}

func hasGap(all []Gap, g Gap) bool {
	for _, x := range all {
		if x == g {
			return true
		}
	}
	return false
}

// FatesOf counts what of one kind became of messages in a time, and returns the newest of it, at most so many.
func (r *Reader) FatesOf(ctx context.Context, w Window, what gateway.FateWord, most int) (n int, newest []gateway.Fate, gaps []Gap, err error) {
	gaps, err = r.walk(ctx, w.first(), w.last(), false, func(ctx context.Context, v *view) error {
		return v.eachFate(ctx, func(f *gateway.Fate, bad error) error {
			if bad != nil {
				return bad
			}
			if f.Time.Before(w.Since) || !w.Until.IsZero() && !f.Time.Before(w.Until) {
				return nil
			}
			if n++; len(newest) < most {
				newest = append(newest, *f)
			}
			return nil
		}, "WHERE what = ? ORDER BY seq DESC", string(what))
	})
	return n, newest, gaps, err
}

// fatesAtOnce is how many messages one question is about.
const fatesAtOnce = 400

// fated says of the rows that were found what the last thing is that became of each.
func (r *Reader) fated(ctx context.Context, rows []Row) error {
	at := make(map[int64]int, len(rows))
	var oldest gateway.ID
	for i := range rows {
		if rows[i].Kind == gateway.TransactionEvent && strings.HasPrefix(rows[i].Reply, "250") {
			at[int64(rows[i].ID)] = i
			if oldest == 0 || rows[i].ID < oldest {
				oldest = rows[i].ID
			}
		}
	}
	if len(at) == 0 {
		return nil
	}
	ids := make([]any, 0, len(at))
	for id := range at {
		ids = append(ids, id)
	}
	_, err := r.walk(ctx, dayOf(oldest.Time()), "9999-12-31", true, func(ctx context.Context, v *view) error {
		if !v.fates {
			return nil
		}
		for rest := ids; len(rest) > 0; {
			some := rest[:min(len(rest), fatesAtOnce)]
			rest = rest[len(some):]
			if err := v.lastFates(ctx, some, func(id int64, what string) { rows[at[id]].Later = gateway.FateWord(what) }); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// lastFates gives the last word on each of some messages that the file has one of.
func (v *view) lastFates(ctx context.Context, ids []any, see func(id int64, what string)) error {
	rows, err := v.tx.QueryContext(ctx, "SELECT id, what FROM fate WHERE id IN (?"+strings.Repeat(",?", len(ids)-1)+") ORDER BY seq", ids...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var what string
		if err := rows.Scan(&id, &what); err != nil {
			return err
		}
		see(id, what)
	}
	return rows.Err()
}
