package admin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// postgres is the PostgreSQL of all tests of this package; it is started by the first that wants it.
type postgres struct {
	start sync.Once
	dir   string
	p     *lab.Postgres
	err   error
	count atomic.Int64 // of databases
}

var shared postgres

func TestMain(m *testing.M) {
	if where := os.Getenv(auditChild); where != "" {
		noteUntilKilled(where)
	}
	code := m.Run()
	if shared.p != nil {
		if err := shared.p.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// server returns the PostgreSQL.
func server(t testing.TB) *lab.Postgres {
	t.Helper()
	shared.start.Do(func() {
		if shared.dir, shared.err = lab.NewDir(); shared.err == nil {
			shared.p, shared.err = lab.StartPostgres(context.Background(), shared.dir)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.p
}

// database makes a database of the test's own and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	url, err := server(t).Database(context.Background(), fmt.Sprintf("t%d", shared.count.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// open opens control data for the test.
func open(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// onBoth runs a test with empty control data in SQLite, and in a real PostgreSQL. Each Store of this package is tested by it.
// again opens the same data once more, as another node would.
func onBoth(t *testing.T, test func(t *testing.T, db *DB, again func() *DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		o := Options{Path: filepath.Join(t.TempDir(), "admin.db")}
		test(t, open(t, o), func() *DB { return open(t, o) })
	})
	t.Run("postgres", func(t *testing.T) {
		o := Options{URL: database(t)}
		test(t, open(t, o), func() *DB { return open(t, o) })
	})
}

// must fails the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// soon is how long a test waits for what comes at once, on a machine that does much else.
const soon = 20 * time.Second
