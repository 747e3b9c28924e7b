package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"gatepost/gateway"
)

// Judged gives each transaction that began in a time to see, day by day, the oldest first, and those of a day as they were
// written. What it gives is good until see returns. It stops at the first error of see, and answers it. What cannot be read is
// a gap, and ends nothing.
func (r *Reader) Judged(ctx context.Context, w Window, see func(*Judged) error) ([]Gap, error) {
	var stop error
	low, high := w.ids()
	inside := func(j *Judged) error {
		if id := int64(j.Record.ID); id < low || id >= high {
			return nil
		}
		if stop = see(j); stop != nil {
			return errStop
		}
		return ctx.Err()
	}
	last := w.last()
	if !w.Until.IsZero() {
		last = last.add(1) // where a clock went wrong
	}
	gaps, err := r.walk(ctx, w.first(), last, true, func(ctx context.Context, v *view) error {
		return v.judged(ctx, low, high, inside)
	})
	return gaps, errors.Join(err, stop)
}

// judged gives those of one file. A block that does not read is left out, and is an error beside what the others gave.
func (v *view) judged(ctx context.Context, low, high int64, see func(*Judged) error) error {
	if !v.shared {
		if err := v.judgedOld(ctx, low, high, see); err != nil || !v.blocks {
			return err
		}
	}
	text := "SELECT s.seq, s.shape, j.low, j.high FROM stories s LEFT JOIN judging j ON j.seq = s.seq ORDER BY s.seq"
	if !v.judging {
		text = "SELECT seq, shape, NULL, NULL FROM stories ORDER BY seq"
	}
	rows, err := v.tx.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	type block struct {
		seq, shape int64
		low, high  sql.NullInt64
	}
	var all []block
	for rows.Next() {
		var b block
		if err = rows.Scan(&b.seq, &b.shape, &b.low, &b.high); err != nil {
			break
		}
		if b.low.Valid && (b.low.Int64 >= high || b.high.Int64 < low) {
			continue
		}
		all = append(all, b)
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return err
	}
	var reader judgingReader
	defer reader.close()
	var bad error
	for _, b := range all {
		if b.low.Valid {
			err = v.judgedBlock(ctx, b.seq, &reader, see)
		} else {
			err = v.judgedStories(ctx, b.seq, b.shape, see)
		}
		switch {
		case errors.Is(err, errStop), err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			bad = err
		}
	}
	return bad
}

// judgedBlock gives those of a block.
func (v *view) judgedBlock(ctx context.Context, seq int64, reader *judgingReader, see func(*Judged) error) error {
	rows, err := v.tx.QueryContext(ctx, "SELECT body FROM judging WHERE seq = ?", seq)
	if err != nil {
		return err
	}
	defer rows.Close()
	var body octets
	for rows.Next() {
		if err := rows.Scan(&body); err != nil {
			return err
		}
		if err := reader.read(body, see); err != nil {
			return err
		}
	}
	return rows.Err()
}

// judgedStories gives those of a block by its stories.
func (v *view) judgedStories(ctx context.Context, seq, shape int64, see func(*Judged) error) error {
	u, err := v.unpack(ctx, seq)
	if err != nil {
		return err
	}
	v.unpacked = v.unpacked[:0] // each is asked for once
	d, err := v.decoder(ctx, shape)
	if err != nil {
		return err
	}
	d.in.Reset(u.stories)
	for d.in.Len() > 0 {
		e := new(gateway.Event)
		if err := d.gob.Decode(e); err != nil || e.Record == nil {
			delete(v.decoders, shape) // it has lost its place
			if errors.Is(err, io.EOF) || err == nil {
				return errBlock
			}
			return fmt.Errorf("log: story: %w", err)
		}
		if e.Kind != gateway.TransactionEvent {
			continue
		}
		if err := see(&Judged{Record: e.Record, Verdict: e.Verdict, Policy: e.Policy}); err != nil {
			return err
		}
	}
	return nil
}

// judgedOld gives those that the first version wrote.
func (v *view) judgedOld(ctx context.Context, low, high int64, see func(*Judged) error) error {
	ids, err := numbers(v.tx.QueryContext(ctx, "SELECT e.id FROM event e JOIN story s ON s.id = e.id WHERE e.id >= ? AND e.id < ? AND e.kind = 1 ORDER BY e.id", low, high))
	if err != nil {
		return err
	}
	for _, id := range ids {
		e, err := v.story(ctx, ref{id: id, seq: -1})
		if err != nil {
			return err
		}
		if err := see(&Judged{Record: e.Record, Verdict: e.Verdict, Policy: e.Policy}); err != nil {
			return err
		}
	}
	return nil
}
