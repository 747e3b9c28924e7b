package admin

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"gatepost/internal/store/pg"
)

// How many connections there are at most.
const (
	fileConns     = 4
	postgresConns = 8
)

// dialect is what differs between the two.
type dialect struct{ postgres bool }

// query writes a statement for the store: PostgreSQL numbers its parameters.
func (d dialect) query(text string) string {
	if !d.postgres {
		return text
	}
	return pg.Placeholders(text)
}

// isAway reports whether an error of a statement is the store's and not the statement's: a connection that broke, a file that
// stays locked, a deadline.
func (d dialect) isAway(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, ErrAway) {
		return true
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // https://sqlite.org/rescode.html
		case 5, 6, 8, 9, 10, 11, 13, 14, 26: // BUSY LOCKED READONLY INTERRUPT IOERR CORRUPT FULL CANTOPEN NOTADB
			return true
		}
		return false
	}
	return pg.Away(err)
}

// isBusy reports whether somebody else holds the file of SQLite.
func isBusy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == 5 // SQLITE_BUSY
}

// Duplicate reports whether a statement failed since a row with the same key is there.
func Duplicate(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "23505"
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == 2067 || e.Code() == 1555) // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY
}

// openFile names the SQLite file to its driver. What was written survives a power cut, each transaction.
func openFile(path string) (dialect, *sql.DB, error) {
	values := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(FULL)",
		"foreign_keys(1)", "temp_store(MEMORY)", "journal_size_limit(8388608)", "secure_delete(1)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: values.Encode()}).String())
	if err != nil {
		return dialect{}, nil, err
	}
	db.SetMaxOpenConns(fileConns)
	return dialect{}, db, nil
}

// openPostgres opens PostgreSQL, which need not answer yet.
func openPostgres(o *Options) (dialect, *sql.DB, error) {
	c, err := pg.Config(pg.Options{Key: "store.url", URL: o.URL, Password: o.Password, Insecure: o.Insecure})
	if err != nil {
		return dialect{}, nil, err
	}
	// A server that keeps a transaction whose client is gone would hold its locks.
	c.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt((2 * o.Time).Milliseconds(), 10)
	c.RuntimeParams["statement_timeout"] = strconv.FormatInt(migrateTime.Milliseconds(), 10)
	c.DefaultQueryExecMode = pgx.QueryExecModeExec // no prepared statements: proxies that pool transactions have none
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(2)
	db.SetConnMaxLifetime(30 * time.Minute) // so that a server which took over gets its share
	return dialect{postgres: true}, db, nil
}
