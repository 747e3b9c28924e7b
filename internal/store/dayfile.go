package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dayFile is one day's database, open for writing. Only the writer's goroutine uses it.
type dayFile struct {
	day   day
	path  string
	info  os.FileInfo // of the file as it was opened
	db    *sql.DB
	used  time.Time
	shape int64 // of the stories that are written
	top   int64 // greatest id of all blocks
	loose loose
	stmts [6]*sql.Stmt // of statements
}

// The statements of a batch, in the order of dayFile.stmts.
const (
	insertStories = iota
	insertBlock
	insertMinute
	insertEarly
	insertFate
	insertJudging
)

// statements returns their texts.
func statements() [6]string {
	return [6]string{
		`INSERT INTO stories (shape, body) VALUES (?,?)`,
		`INSERT INTO block (seq, low, high, top, rows) VALUES (?,?,?,?,?)`,
		`INSERT INTO minute (minute, metric, n) VALUES (?,?,?) ON CONFLICT DO UPDATE SET n = n + excluded.n`,
		`INSERT INTO early (minute, net, reason, n) VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET n = n + excluded.n`,
		`INSERT INTO fate (id, what, body) VALUES (?,?,?)`,
		`INSERT INTO judging (seq, low, high, body) VALUES (?,?,?,?)`,
	}
}

// dsn names a database file with its settings.
func dsn(path string, values url.Values) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: values.Encode()}).String()
}

// openDay opens a day's file for writing, making it when it is not there; prefix is the shape of the stories that will be
// written. It answers ErrNewer, or what SQLite says.
func openDay(ctx context.Context, dir string, d day, prefix []byte, extra ...string) (*dayFile, error) {
	path := d.path(dir)
	if err := touch(path); err != nil { // SQLite would make it readable by others
		return nil, fmt.Errorf("log file: %w", err)
	}
	db, err := openWrite(ctx, path, extra...)
	if err != nil {
		return nil, err
	}
	f := &dayFile{day: d, path: path, db: db, used: time.Now()}
	if err := f.prepare(ctx, prefix); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return f, nil
}

// touch makes a file that is not there, and its folder.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// openWrite opens a file, and brings it to the newest schema.
func openWrite(ctx context.Context, path string, extra ...string) (*sql.DB, error) {
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
	return db, nil
}

// prepare makes the statements, and finds or stores the shape.
func (f *dayFile) prepare(ctx context.Context, prefix []byte) error {
	var err error
	if f.info, err = os.Stat(f.path); err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	for i, text := range statements() {
		if f.stmts[i], err = f.db.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	var top sql.NullInt64
	if err = f.db.QueryRowContext(ctx, "SELECT MAX(top) FROM block").Scan(&top); err != nil {
		return err
	}
	f.top = top.Int64
	err = f.db.QueryRowContext(ctx, "SELECT id FROM shape WHERE prefix = ?", prefix).Scan(&f.shape)
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	res, err := f.db.ExecContext(ctx, "INSERT INTO shape (prefix) VALUES (?)", prefix)
	if err == nil {
		f.shape, err = res.LastInsertId()
	}
	return err
}

// there reports whether the file is still the one of its name.
func (f *dayFile) there() bool {
	info, err := os.Stat(f.path)
	return err == nil && os.SameFile(info, f.info)
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

// write stores a batch. Either all of it is in the file, or nothing and an error.
func (f *dayFile) write(ctx context.Context, b *batch, p *packer) error {
	f.used = time.Now()
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	run := func(which int, args ...any) (res sql.Result) {
		if err == nil {
			res, err = tx.StmtContext(ctx, f.stmts[which]).ExecContext(ctx, args...)
		}
		return res
	}
	top := max(f.top, b.high)
	if b.events > 0 {
		body, bad := p.pack(b.stories)
		if bad != nil {
			return bad
		}
		var seq int64
		if res := run(insertStories, f.shape, body); err == nil {
			seq, err = res.LastInsertId()
		}
		run(insertBlock, seq, b.low, b.high, top, sealed(b.rows))
		judging, bad := p.judging.pack(&b.judging)
		if bad != nil {
			return bad
		}
		if judging != nil {
			run(insertJudging, seq, b.judging.low, b.judging.high, judging)
		}
	}
	for i := range b.early {
		r := &b.early[i]
		run(insertEarly, r.minute, r.net, r.reason, r.n)
	}
	for i := range b.fates {
		run(insertFate, b.fates[i].id, b.fates[i].what, string(b.fates[i].body))
	}
	for c, n := range b.counts {
		run(insertMinute, c.minute, c.metric, n)
	}
	if err != nil {
		return err
	}
	if err = tx.Commit(); err == nil {
		f.top = top
		if b.events > 0 {
			f.loose.add(len(b.rows))
		}
	}
	return err
}

// text is a column's value: NULL for "".
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}
