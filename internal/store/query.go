package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"gatepost/gateway"
)

// Window is a time, from Since up to but without Until; a zero end is open.
type Window struct {
	Since, Until time.Time
}

func (w Window) first() day {
	if w.Since.IsZero() {
		return ""
	}
	return dayOf(w.Since)
}

func (w Window) last() day {
	if w.Until.IsZero() {
		return "9999-12-31"
	}
	return dayOf(w.Until)
}

// ids returns the ids of the window: from the first, up to but without the second.
func (w Window) ids() (low, high int64) {
	high = math.MaxInt64
	if !w.Since.IsZero() {
		low = idAt(w.Since)
	}
	if !w.Until.IsZero() {
		high = idAt(w.Until)
	}
	return low, high
}

func idAt(t time.Time) int64 {
	ms := t.UnixMilli()
	if ms <= 0 {
		return 0
	}
	return min(ms, math.MaxInt64>>20) << 20
}

// minutes returns the minutes that the window touches, the last one included.
func (w Window) minutes() (low, high int64) {
	high = math.MaxInt64
	if !w.Since.IsZero() {
		low = w.Since.Unix() / 60
	}
	if !w.Until.IsZero() {
		high = (w.Until.UnixNano() - 1) / int64(time.Minute)
	}
	return low, high
}

// Query is what to look for. Everything that is set must hold. Texts are compared without regard to case.
type Query struct {
	Window
	// From and To are an address, a domain ("example.org" or "@example.org"), "<>" for the null reverse-path, or a part of
	// an address, with * for anything. From looks at the reverse-path and at the From field. A part is found by reading
	// through all rows of the time.
	From, To  string
	MessageID string            // with or without angle brackets
	Client    string            // an address or a network
	Subject   string            // a part of it
	Verdicts  []gateway.Outcome // any of them
	Reason    gateway.Reason
	Before    gateway.ID // only what is older: the id of the last row seen; 0: from the newest
	Limit     int        // rows; 0: DefaultLimit, at most MaxLimit
}

// Limits of a Query.
const (
	DefaultLimit = 50
	MaxLimit     = 10000
)

// ErrQuery says that a query cannot be asked; the text says why.
var ErrQuery = errors.New("log search")

// aboutMail reports whether only transactions can answer.
func (q *Query) aboutMail() bool {
	return q.From != "" || q.To != "" || q.MessageID != "" || q.Subject != ""
}

// condition is FROM and WHERE in the making.
type condition struct {
	tables string
	terms  []string
	args   []any
}

func (c *condition) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

// where turns the query into SQL; nothing that was typed becomes part of the text.
func (q *Query) where() (*condition, error) {
	c := &condition{tables: "event e"}
	low, high := q.ids()
	if q.Before != 0 {
		high = min(high, int64(q.Before))
	}
	c.add("e.id >= ? AND e.id < ?", low, high)
	if q.aboutMail() {
		c.add("e.kind = 1")
	} else {
		// A connection whose transactions are listed says nothing more.
		c.add("(e.kind = 1 OR e.transactions = 0 OR e.verdict >= ?)", int(gateway.Defer))
	}
	if err := q.sender(c); err != nil {
		return nil, err
	}
	if err := q.recipient(c); err != nil {
		return nil, err
	}
	if q.MessageID != "" {
		c.add("e.message_id = ?", messageIDKey(q.MessageID))
	}
	if q.Subject != "" {
		c.add(`e.subject LIKE ? ESCAPE '\'`, part(q.Subject))
	}
	if q.Reason != "" {
		c.add("e.reason = ?", string(q.Reason))
	}
	if len(q.Verdicts) > 0 {
		marks := strings.Repeat(",?", len(q.Verdicts))[1:]
		args := make([]any, len(q.Verdicts))
		for i, v := range q.Verdicts {
			args[i] = int(v)
		}
		c.add("e.kind IN (0, 1) AND e.verdict IN ("+marks+")", args...)
	}
	if q.Client != "" {
		first, last, err := network(q.Client)
		if err != nil {
			return nil, err
		}
		c.client(first, last)
	}
	return c, nil
}

