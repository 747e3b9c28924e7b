package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// closeAfter is how long after its end a day is closed: most of what began in it has ended by then. What comes later is
	// closed later.
	closeAfter = 10 * time.Minute
	// closeShare is how much of one processor closing takes at most: one part work, so many parts rest.
	closeShare = 4
)

// closer makes the index of days that are over, block by block. Each block is one transaction, so that a process that ends in
// the middle goes on where it was, and the writer never waits for long.
type closer struct {
	l      *Log
	done   map[day]stamp
	failed day // the last day that could not be closed, so that it is said once
}

// stamp tells whether a file has changed since.
type stamp struct {
	bytes   int64
	changed time.Time
}

func stampOf(path string) (s stamp) {
	for _, p := range parts(path) {
		if info, err := os.Stat(p); err == nil {
			s.bytes += info.Size()
			if info.ModTime().After(s.changed) {
				s.changed = info.ModTime()
			}
		}
	}
	return s
}

// run looks each minute for days to close.
func (c *closer) run() {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		c.look(c.l.ctx, time.Now())
		select {
		case <-c.l.ctx.Done():
			return
		case <-minute.C:
		}
	}
}

// look closes the days that are due, the newest first, since it is asked for most.
func (c *closer) look(ctx context.Context, now time.Time) {
	files, err := list(c.l.o.Dir)
	if err != nil {
		return // the writer says so
	}
	slices.Reverse(files)
	for _, f := range files {
		if f.aside || now.Before(f.day.end().Add(c.l.o.closing)) || c.done[f.day] == stampOf(f.path) {
			continue
		}
		began := time.Now()
		n, err := c.close(ctx, f.path)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			c.done[f.day] = stampOf(f.path)
		case c.failed != f.day:
			c.failed = f.day
			c.l.o.Log.Error("the index of a day cannot be made; the day is searched without it", "file", f.path, "error", err)
		}
		if n > 0 {
			c.l.o.Log.Info("the index of a day was made", "file", f.path, "events", n, "took", time.Since(began).Round(time.Second))
		}
	}
}

// close makes the index of one file, and returns of how many events. Files of the first version stay as they are.
func (c *closer) close(ctx context.Context, path string) (n int, err error) {
	db, v, err := openRead(ctx, path)
	if err != nil {
		return 0, err
	}
	var left bool
	if v >= 2 && v <= schema { // those of 1 have no blocks
		err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM block)").Scan(&left)
	}
	if err = errors.Join(err, db.Close()); err != nil || !left {
		return 0, err
	}
	if db, err = openWrite(ctx, path, "wal_autocheckpoint(4000)", "secure_delete(1)"); err != nil {
		return 0, err
	}
	defer db.Close()
	for after := int64(0); after >= 0; {
		began := time.Now()
		var did int
		if after, did, err = closeBlock(ctx, db, after); err != nil {
			return n, err
		}
		n += did
		if err := c.rest(ctx, closeShare*time.Since(began)); err != nil {
			return n, err
		}
	}
	// Fails while somebody else has it open; then the file stays as it is, which is as good.
	_, _ = db.ExecContext(ctx, "PRAGMA journal_mode = DELETE")
	return n, nil
}

// rest waits, and longer while the writer is behind.
func (c *closer) rest(ctx context.Context, d time.Duration) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(d, 2*time.Second)):
		}
		if c.l.Stats().Queued < c.l.o.Queue/4 {
			return nil
		}
		d = time.Second
	}
}

// The statements of closing.
const (
	insertEvent = `INSERT OR REPLACE INTO event (id, ts, kind, session, verdict, score, size, took, transactions, client,
 listener, helo, mail_from, from_domain, header_from, header_domain, rcpts, message_id, subject, reason, deciding, policy,
 reply, next_hop, ending, block, at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
	insertRcpt = `INSERT OR REPLACE INTO rcpt (rcpt, id, outcome, code) VALUES (?,?,?,?)`
	insertPart = `INSERT INTO part (rowid, text) VALUES (?,?)`
)

// closeBlock makes rows of the first block behind one. It returns the block's number, and -1 when there is none. A block
// that is damaged stays, and its events with it.
func closeBlock(ctx context.Context, db *sql.DB, after int64) (seq int64, n int, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return after, 0, err
	}
	defer tx.Rollback() // of no effect after Commit
	var block []byte
	err = tx.QueryRowContext(ctx, "SELECT seq, rows FROM block WHERE seq > ? ORDER BY seq LIMIT 1", after).Scan(&seq, &block)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, 0, nil
	}
	if err != nil {
		return after, 0, err
	}
	var all []columns
	if err := eachRow(block, func(c *columns) bool {
		own := *c
		own.to = slices.Clone(c.to)
		all = append(all, own)
		return true
	}); err != nil {
		return seq, 0, nil
	}
	slices.SortStableFunc(all, func(a, b columns) int { return int(min(max(a.id-b.id, -1), 1)) }) // as indexes like it
	w := inserter{ctx: ctx, tx: tx}
	for i := range all {
		w.event(&all[i], seq)
	}
	w.run("DELETE FROM block WHERE seq = ?", seq)
	if w.err != nil {
		return after, 0, w.err
	}
	return seq, len(all), tx.Commit()
}

// inserter runs statements, each prepared once, and keeps the first error.
type inserter struct {
	ctx   context.Context
	tx    *sql.Tx
	stmts map[string]*sql.Stmt
	err   error
}

func (w *inserter) run(text string, args ...any) {
	if w.err != nil {
		return
	}
	st := w.stmts[text]
	if st == nil {
		if st, w.err = w.tx.PrepareContext(w.ctx, text); w.err != nil {
			return
		}
		if w.stmts == nil {
			w.stmts = make(map[string]*sql.Stmt)
		}
		w.stmts[text] = st
	}
	_, w.err = st.ExecContext(w.ctx, args...)
}

// event stores the columns of an event whose story is in a block.
func (w *inserter) event(c *columns, seq int64) {
	var from, client any
	if c.kind == 1 {
		from = c.from
	}
	if c.client.IsValid() {
		b := c.client.As16()
		client = b[:]
	}
	w.run(insertEvent, c.id, c.began, int(c.kind), c.session, int(c.verdict), c.score, c.size, c.took, c.transactions, client,
		text(c.listener), text(c.helo), from, text(c.fromDomain), text(c.header), text(c.headerDomain), text(c.rcpts),
		text(c.messageID), text(c.subject), text(c.reason), text(c.check), text(c.policy), text(c.reply), text(c.nextHop),
		text(c.end), seq, c.at)
	for i := range c.to {
		w.run(insertRcpt, c.to[i].key, c.id, int(c.to[i].outcome), c.to[i].code)
	}
	if c.kind == 1 {
		w.run(insertPart, c.id, strings.Join([]string{c.from, c.header, c.rcpts, c.subject}, "\n"))
	}
}
