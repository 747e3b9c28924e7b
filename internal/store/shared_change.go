package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"gatepost/gateway"
	"gatepost/internal/store/pg"
)

// sharedChange changes the days of a shared log, block by block, each in one transaction, beside nodes that write and read.
type sharedChange struct {
	edit    *edit
	c       *pgx.Conn
	schema  string
	encoder *encoder
	packer  packer
	batch   batch
	to      []rcptColumns
	blocks  int // that were made anew
	events  int
	fates   int
	bad     int // blocks that do not read, and stay as they are
}

// change edits the days that are picked. Nodes do so one after the other, so that none does again what another has done.
func (s *shared) change(ctx context.Context, l *Log, e *edit, pick func(sharedDay) bool) (c Changed, err error) {
	turn, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return c, fmt.Errorf("log: %w", err)
	}
	defer turn.Rollback() // it holds nothing but the lock
	for _, statement := range [...]string{"SET LOCAL idle_in_transaction_session_timeout = 0", "SET LOCAL statement_timeout = 0",
		fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(sharedLock+1))} {
		if _, err := turn.ExecContext(ctx, statement); err != nil {
			return c, fmt.Errorf("log: %w", err)
		}
	}
	all, err := s.days(ctx)
	if err != nil {
		return c, err
	}
	config, err := s.connection()
	if err != nil {
		return c, err
	}
	config.RuntimeParams["lock_timeout"] = strconv.FormatInt(sharedLook.Milliseconds(), 10)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return c, fmt.Errorf("log: %w", err)
	}
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(late) // it is gone either way
	}()
	pace := &closer{l: l}
	for _, d := range all {
		w := &sharedChange{edit: e, c: conn, schema: schemaOf(d)}
		if w.encoder, err = newEncoder(); err != nil {
			return c, err
		}
		err := w.day(ctx, d, pick, func(took time.Duration) error { return pace.rest(ctx, took) })
		c.Events, c.Fates = c.Events+w.events, c.Fates+w.fates
		switch {
		case ctx.Err() != nil:
			return c, ctx.Err()
		case isGone(err): // its time was over meanwhile
		case err != nil && pg.Away(err):
			return c, fmt.Errorf("log: %w", err)
		case err != nil:
			c.Gaps = append(c.Gaps, Gap{string(d), err.Error()})
		case w.bad > 0:
			c.Gaps = append(c.Gaps, Gap{string(d), fmt.Sprintf("%d blocks are damaged, and stay as they are", w.bad)})
		}
	}
	return c, nil
}

// day changes one day. rest is called after each block with what it took.
func (w *sharedChange) day(ctx context.Context, d day, pick func(sharedDay) bool, rest func(time.Duration) error) error {
	at := sharedDay{day: d}
	var version int
	if err := w.c.QueryRow(ctx, "SELECT version, named, trimmed FROM "+w.schema+".meta").Scan(&version, &at.named, &at.trimmed); err != nil {
		return err
	}
	if version > sharedSchema {
		return ErrNewer
	}
	if !pick(at) {
		return nil
	}
	for after := int64(-1); ; {
		began := time.Now()
		seq, err := w.next(ctx, d, after)
		if errors.Is(err, pgx.ErrNoRows) {
			break
		}
		if err != nil {
			return err
		}
		after = seq
		if err := rest(time.Since(began)); err != nil {
			return err
		}
	}
	if w.edit.m != nil {
		if err := w.allFates(ctx); err != nil {
			return err
		}
	}
	return w.finish(ctx)
}

// finish notes what the day is now, and makes its tables anew without what was replaced.
func (w *sharedChange) finish(ctx context.Context) error {
	if w.edit.drop != nil {
		if _, err := w.c.Exec(ctx, "DELETE FROM "+w.schema+".early_of"); err != nil {
			return err
		}
		if _, err := w.c.Exec(ctx, "UPDATE "+w.schema+".meta SET trimmed = true"); err != nil {
			return err
		}
	} else if w.edit.all() {
		if _, err := w.c.Exec(ctx, "UPDATE "+w.schema+".meta SET named = true"); err != nil {
			return err
		}
	}
	if w.blocks+w.fates == 0 {
		return nil
	}
	for _, table := range [...]string{"event", "rcpt", "stories", "judging", "fate", "early_of"} {
		if _, err := w.c.Exec(ctx, "VACUUM (FULL, ANALYZE) "+w.schema+"."+table); err != nil {
			return fmt.Errorf("what was replaced may lie in free parts of the tables until their day goes: %w", err)
		}
	}
	return nil
}

// next changes the first block behind one.
func (w *sharedChange) next(ctx context.Context, d day, after int64) (seq int64, err error) {
	tx, err := w.c.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // of no effect after Commit
	var node string
	var shape, low, high int64
	var body, prefix []byte
	if err := tx.QueryRow(ctx, "SELECT s.seq, s.node, s.low, s.high, s.body, f.prefix FROM "+w.schema+".stories s JOIN "+w.schema+".shape f ON f.id = s.shape"+
		" WHERE s.seq > $1 ORDER BY s.seq LIMIT 1 FOR UPDATE OF s", after).Scan(&seq, &node, &low, &high, &body, &prefix); err != nil {
		return 0, err
	}
	stories, err := unpack(body)
	if err != nil {
		w.bad++
		return seq, nil
	}
	if w.edit.may != nil && !w.edit.may(stories) {
		return seq, nil
	}
	last, err := lastWords(ctx, tx, w.schema, seq, low, high)
	if err != nil {
		return 0, err
	}
	w.batch.reset(d)
	changed, stale, gone, err := w.edited(stories, prefix, node, last)
	if errors.Is(err, errBlock) {
		w.bad++
		return seq, nil
	}
	if err != nil || changed+stale == 0 {
		return seq, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM "+w.schema+".event WHERE id BETWEEN $1 AND $2 AND block = $3", low, high, seq); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM "+w.schema+".rcpt r USING unnest($1::text[], $2::bigint[]) AS x(a, b) WHERE r.rcpt = x.a AND r.id = x.b AND r.node = $3",
		gone.keys, gone.ids, node); err != nil {
		return 0, err
	}
	if shape, err = shapeOf(ctx, tx, w.schema, w.encoder.prefix); err != nil {
		return 0, err
	}
	if err := w.put(ctx, tx, seq, shape, node); err != nil {
		return 0, err
	}
	if err := tx.Commit(ctx); err != nil {
		return 0, err
	}
	w.blocks++
	w.events += changed
	return seq, nil
}

