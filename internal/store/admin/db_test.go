package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab/labtest"
)

// scratch makes a table for a test.
func scratch(t *testing.T, db *DB) {
	t.Helper()
	must(t, db.Write(context.Background(), func(tx *Tx) error {
		_, err := tx.Exec(db.d.words("CREATE TABLE scratch (id $ID, word TEXT NOT NULL UNIQUE, octets $BLOB, number $INT NOT NULL)"))
		return err
	}))
}

// words reads the table.
func words(t *testing.T, db *DB) (out []string) {
	t.Helper()
	must(t, db.Read(context.Background(), func(tx *Tx) error {
		return tx.Each("SELECT word FROM scratch WHERE number >= ? ORDER BY id", []any{0}, func(scan func(...any) error) error {
			var w string
			err := scan(&w)
			out = append(out, w)
			return err
		})
	}))
	return out
}

// TestTransactions shows that what a transaction wrote is there with all its octets, that one that failed left nothing, that a
// row that is there already is told as such and not as a fault of the store, and that there may be none.
func TestTransactions(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx := context.Background()
		scratch(t, db)
		octets := []byte{0, 255, '?', '$', '1'}
		insert := func(tx *Tx, word string) (int64, error) {
			return tx.Insert("INSERT INTO scratch (word, octets, number) VALUES (?, ?, ?)", word, octets, int64(1)<<60)
		}
		var id int64
		must(t, db.Write(ctx, func(tx *Tx) (err error) { id, err = insert(tx, "what? ünd '$1'"); return err }))
		refused := errors.New("refused")
		if err := db.Write(ctx, func(tx *Tx) error { _, _ = insert(tx, "gone"); return refused }); err != refused {
			t.Errorf("%v", err)
		}
		err := db.Write(ctx, func(tx *Tx) error { _, err := insert(tx, "what? ünd '$1'"); return err })
		if !Duplicate(err) || errors.Is(err, ErrAway) || Duplicate(refused) || db.Health() != nil {
			t.Errorf("%v, health %v", err, db.Health())
		}
		var got []byte
		var number int64
		must(t, again().Read(ctx, func(tx *Tx) error {
			return tx.One("SELECT octets, number FROM scratch WHERE id = ?", []any{id}, &got, &number)
		}))
		if !bytes.Equal(got, octets) || number != 1<<60 || len(words(t, db)) != 1 {
			t.Errorf("%q %d, %d rows", got, number, len(words(t, db)))
		}
		if err := db.Read(ctx, func(tx *Tx) error { return tx.One("SELECT id FROM scratch WHERE id = ?", []any{id + 1}, &id) }); err != ErrNone {
			t.Errorf("%v", err)
		}
		if n := int64(0); db.Write(ctx, func(tx *Tx) (err error) { n, err = tx.Exec("UPDATE scratch SET number = ?", 2); return err }) != nil || n != 1 {
			t.Errorf("%d rows changed", n)
		}
	})
}

// TestWriters shows that what many writers on two nodes read and write under a lock is not lost.
func TestWriters(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		scratch(t, db)
		nodes := []*DB{db, again()}
		const each = 20
		var group sync.WaitGroup
		errs := make(chan error, 4*each)
		for i := range 4 {
			group.Go(func() {
				for range each {
					errs <- nodes[i%2].Write(context.Background(), func(tx *Tx) error {
						if err := tx.Lock("count"); err != nil {
							return err
						}
						var n int64
						if err := tx.One("SELECT count(*) FROM scratch", nil, &n); err != nil {
							return err
						}
						_, err := tx.Exec("INSERT INTO scratch (word, number) VALUES (?, ?)", fmt.Sprint(n), n)
						return err
					})
				}
			})
		}
		group.Wait()
		for range 4 * each {
			must(t, <-errs)
		}
		for i, w := range words(t, db) {
			if w != fmt.Sprint(i) {
				t.Fatalf("row %d is %s", i, w)
			}
		}
	})
}

