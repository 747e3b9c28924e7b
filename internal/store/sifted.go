package store

import (
	"context"
	"database/sql"
	"math"
)

// seqs are blocks behind each other, both ends included.
type seqs struct{ first, last int64 }

// sifted is what a reader knows of a sieve.
type sifted struct {
	seqs
	parts int
	spans []span
	mask  uint64 // of the spans that may hold what is looked for
}

// sift returns the blocks that may hold an event of ids from low up to but without high, and of each group of keys one, the newest
// first.
func (v *view) sift(ctx context.Context, low, high int64, keys [][]uint64) ([]seqs, error) {
	if !v.sieves {
		return []seqs{{0, math.MaxInt64}}, nil
	}
	all, err := v.allSieves(ctx, low, high)
	if err != nil {
		return nil, err
	}
	for _, group := range keys {
		if err := v.ask(ctx, all, group); err != nil {
			return nil, err
		}
	}
	var out []seqs
	add := func(first, last int64) {
		switch n := len(out); {
		case first > last:
		case n > 0 && out[n-1].first == last+1:
			out[n-1].first = first
		default:
			out = append(out, seqs{first, last})
		}
	}
	above := int64(math.MaxInt64) // what is below it was not looked at yet
	for i := range all {
		s := &all[i]
		if s.last > above {
			continue // two sieves never speak of one block; if they do, one is enough
		}
		add(s.last+1, above)
		for n := len(s.spans) - 1; n >= 0; n-- {
			first := s.first
			if n > 0 {
				first = s.spans[n-1].last + 1
			}
			if s.mask&(1<<n) != 0 {
				add(first, s.spans[n].last)
			}
		}
		above = s.first - 1
	}
	add(1, above)
	return out, nil
}

// allSieves reads what is known of each, the newest first. Of those of other times no span is wanted; one that is damaged is left out.
func (v *view) allSieves(ctx context.Context, low, high int64) (all []sifted, err error) {
	rows, err := v.tx.QueryContext(ctx, "SELECT first, last, parts, CASE WHEN low < ? AND high >= ? THEN body END FROM sieve ORDER BY first DESC", high, low)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var body octets
	for rows.Next() {
		var s sifted
		if err := rows.Scan(&s.first, &s.last, &s.parts, &body); err != nil {
			return nil, err
		}
		if body != nil {
			if s.spans, err = readSpans(s.first, body, nil); err != nil || len(s.spans) == 0 || s.spans[len(s.spans)-1].last != s.last || s.parts < 1 || s.parts > maxParts {
				continue
			}
		}
		for n, span := range s.spans {
			if span.low < high && span.high >= low {
				s.mask |= 1 << n
			}
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// ask leaves of the spans those that may hold one of some keys.
func (v *view) ask(ctx context.Context, all []sifted, keys []uint64) error {
	st, err := v.file.tx.PrepareContext(ctx, "SELECT body FROM sieve_part WHERE id = ?")
	if err != nil {
		return err
	}
	defer st.Close()
	var part octets
	for i := range all {
		s := &all[i]
		if s.mask == 0 {
			continue
		}
		found := uint64(0)
		for _, key := range keys {
			mask, err := askPart(ctx, st, &part, key, s.first*maxParts+int64(place(key, s.parts)))
			if err != nil {
				return err
			}
			found |= mask
		}
		s.mask &= found
	}
	return nil
}

// askPart asks one part. One that is not there says nothing.
func askPart(ctx context.Context, st *sql.Stmt, part *octets, key uint64, id int64) (uint64, error) {
	rows, err := st.QueryContext(ctx, id)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	mask := ^uint64(0)
	if rows.Next() {
		if err := rows.Scan(part); err != nil {
			return 0, err
		}
		mask = spansWith(key, *part)
	}
	return mask, rows.Err()
}

// block is one as it is in the file, and what is good of it until the next is read.
type blockRow struct {
	seq  int64
	top  int64 // greatest id of this block and those before it
	rows []byte
}

// eachBlock gives the blocks to see that may hold an event of ids from low up to but without high and of each group of keys one, the
// newest first, until it answers false.
func (v *view) eachBlock(ctx context.Context, low, high int64, keys [][]uint64, see func(*blockRow) bool) error {
	if !v.blocks {
		return nil
	}
	all, err := v.sift(ctx, low, high, keys)
	if err != nil || len(all) == 0 {
		return err
	}
	st, err := v.file.tx.PrepareContext(ctx, "SELECT seq, top, rows FROM block WHERE seq BETWEEN ? AND ? AND low < ? AND high >= ? ORDER BY seq DESC")
	if err != nil {
		return err
	}
	defer st.Close()
	more := true
	for i := 0; i < len(all) && more; i++ {
		if more, err = someBlocks(ctx, st, see, all[i].first, all[i].last, high, low); err != nil {
			return err
		}
	}
	return nil
}

func someBlocks(ctx context.Context, st *sql.Stmt, see func(*blockRow) bool, args ...any) (more bool, err error) {
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var b blockRow
	var body octets
	for rows.Next() {
		if err := rows.Scan(&b.seq, &b.top, &body); err != nil {
			return false, err
		}
		b.rows = body
		if !see(&b) {
			return false, nil
		}
	}
	return true, rows.Err()
}
