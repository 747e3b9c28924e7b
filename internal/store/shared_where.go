package store

import (
	"context"
	"slices"
	"strings"

	"gatepost/gateway"
)

// searchShared is searchIndex for a day of a shared log.
func (v *view) searchShared(ctx context.Context, w *wanted, most int) ([]Row, error) {
	c := w.sharedWhere()
	rows, err := v.tx.QueryContext(ctx, strings.Replace(rowColumns, " FROM ", ", e.node FROM ", 1)+c.tables+" WHERE "+strings.Join(c.terms, " AND ")+
		" ORDER BY e.id DESC LIMIT ?", append(c.args, most)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Row
	for rows.Next() {
		var node string
		row, err := scanRow(rows, &node)
		if err != nil {
			return out, err
		}
		row.Node = node
		out = append(out, row)
	}
	return out, rows.Err()
}

// sharedWhere is where in the words of PostgreSQL, with the same answers. LIKE tells cases apart there, and addresses are kept in lower
// case; texts have the collation "C", in which ILIKE takes the letters of US-ASCII for the same, as LIKE of SQLite does.
func (w *wanted) sharedWhere() *condition {
	c := &condition{tables: "event e"}
	c.add("e.id >= ? AND e.id < ?", w.low, w.high)
	if w.mail {
		c.add("e.kind = 1")
	} else {
		c.add("(e.kind = 1 OR e.transactions = 0 OR e.verdict >= ?)", int64(gateway.Defer))
	}
	w.sharedSender(c)
	w.sharedRecipient(c)
	if len(w.domains) > 0 {
		args := make([]any, len(w.domains))
		for i, d := range w.domains {
			args[i] = d
		}
		c.add("("+strings.Repeat(" OR strpos(e.rcpts, ?) > 0", len(w.domains))[4:]+")", args...)
	}
	if w.messageID != "" {
		c.add("e.message_id = ?", indexed(w.messageID))
	}
	if w.subject != "" {
		c.add(`e.subject ILIKE ? ESCAPE '\'`, "%"+escape(w.subject)+"%")
	}
	if w.reason != "" {
		c.add("e.reason = ?", w.reason)
	}
	if len(w.verdicts) > 0 {
		args := make([]any, len(w.verdicts))
		for i, v := range w.verdicts {
			args[i] = int64(v)
		}
		c.add("e.verdict IN ("+strings.Repeat(",?", len(args))[1:]+")", args...)
	}
	if w.client {
		if w.first == w.last {
			c.add("e.client = ?", w.first[:])
		} else {
			c.add("e.client BETWEEN ? AND ?", w.first[:], w.last[:])
		}
	}
	return c
}

func (w *wanted) sharedSender(c *condition) {
	switch key := w.from.key; w.from.how {
	case exact:
		key = indexed(key)
		c.add("(e.mail_from = ? OR e.header_from = ?)", key, key)
	case domain:
		key = indexed(key)
		c.add("(e.from_domain = ? OR e.header_domain = ?)", key, key)
	case pattern:
		like := likePattern(key)
		c.add(`(e.mail_from LIKE ? ESCAPE '\' OR e.header_from LIKE ? ESCAPE '\')`, like, like)
	case within:
		c.add("(strpos(e.mail_from, ?) > 0 OR strpos(e.header_from, ?) > 0)", key, key)
	}
}

func (w *wanted) sharedRecipient(c *condition) {
	switch key := w.to.key; w.to.how {
	case exact:
		c.tables = "rcpt r JOIN event e ON e.id = r.id AND e.node = r.node"
		c.add("r.rcpt = ? AND r.id >= ? AND r.id < ?", indexed(key), w.low, w.high)
	case domain:
		c.add("strpos(e.rcpts, ?) > 0", "@"+key+" ")
	case pattern:
		c.add("e.rcpts LIKE ? ESCAPE '\\'", likePattern(key))
	case within:
		c.add("strpos(e.rcpts, ?) > 0", key)
	}
}

// sharedRow is what of an event is kept as a row, in the order of sharedColumns.
func (c *columns) sharedRow(node string, seq int64) []any {
	var from, client any
	if c.kind == gateway.TransactionEvent {
		from = indexed(c.from)
	}
	if c.client.IsValid() {
		b := c.client.As16()
		client = b[:]
	}
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return clean(s)
	}
	key := func(s string) any {
		if s == "" {
			return nil
		}
		return indexed(s)
	}
	return []any{c.id, node, c.began, int16(c.kind), c.session, int16(c.verdict), c.score, c.size, c.took, int64(c.transactions), client,
		null(c.listener), null(c.helo), from, key(c.fromDomain), key(c.header), key(c.headerDomain), null(c.rcpts), key(c.messageID), null(c.subject),
		null(c.reason), null(c.check), null(c.policy), null(c.reply), null(c.nextHop), null(c.end), seq, c.at}
}

func sharedColumns() []string {
	return []string{"id", "node", "ts", "kind", "session", "verdict", "score", "size", "took", "transactions", "client", "listener", "helo",
		"mail_from", "from_domain", "header_from", "header_domain", "rcpts", "message_id", "subject", "reason", "deciding", "policy", "reply",
		"next_hop", "ending", "block", "at"}
}

// sharedRcpts are the rows of the recipients of an event, each once.
func (c *columns) sharedRcpts(node string) (out [][]any) {
	keys := make([]string, len(c.to))
	for i := range c.to {
		keys[i] = indexed(c.to[i].key)
	}
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		out = append(out, []any{k, c.id, node})
	}
	return out
}
