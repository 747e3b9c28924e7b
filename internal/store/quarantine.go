package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

// Quarantine is the index of the vault (quarantine.Index), in one SQLite file. It is made anew from the vault when it is lost.
type Quarantine struct{ db *sql.DB }

// quarantineSchema has times in milliseconds. The words of reasons and states are those of the program.
const quarantineSchema = `CREATE TABLE IF NOT EXISTS message (
  id       INTEGER PRIMARY KEY,
  arrived  INTEGER NOT NULL,
  sender   TEXT NOT NULL,     -- reverse-path
  author   TEXT NOT NULL,     -- of the field From
  subject  TEXT NOT NULL,     -- as the domain's policy lets it be kept
  class    INTEGER NOT NULL,
  reason   TEXT NOT NULL,
  check_   TEXT NOT NULL,
  score    REAL NOT NULL,
  size     INTEGER NOT NULL,
  stored   INTEGER NOT NULL,
  key      TEXT NOT NULL,
  seq      INTEGER NOT NULL,
  reported TEXT NOT NULL,
  damaged  TEXT NOT NULL,
  keep     INTEGER NOT NULL   -- milliseconds, where a rule says so; 0: as long as its class
);
CREATE INDEX IF NOT EXISTS message_class ON message (class, arrived);
CREATE INDEX IF NOT EXISTS message_keep ON message (arrived + keep) WHERE keep > 0;
CREATE TABLE IF NOT EXISTS rcpt (
  message INTEGER NOT NULL,
  n       INTEGER NOT NULL,
  address TEXT NOT NULL,
  folded  TEXT NOT NULL,      -- lower case
  state   INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  said    TEXT NOT NULL,
  same    BLOB,
  PRIMARY KEY (message, n)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rcpt_address ON rcpt (folded, message);
CREATE INDEX IF NOT EXISTS rcpt_same ON rcpt (same) WHERE same IS NOT NULL;`

// OpenQuarantine opens the file, making it when it is not there. One that is damaged is set aside, with a line in the log, and
// an empty one takes its place, which the vault fills.
func OpenQuarantine(ctx context.Context, path string, log *slog.Logger) (*Quarantine, error) {
	db, err := openSmall(ctx, path, small{what: "quarantine", lost: "it is made anew from the vault", schema: quarantineSchema, full: true,
		probe: "SELECT sum(m.size + m.arrived + length(m.author) + length(m.subject)), (SELECT sum(length(folded) + at) FROM rcpt) FROM message m"}, log)
	if err != nil {
		return nil, err
	}
	return &Quarantine{db}, nil
}

// Close ends the use of the file.
func (q *Quarantine) Close() error { return q.db.Close() }

