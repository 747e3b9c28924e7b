package admin

import (
	"context"
	"database/sql"
	"errors"
	"hash/fnv"
	"time"
)

// ErrNone means that there is no such row.
var ErrNone = errors.New("control data: no such row")

// Tx is a transaction. It belongs to the goroutine that runs it, and to the call of Read or Write that made it.
type Tx struct {
	ctx    context.Context
	tx     *sql.Tx
	d      dialect
	topics []string
}

// Exec runs a statement and returns how many rows it changed. Parameters are question marks, for either store; none may stand
// within a text in quotes.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	r, err := t.tx.ExecContext(t.ctx, t.d.query(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Insert runs an INSERT into a table that has an id of its own, and returns the id of the row.
func (t *Tx) Insert(query string, args ...any) (id int64, err error) {
	err = t.tx.QueryRowContext(t.ctx, t.d.query(query+" RETURNING id"), args...).Scan(&id)
	return id, err
}

// One reads one row into what the pointers lead to; ErrNone where there is none.
func (t *Tx) One(query string, args []any, into ...any) error {
	err := t.tx.QueryRowContext(t.ctx, t.d.query(query), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNone
	}
	return err
}

// Each reads rows, one after the other: scan is called for each, with what reads its columns. No other statement may run
// meanwhile.
func (t *Tx) Each(query string, args []any, scan func(scan func(into ...any) error) error) error {
	rows, err := t.tx.QueryContext(t.ctx, t.d.query(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Lock makes transactions that name the same lock go one by one, on all nodes, until they end. In SQLite all writers do.
func (t *Tx) Lock(name string) error {
	if !t.d.postgres {
		return nil
	}
	_, err := t.tx.ExecContext(t.ctx, "SELECT pg_advisory_xact_lock($1)", lockKey(name))
	return err
}

// lockKey is the number of a lock.
func lockKey(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("gatepost " + name)) // never fails
	return int64(h.Sum64())
}

// Notify wakes who watches the topic, on all nodes, once the transaction is done.
func (t *Tx) Notify(topic string) error {
	t.topics = append(t.topics, topic)
	if !t.d.postgres {
		return nil
	}
	_, err := t.tx.ExecContext(t.ctx, "SELECT pg_notify($1, $2)", channel, topic)
	return err
}

// Micros is a time as the tables have it; 0 for none.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the opposite of Micros, in UTC.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
