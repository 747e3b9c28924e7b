package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"time"

	"gatepost/gateway/reports"
)

// Reports keeps what reports of one kind are made of until they are sent, and what became of them (reports.Store), in one
// SQLite file. It is safe for concurrent use.
type Reports struct{ db *sql.DB }

const reportsSchema = `CREATE TABLE IF NOT EXISTS subject (
  id       INTEGER PRIMARY KEY,
  day      INTEGER NOT NULL,
  domain   TEXT NOT NULL,
  method   TEXT NOT NULL,
  record   TEXT NOT NULL,
  lines    INTEGER NOT NULL DEFAULT 0,
  messages INTEGER NOT NULL DEFAULT 0,
  lost     INTEGER NOT NULL DEFAULT 0, -- messages that found no room
  first    INTEGER NOT NULL DEFAULT 0, -- when it was first tried to be sent, Unix seconds
  done     INTEGER NOT NULL DEFAULT 0,
  UNIQUE (day, domain, method, record)
);
CREATE TABLE IF NOT EXISTS line (
  subject INTEGER NOT NULL,
  key     TEXT NOT NULL, -- JSON of the kind of report
  n       INTEGER NOT NULL,
  PRIMARY KEY (subject, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (
  subject  INTEGER NOT NULL,
  address  TEXT NOT NULL,
  first    INTEGER NOT NULL, -- line
  upto     INTEGER NOT NULL,
  report   TEXT NOT NULL,
  state    TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  next     INTEGER NOT NULL, -- Unix seconds
  last     INTEGER NOT NULL,
  octets   INTEGER NOT NULL,
  said     TEXT NOT NULL,
  PRIMARY KEY (subject, address, first, upto)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rest (
  key      TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  day      INTEGER NOT NULL,
  until    INTEGER NOT NULL
) WITHOUT ROWID`

// OpenReports opens the file of DMARC reports, making it when it is not there. One that is damaged is set aside, and an empty
// one takes its place: the reports of some days are not sent, and that is all.
func OpenReports(ctx context.Context, path string, log *slog.Logger) (*Reports, error) {
	return openKind(ctx, path, "dmarc reports", log)
}

// OpenTLSReports opens that of TLS reports.
func OpenTLSReports(ctx context.Context, path string, log *slog.Logger) (*Reports, error) {
	return openKind(ctx, path, "tls reports", log)
}

func openKind(ctx context.Context, path, what string, log *slog.Logger) (*Reports, error) {
	db, err := openSmall(ctx, path, small{what: what, lost: "reports that were not sent are lost", schema: reportsSchema,
		probe: "SELECT sum(lines) FROM subject UNION ALL SELECT sum(n) + sum(length(key)) FROM line UNION ALL SELECT sum(attempts) FROM delivery"}, log)
	if err != nil {
		return nil, err
	}
	return &Reports{db}, nil
}

// Close ends the use of the file.
func (s *Reports) Close() error { return s.db.Close() }

// Count implements reports.Store. All of it is kept, or nothing.
func (s *Reports) Count(ctx context.Context, all []reports.Counted) (lost int64, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // of no effect after Commit
	c := counting{ctx: ctx, tx: tx, subjects: map[reports.Subject]*room{}, days: map[reports.Day]*room{}}
	if err := c.prepare(); err != nil {
		return 0, err
	}
	for i := range all {
		kept, err := c.add(&all[i])
		if err != nil {
			return 0, err
		}
		if !kept {
			lost += all[i].Count
		}
	}
	for _, u := range c.subjects {
		if _, err := tx.ExecContext(ctx, "UPDATE subject SET messages = messages + ?, lost = lost + ?, lines = ? WHERE id = ?", u.messages, u.lost, u.lines, u.id); err != nil {
			return 0, err
		}
	}
	return lost, tx.Commit()
}

// counting is one call of Count.
type counting struct {
	ctx      context.Context
	tx       *sql.Tx
	subjects map[reports.Subject]*room
	days     map[reports.Day]*room
	add1     *sql.Stmt // adds to a line, and makes it
	more     *sql.Stmt // adds to a line that is there
}

// room is what a subject, or a day, holds, and what this call adds to it.
type room struct {
	id              int64 // 0: there was no room for the subject
	subjects, lines int
	messages, lost  int64
	done            bool
}

// prepare makes the statements, which end with the transaction.
func (c *counting) prepare() (err error) {
	if c.add1, err = c.tx.PrepareContext(c.ctx, `INSERT INTO line (subject, key, n) VALUES (?,?,?)
 ON CONFLICT DO UPDATE SET n = n + excluded.n RETURNING n`); err != nil {
		return err
	}
	c.more, err = c.tx.PrepareContext(c.ctx, "UPDATE line SET n = n + ?3 WHERE subject = ?1 AND key = ?2 RETURNING n")
	return err
}

