package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/store/pg"
)

// keptRows are the tables of an index of quarantined messages: of this node in a file, or of all nodes in PostgreSQL, of which it
// sees and changes those of its own. Each statement is one text for both: words in braces stand for what differs.
type keptRows struct {
	db     *sql.DB
	words  *strings.Replacer
	shared bool
	node   string // whose rows they are; "" in a file
}

// ownWords are the words of a file. All rows of it are the node's own.
func ownWords() *strings.Replacer {
	return strings.NewReplacer("{message}", "message", "{rcpt}", "rcpt", "{own}", "TRUE", "{node}", "''", "{near}", "", "{id}", "m.id", "{of}", "r.message")
}

// sharedWords are those of PostgreSQL, where LIKE would tell upper from lower case. The parameter of {own} is the first of all.
func sharedWords() *strings.Replacer {
	return strings.NewReplacer("{message}", keptSchema+".message", "{rcpt}", keptSchema+".rcpt", "{own}", "m.node = ?", "{node}", "m.node", "{near}", " AND r.node = m.node",
		"{id}", "(m.id, m.node)", "{of}", "r.message, r.node", " LIKE ", " ILIKE ")
}

// statement writes a statement and its parameters for the store.
func (k *keptRows) statement(text string, args []any) (string, []any) {
	own := strings.Contains(text, "{own}")
	text = k.words.Replace(text)
	if !k.shared {
		return text, args
	}
	if own {
		args = append([]any{k.node}, args...)
	}
	return pg.Placeholders(text), cleanArgs(args)
}

func (k *keptRows) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	text, args = k.statement(text, args)
	return k.db.QueryContext(ctx, text, args...)
}

func (k *keptRows) exec(ctx context.Context, tx *sql.Tx, text string, args ...any) error {
	text, args = k.statement(text, args)
	_, err := tx.ExecContext(ctx, text, args...)
	return err
}

// Put implements quarantine.Index.
func (k *keptRows) Put(ctx context.Context, r *quarantine.Row) error {
	return k.put(ctx, []quarantine.Row{*r})
}

// put takes messages, all or none, each in place of what was known of it.
func (k *keptRows) put(ctx context.Context, all []quarantine.Row) error {
	if len(all) == 0 {
		return nil
	}
	return k.change(ctx, func(tx *sql.Tx) error {
		ids, messages, rcpts := make([]gateway.ID, len(all)), make([][]any, len(all)), [][]any(nil)
		for i := range all {
			r := &all[i]
			ids[i] = r.ID
			messages[i] = []any{int64(r.ID), milliseconds(r.Arrived), r.From, r.Author, r.Subject, int(r.Class), string(r.Reason), r.Check, r.Score, r.Size, r.Stored, r.Key, r.Seq,
				r.Reported, r.Damaged, r.Keep.Milliseconds()}
			for n := range r.Rcpts {
				to := &r.Rcpts[n]
				var same any
				if name, err := hex.DecodeString(to.Same); err == nil && len(name) > 0 {
					same = name
				}
				rcpts = append(rcpts, []any{int64(r.ID), n, to.Address, k.folded(to.Address), int(to.State), milliseconds(to.At), to.Said, same})
			}
		}
		if err := k.drop(ctx, tx, ids); err != nil {
			return err
		}
		if err := k.insert(ctx, tx, "INSERT INTO {message} VALUES ", messages); err != nil {
			return err
		}
		return k.insert(ctx, tx, "INSERT INTO {rcpt} VALUES ", rcpts)
	})
}

// folded is an address as it is looked for.
func (k *keptRows) folded(address string) string {
	if address = strings.ToLower(address); k.shared {
		return indexed(address)
	}
	return address
}

