package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gatepost/gateway/reports"
)

// Deliveries implements reports.Store.
func (s *Reports) Deliveries(ctx context.Context, id int64) (out []reports.Delivery, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT address, first, upto, report, state, attempts, next, last, octets, said
 FROM delivery WHERE subject = ? ORDER BY address, first, upto`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d reports.Delivery
		var next, last int64
		if err := rows.Scan(&d.Address, &d.First, &d.Upto, &d.ReportID, &d.State, &d.Attempts, &next, &last, &d.Octets, &d.Said); err != nil {
			return nil, err
		}
		d.Next, d.Last = unixTime(next), unixTime(last)
		out = append(out, d)
	}
	return out, rows.Err()
}

// Plan implements reports.Store.
func (s *Reports) Plan(ctx context.Context, id int64, address string, first time.Time, all []reports.Delivery) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	if _, err := tx.ExecContext(ctx, "UPDATE subject SET first = ? WHERE id = ? AND first = 0", unixSeconds(first), id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM delivery WHERE subject = ? AND address = ? AND first < 0 AND state = 'waiting'", id, address); err != nil {
		return err
	}
	for i := range all {
		d := &all[i]
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO delivery (subject, address, first, upto, report, state, attempts, next, last, octets, said)
 VALUES (?,?,?,?,?,?,?,?,?,?,?)`, id, d.Address, d.First, d.Upto, d.ReportID, string(d.State), d.Attempts, unixSeconds(d.Next), unixSeconds(d.Last), d.Octets, d.Said)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Save implements reports.Store.
func (s *Reports) Save(ctx context.Context, id int64, d reports.Delivery) error {
	_, err := s.db.ExecContext(ctx, `UPDATE delivery SET state = ?, attempts = ?, next = ?, last = ?, octets = ?, said = ?
 WHERE subject = ? AND address = ? AND first = ? AND upto = ?`, string(d.State), d.Attempts, unixSeconds(d.Next), unixSeconds(d.Last), d.Octets, d.Said,
		id, d.Address, d.First, d.Upto)
	return err
}

// Rest implements reports.Store.
func (s *Reports) Rest(ctx context.Context, key string) (reports.Rest, error) {
	r := reports.Rest{Key: key}
	var day, until int64
	err := s.db.QueryRowContext(ctx, "SELECT failures, day, until FROM rest WHERE key = ?", key).Scan(&r.Failures, &day, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	r.LastDay, r.Until = reports.Day(day), unixTime(until)
	return r, err
}

// SaveRest implements reports.Store.
func (s *Reports) SaveRest(ctx context.Context, r reports.Rest) error {
	if r.Failures == 0 {
		_, err := s.db.ExecContext(ctx, "DELETE FROM rest WHERE key = ?", r.Key)
		return err
	}
	_, err := s.db.ExecContext(ctx, "INSERT OR REPLACE INTO rest (key, failures, day, until) VALUES (?,?,?,?)", r.Key, r.Failures, int64(r.LastDay), unixSeconds(r.Until))
	return err
}