// TestStartTogether shows that nodes which start at the same time make the tables once.
func TestStartTogether(t *testing.T) {
	for _, o := range []Options{{Path: filepath.Join(t.TempDir(), "admin.db")}, {URL: database(t)}} {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				db, err := Open(context.Background(), o)
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(db.Health(), db.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
}

// TestWatch shows that who watches a topic hears of a change on this node, and on another where the store can tell, and nothing
// of other topics.
func TestWatch(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		other := again()
		if !db.Shared() {
			other = db
		}
		mine, foreign := db.Watch(ctx, "policy"), db.Watch(ctx, "users")
		if db.Shared() { // the first is told when listening begins
			for range 2 {
				select {
				case <-mine:
					mine = nil
				case <-foreign:
					foreign = nil
				case <-time.After(soon):
					t.Fatal("listening did not begin")
				}
			}
			mine, foreign = db.Watch(ctx, "policy"), db.Watch(ctx, "users")
		}
		must(t, other.Write(ctx, func(tx *Tx) error { return tx.Notify("policy") }))
		select {
		case <-mine:
		case <-foreign:
			t.Error("another topic was told")
		case <-time.After(soon):
			t.Error("nothing was told")
		}
	})
}

// TestNewer shows that tables which a later version wrote are refused, by the name of what it did, and left as they are.
func TestNewer(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, _ func() *DB) {
		must(t, db.Write(context.Background(), func(tx *Tx) error {
			_, err := tx.Exec("INSERT INTO admin_migration (number, name, applied) VALUES (?, ?, ?)", 999, "999-future", 0)
			return err
		}))
		if _, err := Open(context.Background(), db.o); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "999-future") {
			t.Errorf("%v", err)
		}
	})
}

// TestCopies shows that a file is copied before its tables change, that the copy is whole and nobody else's to read, and that
// three stay.
func TestCopies(t *testing.T) {
	o := Options{Path: filepath.Join(t.TempDir(), "admin.db")}
	for i := range 5 {
		db := open(t, o)
		must(t, db.Write(context.Background(), func(tx *Tx) error {
			if _, err := tx.Exec("DROP TABLE audit"); err != nil { // as if the migration had not been
				return err
			}
			_, err := tx.Exec("DELETE FROM admin_migration WHERE number = 1")
			return err
		}))
		copies, err := filepath.Glob(o.Path + ".copy-*")
		if err != nil || len(copies) != min(i, copiesKept) {
			t.Fatalf("%d copies after %d changes: %v", len(copies), i, err)
		}
		for _, c := range append(copies, o.Path) {
			if info, err := os.Stat(c); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
				t.Errorf("%s: %v %v", c, info.Mode(), err)
			}
		}
		if i == 4 {
			must(t, os.Rename(copies[0], filepath.Join(t.TempDir(), "restored")))
		}
	}
}

// TestAway shows that a store which hangs, and one that is gone, fail each call by its deadline, that calls do not queue up
// behind it, and that it is used again once it is back, by who watches too.
func TestAway(t *testing.T) {
	p := labtest.Postgres(t)
	url, err := p.Database(context.Background(), "away")
	must(t, err)
	db := open(t, Options{URL: url, Time: 300 * time.Millisecond})
	ctx := context.Background()
	ask := func() error {
		return db.Read(ctx, func(tx *Tx) error { var n int; return tx.One("SELECT count(*) FROM audit", nil, &n) })
	}
	must(t, ask())
	for name, step := range map[string][2]func() error{
		"hung": {p.Pause, p.Resume},
		"gone": {p.Kill, func() error { return p.Restart(ctx) }},
	} {
		must(t, step[0]())
		for range 3 {
			if err := ask(); !errors.Is(err, ErrAway) || db.Health() == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, step[1]())
		await(t, func() bool { return ask() == nil && db.Health() == nil })
	}
	must(t, p.Stop())
	late, err := Open(ctx, Options{URL: p.URL("late"), Time: time.Second})
	must(t, err)
	defer late.Close()
	if late.Health() == nil {
		t.Error("what is away is told as fine")
	}
	must(t, p.Restart(ctx))
	_, err = p.Database(ctx, "late")
	must(t, err)
	await(t, func() bool { return late.Ready(ctx) == nil })
}