// lastWords are the events of which a block has the last word, and where their stories begin.
func lastWords(ctx context.Context, tx pgx.Tx, schema string, seq, low, high int64) (map[int64]int64, error) {
	rows, err := tx.Query(ctx, "SELECT id, at FROM "+schema+".event WHERE id BETWEEN $1 AND $2 AND block = $3", low, high, seq)
	if err != nil {
		return nil, err
	}
	out := map[int64]int64{}
	var id, at int64
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		out[id] = at
		return nil
	})
	return out, err
}

// goneRcpts are rows of recipients that go.
type goneRcpts struct {
	keys []string
	ids  []int64
}

// edited makes the block anew, and returns how many of its events are changed. Of an event of which a later block has the last word
// nothing stays, for it may hold what is to go: stale is how many of these there are.
func (w *sharedChange) edited(stories, prefix []byte, node string, last map[int64]int64) (changed, stale int, gone goneRcpts, err error) {
	dec, err := newDecoder(prefix)
	if err != nil {
		return 0, 0, gone, err
	}
	for at := 0; at < len(stories); {
		e, err := dec.event(stories[at:])
		if err != nil {
			return 0, 0, gone, errBlock
		}
		id, began := int64(e.Record.ID), int64(at)
		at = len(stories) - dec.in.Len()
		if where, is := last[id]; !is || where != began {
			stale++
			continue
		}
		old := columnsOf(e, began, w.to)
		for _, row := range old.sharedRcpts(node) {
			gone.keys, gone.ids = append(gone.keys, row[0].(string)), append(gone.ids, id)
		}
		w.to = old.to
		if w.edit.drop != nil && w.edit.drop(e) {
			changed++
			continue
		}
		if w.edit.m != nil && w.edit.m.event(e) {
			changed++
		}
		if err := w.batch.add(w.encoder, e, &w.to); err != nil {
			return 0, 0, gone, err
		}
	}
	return changed, stale, gone, nil
}

// put stores the block that was made, in the place of what was there; one without events goes.
func (w *sharedChange) put(ctx context.Context, tx pgx.Tx, seq, shape int64, node string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM "+w.schema+".judging WHERE seq = $1", seq); err != nil {
		return err
	}
	if w.batch.events == 0 {
		_, err := tx.Exec(ctx, "DELETE FROM "+w.schema+".stories WHERE seq = $1", seq)
		return err
	}
	body, err := w.packer.pack(w.batch.stories)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE "+w.schema+".stories SET shape = $2, body = $3 WHERE seq = $1", seq, shape, body); err != nil {
		return err
	}
	if err := copyEvents(ctx, tx, w.schema, node, seq, sealed(w.batch.rows), false); err != nil {
		return err
	}
	judging, err := w.packer.judging.pack(&w.batch.judging)
	if err != nil || judging == nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO "+w.schema+".judging VALUES ($1, $2, $3, $4)", seq, w.batch.judging.low, w.batch.judging.high, judging)
	return err
}

// shapeOf is the number of a shape in a day.
func shapeOf(ctx context.Context, tx pgx.Tx, schema string, prefix []byte) (shape int64, err error) {
	err = tx.QueryRow(ctx, "SELECT id FROM "+schema+".shape WHERE prefix = $1 ORDER BY id LIMIT 1", prefix).Scan(&shape)
	if errors.Is(err, pgx.ErrNoRows) {
		err = tx.QueryRow(ctx, "INSERT INTO "+schema+".shape (prefix) VALUES ($1) RETURNING id", prefix).Scan(&shape)
	}
	return shape, err
}

// allFates changes what became of messages in the spool.
func (w *sharedChange) allFates(ctx context.Context) error {
	for after := int64(-1); ; {
		rows, err := w.c.Query(ctx, "SELECT seq, body FROM "+w.schema+".fate WHERE seq > $1 ORDER BY seq LIMIT $2", after, fatesPage)
		if err != nil {
			return err
		}
		var seqs []int64
		var texts []string
		var seq int64
		var body string
		tag, err := pgx.ForEachRow(rows, []any{&seq, &body}, func() error {
			var f gateway.Fate
			after = seq
			if json.Unmarshal([]byte(body), &f) != nil || !w.edit.m.fate(&f) {
				return nil
			}
			text, err := json.Marshal(&f)
			seqs, texts = append(seqs, seq), append(texts, string(text))
			return err
		})
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if len(seqs) == 0 {
			continue
		}
		if _, err := w.c.Exec(ctx, "UPDATE "+w.schema+".fate f SET body = x.b FROM unnest($1::bigint[], $2::text[]) AS x(a, b) WHERE f.seq = x.a", seqs, texts); err != nil {
			return err
		}
		w.fates += len(seqs)
	}
}
