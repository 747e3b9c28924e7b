package store

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
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
}

// Result is the answer to a Query.
type Result struct {
	Rows []Row `json:"rows"` // the newest first
	More bool  `json:"more"` // there are older ones: ask again with Before
	// Partial says that the time to answer was over before all was read; Reached is how far back it came.
	Partial bool      `json:"partial,omitempty"`
	Reached time.Time `json:"reached,omitzero"`
	Gaps    []Gap     `json:"gaps,omitempty"` // days that could not be read
}

const rowColumns = `SELECT e.id, e.session, e.ts, e.kind, e.client, e.listener, e.helo, e.mail_from, e.header_from, e.rcpts,
 e.size, e.message_id, e.subject, e.verdict, e.reason, e.deciding, e.score, e.policy, e.reply, e.next_hop, e.ending,
 e.transactions, e.took FROM `

// Search answers a query, the newest event first: transactions, and connections that were refused or ended without one. It
// answers ErrQuery when the query makes no sense. When ctx ends first, the Result holds what was found until then and is
// marked as partial, without an error.
func (r *Reader) Search(ctx context.Context, q Query) (*Result, error) {
	c, err := q.where()
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
	res.Gaps, err = r.walk(ctx, q.first(), last, false, func(ctx context.Context, db *sql.DB) error {
		return res.gather(ctx, db, c, limit)
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		res.Partial, err = true, nil
	}
	return res, err
}

// gather adds the rows of one file. The newest rows come first, so that what an ended ctx leaves out is the oldest.
func (res *Result) gather(ctx context.Context, db *sql.DB, c *condition, limit int) error {
	args := append(append([]any(nil), c.args...), limit-len(res.Rows)+1)
	rows, err := db.QueryContext(ctx, rowColumns+c.tables+" WHERE "+strings.Join(c.terms, " AND ")+" ORDER BY "+c.order()+" DESC LIMIT ?", args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if len(res.Rows) == limit {
			res.More = true
			return errStop
		}
		row, err := scanRow(rows)
		if err != nil {
			return err
		}
		res.Rows = append(res.Rows, row)
		res.Reached = row.Time
	}
	return rows.Err()
}

// order is the id of the table that SQLite walks along.
func (c *condition) order() string {
	if strings.HasPrefix(c.tables, "rcpt r") {
		return "r.id"
	}
	return "e.id"
}

func scanRow(rows *sql.Rows) (Row, error) {
	var row Row
	var id, session, ts, took int64
	var client []byte
	var listener, helo, from, header, rcpts, messageID, subject, reason, check, policy, reply, nextHop, end sql.NullString
	err := rows.Scan(&id, &session, &ts, &row.Kind, &client, &listener, &helo, &from, &header, &rcpts, &row.Size, &messageID,
		&subject, &row.Verdict, &reason, &check, &row.Score, &policy, &reply, &nextHop, &end, &row.Transactions, &took)
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