// client names the index of a narrow network: SQLite, which knows nothing of how addresses are spread, would read all rows
// of the time. A wide one is found by reading them, without sorting what it holds.
func (c *condition) client(first, last []byte) {
	if bytes.Equal(first, last) {
		c.add("e.client = ?", first)
		return
	}
	if c.tables == "event e" && bytes.Equal(first[:6], last[:6]) && (!bytes.HasPrefix(first, make([]byte, 10)) || bytes.Equal(first[:14], last[:14])) {
		c.tables = "event e INDEXED BY event_client"
	}
	c.add("e.client BETWEEN ? AND ?", first, last)
}

func (q *Query) sender(c *condition) error {
	switch how, key, err := address(q.From); {
	case err != nil:
		return fmt.Errorf("%w: from: %w", ErrQuery, err)
	case how == exact:
		c.add("(e.mail_from = ? OR e.header_from = ?)", key, key)
	case how == domain:
		c.add("(e.from_domain = ? OR e.header_domain = ?)", key, key)
	case how == pattern:
		c.add(`(e.mail_from LIKE ? ESCAPE '\' OR e.header_from LIKE ? ESCAPE '\')`, key, key)
	case how == within:
		c.add("(instr(e.mail_from, ?) OR instr(e.header_from, ?))", key, key)
	}
	return nil
}

func (q *Query) recipient(c *condition) error {
	switch how, key, err := address(q.To); {
	case err != nil:
		return fmt.Errorf("%w: to: %w", ErrQuery, err)
	case how == exact:
		c.tables = "rcpt r CROSS JOIN event e ON e.id = r.id" // in this order, which gives the newest first
		c.terms[0] = "r.id >= ? AND r.id < ?"
		c.add("r.rcpt = ?", key)
	case how == domain:
		c.add("instr(e.rcpts, ?)", "@"+key+" ")
	case how == pattern:
		c.add(`e.rcpts LIKE ? ESCAPE '\'`, key)
	case how == within:
		c.add("instr(e.rcpts, ?)", key)
	}
	return nil
}

// The ways to look for an address.
type how int

const (
	anyone how = iota
	exact
	domain
	pattern // with *
	within  // a part
)

// address says how to look for what was typed.
func address(typed string) (how, string, error) {
	key := addressKey(strings.TrimSpace(typed))
	if key == "" {
		return anyone, "", nil
	}
	if key == "<>" {
		return exact, "", nil
	}
	key = strings.TrimSuffix(strings.TrimPrefix(key, "<"), ">")
	at := strings.LastIndexByte(key, '@')
	switch {
	case strings.Contains(key, "*"):
		if len(strings.Trim(key, "*")) < 2 {
			return anyone, "", errors.New("a part of an address needs two characters beside *")
		}
		return pattern, "%" + strings.ReplaceAll(escape(key), "*", "%") + "%", nil
	case at == 0:
		return domain, strings.TrimSuffix(key[1:], "."), nil
	case at > 0:
		return exact, key, nil
	case strings.Contains(key, "."):
		return domain, strings.TrimSuffix(key, "."), nil
	case len(key) < 2:
		return anyone, "", errors.New("a part of an address needs two characters")
	}
	return within, key, nil
}

// part is the LIKE pattern of a text anywhere.
func part(text string) string { return "%" + escape(text) + "%" }

func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// network returns the first and the last address of what was typed, as clientKey writes them.
func network(typed string) (first, last []byte, err error) {
	typed = strings.TrimSpace(typed)
	if a, err := netip.ParseAddr(typed); err == nil {
		b := a.As16()
		return b[:], b[:], nil
	}
	p, err := netip.ParsePrefix(typed)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: client: %q is neither an address nor a network", ErrQuery, typed)
	}
	a, z := p.Masked().Addr().As16(), p.Masked().Addr().As16()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := bits; i < 128; i++ {
		z[i/8] |= 1 << (7 - i%8)
	}
	return a[:], z[:], nil
}
