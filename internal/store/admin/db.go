package admin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// What a transaction may take, how long a store that failed is left alone, and what bringing the tables up to date may take.
const (
	callTime    = 5 * time.Second
	retryAfter  = time.Second
	migrateTime = 2 * time.Minute
)

// Errors that callers tell apart.
var (
	// ErrNewer means that a later version of the program wrote the tables.
	ErrNewer = errors.New("control data: written by a newer version of gatepost")
	// ErrAway means that the store did not answer, or not in time.
	ErrAway = errors.New("control data: the store does not answer")
)

// Options say where the control data is.
type Options struct {
	Path     string        // of the SQLite file; made where it is not there
	URL      string        // of PostgreSQL, in place of the file; ""
	Password string        // of PostgreSQL, beside what the URL says; ""
	Insecure bool          // a PostgreSQL beyond this machine may be spoken to in clear, or without knowing who it is
	Time     time.Duration // that a transaction may take; 0: 5 s
	Log      *slog.Logger  // nil: nothing is told

	later []step // migrations that a later version has: of tests
}

// DB is the control data. Its methods may be called at the same time.
type DB struct {
	o       Options
	sql     *sql.DB
	d       dialect
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	ready   bool          // the tables are as they shall be
	upping  chan struct{} // closed once an attempt to bring them there is over; nil while there is none
	closed  bool
	failed  error
	faults  int64 // how often it failed
	failAt  time.Time
	watch   map[string]map[chan struct{}]bool
	listens bool // the goroutine that listens runs
}

// New makes the control data without touching them: the first call, Tend or Ready does. The error is of options that cannot be
// used.
func New(o Options) (*DB, error) {
	if o.Time == 0 {
		o.Time = callTime
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	db := &DB{o: o, watch: map[string]map[chan struct{}]bool{}}
	db.life, db.end = context.WithCancel(context.Background())
	var err error
	if o.URL != "" {
		db.d, db.sql, err = openPostgres(&o)
	} else {
		db.d, db.sql, err = openFile(o.Path)
	}
	if err != nil {
		db.end()
		return nil, fmt.Errorf("control data: %w", err)
	}
	return db, nil
}

// Open makes the control data and brings its tables up to date. The error is of options that cannot be used, or of an SQLite
// file that cannot; a PostgreSQL that is away is tried again with each call.
func Open(ctx context.Context, o Options) (*DB, error) {
	db, err := New(o)
	if err != nil {
		return nil, err
	}
	if err := db.Ready(ctx); err != nil {
		if o.URL == "" || errors.Is(err, ErrNewer) {
			return nil, errors.Join(err, db.Close())
		}
		db.o.Log.Warn("control data: PostgreSQL cannot be used yet; mail goes on", "error", err)
	}
	return db, nil
}

// Close ends the use of the data and what watches it.
func (db *DB) Close() error {
	db.mu.Lock()
	db.closed = true
	db.mu.Unlock()
	db.end()
	db.running.Wait()
	return db.sql.Close()
}

// Shared reports whether other nodes may have the same data.
func (db *DB) Shared() bool { return db.d.postgres }

// Health is nil where the last call found the store as it should be, and while nothing was found yet.
func (db *DB) Health() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.failed
}

// Up reports whether the tables are as they should be and the last call found the store so.
func (db *DB) Up() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.ready && db.failed == nil
}

// Faults is how often a call found the store away, or not as it should be.
func (db *DB) Faults() int64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.faults
}

// Ready waits until the tables are up to date, once, or ctx is done; what brings them there goes on then. After a failure it
// fails at once for a second, so that nobody waits in vain.
func (db *DB) Ready(ctx context.Context) error {
	ended, err := db.bring()
	if ended == nil {
		return err
	}
	select {
	case <-ended:
	case <-ctx.Done():
		return away(fmt.Errorf("its tables are still being brought up to date: %w", ctx.Err()))
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.ready {
		return nil
	}
	return db.failed
}

// bring begins an attempt to bring the tables up to date, or joins the one that goes on. It returns no channel where nothing is
// to be done now: the tables are there, or a failure is fresh.
func (db *DB) bring() (ended <-chan struct{}, err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	switch {
	case db.closed:
		return nil, away(errors.New("it was closed"))
	case db.ready:
		return nil, nil
	case db.upping != nil:
		return db.upping, nil
	case db.failed != nil && time.Since(db.failAt) < retryAfter:
		return nil, db.failed
	}
	done := make(chan struct{})
	db.upping = done
	db.running.Go(func() {
		ctx, cancel := context.WithTimeout(db.life, migrateTime)
		defer cancel()
		err := db.bringUp(ctx)
		db.note(err)
		db.mu.Lock()
		defer db.mu.Unlock()
		db.ready, db.upping = err == nil, nil
		close(done)
	})
	return done, nil
}

// tendEvery is how often the store is looked at while nobody else calls it.
const tendEvery = 10 * time.Second

// Tend brings the tables up to date and looks now and then whether the store answers, until ctx is done: so that what Health
// says is of now.
func (db *DB) Tend(ctx context.Context) {
	var told error
	wait := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		err := db.Read(ctx, func(tx *Tx) error {
			var one int
			return tx.One("SELECT 1", nil, &one)
		})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && told == nil:
			db.o.Log.Error("control data: cannot be used; mail goes on", "error", err)
		case err == nil && told != nil:
			db.o.Log.Info("control data: can be used again")
		}
		if wait, told = tendEvery, err; err != nil {
			wait = retryAfter
		}
	}
}

// note remembers how the last call ended, as far as the store is to blame: for a caller who went away it is not.
func (db *DB) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.failed = err
	if err != nil {
		db.faults++
		db.failAt = time.Now()
	}
}

// Read runs a transaction that changes nothing.
func (db *DB) Read(ctx context.Context, do func(tx *Tx) error) error {
	return db.run(ctx, &sql.TxOptions{ReadOnly: true}, do)
}

// Write runs a transaction: all of it is done and on disk when it returns nil, and nothing of it otherwise, but where the
// answer to its end was lost (ErrAway). It may be run again by its caller, never by itself. In SQLite writers go one by one.
func (db *DB) Write(ctx context.Context, do func(tx *Tx) error) error {
	return db.run(ctx, nil, do)
}

// run runs one transaction under the deadline. What is wrong with the store is told apart from what do returns.
func (db *DB) run(ctx context.Context, o *sql.TxOptions, do func(tx *Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.o.Time)
	defer cancel()
	if err := db.Ready(ctx); err != nil {
		return err
	}
	tx, err := db.sql.BeginTx(ctx, o)
	if err != nil {
		err = away(err)
		db.note(err)
		return err
	}
	t := &Tx{ctx: ctx, tx: tx, d: db.d}
	if err := do(t); err != nil {
		_ = tx.Rollback()
		if db.d.isAway(err) {
			err = away(err)
			db.note(err)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		err = away(err)
		db.note(err)
		return err
	}
	db.note(nil)
	for _, topic := range t.topics {
		db.signal(topic)
	}
	return nil
}

// away marks an error as the store's.
func away(err error) error {
	if errors.Is(err, ErrAway) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// touch makes a file that only its owner reads: SQLite would make it readable by others.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
