package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gatepost/internal/store/pg"
)

// How long writing one batch may take, how soon it is tried again, and how long the end of the Log waits for a server.
const (
	sharedWrite = 30 * time.Second
	sharedAgain = time.Second
	sharedEnd   = 3 * time.Second
)

// sharedWriter is the goroutine of a Log that writes into PostgreSQL. A server that is away keeps it, and nobody else: what comes
// meanwhile waits in the queue, whose room is counted as ever.
type sharedWriter struct {
	l       *Log
	config  *pgx.ConnConfig
	conn    *pgx.Conn
	shapes  map[day]int64 // by days whose tables are known to be there
	run64   int64         // of this process, by chance
	n       int64         // of its batch
	packer  packer
	failing bool
	lost    bool // the Log ends, and the server did not take a batch: it is not waited for again
}

// run writes until the Log is closed.
func (w *sharedWriter) run() {
	w.shapes, w.run64 = make(map[day]int64), rand.Int64()
	w.l.work(w.write, func(time.Time) {})
	w.hangUp()
}

// hangUp ends the connection.
func (w *sharedWriter) hangUp() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.conn.Close(ctx) // it is gone either way
	w.conn = nil
}

// write stores a batch. While the server is away it tries again; what the server refuses is lost and counted.
func (w *sharedWriter) write(b *batch) {
	w.n++
	var err error
	for again := false; !w.lost; {
		if err = w.attempt(b, again); err == nil {
			w.wrote(b)
			return
		}
		var refused *pgconn.PgError
		switch {
		case isGone(err) && !again, errors.As(err, &refused) && refused.Code == "23505" && !again: // an event that is there already
			delete(w.shapes, b.day)
			again = true
			continue
		case !pg.Away(err):
			w.lose(b, err)
			return
		}
		w.hangUp()
		w.fail("log: PostgreSQL: " + err.Error())
		select {
		case <-w.l.ctx.Done():
			w.lost = true
		case <-time.After(sharedAgain):
		}
	}
	w.lose(b, err)
}

func (w *sharedWriter) wrote(b *batch) {
	w.l.written.Add(int64(b.events))
	if w.failing {
		w.failing = false
		w.l.trouble.Store(nil)
		w.l.o.Log.Info("the message log is written again", "failed", w.l.failed.Load())
	}
}

// lose counts a batch that is not kept.
func (w *sharedWriter) lose(b *batch, err error) {
	w.l.failed.Add(int64(b.events))
	if err != nil {
		w.fail("log: cannot write: " + err.Error())
	}
}

// fail notes trouble and reports it once.
func (w *sharedWriter) fail(text string) {
	w.l.trouble.Store(&text)
	if !w.failing {
		w.failing = true
		w.l.o.Log.Error("the message log cannot be written; mail goes on, and events wait as long as there is room", "error", text)
	}
}

// attempt stores a batch once, within its time. replace says that some of its events are there.
func (w *sharedWriter) attempt(b *batch, replace bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), sharedWrite)
	defer cancel()
	stop := context.AfterFunc(w.l.ctx, func() {
		select {
		case <-time.After(sharedEnd):
			cancel()
		case <-ctx.Done():
		}
	})
	defer stop()
	err := w.connected(ctx, b.day)
	if err == nil {
		err = w.store(ctx, b, replace)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("it does not answer: %w", context.DeadlineExceeded)
	}
	return err
}

// connected makes the connection and the tables of the day, where they are not there.
func (w *sharedWriter) connected(ctx context.Context, d day) (err error) {
	if w.conn != nil && w.conn.IsClosed() {
		w.conn = nil
	}
	if w.conn == nil {
		if w.config == nil {
			if w.config, err = w.l.shared.connection(); err != nil {
				return err
			}
			w.config.RuntimeParams["synchronous_commit"] = "off" // a crash of the server may cost the last moments, as a power cut does on a disk
		}
		if w.conn, err = pgx.ConnectConfig(ctx, w.config); err != nil {
			w.conn = nil
			return err
		}
		clear(w.shapes)
	}
	if _, ok := w.shapes[d]; !ok {
		shape, err := makeDay(ctx, w.conn, d, w.l.prefix)
		if err != nil {
			return err
		}
		if len(w.shapes) > maxOpen {
			clear(w.shapes)
		}
		w.shapes[d] = shape
	}
	return nil
}

