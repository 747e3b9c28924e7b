package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"gatepost/internal/lab"
)

// server is the PostgreSQL of all tests of this package; it is started by the first that wants it.
var server struct {
	start sync.Once
	dir   string
	p     *lab.Postgres
	err   error
	count atomic.Int64 // of databases
}

// postgres returns it.
func postgres(t testing.TB) *lab.Postgres {
	t.Helper()
	server.start.Do(func() {
		if server.dir, server.err = lab.NewDir(); server.err == nil {
			server.p, server.err = lab.StartPostgres(context.Background(), server.dir)
		}
	})
	if server.err != nil {
		t.Fatal(server.err)
	}
	return server.p
}

// stopServer ends it.
func stopServer() error {
	if server.p != nil {
		if err := server.p.Stop(); err != nil {
			return err
		}
	}
	if server.dir != "" {
		return os.RemoveAll(server.dir)
	}
	return nil
}

// sharedLog names an empty database of the test's own.
func sharedLog(t testing.TB) *Shared {
	t.Helper()
	url, err := postgres(t).Database(context.Background(), fmt.Sprintf("t%d", server.count.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	return &Shared{URL: url, Node: "mx1"}
}

// engines runs a test with a log in files, and with one in a real PostgreSQL.
func engines(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("files", func(t *testing.T) { test(t, Options{}) })
	t.Run("postgres", func(t *testing.T) { test(t, Options{Shared: sharedLog(t)}) })
}

// rawShared is all that a server would tell of the days of a log, stories unpacked, but for one.
func rawShared(t *testing.T, l *Log, but day) string {
	t.Helper()
	c := must1(pgx.ConnectConfig(t.Context(), must1(l.shared.connection())))
	defer c.Close(context.Background())
	var b strings.Builder
	for _, d := range must1(l.shared.days(t.Context())) {
		if d == but {
			continue
		}
		for _, table := range []string{"event", "rcpt", "fate", "minute", "early_of", "judging"} {
			if _, err := c.PgConn().CopyTo(t.Context(), &b, "COPY "+schemaOf(d)+"."+table+" TO STDOUT"); err != nil {
				t.Fatal(err)
			}
		}
		rows := must1(c.Query(t.Context(), "SELECT body FROM "+schemaOf(d)+".stories"))
		for _, body := range must1(pgx.CollectRows(rows, pgx.RowTo[[]byte])) {
			b.Write(must1(unpack(body)))
		}
	}
	return strings.ToLower(b.String())
}
