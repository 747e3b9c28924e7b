package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
)

// Row is one event in a list.
type Row struct {
	ID           gateway.ID        `json:"id"`
	Session      gateway.ID        `json:"session"`
	Time         time.Time         `json:"time"`
	Kind         gateway.EventKind `json:"kind"`
	Client       netip.Addr        `json:"client"`
	Listener     string            `json:"listener,omitempty"`
	Helo         string            `json:"helo,omitempty"`
	From         string            `json:"from"`
	HeaderFrom   string            `json:"header_from,omitempty"` // where it differs from From
	Rcpts        []string          `json:"rcpts,omitempty"`
	Size         int64             `json:"size,omitempty"`
	MessageID    string            `json:"message_id,omitempty"`
	Subject      string            `json:"subject,omitempty"`
	Verdict      gateway.Outcome   `json:"verdict"` // what became of it in the end, the next hop's refusal included
	Reason       gateway.Reason    `json:"reason,omitempty"`
	Check        string            `json:"check,omitempty"`
	Score        float64           `json:"score"`
	Policy       string            `json:"policy,omitempty"`
	Reply        string            `json:"reply,omitempty"`
	NextHop      string            `json:"next_hop,omitempty"`
	End          string            `json:"end,omitempty"`
	Transactions int               `json:"transactions"` // begun in its connection so far
	Took         time.Duration     `json:"took"`
	Node         string            `json:"node,omitempty"`  // whose it is, in a log that nodes share
	Later        gateway.FateWord  `json:"later,omitempty"` // of mail that was in the spool: the last thing that became of it
}

// Result is the answer to a Query.
type Result struct {
	Rows []Row `json:"rows"` // the newest first
	More bool  `json:"more"` // there are older ones: ask again with Before
	// Partial says that the time to answer was over before all was read; Reached is how far back it came.
	Partial bool      `json:"partial,omitempty"`
	Reached time.Time `json:"reached,omitzero"`
	// Next is the Before of the question that goes on with a partial answer, whether or not that has rows; 0 where nothing was read.
	Next gateway.ID `json:"-"`
	Gaps []Gap      `json:"gaps,omitempty"` // days that could not be read
}

const rowColumns = `SELECT e.id, e.session, e.ts, e.kind, e.client, e.listener, e.helo, e.mail_from, e.header_from, e.rcpts,
 e.size, e.message_id, e.subject, e.verdict, e.reason, e.deciding, e.score, e.policy, e.reply, e.next_hop, e.ending,
 e.transactions, e.took FROM `

// Search answers a query, the newest event first: transactions, and connections that were refused or ended without one. It
// answers ErrQuery when the query makes no sense. When ctx ends first, the Result holds what was found until then and is
// marked as partial, without an error.
func (r *Reader) Search(ctx context.Context, q Query) (*Result, error) {
	w, err := q.ready()
	if err != nil {
		return nil, err
	}
	limit := DefaultLimit
	if q.Limit > 0 {
		limit = min(q.Limit, MaxLimit)
	}
	last := q.last()
	if q.Before != 0 {
		// An id may be in the file of another day when a clock jumped, but never in a later one than the day after.
		last = min(last, dayOf(q.Before.Time()).add(1))
	}
	res := &Result{Rows: []Row{}}
	named := w.named(r.names)
	res.Gaps, err = r.walk(ctx, q.first(), last, false, func(ctx context.Context, v *view) error {
		w := w
		if v.named {
			w = named
		}
		err := res.gather(ctx, v, w, limit)
		if err == nil {
			res.Next = gateway.ID(min(idAt(v.file.day.start()), w.high))
		}
		return err
	})
	if err == nil {
		err = r.fated(ctx, res.Rows)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		res.Partial, err = true, nil
		if at := res.Next.Time(); res.Next != 0 && (res.Reached.IsZero() || at.Before(res.Reached)) {
			res.Reached = at.UTC()
		}
	} else {
		res.Next = 0
	}
	return res, err
}

// gather adds the rows of one file: those that have an index, and those of blocks. The newest rows come first, so that what
// an ended ctx leaves out is the oldest.
func (res *Result) gather(ctx context.Context, v *view, w *wanted, limit int) error {
	room := limit - len(res.Rows) + 1
	indexed, err := v.searchIndex(ctx, w, room)
	floor := int64(0) // the least id of which all is known
	if err != nil && len(indexed) > 0 {
		floor = int64(indexed[len(indexed)-1].ID)
	}
	if err == nil || len(indexed) > 0 {
		blocks, least, bad := v.searchBlocks(ctx, w, room)
		floor = max(floor, least)
		err = errors.Join(err, bad)
		indexed = merge(blocks, indexed, room)
	}
	for _, row := range indexed {
		if int64(row.ID) < floor {
			break
		}
		if len(res.Rows) == limit {
			res.More = true
			return errStop
		}
		res.Rows = append(res.Rows, row)
		res.Reached = row.Time
	}
	if floor > 0 && floor < w.high {
		res.Next = gateway.ID(floor)
	}
	return err
}

