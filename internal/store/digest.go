package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"time"

	"gatepost/gateway"
)

// Digest remembers what recipients were told of mail in quarantine (digest.Store), and which links were used, in one SQLite
// file. It is apart from the index of the quarantine, which may be made anew at any time. It is safe for concurrent use.
type Digest struct{ db *sql.DB }

const digestSchema = `CREATE TABLE IF NOT EXISTS told (
  rcpt    TEXT NOT NULL,     -- lower case
  message INTEGER NOT NULL,
  PRIMARY KEY (rcpt, message)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS told_message ON told (message);
CREATE TABLE IF NOT EXISTS last (
  domain TEXT PRIMARY KEY,
  at     INTEGER NOT NULL    -- milliseconds
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used (
  token BLOB PRIMARY KEY,    -- SHA-256: who reads the file can use none
  ends  INTEGER NOT NULL
) WITHOUT ROWID;`

// OpenDigest opens the file, making it when it is not there. One that is damaged is set aside, with a line in the log, and an
// empty one takes its place: recipients are told once more of what is still there.
func OpenDigest(ctx context.Context, path string, log *slog.Logger) (*Digest, error) {
	db, err := openSmall(ctx, path, small{what: "digests of the quarantine", lost: "recipients are told once more of what is there", schema: digestSchema, full: true,
		probe: "SELECT sum(length(rcpt) + (message & 1)), (SELECT sum(at) FROM last), (SELECT sum(length(token) + ends) FROM used) FROM told"}, log)
	if err != nil {
		return nil, err
	}
	return &Digest{db}, nil
}

// Close ends the use of the file.
func (s *Digest) Close() error { return s.db.Close() }

// Told implements digest.Store.
func (s *Digest) Told(ctx context.Context, rcpt string, ids []gateway.ID) (map[gateway.ID]bool, error) {
	out := map[gateway.ID]bool{}
	for len(ids) > 0 {
		some := ids[:min(len(ids), fatesAtOnce)]
		ids = ids[len(some):]
		values := []any{rcpt}
		for _, id := range some {
			values = append(values, int64(id))
		}
		if err := s.told(ctx, out, values); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Digest) told(ctx context.Context, out map[gateway.ID]bool, values []any) error {
	ids, err := numbers(s.db.QueryContext(ctx, "SELECT message FROM told WHERE rcpt = ? AND message IN (?"+strings.Repeat(",?", len(values)-2)+")", values...))
	for _, id := range ids {
		out[gateway.ID(id)] = true
	}
	return err
}

// Tell implements digest.Store.
func (s *Digest) Tell(ctx context.Context, rcpt string, ids []gateway.ID) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO told VALUES (?,?)", rcpt, int64(id)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Last implements digest.Store.
func (s *Digest) Last(ctx context.Context, domain string) (time.Time, error) {
	var at int64
	err := s.db.QueryRowContext(ctx, "SELECT at FROM last WHERE domain = ?", domain).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return instant(at), err
}

// SetLast implements digest.Store.
func (s *Digest) SetLast(ctx context.Context, domain string, at time.Time) error {
	_, err := s.db.ExecContext(ctx, "INSERT OR REPLACE INTO last VALUES (?,?)", domain, milliseconds(at))
	return err
}

// Use notes that a token did what it is for.
func (s *Digest) Use(ctx context.Context, token string, ends time.Time) error {
	sum := sha256.Sum256([]byte(token))
	_, err := s.db.ExecContext(ctx, "INSERT OR IGNORE INTO used VALUES (?,?)", sum[:], milliseconds(ends))
	return err
}

// Used reports whether a token did what it is for.
func (s *Digest) Used(ctx context.Context, token string) (used bool, err error) {
	sum := sha256.Sum256([]byte(token))
	return used, s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM used WHERE token = ?)", sum[:]).Scan(&used)
}

// Expire implements digest.Store.
func (s *Digest) Expire(ctx context.Context, arrived, now time.Time) error {
	// The upper bits of an id are the milliseconds of its time.
	_, err := s.db.ExecContext(ctx, "DELETE FROM told WHERE message < ?", milliseconds(arrived)<<20)
	_, err2 := s.db.ExecContext(ctx, "DELETE FROM used WHERE ends < ?", milliseconds(now))
	return errors.Join(err, err2)
}

// Named lists the messages of which a recipient, in lower case, was told.
func (s *Digest) Named(ctx context.Context, rcpt string) (out []gateway.ID, err error) {
	ids, err := numbers(s.db.QueryContext(ctx, "SELECT message FROM told WHERE rcpt = ? ORDER BY message", rcpt))
	for _, id := range ids {
		out = append(out, gateway.ID(id))
	}
	return out, err
}

// Forget forgets a recipient, in lower case, and of how many messages he was told. Of those that are still there he would be told
// once more.
func (s *Digest) Forget(ctx context.Context, rcpt string) (int, error) {
	res, err := s.db.ExecContext(ctx, "DELETE FROM told WHERE rcpt = ?", rcpt)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}
