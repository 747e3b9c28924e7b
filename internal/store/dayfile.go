package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gatepost/gateway"
)

// dayFile is one day's database, open for writing. Only the writer's goroutine uses it.
type dayFile struct {
	day  day
	path string
	db   *sql.DB
	used time.Time
}

// The statements of one batch.
const (
	insertEvent = `INSERT OR REPLACE INTO event (id, ts, kind, session, verdict, score, size, took, transactions, client,
 listener, helo, mail_from, from_domain, header_from, header_domain, rcpts, message_id, subject, reason, deciding, policy,
 reply, next_hop, ending) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`
	insertStory  = `INSERT OR REPLACE INTO story (id, record, verdict, rest, evidence) VALUES (?,?,?,?,?)`
	insertRcpt   = `INSERT OR REPLACE INTO rcpt (rcpt, id, outcome, code) VALUES (?,?,?,?)`
	insertMinute = `INSERT INTO minute (minute, metric, n) VALUES (?,?,?) ON CONFLICT DO UPDATE SET n = n + excluded.n`
	insertEarly  = `INSERT INTO early (minute, net, reason, n) VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET n = n + excluded.n`
)

// dsn names a database file with its settings.
func dsn(path string, values url.Values) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: values.Encode()}).String()
}

// openDay opens a day's file for writing, making it when it is not there. It answers ErrNewer, or what SQLite says.
func openDay(ctx context.Context, dir string, d day, extra ...string) (*dayFile, error) {
	path := d.path(dir)
	if f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil { // SQLite would make it readable by others
		return nil, fmt.Errorf("log file: %w", err)
	} else if err := f.Close(); err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	pragmas := append([]string{"busy_timeout(5000)", "page_size(8192)", "journal_mode(WAL)", "synchronous(NORMAL)", "temp_store(MEMORY)",
		"journal_size_limit(67108864)"}, extra...)
	db, err := sql.Open("sqlite", dsn(path, url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}))
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &dayFile{day: d, path: path, db: db, used: time.Now()}, nil
}

// close ends the writing. A day that is over becomes one plain file, which can be read without leave to write beside it.
func (f *dayFile) close(over bool) error {
	if over {
		// Fails while somebody reads; then the file stays as it is, which is as good.
		_, _ = f.db.Exec("PRAGMA journal_mode = DELETE")
	}
	return f.db.Close()
}

// isDamage reports an error that says that the file itself is broken.
func isDamage(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

// batch is what goes into one file in one transaction.
type batch struct {
	events []*gateway.Event
	early  []earlyRow
}

type earlyRow struct {
	minute int64
	net    string
	reason string
	n      int
}

// write stores a batch. Either all of it is in the file, or nothing and an error.
func (f *dayFile) write(ctx context.Context, b *batch) (bad int, err error) {
	f.used = time.Now()
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // of no effect after Commit
	w := inserter{ctx: ctx, tx: tx, counts: make(map[count]int)}
	for _, e := range b.events {
		if s, err := encode(e); err != nil {
			bad++
			continue
		} else if err := w.event(e, &s); err != nil {
			return 0, err
		}
	}
	for _, r := range b.early {
		w.run(insertEarly, r.minute, r.net, r.reason, r.n)
		w.counts[count{r.minute, metricEarly}] += r.n
	}
	for c, n := range w.counts {
		w.run(insertMinute, c.minute, c.metric, n)
	}
	if w.err != nil {
		return 0, w.err
	}
	return bad, tx.Commit()
}

// The metrics of the table minute.
const (
	metricConnection  = "connection"  // begun, the banner sent
	metricRefused     = "refused"     // of these: refused, or gone without a transaction
	metricTransaction = "transaction" //
	metricEarly       = "early"       // refused before the banner
)

type count struct {
	minute int64
	metric string
}

// inserter runs the statements of a batch, each prepared once, and keeps the first error.
type inserter struct {
	ctx    context.Context
	tx     *sql.Tx
	stmts  map[string]*sql.Stmt
	counts map[count]int
	err    error
}

func (w *inserter) run(text string, args ...any) {
	if w.err != nil {
		return
	}
	st := w.stmts[text]
	if st == nil {
		if st, w.err = w.tx.PrepareContext(w.ctx, text); w.err != nil {
			return
		}
		if w.stmts == nil {
			w.stmts = make(map[string]*sql.Stmt)
		}
		w.stmts[text] = st
	}
	_, w.err = st.ExecContext(w.ctx, args...)
}

func (w *inserter) event(e *gateway.Event, s *story) error {
	r := e.Record
	id := int64(r.ID)
	minute := r.Time.Unix() / 60
	var from, fromDomain, header, headerDomain any
	var rcpts []string
	if e.Kind == gateway.TransactionEvent {
		key := addressKey(r.From.Text)
		from, fromDomain = key, text(domainOf(key))
		if h := fromHeader(r.HeaderFrom); h != "" && h != key {
			header = h
			if domainOf(h) != domainOf(key) {
				headerDomain = text(domainOf(h))
			}
		}
		w.counts[count{minute, metricTransaction}]++
		rcpts = w.rcpts(e)
	} else {
		w.counts[count{minute, metricConnection}]++
		if e.Verdict.Outcome.Refuses() || e.Session.Transactions == 0 {
			w.counts[count{minute, metricRefused}]++
		}
	}
	nextHop := ""
	if e.Relayed != nil {
		nextHop = e.Relayed.NextHop
	}
	w.run(insertEvent, id, r.Time.UnixMilli(), int(e.Kind), int64(r.Session), int(e.Outcome()), number(e.Verdict.Score),
		r.Size, e.Took.Milliseconds(), e.Session.Transactions, clientKey(r.Client), text(r.Listener), text(r.Helo), from,
		fromDomain, header, headerDomain, text(spaced(rcpts)), text(messageIDKey(e.MessageID)), text(e.Subject),
		text(string(e.Verdict.Reason)), text(e.Verdict.Check), text(e.Policy), text(e.Reply.String()), text(nextHop),
		text(e.Session.End))
	var evidence any
	if s.evidence != nil {
		evidence = string(s.evidence)
	}
	w.run(insertStory, id, string(s.record), string(s.verdict), string(s.rest), evidence)
	return w.err
}

// rcpts stores the recipients and returns their keys.
func (w *inserter) rcpts(e *gateway.Event) []string {
	keys := make([]string, len(e.Record.Rcpts))
	for i := range e.Record.Rcpts {
		outcome := e.Verdict.Outcome
		if i < len(e.Verdict.Rcpts) {
			outcome = e.Verdict.Rcpts[i].Outcome
		}
		keys[i] = addressKey(e.Record.Rcpts[i].To.Text)
		w.run(insertRcpt, keys[i], int64(e.Record.ID), int(outcome), e.Record.Rcpts[i].Code)
	}
	return keys
}

// spaced joins the recipients with a space behind each, so that a domain can be looked for with its end.
func spaced(rcpts []string) string {
	if len(rcpts) == 0 {
		return ""
	}
	return strings.Join(rcpts, " ") + " "
}

// text is a column's value: NULL for "".
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// clientKey is an address as 16 octets, so that a network is one range.
func clientKey(a netip.Addr) any {
	if !a.IsValid() {
		return nil
	}
	b := a.As16()
	return b[:]
}
