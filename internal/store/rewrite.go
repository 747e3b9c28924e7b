package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatepost/gateway"
)

// rewriter changes what the files of days hold: block by block, each in one transaction, beside a Log that writes and readers. What
// it replaced is overwritten. A process that ends in the middle has changed some blocks and left the others.
type rewriter struct {
	*edit
	encoder *encoder
	packer  packer
	batch   batch
	to      []rcptColumns
	maker   sieveMaker
	sieves  []seqs // of the file at hand, which lost them since a block changed
	events  int
	fates   int
	bad     int // blocks that do not read, and stay as they are
}

// The application_id of a file tells what became of all of it.
const (
	nameState = 0x47505053 // every event has pseudonyms
	trimState = 0x47505054 // those are gone of which no content came
	bothState = 0x47505055
)

// stateWith is a state with another added.
func stateWith(at, state int) int {
	if at == nameState || at == trimState || at == bothState {
		if at != state {
			return bothState
		}
	}
	return state
}

// file changes one file. rest is called after each block with what it took.
func (r *rewriter) file(ctx context.Context, f file, rest func(context.Context, time.Duration) error) error {
	db, err := openWrite(ctx, f.path, "secure_delete(1)")
	if err != nil {
		return err
	}
	defer db.Close()
	before, closed := r.events+r.fates, false
	r.sieves = r.sieves[:0]
	for after := int64(-1); ; {
		began := time.Now()
		seq, indexed, err := r.next(ctx, db, f.day, after)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return err
		}
		after, closed = seq, closed || indexed
		if err := rest(ctx, time.Since(began)); err != nil {
			return err
		}
	}
	if err := r.sift(ctx, db); err != nil {
		return err
	}
	if r.m != nil {
		err = r.allFates(ctx, db)
	} else {
		_, err = db.ExecContext(ctx, "DELETE FROM early")
	}
	if err != nil {
		return err
	}
	if r.events+r.fates == before {
		return nil
	}
	if closed { // what the index of parts holds of rows that were replaced goes
		if _, err := db.ExecContext(ctx, "INSERT INTO part (part) VALUES ('optimize')"); err != nil {
			return err
		}
	}
	// The log beside the file holds what was replaced until it begins anew. While somebody reads it cannot; then it does later.
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// next changes the first block behind one.
func (r *rewriter) next(ctx context.Context, db *sql.DB, d day, after int64) (seq int64, indexed bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, false, err
	}
	defer tx.Rollback() // of no effect after Commit
	v := &view{tx: tx}
	u := unpacked{}
	var body []byte
	if err := tx.QueryRowContext(ctx, "SELECT seq, shape, body FROM stories WHERE seq > ? ORDER BY seq LIMIT 1", after).Scan(&u.seq, &u.shape, &body); err != nil {
		return 0, false, err
	}
	if u.stories, err = unpack(body); err != nil {
		r.bad++
		return u.seq, false, nil
	}
	if r.may != nil && !r.may(u.stories) {
		return u.seq, false, nil
	}
	var open bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM block WHERE seq = ?)", u.seq).Scan(&open); err != nil {
		return 0, false, err
	}
	dec, err := v.decoder(ctx, u.shape)
	if err != nil {
		return 0, false, err
	}
	sieve, err := r.sieveOf(ctx, tx, u.seq)
	if err != nil {
		return 0, false, err
	}
	b := &blockChange{r: r, w: inserter{ctx: ctx, tx: tx}, seq: u.seq, open: open}
	r.batch.reset(d)
	for at := 0; at < len(u.stories); {
		e, err := dec.event(u.stories[at:])
		if err != nil {
			r.bad++
			return u.seq, false, nil
		}
		if err := b.event(e, int64(at)); err != nil {
			return 0, false, err
		}
		at = len(u.stories) - dec.in.Len()
	}
	if b.changed == 0 {
		return u.seq, !open, nil
	}
	if err := b.finish(); err != nil {
		return 0, false, err
	}
	if err := tx.Commit(); err != nil {
		return 0, false, err
	}
	r.events += b.changed
	if sieve.first > 0 {
		r.sieves = append(r.sieves, sieve)
	}
	return u.seq, !open, nil
}

// sieveOf is the sieve that speaks of a block, if one does.
func (r *rewriter) sieveOf(ctx context.Context, tx *sql.Tx, seq int64) (s seqs, err error) {
	err = tx.QueryRowContext(ctx, "SELECT first, last FROM sieve WHERE last >= ? AND first <= ? LIMIT 1", seq, seq).Scan(&s.first, &s.last)
	if errors.Is(err, sql.ErrNoRows) {
		return seqs{}, nil
	}
	return s, err
}