// merge puts two lists together, the newest first. Of two rows of one event, that of a is the later.
func merge(a, b []Row, most int) []Row {
	if len(a) == 0 {
		return b
	}
	out := make([]Row, 0, min(len(a)+len(b), most))
	for len(out) < most && len(a)+len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].ID > b[0].ID:
			out, a = append(out, a[0]), a[1:]
		case len(a) > 0 && a[0].ID == b[0].ID:
			b = b[1:]
		default:
			out, b = append(out, b[0]), b[1:]
		}
	}
	return out
}

// searchIndex returns the newest rows of the table event.
func (v *view) searchIndex(ctx context.Context, w *wanted, most int) ([]Row, error) {
	if v.shared {
		return v.searchShared(ctx, w, most)
	}
	c := w.where(v.parts)
	rows, err := v.tx.QueryContext(ctx, rowColumns+c.tables+" WHERE "+strings.Join(c.terms, " AND ")+" ORDER BY "+c.order()+" DESC LIMIT ?",
		append(c.args, most)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Row
	for rows.Next() {
		row, err := scanRow(rows)
		if err != nil {
			return out, err
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// order is the id of the table that SQLite walks along.
func (c *condition) order() string {
	if strings.HasPrefix(c.tables, "rcpt r") {
		return "r.id"
	}
	return "e.id"
}

// searchBlocks returns the newest rows of events that have no index, by reading through the blocks that may hold one, the newest
// first. When it ends early it says below which id something may be missing.
func (v *view) searchBlocks(ctx context.Context, w *wanted, most int) (out []Row, least int64, err error) {
	seen, needles := make(map[gateway.ID]bool), w.needles()
	sorted, whole := 0, false
	least = math.MaxInt64
	err = v.eachBlock(ctx, w.low, w.high, w.keys(), func(b *blockRow) bool {
		if len(out) >= most && len(out) != sorted {
			out = newest(out, most)
			sorted = most
		}
		if least = b.top + 1; sorted == most && int64(out[most-1].ID) > b.top {
			whole = true // all others are older
			return false
		}
		rows, bad := unsealed(b.rows)
		if bad == nil && !w.absent(rows, needles) {
			bad = eachRowOf(rows, func(row []byte) bool { return !w.absent(row, needles) }, func(c *columns) bool {
				if (sorted < most || c.id > int64(out[most-1].ID)) && w.matches(c) && !seen[gateway.ID(c.id)] {
					seen[gateway.ID(c.id)] = true // in a later block: that is its last word
					out = append(out, c.row())
				}
				return true
			})
		}
		if bad != nil && v.bad == nil {
			v.bad = bad
		}
		return true
	})
	switch {
	case whole:
		return out, 0, nil
	case err == nil:
		least, err = 0, v.bad
	}
	return newest(out, most), least, err
}

// newest sorts rows and cuts them.
func newest(rows []Row, most int) []Row {
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(b.ID, a.ID) })
	return rows[:min(len(rows), most)]
}

// scanRow reads one row, and what else was asked for behind it.
func scanRow(rows *sql.Rows, more ...any) (Row, error) {
	var row Row
	var id, session, ts, took int64
	var client []byte
	var listener, helo, from, header, rcpts, messageID, subject, reason, check, policy, reply, nextHop, end sql.NullString
	err := rows.Scan(append([]any{&id, &session, &ts, &row.Kind, &client, &listener, &helo, &from, &header, &rcpts, &row.Size, &messageID,
		&subject, &row.Verdict, &reason, &check, &row.Score, &policy, &reply, &nextHop, &end, &row.Transactions, &took}, more...)...)
	if err != nil {
		return row, err
	}
	row.ID, row.Session = gateway.ID(id), gateway.ID(session)
	row.Time, row.Took = time.UnixMilli(ts).UTC(), time.Duration(took)*time.Millisecond
	if a, ok := netip.AddrFromSlice(client); ok {
		row.Client = a.Unmap()
	}
	row.Listener, row.Helo, row.From, row.HeaderFrom = listener.String, helo.String, from.String, header.String
	row.Rcpts = strings.Fields(rcpts.String)
	row.MessageID, row.Subject, row.Reason = messageID.String, subject.String, gateway.Reason(reason.String)
	row.Check, row.Policy, row.Reply, row.NextHop, row.End = check.String, policy.String, reply.String, nextHop.String, end.String
	return row, nil
}
