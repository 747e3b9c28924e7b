package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"os"
	"slices"

	"gatepost/gateway"
)

// querier asks one day, in SQL that both engines take: a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// view is one day's file as a reader sees it, at one moment; or one day of a shared log.
type view struct {
	tx      querier
	file    viewed
	shared  bool  // in PostgreSQL: all events have rows, and all stories are in blocks
	blocks  bool  // it may have events without an index
	fates   bool  // it has the table fate
	parts   bool  // what has an index is in part as well
	judging bool  // it has the table judging
	sieves  bool  // it has the tables sieve and sieve_part
	named   bool  // its addresses are pseudonyms
	bad     error // of a block that does not read

	decoders map[int64]*decoder // by shape
	unpacked []unpacked         // of the last blocks
}

// viewed is the file of a view, as it was just before it was opened.
type viewed struct {
	day  day
	info os.FileInfo
	tx   *sql.Tx // the view's; statements are prepared on it
}

// unpacked are the stories of a block.
type unpacked struct {
	seq, shape int64
	stories    []byte
}

// maxUnpacked is how many blocks are kept unpacked: stories are asked for in the order of ids, and a long connection's is in
// a later block than its neighbours.
const maxUnpacked = 8

// ref is where a story is.
type ref struct {
	id, at int64
	seq    int64  // of its block; -1 in the table story
	node   string // whose it is, in a shared log
}

// get returns an event, or nil, and whose it is.
func (v *view) get(ctx context.Context, id gateway.ID) (*gateway.Event, string, error) {
	all, err := v.refs(ctx, "id = ?", []any{int64(id)}, int64(id), int64(id)+1, nil, nil)
	if err != nil || len(all) == 0 {
		return nil, "", err
	}
	e, err := v.story(ctx, all[0])
	return e, all[0].node, err
}

// refs finds stories, in the order of their ids: those of the table event that a condition chooses, and those of blocks that
// have an id from low up to but without high, and of each group of keys one, and that choose takes; nil for any, and otherwise only
// transactions.
func (v *view) refs(ctx context.Context, where string, args []any, low, high int64, keys [][]uint64, choose func(*columns) bool) ([]ref, error) {
	text := "SELECT id, block, at, '' FROM event WHERE "
	switch {
	case v.shared:
		text = "SELECT id, block, at, node FROM event WHERE "
	case !v.blocks:
		text = "SELECT id, NULL, NULL, '' FROM event WHERE "
	}
	rows, err := v.tx.QueryContext(ctx, text+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []ref
	for rows.Next() {
		var at ref
		var seq, offset sql.NullInt64
		if err := rows.Scan(&at.id, &seq, &offset, &at.node); err != nil {
			return nil, err
		}
		if at.seq, at.at = -1, offset.Int64; seq.Valid {
			at.seq = seq.Int64
		}
		out = append(out, at)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	fresh, bad := v.blockRefs(ctx, low, high, keys, choose)
	out = append(out, fresh...)
	slices.SortFunc(out, func(a, b ref) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(b.seq, a.seq)) })
	return slices.CompactFunc(out, func(a, b ref) bool { return a.id == b.id }), bad // the last word on an event is of the latest block
}

// blockRefs is refs for blocks. A block that does not read is an error beside what the others gave.
func (v *view) blockRefs(ctx context.Context, low, high int64, keys [][]uint64, choose func(*columns) bool) (out []ref, err error) {
	var bad error
	err = v.eachBlock(ctx, low, high, keys, func(b *blockRow) bool {
		if err := eachRow(b.rows, func(c *columns) bool {
			if c.id >= low && c.id < high && (choose == nil || c.kind == gateway.TransactionEvent && choose(c)) {
				out = append(out, ref{id: c.id, at: c.at, seq: b.seq})
			}
			return true
		}); err != nil {
			bad = err
		}
		return true
	})
	return out, errors.Join(bad, err)
}

// story reads an event.
func (v *view) story(ctx context.Context, at ref) (*gateway.Event, error) {
	if at.seq < 0 {
		var kind gateway.EventKind
		var s oldStory
		err := v.tx.QueryRowContext(ctx, "SELECT e.kind, s.record, s.verdict, s.rest, s.evidence FROM event e JOIN story s ON s.id = e.id WHERE e.id = ?",
			at.id).Scan(&kind, &s.record, &s.verdict, &s.rest, &s.evidence)
		if err != nil {
			return nil, err
		}
		return s.decode(kind)
	}
	u, err := v.unpack(ctx, at.seq)
	if err != nil {
		return nil, err
	}
	if at.at < 0 || at.at >= int64(len(u.stories)) {
		return nil, errBlock
	}
	d, err := v.decoder(ctx, u.shape)
	if err != nil {
		return nil, err
	}
	e, err := d.event(u.stories[at.at:])
	if err != nil {
		delete(v.decoders, u.shape) // it has lost its place
		return nil, err
	}
	if int64(e.Record.ID) != at.id {
		return nil, errBlock
	}
	return e, nil
}

func (v *view) unpack(ctx context.Context, seq int64) (unpacked, error) {
	for _, u := range v.unpacked {
		if u.seq == seq {
			return u, nil
		}
	}
	u := unpacked{seq: seq}
	var body []byte
	err := v.tx.QueryRowContext(ctx, "SELECT shape, body FROM stories WHERE seq = ?", seq).Scan(&u.shape, &body)
	if err == nil {
		u.stories, err = unpack(body)
	}
	if err != nil {
		return u, err
	}
	if len(v.unpacked) == maxUnpacked {
		v.unpacked = append(v.unpacked[:0], v.unpacked[1:]...)
	}
	v.unpacked = append(v.unpacked, u)
	return u, nil
}

func (v *view) decoder(ctx context.Context, shape int64) (*decoder, error) {
	if d := v.decoders[shape]; d != nil {
		return d, nil
	}
	var prefix []byte
	if err := v.tx.QueryRowContext(ctx, "SELECT prefix FROM shape WHERE id = ?", shape).Scan(&prefix); err != nil {
		return nil, err
	}
	d, err := newDecoder(prefix)
	if err != nil {
		return nil, err
	}
	if v.decoders == nil {
		v.decoders = make(map[int64]*decoder)
	}
	v.decoders[shape] = d
	return d, nil
}