// sift makes the sieves anew that went with what changed. Where that ends early, their blocks are read.
func (r *rewriter) sift(ctx context.Context, db *sql.DB) error {
	for _, s := range r.sieves {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		did, err := r.maker.make(ctx, tx, s.first-1, s.last, true)
		if err != nil || !did {
			if err = errors.Join(err, tx.Rollback()); err != nil {
				return err
			}
			continue
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// blockChange is one block on its way.
type blockChange struct {
	r       *rewriter
	w       inserter
	seq     int64
	open    bool // no index has its events yet
	changed int
	touched map[int64]bool // ids of those that were
}

// event takes an event of the block. Where a later block has the last word on it, it is left out.
func (b *blockChange) event(e *gateway.Event, at int64) error {
	id := int64(e.Record.ID)
	if !b.open {
		var seq, offset sql.NullInt64
		err := b.w.tx.QueryRowContext(b.w.ctx, "SELECT block, at FROM event WHERE id = ?", id).Scan(&seq, &offset)
		if errors.Is(err, sql.ErrNoRows) || err == nil && (seq.Int64 != b.seq || offset.Int64 != at) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	var old columns // as the index has them
	if !b.open {
		old = columnsOf(e, at, nil)
		old.joinRcpts()
	}
	gone := b.r.drop != nil && b.r.drop(e)
	if gone || b.r.m != nil && b.r.m.event(e) {
		b.changed++
		if b.touched == nil {
			b.touched = make(map[int64]bool)
		}
		b.touched[id] = true
		if !b.open {
			for i := range old.to {
				b.w.run("DELETE FROM rcpt WHERE rcpt = ? AND id = ?", old.to[i].key, id)
			}
			if old.kind == gateway.TransactionEvent {
				b.w.run("INSERT INTO part (part, rowid, text) VALUES ('delete', ?, ?)", id, strings.Join([]string{old.from, old.header, old.rcpts, old.subject}, "\n"))
			}
		}
	}
	if gone {
		if !b.open {
			b.w.run("DELETE FROM event WHERE id = ?", id)
		}
		return b.w.err
	}
	return errors.Join(b.w.err, b.r.batch.add(b.r.encoder, e, &b.r.to))
}

// finish puts the block in its place.
func (b *blockChange) finish() error {
	r, w := b.r, &b.w
	var shape int64
	err := w.tx.QueryRowContext(w.ctx, "SELECT id FROM shape WHERE prefix = ?", r.encoder.prefix).Scan(&shape)
	if errors.Is(err, sql.ErrNoRows) {
		err = w.tx.QueryRowContext(w.ctx, "INSERT INTO shape (prefix) VALUES (?) RETURNING id", r.encoder.prefix).Scan(&shape)
	}
	if err != nil {
		return err
	}
	body, err := r.packer.pack(r.batch.stories)
	if err != nil {
		return err
	}
	w.run("UPDATE stories SET shape = ?, body = ? WHERE seq = ?", shape, body, b.seq)
	rows := sealed(r.batch.rows)
	if b.open {
		w.run("UPDATE block SET rows = ? WHERE seq = ?", rows, b.seq)
	} else if err := eachRow(rows, func(c *columns) bool {
		if b.touched[c.id] {
			w.event(c, b.seq)
		} else {
			w.run("UPDATE event SET at = ? WHERE id = ?", c.at, c.id)
		}
		return w.err == nil
	}); err != nil {
		return err
	}
	judging, err := r.packer.judging.pack(&r.batch.judging)
	if err != nil {
		return err
	}
	if judging != nil {
		w.run("INSERT OR REPLACE INTO judging (seq, low, high, body) VALUES (?,?,?,?)", b.seq, r.batch.judging.low, r.batch.judging.high, judging)
	}
	return w.err
}

// fatesPage is how many fates are changed in one transaction.
const fatesPage = 500

// allFates changes what became of messages in the spool.
func (r *rewriter) allFates(ctx context.Context, db *sql.DB) error {
	for after := int64(-1); ; {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		next, n, err := r.someFates(ctx, tx, after)
		if err != nil || next == after {
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		after, r.fates = next, r.fates+n
	}
}

func (r *rewriter) someFates(ctx context.Context, tx *sql.Tx, after int64) (last int64, n int, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT seq, body FROM fate WHERE seq > ? ORDER BY seq LIMIT ?", after, fatesPage)
	if err != nil {
		return after, 0, err
	}
	defer rows.Close()
	change := map[int64]string{}
	last = after
	for rows.Next() {
		var body []byte
		var f gateway.Fate
		if err := rows.Scan(&last, &body); err != nil {
			return after, 0, err
		}
		if json.Unmarshal(body, &f) != nil || !r.m.fate(&f) {
			continue
		}
		text, err := json.Marshal(&f)
		if err != nil {
			return after, 0, fmt.Errorf("log: fate: %w", err)
		}
		change[last] = string(text)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return after, 0, err
	}
	for seq, text := range change {
		if _, err := tx.ExecContext(ctx, "UPDATE fate SET body = ? WHERE seq = ?", text, seq); err != nil {
			return after, 0, err
		}
	}
	return last, len(change), nil
}