// change runs a transaction.
func (k *keptRows) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := k.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// insert writes rows, each with its node in front where there are several.
func (k *keptRows) insert(ctx context.Context, tx *sql.Tx, head string, rows [][]any) error {
	for some := range slices.Chunk(rows, greylistRows) {
		var values []any
		for _, row := range some {
			if k.shared {
				values = append(values, k.node)
			}
			values = append(values, row...)
		}
		one := "(?" + strings.Repeat(",?", len(values)/len(some)-1) + ")"
		if err := k.exec(ctx, tx, head+one+strings.Repeat(","+one, len(some)-1), values...); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements quarantine.Index.
func (k *keptRows) Delete(ctx context.Context, ids []gateway.ID) error {
	return k.change(ctx, func(tx *sql.Tx) error { return k.drop(ctx, tx, ids) })
}

func (k *keptRows) drop(ctx context.Context, tx *sql.Tx, ids []gateway.ID) error {
	for some := range slices.Chunk(ids, greylistRows) {
		values := make([]any, len(some))
		for i, id := range some {
			values[i] = int64(id)
		}
		in := "(?" + strings.Repeat(",?", len(some)-1) + ")"
		for _, head := range [...]string{"DELETE FROM {message} AS m WHERE {own} AND m.id IN ", "DELETE FROM {rcpt} AS m WHERE {own} AND m.message IN "} {
			if err := k.exec(ctx, tx, head+in, values...); err != nil {
				return err
			}
		}
	}
	return nil
}

// columns of a message, as rows reads them.
const quarantineColumns = "{node}, m.id, m.arrived, m.sender, m.author, m.subject, m.class, m.reason, m.check_, m.score, m.size, m.stored, m.key, m.seq, m.reported, m.damaged, m.keep"

// Find implements quarantine.Index.
func (k *keptRows) Find(ctx context.Context, f *quarantine.Filter) ([]quarantine.Row, error) {
	return k.find(ctx, "{own}", nil, f)
}

// find returns what a filter picks of rows of some nodes.
func (k *keptRows) find(ctx context.Context, of string, values []any, f *quarantine.Filter) ([]quarantine.Row, error) {
	where, more := k.picks(f)
	return k.rows(ctx, "SELECT "+quarantineColumns+" FROM {message} m WHERE "+strings.Join(append([]string{of}, where...), " AND ")+" ORDER BY m.id DESC LIMIT ?",
		append(append(values, more...), f.Most())...)
}

// Same implements quarantine.Index.
func (k *keptRows) Same(ctx context.Context, names []string) ([]quarantine.Row, error) {
	var values []any
	for _, text := range names {
		if name, err := hex.DecodeString(text); err == nil && len(name) > 0 {
			values = append(values, name)
		}
	}
	var out []quarantine.Row
	for some := range slices.Chunk(values, greylistRows) {
		rows, err := k.rows(ctx, "SELECT "+quarantineColumns+" FROM {message} m WHERE {own} AND {id} IN (SELECT {of} FROM {rcpt} r WHERE r.same IN (?"+
			strings.Repeat(",?", len(some)-1)+"))", some...)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// Oldest implements quarantine.Index.
func (k *keptRows) Oldest(ctx context.Context, c quarantine.Class, before time.Time, limit int) (out []quarantine.Row, err error) {
	err = k.each(ctx, "SELECT m.id, m.stored FROM {message} m WHERE {own} AND m.class = ? AND m.arrived < ? ORDER BY m.arrived LIMIT ?", func(scan func(...any) error) error {
		var id int64
		r := quarantine.Row{Class: c}
		err := scan(&id, &r.Stored)
		r.ID = gateway.ID(id)
		out = append(out, r)
		return err
	}, int(c), milliseconds(before), limit)
	return out, err
}

// Short implements quarantine.Index.
func (k *keptRows) Short(ctx context.Context, now time.Time, limit int) ([]quarantine.Row, error) {
	return k.rows(ctx, "SELECT "+quarantineColumns+" FROM {message} m WHERE {own} AND m.keep > 0 AND m.arrived + m.keep < ? ORDER BY m.arrived + m.keep LIMIT ?", milliseconds(now), limit)
}

// keptName is what tells messages of all nodes apart.
type keptName struct {
	node string
	id   int64
}

// rows reads messages, then their recipients.
func (k *keptRows) rows(ctx context.Context, text string, values ...any) ([]quarantine.Row, error) {
	rows, err := k.query(ctx, text, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []quarantine.Row
	for rows.Next() {
		var r quarantine.Row
		var id, arrived, keep int64
		var class int
		var reason string
		if err := rows.Scan(&r.Node, &id, &arrived, &r.From, &r.Author, &r.Subject, &class, &reason, &r.Check, &r.Score, &r.Size, &r.Stored, &r.Key, &r.Seq,
			&r.Reported, &r.Damaged, &keep); err != nil {
			return nil, err
		}
		r.Keep = time.Duration(keep) * time.Millisecond
		r.ID, r.Arrived, r.Class, r.Reason = gateway.ID(id), instant(arrived), quarantine.Class(class), gateway.Reason(reason)
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close() // there is one connection
	return out, k.rcpts(ctx, out)
}

func (k *keptRows) rcpts(ctx context.Context, all []quarantine.Row) error {
	at := make(map[keptName]int, len(all))
	values := make([]any, len(all))
	for i := range all {
		at[keptName{all[i].Node, int64(all[i].ID)}], values[i] = i, int64(all[i].ID)
	}
	for some := range slices.Chunk(values, fatesAtOnce) {
		err := k.each(ctx, "SELECT {node}, m.message, m.address, m.state, m.at, m.said, m.same FROM {rcpt} m WHERE m.message IN (?"+strings.Repeat(",?", len(some)-1)+
			") ORDER BY m.message, m.n", func(scan func(...any) error) error {
			var of keptName
			var when int64
			var state int
			var same []byte
			var to quarantine.RowRcpt
			if err := scan(&of.node, &of.id, &to.Address, &state, &when, &to.Said, &same); err != nil {
				return err
			}
			to.State, to.At, to.Same = quarantine.State(state), instant(when), hex.EncodeToString(same)
			if i, ok := at[of]; ok { // else another node has a message of that number
				all[i].Rcpts = append(all[i].Rcpts, to)
			}
			return nil
		}, some...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Sums implements quarantine.Index.
func (k *keptRows) Sums(ctx context.Context) (map[quarantine.Class]quarantine.Sums, error) {
	out := map[quarantine.Class]quarantine.Sums{}
	return out, k.each(ctx, "SELECT m.class, count(*), CAST(sum(m.stored) AS BIGINT) FROM {message} m WHERE {own} GROUP BY m.class", func(scan func(...any) error) error {
		var c int
		var s quarantine.Sums
		err := scan(&c, &s.Messages, &s.Octets)
		out[quarantine.Class(c)] = s
		return err
	})
}

// Keys implements quarantine.Index.
func (k *keptRows) Keys(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	return out, k.each(ctx, "SELECT m.key, count(*) FROM {message} m WHERE {own} GROUP BY m.key", func(scan func(...any) error) error {
		var key string
		var n int
		err := scan(&key, &n)
		out[key] = n
		return err
	})
}

// Known implements quarantine.Index.
func (k *keptRows) Known(ctx context.Context, each func(id gateway.ID, seq, stored int64)) error {
	return k.each(ctx, "SELECT m.id, m.seq, m.stored FROM {message} m WHERE {own}", func(scan func(...any) error) error {
		var id, seq, stored int64
		err := scan(&id, &seq, &stored)
		each(gateway.ID(id), seq, stored)
		return err
	})
}

func (k *keptRows) each(ctx context.Context, text string, row func(scan func(...any) error) error, values ...any) error {
	rows, err := k.query(ctx, text, values...)
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
