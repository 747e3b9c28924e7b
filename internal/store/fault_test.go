package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
)

// childDir, in the environment, makes the test binary a process that writes until it is killed.
const childDir = "GATEPOST_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	code := m.Run()
	if err := stopServer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func child(dir string) {
	l, err := Open(Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	var g ids
	for {
		e := transaction(&g, time.Now(), "ann@sender.example", "bob@one.example")
		l.Write(e)
		if g.n%200 == 0 {
			_ = l.Flush(context.Background())
			fmt.Println(e.Record.ID)
		}
	}
}

// TestKilled shows that a process that is killed while it writes leaves whole events, all that it had flushed among them.
func TestKilled(t *testing.T) {
	for range 3 {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 17*4)
		var said int
		for said < len(line) {
			n, err := out.Read(line[said:])
			if err != nil {
				t.Fatal(err)
			}
			said += n
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as meant
		whole(t, dir, strings.Fields(string(line)))
		l := openLog(t, Options{Dir: dir}) // and it can be written again
		g := ids{n: 1 << 19}
		write(t, l, transaction(&g, time.Now(), "ann@sender.example", "bob@one.example"))
		if st := l.Stats(); st.Damaged != 0 || st.Failed != 0 {
			t.Errorf("after a kill: %+v", st)
		}
		closeLog(t, l)
	}
}

// whole checks a folder: SQLite finds no fault, each event has its story, and the events of refs are there.
func whole(t *testing.T, dir string, refs []string) {
	t.Helper()
	r := NewReader(dir)
	gaps, err := r.walk(bounded30(t), "", "9999", false, func(ctx context.Context, v *view) error {
		var verdict string
		var events, stories int
		if err := v.tx.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("integrity: %v %s", err, verdict)
		}
		all, err := v.refs(ctx, "1", nil, 0, math.MaxInt64, nil, func(*columns) bool { return true })
		for _, at := range all {
			if _, err := v.story(ctx, at); err != nil {
				t.Errorf("%d: %v", at.id, err)
			}
			events++
		}
		if bad := v.tx.QueryRowContext(ctx, "SELECT (SELECT COUNT(*) FROM block) - (SELECT COUNT(*) FROM stories)").Scan(&stories); err != nil || bad != nil || events == 0 || stories > 0 {
			t.Errorf("%v %v: %d events, %d more blocks than stories of blocks", err, bad, events, stories)
		}
		return nil
	})
	if err != nil || len(gaps) > 0 {
		t.Errorf("%v %v", err, gaps)
	}
	for _, ref := range refs {
		id, err := gateway.ParseID(ref)
		if err != nil {
			t.Fatalf("%q: %v", ref, err)
		}
		if _, err := r.Trace(bounded30(t), id); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// TestTornEnd shows that a write-ahead log whose end is missing or junk loses the newest events only.
func TestTornEnd(t *testing.T) {
	for name, tear := range map[string]func(b []byte) []byte{
		"cut":  func(b []byte) []byte { return b[:len(b)-5000] },
		"junk": func(b []byte) []byte { copy(b[len(b)-5000:], bytes.Repeat([]byte{0x5a}, 5000)); return b },
		"gone": func(b []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			var g ids
			l := openLog(t, Options{})
			now := time.Now()
			for range 20 {
				write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
			}
			torn := t.TempDir()
			from, to := dayOf(now).path(l.o.Dir), dayOf(now).path(torn)
			for i, suffix := range []string{"", "-wal"} {
				b, err := os.ReadFile(from + suffix)
				if err != nil {
					t.Fatal(err)
				}
				if i == 1 {
					b = tear(b)
				}
				if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			again := openLog(t, Options{Dir: torn})
			write(t, again, transaction(&g, now, "late@sender.example", "bob@one.example"))
			whole(t, torn, nil)
			if st := again.Stats(); st.Damaged != 0 || st.Failed != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestNewerFile shows that a file of a later version is neither read, nor written, nor set aside.
func TestNewerFile(t *testing.T) {
	var g ids
	dir, now := t.TempDir(), time.Now()
	db, err := sql.Open("sqlite", dsn(dayOf(now).path(dir), url.Values{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE future (x); PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	l := openLog(t, Options{Dir: dir})
	write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	if st := l.Stats(); st.Failed != 1 || st.Damaged != 0 {
		t.Errorf("%+v", st)
	}
	if ok, detail := l.Health(); ok || !strings.Contains(detail, "newer version") {
		t.Errorf("%v %s", ok, detail)
	}
	if res, err := l.Reader().Search(bounded30(t), Query{}); err != nil || len(res.Gaps) != 1 {
		t.Errorf("%v %+v", err, res)
	}
}

// TestDiskFull shows that what the disk refuses is counted, that nobody waits, and that the log recovers.
func TestDiskFull(t *testing.T) {
	var g ids
	now := time.Now()
	var said bytes.Buffer
	l := openLog(t, Options{Log: slog.New(slog.NewTextHandler(&said, nil)), pragmas: []string{"max_page_count(60)"}})
	for range 400 {
		write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	}
	st := l.Stats()
	if st.Failed == 0 || st.Written == 0 || st.Written+st.Failed != 400 || st.Damaged != 0 {
		t.Errorf("%+v", st)
	}
	if ok, detail := l.Health(); ok || !strings.Contains(detail, "full") {
		t.Errorf("%v %s", ok, detail)
	}
	if n := strings.Count(said.String(), "cannot be written"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
	whole(t, l.o.Dir, nil)
	// The next day has room again.
	write(t, l, transaction(&g, now.AddDate(0, 0, -1), "ann@sender.example", "bob@one.example"))
	if ok, detail := l.Health(); !ok || !strings.Contains(said.String(), "written again") {
		t.Errorf("%v %s %s", ok, detail, said.String())
	}
}

// TestHungDisk shows that nobody waits while the file cannot be written, that the queue is bounded, and that what overflows
// is counted.
func TestHungDisk(t *testing.T) {
	var g ids
	now := time.Now()
	l := openLog(t, Options{Queue: 600})
	write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	db, err := sql.Open("sqlite", dsn(dayOf(now).path(l.o.Dir), url.Values{"_txlock": {"exclusive"}}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin() // the writer waits for this lock
	if err != nil {
		t.Fatal(err)
	}
	e := transaction(&g, now, "ann@sender.example", "bob@one.example")
	dropped := 0
	for range 5000 {
		if !l.Write(e) {
			dropped++
		}
	}
	if dropped < 5000-600-batchRows*2 || l.Stats().Dropped != int64(dropped) {
		t.Errorf("%d dropped, %+v", dropped, l.Stats())
	}
	if ok, detail := l.Health(); ok || !strings.Contains(detail, "dropped") {
		t.Errorf("%v %s", ok, detail)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	flush(t, l)
	if _, err := l.Reader().Trace(bounded30(t), e.Record.ID); err != nil {
		t.Error(err)
	}
}

// TestQueueIsBoundedInOctets shows that huge events do not take all memory.
func TestQueueIsBoundedInOctets(t *testing.T) {
	var g ids
	e := transaction(&g, time.Now(), "ann@sender.example", "bob@one.example")
	e.Record.HeaderFrom = strings.Repeat("x", 1<<20)
	l, _ := idle(t, Options{}) // nobody writes
	for l.Write(e) {
	}
	if n := l.Stats().Queued; n < 10 || l.held > queueBytes+queueBytes/8 {
		t.Errorf("%d events, %d octets", n, l.held)
	}
}

// TestFileTakenAway shows that a file that somebody removed, or put another in the place of, is noticed at the next batch,
// and that the folder is made again.
func TestFileTakenAway(t *testing.T) {
	now := time.Now()
	for name, take := range map[string]func(path string) error{
		"removed":  remove,
		"replaced": func(path string) error { return errors.Join(remove(path), os.WriteFile(path, nil, 0o600)) },
		"folder":   func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			var g ids
			l, w := idle(t, Options{})
			put(t, w, transaction(&g, now, "ann@sender.example", "bob@one.example"))
			if err := take(dayOf(now).path(l.o.Dir)); err != nil {
				t.Fatal(err)
			}
			e := transaction(&g, now, "ann@sender.example", "bob@one.example")
			put(t, w, e)
			if _, err := l.Reader().Trace(bounded30(t), e.Record.ID); err != nil {
				t.Error(err)
			}
			if st := l.Stats(); st.Written != 2 || st.Failed != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	var g ids
	l := openLog(t, Options{})
	e := transaction(&g, time.Now(), "ann@sender.example", "bob@one.example")
	if !l.Write(e) {
		t.Fatal("no room")
	}
	closeLog(t, l) // writes what waits
	if _, err := l.Reader().Trace(bounded30(t), e.Record.ID); err != nil {
		t.Error(err)
	}
	if l.Write(e) || l.Stats().Dropped != 1 {
		t.Errorf("taken after the end: %+v", l.Stats())
	}
	for range 50 { // never by chance
		if err := l.Flush(bounded30(t)); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	closeLog(t, l)
	var none *gateway.Event
	if l.Write(none) || l.Write(&gateway.Event{}) {
		t.Error("took an event without a record")
	}
}

// TestManyWriters is for the race detector.
func TestManyWriters(t *testing.T) {
	l := openLog(t, Options{})
	var wg sync.WaitGroup
	now := time.Now()
	for i := range 8 {
		wg.Go(func() {
			g := ids{n: uint64(i) << 16}
			for range 100 {
				l.Write(transaction(&g, now, "ann@sender.example", "bob@one.example"))
				l.Stats()
				l.Health()
			}
		})
	}
	wg.Wait()
	closeLog(t, l)
	if st := l.Stats(); st.Written != 800 {
		t.Errorf("%+v", st)
	}
	whole(t, l.o.Dir, nil)
}

func TestFolderCannotBeMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: filepath.Join(path, "log")}); err == nil {
		t.Error("opened")
	}
}