// store stores a batch in one transaction, once: where the answer to its end was lost, it is found again.
func (w *sharedWriter) store(ctx context.Context, b *batch, replace bool) error {
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // of no effect after Commit
	schema := schemaOf(b.day)
	done, err := tx.Exec(ctx, "INSERT INTO "+schema+".batch VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", w.l.shared.o.Node, w.run64, w.n)
	if err != nil || done.RowsAffected() == 0 {
		return err
	}
	if b.events > 0 {
		if err := w.events(ctx, tx, b, replace); err != nil {
			return err
		}
	}
	if len(b.fates) > 0 {
		rows := make([][]any, len(b.fates))
		for i, f := range b.fates {
			rows[i] = []any{f.id, w.l.shared.o.Node, clean(f.what), clean(string(f.body))}
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{schema, "fate"}, []string{"id", "node", "what", "body"}, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
	}
	if err := w.counts(ctx, tx, b); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// events stores the events of a batch: their stories in a block, and a row of each.
func (w *sharedWriter) events(ctx context.Context, tx pgx.Tx, b *batch, replace bool) error {
	body, err := w.packer.pack(b.stories)
	if err != nil {
		return err
	}
	schema := schemaOf(b.day)
	var seq int64
	if err := tx.QueryRow(ctx, "INSERT INTO "+schema+".stories (node, shape, low, high, body) VALUES ($1, $2, $3, $4, $5) RETURNING seq", w.l.shared.o.Node,
		w.shapes[b.day], b.low, b.high, body).Scan(&seq); err != nil {
		return err
	}
	if err := copyEvents(ctx, tx, schema, w.l.shared.o.Node, seq, sealed(b.rows), replace); err != nil {
		return err
	}
	judging, err := w.packer.judging.pack(&b.judging)
	if err != nil || judging == nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO "+schema+".judging VALUES ($1, $2, $3, $4)", seq, b.judging.low, b.judging.high, judging)
	return err
}

// copyEvents makes rows of a block. Of an event that is in it twice, and, where replace, of one that is there, the latest stays.
func copyEvents(ctx context.Context, tx pgx.Tx, schema, node string, seq int64, block []byte, replace bool) error {
	at := make(map[int64]int)
	var ids []int64
	var rows, rcpts [][]any
	var of [][][]any // recipients, by rows
	if err := eachRow(block, func(c *columns) bool {
		row, to := c.sharedRow(node, seq), c.sharedRcpts(node)
		if i, twice := at[c.id]; twice {
			rows[i], of[i] = row, to
			return true
		}
		at[c.id] = len(rows)
		ids, rows, of = append(ids, c.id), append(rows, row), append(of, to)
		return true
	}); err != nil {
		return err
	}
	for _, to := range of {
		rcpts = append(rcpts, to...)
	}
	if replace {
		for _, table := range [...]string{"event", "rcpt"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+schema+"."+table+" WHERE node = $1 AND id = ANY($2)", node, ids); err != nil {
				return err
			}
		}
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{schema, "event"}, sharedColumns(), pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{schema, "rcpt"}, []string{"rcpt", "id", "node"}, pgx.CopyFromRows(rcpts))
	return err
}

// counts adds what was counted.
func (w *sharedWriter) counts(ctx context.Context, tx pgx.Tx, b *batch) error {
	schema := schemaOf(b.day)
	if len(b.counts) > 0 {
		var minutes, n []int64
		var metrics []string
		for c, k := range b.counts {
			minutes, metrics, n = append(minutes, c.minute), append(metrics, c.metric), append(n, int64(k))
		}
		if _, err := tx.Exec(ctx, "INSERT INTO "+schema+".minute AS m (minute, metric, node, n) SELECT a, b, $4, c FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS x(a, b, c)"+
			" ON CONFLICT (minute, metric, node) DO UPDATE SET n = m.n + excluded.n", minutes, metrics, n, w.l.shared.o.Node); err != nil {
			return err
		}
	}
	if len(b.early) == 0 {
		return nil
	}
	sums := map[earlyRow]int64{}
	for _, r := range b.early {
		n := int64(r.n)
		r.n = 0
		sums[r] += n
	}
	var minutes, n []int64
	var nets, reasons []string
	for r, k := range sums {
		minutes, nets, reasons, n = append(minutes, r.minute), append(nets, clean(r.net)), append(reasons, clean(r.reason)), append(n, k)
	}
	_, err := tx.Exec(ctx, "INSERT INTO "+schema+".early_of AS e (minute, net, reason, node, n) SELECT a, b, c, $5, d FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) AS x(a, b, c, d)"+
		" ON CONFLICT (minute, net, reason, node) DO UPDATE SET n = e.n + excluded.n", minutes, nets, reasons, n, w.l.shared.o.Node)
	return err
}
