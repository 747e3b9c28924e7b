package store

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"gatepost/gateway"
)

// condition is FROM and WHERE in the making, in the words of SQLite, or of PostgreSQL: with the same answers.
type condition struct {
	shared bool // of PostgreSQL
	tables string
	terms  []string
	args   []any
}

// has is where a text is part of a column.
func (c *condition) has(column string) string {
	if c.shared {
		return "strpos(" + column + ", ?) > 0"
	}
	return "instr(" + column + ", ?)"
}

// key is a text as the columns that an index is of keep it.
func (c *condition) key(text string) string {
	if c.shared {
		return indexed(text)
	}
	return text
}

func (c *condition) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

// where turns the query into SQL; nothing that was typed becomes part of the text. parts says that the file has trigrams of
// all its rows: what is looked for in the middle of a text is found by them, and confirmed by the row.
func (w *wanted) where(parts bool) *condition { return w.narrow(&condition{tables: "event e"}, parts) }

// sharedWhere is where for a day of a shared log. LIKE tells cases apart there, and addresses are kept in lower case; texts have the
// collation "C", in which ILIKE takes the letters of US-ASCII for the same, as LIKE of SQLite does.
func (w *wanted) sharedWhere() *condition {
	return w.narrow(&condition{shared: true, tables: "event e"}, false)
}

func (w *wanted) narrow(c *condition, parts bool) *condition {
	c.add("e.id >= ? AND e.id < ?", w.low, w.high)
	if w.mail {
		c.add("e.kind = 1")
	} else {
		// A connection whose transactions are listed says nothing more.
		c.add("(e.kind = 1 OR e.transactions = 0 OR e.verdict >= ?)", int(gateway.Defer))
	}
	w.sender(c)
	w.recipient(c)
	if len(w.domains) > 0 {
		args := make([]any, len(w.domains))
		for i, d := range w.domains {
			args[i] = d
		}
		c.add("("+strings.Repeat(" OR "+c.has("e.rcpts"), len(w.domains))[4:]+")", args...)
	}
	if w.messageID != "" {
		c.add("e.message_id = ?", c.key(w.messageID))
	}
	if w.subject != "" {
		like := "LIKE"
		if c.shared {
			like = "ILIKE"
		}
		c.add("e.subject "+like+` ? ESCAPE '\'`, "%"+escape(w.subject)+"%")
	}
	if w.reason != "" {
		c.add("e.reason = ?", w.reason)
	}
	if len(w.verdicts) > 0 {
		marks := strings.Repeat(",?", len(w.verdicts))[1:]
		args := make([]any, len(w.verdicts))
		for i, v := range w.verdicts {
			args[i] = int(v)
		}
		term := "e.verdict IN (" + marks + ")"
		if !c.shared { // which has SQLite take the index
			term = "e.kind IN (0, 1) AND " + term
		}
		c.add(term, args...)
	}
	if w.client {
		c.client(w.first, w.last)
	}
	if match := w.trigrams(); parts && match != "" {
		c.add("e.id IN (SELECT rowid FROM part WHERE part MATCH ?)", match)
	}
	return c
}

// client names the index of a narrow network: SQLite, which knows nothing of how addresses are spread, would read all rows
// of the time. A wide one is found by reading them, without sorting what it holds.
func (c *condition) client(first, last [16]byte) {
	if first == last {
		c.add("e.client = ?", first[:])
		return
	}
	if !c.shared && c.tables == "event e" && bytes.Equal(first[:6], last[:6]) && (!bytes.HasPrefix(first[:], make([]byte, 10)) || bytes.Equal(first[:14], last[:14])) {
		c.tables = "event e INDEXED BY event_client"
	}
	c.add("e.client BETWEEN ? AND ?", first[:], last[:])
}

func (w *wanted) sender(c *condition) {
	switch key := w.from.key; w.from.how {
	case exact:
		key = c.key(key)
		c.add("(e.mail_from = ? OR e.header_from = ?)", key, key)
	case domain:
		key = c.key(key)
		c.add("(e.from_domain = ? OR e.header_domain = ?)", key, key)
	case pattern:
		like := likePattern(key)
		c.add(`(e.mail_from LIKE ? ESCAPE '\' OR e.header_from LIKE ? ESCAPE '\')`, like, like)
	case within:
		c.add("("+c.has("e.mail_from")+" OR "+c.has("e.header_from")+")", key, key)
	}
}

