package store

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"
)

// sharedSchema is the version of the tables of a day. A day keeps the tables with which it was made, and goes with them: no table of
// a shared log is ever changed.
const sharedSchema = 1

// sharedTables are those of a day, with $S for its schema. They are as in the migrations of day files, but for node, and for events,
// which have rows at once and no blocks; texts are compared octet by octet. Words are those of SQLite: where a statement suits both,
// there is one.
const sharedTables = `CREATE SCHEMA IF NOT EXISTS $S;
CREATE TABLE IF NOT EXISTS $S.meta (version int NOT NULL, named boolean NOT NULL, trimmed boolean NOT NULL);
CREATE TABLE IF NOT EXISTS $S.event (
  id bigint NOT NULL, node $T NOT NULL, ts bigint NOT NULL, kind smallint NOT NULL, session bigint NOT NULL, verdict smallint NOT NULL,
  score double precision NOT NULL, size bigint NOT NULL, took bigint NOT NULL, transactions bigint NOT NULL, client bytea,
  listener $T, helo $T, mail_from $T, from_domain $T, header_from $T, header_domain $T, rcpts $T, message_id $T, subject $T,
  reason $T, deciding $T, policy $T, reply $T, next_hop $T, ending $T, block bigint NOT NULL, at bigint NOT NULL,
  PRIMARY KEY (id, node)
);
CREATE INDEX IF NOT EXISTS event_session ON $S.event (session) WHERE kind = 1;
CREATE INDEX IF NOT EXISTS event_verdict ON $S.event (verdict, id);
CREATE INDEX IF NOT EXISTS event_client ON $S.event (client, id);
CREATE INDEX IF NOT EXISTS event_from ON $S.event (mail_from, id) WHERE mail_from IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_from_domain ON $S.event (from_domain, id) WHERE from_domain IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_header ON $S.event (header_from, id) WHERE header_from IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_header_domain ON $S.event (header_domain, id) WHERE header_domain IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_message_id ON $S.event (message_id, id) WHERE message_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS $S.rcpt (rcpt $T NOT NULL, id bigint NOT NULL, node $T NOT NULL, PRIMARY KEY (rcpt, id, node));
CREATE TABLE IF NOT EXISTS $S.shape (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, prefix bytea NOT NULL);
CREATE TABLE IF NOT EXISTS $S.stories (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, node $T NOT NULL, shape bigint NOT NULL, low bigint NOT NULL, high bigint NOT NULL, body bytea NOT NULL
);
ALTER TABLE $S.stories ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS $S.judging (seq bigint PRIMARY KEY, low bigint NOT NULL, high bigint NOT NULL, body bytea NOT NULL);
ALTER TABLE $S.judging ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS $S.fate (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bigint NOT NULL, node $T NOT NULL, what $T NOT NULL, body $T NOT NULL);
CREATE INDEX IF NOT EXISTS fate_id ON $S.fate (id);
CREATE INDEX IF NOT EXISTS fate_what ON $S.fate (what, seq);
CREATE TABLE IF NOT EXISTS $S.minute (minute bigint NOT NULL, metric $T NOT NULL, node $T NOT NULL, n bigint NOT NULL, PRIMARY KEY (minute, metric, node));
CREATE TABLE IF NOT EXISTS $S.early_of (minute bigint NOT NULL, net $T NOT NULL, reason $T NOT NULL, node $T NOT NULL, n bigint NOT NULL,
  PRIMARY KEY (minute, net, reason, node));
CREATE OR REPLACE VIEW $S.early AS SELECT minute, net, reason, sum(n)::bigint AS n FROM $S.early_of GROUP BY minute, net, reason;
CREATE TABLE IF NOT EXISTS $S.batch (node $T NOT NULL, run bigint NOT NULL, n bigint NOT NULL, PRIMARY KEY (node, run, n));
INSERT INTO $S.meta SELECT 1, false, false WHERE NOT EXISTS (SELECT 1 FROM $S.meta)`

// sharedLock is the number of the lock under which days come and go, on all nodes.
const sharedLock = 0x6761_7465_6c6f_67 // "gatelog"

// schemaStatements are those of a text that makes tables in a schema. $S stands for its name, and $T for a text that is compared octet by octet.
func schemaStatements(text, schema string) iter.Seq[string] {
	return strings.SplitSeq(strings.NewReplacer("$S", schema, "$T", `text COLLATE "C"`).Replace(text), ";\n")
}

// makeDay makes the tables of a day where they are not there, and returns the number of the shape in it.
func makeDay(ctx context.Context, c *pgx.Conn, d day, prefix []byte) (shape int64, err error) {
	name := schemaOf(d)
	tx, err := c.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // of no effect after Commit
	if _, err = tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(sharedLock)); err != nil {
		return 0, err
	}
	var there bool
	if err = tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name+".meta").Scan(&there); err != nil {
		return 0, err
	}
	if !there {
		for statement := range schemaStatements(sharedTables, name) {
			if _, err = tx.Exec(ctx, statement); err != nil {
				return 0, fmt.Errorf("tables of %s: %w", d, err)
			}
		}
	}
	var version int
	if err = tx.QueryRow(ctx, "SELECT version FROM "+name+".meta").Scan(&version); err != nil {
		return 0, err
	}
	if version > sharedSchema {
		return 0, ErrNewer
	}
	if shape, err = shapeOf(ctx, tx, name, prefix); err != nil {
		return 0, err
	}
	return shape, tx.Commit(ctx)
}
