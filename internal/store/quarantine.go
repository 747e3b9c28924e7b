package store

import (
	"context"
	"log/slog"
	"time"

	"gatepost/gateway/quarantine"
)

// Quarantine is the index of the vault (quarantine.Index), in one SQLite file. It is made anew from the vault when it is lost.
type Quarantine struct{ keptRows }

var _ quarantine.Index = (*Quarantine)(nil)

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
	return &Quarantine{keptRows{db: db, words: ownWords()}}, nil
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
