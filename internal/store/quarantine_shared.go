package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gatepost/gateway/quarantine"
)

// SharedQuarantine is an index of quarantined messages in PostgreSQL, for several nodes. As a quarantine.Index it is that of its own
// node; Others tells of those that other nodes keep. Octets that PostgreSQL cannot keep in a text are shown as such.
type SharedQuarantine struct{ keptRows }

var _ quarantine.Index = (*SharedQuarantine)(nil)

// keptSchema is where its tables are.
const keptSchema = "gatepost_quarantine"

// keptSteps bring its tables forward, each from one version to the next; what was released is never changed. $T is a text that is
// compared octet by octet. Columns are as in the file of a node, with the node in front.
var keptSteps = [...]string{
	`CREATE TABLE $S.message (
  node $T NOT NULL, id bigint NOT NULL, arrived bigint NOT NULL, sender $T NOT NULL, author $T NOT NULL, subject $T NOT NULL, class smallint NOT NULL,
  reason $T NOT NULL, check_ $T NOT NULL, score double precision NOT NULL, size bigint NOT NULL, stored bigint NOT NULL, key $T NOT NULL, seq bigint NOT NULL,
  reported $T NOT NULL, damaged $T NOT NULL, keep bigint NOT NULL, PRIMARY KEY (id, node)
);
CREATE INDEX message_class ON $S.message (node, class, arrived);
CREATE TABLE $S.rcpt (
  node $T NOT NULL, message bigint NOT NULL, n int NOT NULL, address $T NOT NULL, folded $T NOT NULL, state smallint NOT NULL, at bigint NOT NULL,
  said $T NOT NULL, same bytea, PRIMARY KEY (message, node, n)
);
CREATE INDEX rcpt_address ON $S.rcpt (folded, message);
CREATE INDEX rcpt_same ON $S.rcpt (same) WHERE same IS NOT NULL`,
}

// How much of the server is used.
const (
	keptConns = 4
	keptTime  = 30 * time.Second // that one statement may take
)

// NewSharedQuarantine names an index that nodes share. The server need not answer yet: Ready makes the tables.
func NewSharedQuarantine(o *Shared) (*SharedQuarantine, error) {
	db, err := o.open("store.url", keptTime, keptConns)
	if err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	return &SharedQuarantine{keptRows{db: db, words: sharedWords(), shared: true, node: clean(o.Node)}}, nil
}

// Close gives back its connections.
func (q *SharedQuarantine) Close() error { return q.db.Close() }

// Ready makes the tables as they should be: all of a step or nothing, and one node at a time. It answers ErrNewer where a later version
// of the program made them.
func (q *SharedQuarantine) Ready(ctx context.Context) error {
	version, err := q.version(ctx)
	if err == nil && version == len(keptSteps) {
		return nil
	}
	if err != nil && !isGone(err) {
		return fmt.Errorf("quarantine: %w", err)
	}
	err = q.change(ctx, func(tx *sql.Tx) error { return q.step(ctx, tx) })
	if err != nil && !errors.Is(err, ErrNewer) {
		return fmt.Errorf("quarantine: tables: %w", err)
	}
	return err
}

func (q *SharedQuarantine) version(ctx context.Context) (n int, err error) {
	err = q.db.QueryRowContext(ctx, "SELECT version FROM "+keptSchema+".meta").Scan(&n)
	return n, err
}

func (q *SharedQuarantine) step(ctx context.Context, tx *sql.Tx) error {
	do := func(text string) error {
		for statement := range schemaStatements(text, keptSchema) {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}
	var there bool
	err := do("SELECT pg_advisory_xact_lock(" + strconv.FormatInt(sharedLock, 10) + ")")
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", keptSchema+".meta").Scan(&there)
	}
	if err == nil && !there {
		err = do("CREATE SCHEMA IF NOT EXISTS $S;\nCREATE TABLE $S.meta (version int NOT NULL);\nINSERT INTO $S.meta VALUES (0)")
	}
	var version int
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT version FROM "+keptSchema+".meta").Scan(&version)
	}
	if err == nil && version > len(keptSteps) {
		return ErrNewer
	}
	for ; err == nil && version < len(keptSteps); version++ {
		if err = do(keptSteps[version]); err == nil {
			err = do("UPDATE $S.meta SET version = version + 1")
		}
	}
	return err
}

// Others returns what a filter picks of the messages that other nodes keep, the newest first, each with its node.
func (q *SharedQuarantine) Others(ctx context.Context, f *quarantine.Filter) ([]quarantine.Row, error) {
	return q.find(ctx, "m.node <> ?", []any{q.node}, f)
}

// Forget takes out all messages of a node that is gone for good, and returns how many there were.
func (q *SharedQuarantine) Forget(ctx context.Context, node string) (n int64, err error) {
	err = q.change(ctx, func(tx *sql.Tx) error {
		for _, table := range [...]string{"{rcpt}", "{message}"} {
			text, args := q.statement("DELETE FROM "+table+" WHERE node = ?", []any{node})
			done, err := tx.ExecContext(ctx, text, args...)
			if err == nil {
				n, err = done.RowsAffected()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if isGone(err) {
		return 0, nil
	}
	return n, err
}