func (c *counting) day(d reports.Day) (*room, error) {
	if r := c.days[d]; r != nil {
		return r, nil
	}
	r := new(room)
	c.days[d] = r
	return r, c.tx.QueryRowContext(c.ctx, "SELECT count(*), coalesce(sum(lines), 0) FROM subject WHERE day = ?", int64(d)).Scan(&r.subjects, &r.lines)
}

func (c *counting) subject(u reports.Subject, day *room) (*room, error) {
	if r := c.subjects[u]; r != nil {
		return r, nil
	}
	r := new(room)
	c.subjects[u] = r
	key := []any{int64(u.Day), u.Domain, u.Method, u.Record}
	err := c.tx.QueryRowContext(c.ctx, "SELECT id, lines, done FROM subject WHERE day = ? AND domain = ? AND method = ? AND record = ?", key...).Scan(&r.id, &r.lines, &r.done)
	if !errors.Is(err, sql.ErrNoRows) {
		return r, err
	}
	if day.subjects >= reports.MaxSubjects {
		return r, nil
	}
	made, err := c.tx.ExecContext(c.ctx, "INSERT INTO subject (day, domain, method, record) VALUES (?,?,?,?)", key...)
	if err != nil {
		return r, err
	}
	day.subjects++
	r.id, err = made.LastInsertId()
	return r, err
}

// add counts one line. It reports false when there is no room for it.
func (c *counting) add(in *reports.Counted) (kept bool, err error) {
	day, err := c.day(in.Day)
	if err != nil {
		return false, err
	}
	u, err := c.subject(in.Subject, day)
	if err != nil || u.id == 0 || u.done {
		return false, err
	}
	put := c.add1
	if u.lines >= reports.MaxLines || day.lines >= reports.MaxDayLines {
		put = c.more
	}
	var n int64
	err = put.QueryRowContext(c.ctx, u.id, in.Key, in.Count).Scan(&n)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		u.lost += in.Count
		return false, nil
	case err != nil:
		return false, err
	case n == in.Count: // it is new
		u.lines++
		day.lines++
	}
	u.messages += in.Count
	return true, nil
}

// Open implements reports.Store.
func (s *Reports) Open(ctx context.Context, before reports.Day) ([]int64, error) {
	return numbers(s.db.QueryContext(ctx, "SELECT id FROM subject WHERE NOT done AND day < ? ORDER BY day, id", int64(before)))
}

// All implements reports.Store.
func (s *Reports) All(ctx context.Context, domain string, day *reports.Day, limit int) ([]int64, error) {
	where, args := []string{"1"}, []any{}
	if domain != "" {
		where, args = append(where, "domain = ?"), append(args, strings.ToLower(domain))
	}
	if day != nil {
		where, args = append(where, "day = ?"), append(args, int64(*day))
	}
	return numbers(s.db.QueryContext(ctx, "SELECT id FROM subject WHERE "+strings.Join(where, " AND ")+" ORDER BY day DESC, domain, id LIMIT ?", append(args, limit)...))
}

// Subject implements reports.Store.
func (s *Reports) Subject(ctx context.Context, id int64) (reports.Stored, error) {
	u := reports.Stored{ID: id}
	var day, first int64
	err := s.db.QueryRowContext(ctx, "SELECT day, domain, method, record, lines, messages, lost, first, done FROM subject WHERE id = ?", id).
		Scan(&day, &u.Domain, &u.Method, &u.Record, &u.Lines, &u.Messages, &u.Lost, &first, &u.Done)
	u.Day, u.First = reports.Day(day), unixTime(first)
	return u, err
}

// Lines implements reports.Store.
func (s *Reports) Lines(ctx context.Context, id int64) (out []reports.Line, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT key, n FROM line WHERE subject = ? ORDER BY key", id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var l reports.Line
		if err := rows.Scan(&l.Key, &l.Count); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// Finish implements reports.Store.
func (s *Reports) Finish(ctx context.Context, id int64) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	if _, err := tx.ExecContext(ctx, "UPDATE subject SET done = 1 WHERE id = ?", id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM line WHERE subject = ?", id); err != nil {
		return err
	}
	return tx.Commit()
}

// Forget implements reports.Store.
func (s *Reports) Forget(ctx context.Context, lines, all reports.Day) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	for _, x := range []struct {
		what string
		day  reports.Day
	}{
		{"DELETE FROM line WHERE subject IN (SELECT id FROM subject WHERE NOT done AND day < ?)", lines},
		{"UPDATE delivery SET state = 'expired', next = 0 WHERE state = 'waiting' AND subject IN (SELECT id FROM subject WHERE NOT done AND day < ?)", lines},
		{"UPDATE subject SET done = 1 WHERE NOT done AND day < ?", lines},
		{"DELETE FROM delivery WHERE subject IN (SELECT id FROM subject WHERE day < ?)", all},
		{"DELETE FROM subject WHERE day < ?", all},
	} {
		if _, err := tx.ExecContext(ctx, x.what, int64(x.day)); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM rest WHERE day < ? AND until < ?", int64(all), time.Now().Unix()); err != nil {
		return err
	}
	return tx.Commit()
}