func (w *wanted) recipient(c *condition) {
	switch key := w.to.key; w.to.how {
	case exact:
		if c.shared {
			c.tables = "rcpt r JOIN event e ON e.id = r.id AND e.node = r.node"
			c.add("r.rcpt = ? AND r.id >= ? AND r.id < ?", c.key(key), w.low, w.high)
			return
		}
		c.tables = "rcpt r CROSS JOIN event e ON e.id = r.id" // in this order, which gives the newest first
		c.terms[0] = "r.id >= ? AND r.id < ?"
		c.add("r.rcpt = ?", key)
	case domain:
		c.add(c.has("e.rcpts"), "@"+key+" ")
	case pattern:
		c.add(`e.rcpts LIKE ? ESCAPE '\'`, likePattern(key))
	case within:
		c.add(c.has("e.rcpts"), key)
	}
}

// likePattern turns * into what LIKE has for it, anywhere in a text.
func likePattern(key string) string { return "%" + strings.ReplaceAll(escape(key), "*", "%") + "%" }

func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// maxTrigrams bounds a search in the index of parts; more would find hardly fewer rows.
const maxTrigrams = 16

// trigrams asks the index of parts for what the rows must hold; "" when it cannot help.
func (w *wanted) trigrams() string {
	texts := []string{w.subject}
	for _, a := range []wantedAddress{w.from, w.to} {
		if a.how == pattern || a.how == within {
			texts = append(texts, strings.Split(a.key, "*")...)
		}
	}
	if w.to.how == domain {
		texts = append(texts, "@"+w.to.key)
	}
	var out []string
	for _, t := range texts {
		if !utf8.ValidString(t) {
			continue
		}
		for r := []rune(t); len(r) >= 3 && len(out) < maxTrigrams; r = r[1:] {
			out = append(out, `"`+strings.ReplaceAll(string(r[:3]), `"`, `""`)+`"`)
		}
	}
	return strings.Join(out, " AND ")
}

// matches is where for the columns of a block, with the same answers.
func (w *wanted) matches(c *columns) bool {
	transaction := c.kind == gateway.TransactionEvent
	switch {
	case c.id < w.low || c.id >= w.high:
		return false
	case !transaction && (w.mail || c.transactions != 0 && c.verdict < gateway.Defer):
		return false
	case w.messageID != "" && c.messageID != w.messageID, w.reason != "" && c.reason != w.reason:
		return false
	case !w.from.sender(c) || !w.to.recipient(c):
		return false
	case len(w.domains) > 0 && !slices.ContainsFunc(w.domains, func(d string) bool { return strings.Contains(c.rcpts, d) }):
		return false
	case w.subject != "" && !containsFold(c.subject, w.subject):
		return false
	}
	if len(w.verdicts) > 0 && !bytes.Contains(outcomes(w.verdicts), []byte{byte(c.verdict)}) {
		return false
	}
	if !w.client {
		return true
	}
	if !c.client.IsValid() {
		return false
	}
	b := c.client.As16()
	return bytes.Compare(b[:], w.first[:]) >= 0 && bytes.Compare(b[:], w.last[:]) <= 0
}

func outcomes(all []gateway.Outcome) []byte {
	b := make([]byte, len(all))
	for i, o := range all {
		b[i] = byte(o)
	}
	return b
}

func (a *wantedAddress) sender(c *columns) bool {
	switch a.how {
	case exact:
		return c.from == a.key || c.header != "" && c.header == a.key
	case domain:
		return a.key != "" && (c.fromDomain == a.key || c.headerDomain == a.key)
	case pattern:
		return inOrder(c.from, a.key) || c.header != "" && inOrder(c.header, a.key)
	case within:
		return strings.Contains(c.from, a.key) || strings.Contains(c.header, a.key)
	}
	return true
}

func (a *wantedAddress) recipient(c *columns) bool {
	switch a.how {
	case exact:
		for i := range c.to {
			if c.to[i].key == a.key {
				return true
			}
		}
		return false
	case domain:
		for rest := c.rcpts; a.key != ""; { // "@" + key + " ", made anew for no row
			i := strings.Index(rest, a.key)
			if i < 0 {
				return false
			}
			if end := i + len(a.key); i > 0 && rest[i-1] == '@' && end < len(rest) && rest[end] == ' ' {
				return true
			}
			rest = rest[i+1:]
		}
		return false
	case pattern:
		return inOrder(c.rcpts, a.key)
	case within:
		return strings.Contains(c.rcpts, a.key)
	}
	return true
}

// inOrder reports whether what stands between the stars of a pattern comes in a text, in that order.
func inOrder(text, pattern string) bool {
	for pattern != "" {
		part, rest, _ := strings.Cut(pattern, "*")
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, pattern = text[i+len(part):], rest
	}
	return true
}

// containsFold is as LIKE, which takes the letters of US-ASCII for the same in either case.
func containsFold(text, part string) bool {
	for ; len(text) >= len(part); text = text[1:] {
		if equalFold(text[:len(part)], part) {
			return true
		}
	}
	return false
}

func equalFold(a, b string) bool {
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
