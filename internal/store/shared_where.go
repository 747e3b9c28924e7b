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
