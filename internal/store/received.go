package store

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"time"

	"gatepost/gateway/received"
)

// Received keeps the reports that others sent about domains of ours (received.Store), in one SQLite file. It is safe for
// concurrent use.
type Received struct{ db *sql.DB }

const receivedSchema = `CREATE TABLE IF NOT EXISTS report (
  n         INTEGER PRIMARY KEY,
  kind      TEXT NOT NULL,
  domain    TEXT NOT NULL,
  org       TEXT NOT NULL,
  id        TEXT NOT NULL,
  first     INTEGER NOT NULL, -- of the period, Unix seconds
  last      INTEGER NOT NULL,
  received  INTEGER NOT NULL,
  sender    TEXT NOT NULL,
  reference TEXT NOT NULL,
  good      INTEGER NOT NULL,
  bad       INTEGER NOT NULL,
  body      TEXT NOT NULL, -- JSON
  UNIQUE (kind, domain, org, id, first)
);
CREATE INDEX IF NOT EXISTS report_received ON report (received);
CREATE INDEX IF NOT EXISTS report_domain ON report (domain, kind, last)`

// How much is kept: 13 months, as statistics are, and no more than a hostile sender should make of it.
const (
	receivedTime = 400 * 24 * time.Hour
	receivedMost = 100_000
	receivedRoom = 1 << 30 // octets of bodies
)

// OpenReceived opens the file, making it when it is not there. One that is damaged is set aside, with a line in the log, and
// an empty one takes its place: the reports in it are lost, and more come every day.
func OpenReceived(ctx context.Context, path string, log *slog.Logger) (*Received, error) {
	db, err := openSmall(ctx, path, small{what: "reports that others sent", lost: "those in it are lost, and more come every day", schema: receivedSchema, full: true,
		probe: "SELECT sum(length(kind) + length(domain) + length(body)) FROM report"}, log)
	if err != nil {
		return nil, err
	}
	return &Received{db}, nil
}

// Keep implements received.Store.
func (s *Received) Keep(ctx context.Context, reports []received.Report) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	for i := range reports {
		r := &reports[i]
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO report (kind, domain, org, id, first, last, received, sender, reference, good, bad, body)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`, string(r.Kind), r.Domain, r.Org, r.ID, r.Begin.Unix(), r.End.Unix(), r.Received.Unix(), r.From, r.Reference,
			r.Good, r.Bad, string(r.Body)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// ReceivedQuery is which reports are wanted; zero values do not matter.
type ReceivedQuery struct {
	Kind   received.Kind
	Domain string
	// Domains are those of which any must be it; lower-case A-labels. None: all.
	Domains []string
	Before  int64     // only those that a list shows behind this one, by its number; 0: all
	Since   time.Time // received then or later
	Number  int64     // one of them
	Limit   int       // at most
	Bodies  bool
}

// ReceivedReport is a report with its number here.
type ReceivedReport struct {
	Number int64 `json:"number"`
	received.Report
}

// Find returns reports, the newest first.
func (s *Received) Find(ctx context.Context, q ReceivedQuery) ([]ReceivedReport, error) {
	body := "''"
	if q.Bodies {
		body = "body"
	}
	where, values := "", []any{string(q.Kind), string(q.Kind), q.Domain, q.Domain, max(q.Since.Unix(), 0), q.Number, q.Number, q.Before, q.Before}
	if len(q.Domains) > 0 {
		where = " AND domain IN (?" + strings.Repeat(",?", len(q.Domains)-1) + ")"
		for _, d := range q.Domains {
			values = append(values, d)
		}
	}
	rows, err := s.db.QueryContext(ctx, `SELECT n, kind, domain, org, id, first, last, received, sender, reference, good, bad, `+body+` FROM report
		WHERE (? = '' OR kind = ?) AND (? = '' OR domain = ?) AND received >= ? AND (? = 0 OR n = ?) AND (? = 0 OR (received, n) < (SELECT received, n FROM report WHERE n = ?))`+where+" ORDER BY received DESC, n DESC LIMIT ?", append(values, q.Limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []ReceivedReport
	for rows.Next() {
		var r ReceivedReport
		var first, last, at int64
		var text []byte
		if err := rows.Scan(&r.Number, &r.Kind, &r.Domain, &r.Org, &r.ID, &first, &last, &at, &r.From, &r.Reference, &r.Good, &r.Bad, &text); err != nil {
			return nil, err
		}
		r.Begin, r.End, r.Received = time.Unix(first, 0).UTC(), time.Unix(last, 0).UTC(), time.Unix(at, 0).UTC()
		if len(text) > 0 {
			r.Body = text
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Expire removes reports that are too old, and the oldest where there are too many.
func (s *Received) Expire(ctx context.Context, now time.Time) (removed int64, err error) {
	for _, q := range []struct {
		text string
		arg  int64
	}{
		{"DELETE FROM report WHERE received < ?", now.Add(-receivedTime).Unix()},
		{"DELETE FROM report WHERE n IN (SELECT n FROM report ORDER BY received DESC, n DESC LIMIT -1 OFFSET ?)", receivedMost},
		{"DELETE FROM report WHERE n IN (SELECT n FROM (SELECT n, sum(length(body)) OVER (ORDER BY received DESC, n DESC) AS room FROM report) WHERE room > ?)", receivedRoom},
	} {
		r, err := s.db.ExecContext(ctx, q.text, q.arg)
		if err != nil {
			return removed, err
		}
		n, _ := r.RowsAffected() // SQLite always knows
		removed += n
	}
	return removed, nil
}

// Close closes the file.
func (s *Received) Close() error { return s.db.Close() }