// TestSlowStart shows that tables which take long to be brought up to date fail each call by its deadline and are nobody's fault,
// that the attempt goes on without whoever waited for it, and that closing ends one.
func TestSlowStart(t *testing.T) {
	url := database(t)
	other := open(t, Options{URL: url})
	must(t, other.Write(context.Background(), func(tx *Tx) error {
		if _, err := tx.Exec("DROP TABLE audit"); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM admin_migration WHERE number = 1")
		return err
	}))
	hold, release, held := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		held <- other.Write(context.Background(), func(tx *Tx) error {
			err := tx.Lock("migrations")
			close(hold)
			<-release
			return err
		})
	}()
	<-hold
	db, err := New(Options{URL: url, Time: 200 * time.Millisecond})
	must(t, err)
	defer db.Close()
	gone, err := New(Options{URL: url, Time: time.Millisecond})
	must(t, err)
	ask := func(db *DB) error {
		return db.Read(context.Background(), func(tx *Tx) error { var n int; return tx.One("SELECT count(*) FROM audit", nil, &n) })
	}
	for range 3 {
		if err := ask(db); !errors.Is(err, ErrAway) || db.Health() != nil || db.Up() {
			t.Errorf("%v, health %v", err, db.Health())
		}
	}
	if err := ask(gone); !errors.Is(err, ErrAway) {
		t.Error(err)
	}
	must(t, gone.Close()) // while its attempt waits
	if err := ask(gone); !errors.Is(err, ErrAway) {
		t.Error(err)
	}
	close(release)
	must(t, <-held)
	must(t, db.Ready(context.Background()))
	if err := ask(db); err != nil || !db.Up() {
		t.Error(err)
	}
}

// await asks until it is so.
func await(t *testing.T, ask func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !ask(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to be")
		}
	}
}

// TestLocked shows that a file which another process keeps locked fails its writer by the deadline, while readers read on.
func TestLocked(t *testing.T) {
	o := Options{Path: filepath.Join(t.TempDir(), "admin.db"), Time: 200 * time.Millisecond}
	db, other := open(t, o), open(t, o)
	scratch(t, db)
	tx, err := other.sql.BeginTx(context.Background(), nil)
	must(t, err)
	write := func() error {
		return db.Write(context.Background(), func(tx *Tx) error {
			_, err := tx.Exec("INSERT INTO scratch (word, number) VALUES (?, ?)", "w", 0)
			return err
		})
	}
	if err := write(); !errors.Is(err, ErrAway) {
		t.Errorf("%v", err)
	}
	if len(words(t, db)) != 0 {
		t.Error("rows")
	}
	must(t, tx.Rollback())
	must(t, write())
}

// TestDamaged shows that a file which is none is refused and stays where it is.
func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.db")
	text := []byte(strings.Repeat("not a database. ", 1000))
	must(t, os.WriteFile(path, text, 0o600))
	if _, err := Open(context.Background(), Options{Path: path}); err == nil {
		t.Error("it was opened")
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, text) {
		t.Errorf("it was changed: %v", err)
	}
}

// TestSafe shows to which servers nothing is said, unless the operator wants it so.
func TestSafe(t *testing.T) {
	for url, ok := range map[string]bool{
		"postgres://u@/d?host=/run/postgresql":                   true,
		"postgres://u@127.0.0.1/d":                               true,
		"postgres://u@[::1]/d?sslmode=disable":                   true,
		"postgres://u@localhost/d":                               true,
		"postgres://u@db.example.org/d?sslmode=verify-full":      true,
		"postgres://u@db.example.org/d":                          false,
		"postgres://u@db.example.org/d?sslmode=require":          false,
		"postgres://u@192.0.2.1,127.0.0.1/d?sslmode=prefer":      false,
		"postgres://u@127.0.0.1,db.example.org/d":                false,
		"postgres://u@/d?host=db.example.org&sslmode=disable":    false,
		"postgres://u:secret-word@[db.example.org/d":             false,
		"postgres://u:secret-word@h/d?sslmode=no&connect_time=x": false,
	} {
		_, sql, err := openPostgres(&Options{URL: url, Time: time.Second})
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: %v", url, err)
		}
		if sql != nil {
			must(t, sql.Close())
		}
	}
	_, sql, err := openPostgres(&Options{URL: "postgres://u@db.example.org/d", Insecure: true})
	must(t, err)
	must(t, sql.Close())
}

// TestSteps shows that the migrations have numbers of their own and hold no word that was left as it is.
func TestSteps(t *testing.T) {
	for _, d := range []dialect{{}, {postgres: true}} {
		all, err := steps(d)
		must(t, err)
		for _, s := range all {
			if strings.Contains(s.text, "$") || strings.Contains(s.text, "--sqlite") == d.postgres && strings.Contains(s.text, "--sqlite") {
				t.Errorf("%s: %s", s.name, s.text)
			}
		}
	}
	if got := (dialect{}).words("a $ID --sqlite\nb $INT --postgres\nc $BLOB\n"); got != "a INTEGER PRIMARY KEY AUTOINCREMENT --sqlite\nc BLOB\n" {
		t.Errorf("%q", got)
	}
	if got := (dialect{postgres: true}).query("a = ? AND b = ?"); got != "a = $1 AND b = $2" {
		t.Errorf("%q", got)
	}
}
