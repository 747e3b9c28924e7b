package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"gatepost/internal/store/pg"
)

// Shared names the PostgreSQL in which nodes keep one message log.
type Shared struct {
	URL      string // postgres://user@host/database, with parameters as libpq has them
	Password string // beside what the URL says; ""
	Insecure bool   // a server beyond this machine may be spoken to in clear, or without knowing who it is
	Node     string // the name of this node, which stands at its events; "" for who only reads
}

// How much of the server is used, and for how long.
const (
	sharedConns = 6                // that read
	sharedRead  = 2 * time.Minute  // that one statement of who reads may take
	sharedLook  = 5 * time.Second  // to look which days there are
	sharedIdle  = 30 * time.Second // that a transaction may wait for its client
)

// shared is a message log in PostgreSQL. Each UTC day has a schema of its own with the tables of a day file, but that events are
// rows from the beginning: so a day goes at once, with its tables, and neither a new day nor an old one takes a lock of what others
// read, which partitions of one table would.
type shared struct {
	o  Shared
	db *sql.DB
}

func newShared(o *Shared) (*shared, error) {
	db, err := o.open("store.log", sharedRead, sharedConns)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return &shared{o: *o, db: db}, nil
}

// open makes a pool of so many connections, none of which is made yet. key is where its URL stands in gatepost.toml, and statement how
// long one may take.
func (o *Shared) open(key string, statement time.Duration, conns int) (*sql.DB, error) {
	c, err := o.config(key)
	if err != nil {
		return nil, err
	}
	c.RuntimeParams["statement_timeout"] = strconv.FormatInt(statement.Milliseconds(), 10)
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(2)
	db.SetConnMaxLifetime(30 * time.Minute)
	return db, nil
}

// config is how a connection is made.
func (o *Shared) config(key string) (*pgx.ConnConfig, error) {
	c, err := pg.Config(pg.Options{Key: key, URL: o.URL, Password: o.Password, Insecure: o.Insecure})
	if err != nil {
		return nil, err
	}
	c.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(sharedIdle.Milliseconds(), 10)
	// Nothing is prepared on the server, so that proxies which pool transactions can stand between; answers are binary all the same.
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	return c, nil
}

// connection is how the log's own connections are made.
func (s *shared) connection() (*pgx.ConnConfig, error) {
	c, err := s.o.config("store.log")
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return c, nil
}

// NewSharedReader returns a reader of a log that nodes share, for who does not write it. The server need not answer yet.
func NewSharedReader(o *Shared) (*Reader, error) {
	s, err := newShared(o)
	if err != nil {
		return nil, err
	}
	return &Reader{shared: s}, nil
}

// Close gives back what the reader of a shared log holds. A reader of day files holds nothing.
func (r *Reader) Close() error {
	if r.shared == nil {
		return nil
	}
	return r.shared.db.Close()
}

// schemaPrefix begins the name of a day's schema: gatepost_log_20261123.
const schemaPrefix = "gatepost_log_"

// schemaOf is the name of the schema of a day. It needs no quotes.
func schemaOf(d day) string { return schemaPrefix + strings.ReplaceAll(string(d), "-", "") }

// days lists those that there are, the oldest first.
func (s *shared) days(ctx context.Context) ([]day, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname LIKE 'gatepost\_log\_%'`)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	defer rows.Close()
	var out []day
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
		if t, err := time.Parse("20060102", strings.TrimPrefix(name, schemaPrefix)); err == nil {
			out = append(out, dayOf(t))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	slices.Sort(out)
	return out, nil
}

// oldest is Reader.Oldest.
func (s *shared) oldest() (time.Time, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sharedLook)
	defer cancel()
	all, err := s.days(ctx)
	if err != nil || len(all) == 0 {
		return time.Time{}, err
	}
	return all[0].start(), nil
}

// walk is Reader.walk. A server that does not answer ends it.
func (s *shared) walk(ctx context.Context, from, to day, forward bool, see func(context.Context, *view) error) ([]Gap, error) {
	all, err := s.days(ctx)
	if err != nil {
		return nil, err
	}
	if !forward {
		slices.Reverse(all)
	}
	var gaps []Gap
	for _, d := range all {
		if d < from || d > to {
			continue
		}
		switch err := s.read(ctx, d, see); {
		case err == nil:
		case errors.Is(err, errStop):
			return gaps, nil
		case ctx.Err() != nil:
			return gaps, ctx.Err()
		case pg.Away(err):
			return gaps, fmt.Errorf("log: %w", err)
		default:
			gaps = append(gaps, Gap{string(d), err.Error()})
		}
	}
	return gaps, nil
}

// read gives one day to see. One that went meanwhile holds nothing.
func (s *shared) read(ctx context.Context, d day, see func(context.Context, *view) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing was changed
	at, err := state(ctx, tx, d)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return see(ctx, &view{tx: placed{tx}, file: viewed{day: d}, shared: true, fates: true, judging: true, named: at.named})
}

// sharedDay is what a day says of itself.
type sharedDay struct {
	day     day
	named   bool // its addresses are pseudonyms
	trimmed bool // what was refused early is gone
}

// state reads it, and makes the tables of the day those that the transaction's statements name. It answers ErrNewer for a day that a
// later version of the program made.
func state(ctx context.Context, tx querier, d day) (sharedDay, error) {
	at := sharedDay{day: d}
	var path string
	var version int
	// pg_catalog is searched before it by itself.
	err := tx.QueryRowContext(ctx, "SELECT set_config('search_path', $1, true), version, named, trimmed FROM "+schemaOf(d)+".meta", schemaOf(d)).
		Scan(&path, &version, &at.named, &at.trimmed)
	if err == nil && version > sharedSchema {
		err = ErrNewer
	}
	return at, err
}

// isGone reports an error that says that a day is not there.
func isGone(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "42P01" || e.Code == "3F000") // undefined_table, invalid_schema_name
}

// placed is a transaction that takes parameters as question marks, and texts as strangers send them.
type placed struct{ tx *sql.Tx }

// QueryContext implements querier.
func (n placed) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return n.tx.QueryContext(ctx, pg.Placeholders(query), cleanArgs(args)...)
}

// QueryRowContext implements querier.
func (n placed) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return n.tx.QueryRowContext(ctx, pg.Placeholders(query), cleanArgs(args)...)
}

func cleanArgs(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = clean(s)
		}
	}
	return args
}

// clean is a text as PostgreSQL can keep it: octets that are no UTF-8, and zeros, become the sign for what cannot be shown.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// maxIndexed bounds a text of which there is an index, in octets: an entry of a B-tree may have 2,704.
const maxIndexed = 1000

// indexed is such a text as it is kept and looked for.
func indexed(s string) string {
	s = clean(s)
	if len(s) > maxIndexed {
		s = strings.ToValidUTF8(s[:maxIndexed], "")
	}
	return s
}