// milliseconds is how times are kept; zero for none.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// instant is the way back.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Put implements quarantine.Index.
func (q *Quarantine) Put(ctx context.Context, r *quarantine.Row) error {
	tx, err := q.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO message VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", int64(r.ID), milliseconds(r.Arrived), r.From, r.Author,
		r.Subject, int(r.Class), string(r.Reason), r.Check, r.Score, r.Size, r.Stored, r.Key, r.Seq, r.Reported, r.Damaged, r.Keep.Milliseconds())
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM rcpt WHERE message = ?", int64(r.ID)); err != nil {
		return err
	}
	for i := range r.Rcpts {
		to := &r.Rcpts[i]
		var same any
		if name, err := hex.DecodeString(to.Same); err == nil && len(name) > 0 {
			same = name
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO rcpt VALUES (?,?,?,?,?,?,?,?)", int64(r.ID), i, to.Address, strings.ToLower(to.Address), int(to.State),
			milliseconds(to.At), to.Said, same); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Delete implements quarantine.Index.
func (q *Quarantine) Delete(ctx context.Context, ids []gateway.ID) error {
	tx, err := q.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	values := make([]any, len(ids))
	for i, id := range ids {
		values[i] = int64(id)
	}
	for _, head := range [...]string{"DELETE FROM message WHERE id IN (", "DELETE FROM rcpt WHERE message IN ("} {
		if err := inParts(ctx, tx, head, "?", ")", values); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// like is a pattern that picks texts with a part in them.
func like(part string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(part) + "%"
}

// picks makes the conditions of a filter.
func picks(f *quarantine.Filter) (where []string, values []any) {
	add := func(text string, vs ...any) { where, values = append(where, text), append(values, vs...) }
	if len(f.IDs) > 0 {
		vs := make([]any, len(f.IDs))
		for i, id := range f.IDs {
			vs[i] = int64(id)
		}
		add("m.id IN (?"+strings.Repeat(",?", len(vs)-1)+")", vs...)
	}
	switch f.From {
	case "":
	case "<>":
		add("m.sender = ''")
	default:
		add(`(m.sender LIKE ? ESCAPE '\' OR m.author LIKE ? ESCAPE '\')`, like(f.From), like(f.From))
	}
	if f.Subject != "" {
		add(`m.subject LIKE ? ESCAPE '\'`, like(f.Subject))
	}
	if f.Reason != "" {
		add("substr(m.reason, 1, ?) = ?", len(f.Reason), f.Reason)
	}
	if f.Class != nil {
		add("m.class = ?", int(*f.Class))
	}
	if f.Reported != "" {
		add("m.reported = ?", f.Reported)
	}
	if f.Damaged {
		add("m.damaged <> ''")
	}
	if !f.Since.IsZero() {
		add("m.arrived >= ?", milliseconds(f.Since))
	}
	if !f.Until.IsZero() {
		add("m.arrived < ?", milliseconds(f.Until))
	}
	if f.Before != 0 {
		add("m.id < ?", int64(f.Before))
	}
	rcpt, vs := "", []any(nil)
	if f.Rcpt != "" {
		rcpt, vs = rcpt+" AND r.folded = ?", append(vs, strings.ToLower(f.Rcpt))
	}
	if f.To != "" {
		rcpt, vs = rcpt+` AND r.folded LIKE ? ESCAPE '\'`, append(vs, like(strings.ToLower(f.To)))
	}
	if len(f.Domains) > 0 {
		rcpt += " AND (" + strings.Repeat(` OR r.folded LIKE ? ESCAPE '\'`, len(f.Domains))[4:] + ")"
		for _, d := range f.Domains {
			vs = append(vs, strings.TrimSuffix(like("@"+strings.ToLower(d)), "%"))
		}
	}
	if f.State != nil {
		rcpt, vs = rcpt+" AND r.state = ?", append(vs, int(*f.State))
	}
	if rcpt != "" {
		add("EXISTS (SELECT 1 FROM rcpt r WHERE r.message = m.id"+rcpt+")", vs...)
	}
	return where, values
}

// columns of a message, as scan reads them.
const quarantineColumns = "m.id, m.arrived, m.sender, m.author, m.subject, m.class, m.reason, m.check_, m.score, m.size, m.stored, m.key, m.seq, m.reported, m.damaged, m.keep"

// Find implements quarantine.Index.
func (q *Quarantine) Find(ctx context.Context, f *quarantine.Filter) ([]quarantine.Row, error) {
	where, values := picks(f)
	text := "SELECT " + quarantineColumns + " FROM message m"
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	return q.rows(ctx, text+" ORDER BY m.id DESC LIMIT ?", append(values, f.Most())...)
}

// Same implements quarantine.Index.
func (q *Quarantine) Same(ctx context.Context, names []string) ([]quarantine.Row, error) {
	var values []any
	for _, text := range names {
		if name, err := hex.DecodeString(text); err == nil && len(name) > 0 {
			values = append(values, name)
		}
	}
	if len(values) == 0 {
		return nil, nil
	}
	var out []quarantine.Row
	for len(values) > 0 {
		some := values[:min(len(values), greylistRows)]
		values = values[len(some):]
		rows, err := q.rows(ctx, "SELECT "+quarantineColumns+" FROM message m WHERE m.id IN (SELECT message FROM rcpt WHERE same IN (?"+
			strings.Repeat(",?", len(some)-1)+"))", some...)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// Oldest implements quarantine.Index.
func (q *Quarantine) Oldest(ctx context.Context, c quarantine.Class, before time.Time, limit int) ([]quarantine.Row, error) {
	rows, err := q.db.QueryContext(ctx, "SELECT id, stored FROM message WHERE class = ? AND arrived < ? ORDER BY arrived LIMIT ?", int(c), milliseconds(before), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []quarantine.Row
	for rows.Next() {
		var id int64
		r := quarantine.Row{Class: c}
		if err := rows.Scan(&id, &r.Stored); err != nil {
			return nil, err
		}
		r.ID = gateway.ID(id)
		out = append(out, r)
	}
	return out, rows.Err()
}

// Short implements quarantine.Index.
func (q *Quarantine) Short(ctx context.Context, now time.Time, limit int) ([]quarantine.Row, error) {
	return q.rows(ctx, "SELECT "+quarantineColumns+" FROM message m WHERE keep > 0 AND arrived + keep < ? ORDER BY arrived + keep LIMIT ?", milliseconds(now), limit)
}

// rows reads messages, then their recipients.
func (q *Quarantine) rows(ctx context.Context, text string, values ...any) ([]quarantine.Row, error) {
	rows, err := q.db.QueryContext(ctx, text, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []quarantine.Row
	for rows.Next() {
		var r quarantine.Row
		var id, arrived, keep int64
		var class int
		var reason string
		if err := rows.Scan(&id, &arrived, &r.From, &r.Author, &r.Subject, &class, &reason, &r.Check, &r.Score, &r.Size, &r.Stored, &r.Key, &r.Seq,
			&r.Reported, &r.Damaged, &keep); err != nil {
			return nil, err
		}
		r.Keep = time.Duration(keep) * time.Millisecond
		r.ID, r.Arrived, r.Class, r.Reason = gateway.ID(id), instant(arrived), quarantine.Class(class), gateway.Reason(reason)
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close() // there is one connection
	return out, q.rcpts(ctx, out)
}

func (q *Quarantine) rcpts(ctx context.Context, all []quarantine.Row) error {
	at := make(map[int64]int, len(all))
	values := make([]any, len(all))
	for i := range all {
		at[int64(all[i].ID)], values[i] = i, int64(all[i].ID)
	}
	for len(values) > 0 {
		some := values[:min(len(values), fatesAtOnce)]
		values = values[len(some):]
		rows, err := q.db.QueryContext(ctx, "SELECT message, address, state, at, said, same FROM rcpt WHERE message IN (?"+strings.Repeat(",?", len(some)-1)+
			") ORDER BY message, n", some...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, when int64
			var state int
			var same []byte
			var to quarantine.RowRcpt
			if err := rows.Scan(&id, &to.Address, &state, &when, &to.Said, &same); err != nil {
				return err
			}
			to.State, to.At, to.Same = quarantine.State(state), instant(when), hex.EncodeToString(same)
			r := &all[at[id]]
			r.Rcpts = append(r.Rcpts, to)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
	}
	return nil
}

// Sums implements quarantine.Index.
func (q *Quarantine) Sums(ctx context.Context) (map[quarantine.Class]quarantine.Sums, error) {
	out := map[quarantine.Class]quarantine.Sums{}
	return out, q.each(ctx, "SELECT class, count(*), sum(stored) FROM message GROUP BY class", func(scan func(...any) error) error {
		var c int
		var s quarantine.Sums
		err := scan(&c, &s.Messages, &s.Octets)
		out[quarantine.Class(c)] = s
		return err
	})
}

// Keys implements quarantine.Index.
func (q *Quarantine) Keys(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	return out, q.each(ctx, "SELECT key, count(*) FROM message GROUP BY key", func(scan func(...any) error) error {
		var key string
		var n int
		err := scan(&key, &n)
		out[key] = n
		return err
	})
}

// Known implements quarantine.Index.
func (q *Quarantine) Known(ctx context.Context, each func(id gateway.ID, seq, stored int64)) error {
	return q.each(ctx, "SELECT id, seq, stored FROM message", func(scan func(...any) error) error {
		var id, seq, stored int64
		err := scan(&id, &seq, &stored)
		each(gateway.ID(id), seq, stored)
		return err
	})
}

func (q *Quarantine) each(ctx context.Context, text string, row func(scan func(...any) error) error) error {
	rows, err := q.db.QueryContext(ctx, text)
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
