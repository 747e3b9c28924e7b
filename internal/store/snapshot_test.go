package store

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestSnapshot takes copies of a file while another connection writes to it in transactions of two rows: each copy is whole, of one moment, and
// has what was written before it was asked for; nobody who writes fails. What is no database is told, and leaves nothing.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "some.db")
	s := small{what: "test", schema: "CREATE TABLE IF NOT EXISTS pair (n INTEGER PRIMARY KEY, of INTEGER NOT NULL); PRAGMA user_version = 3", probe: "SELECT n FROM pair"}
	db, err := openSmall(t.Context(), path, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	begun := make(chan struct{})
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			tx, err := db.Begin()
			if err == nil {
				_, err = tx.Exec("INSERT INTO pair (of) VALUES (?)", i)
			}
			if err == nil {
				_, err = tx.Exec("INSERT INTO pair (of) VALUES (?)", i)
			}
			if err == nil {
				err = tx.Commit()
			}
			if err != nil {
				t.Errorf("writer: %v", err)
				return
			}
			if i == 10 {
				close(begun)
			}
		}
	})
	<-begun
	var before int
	for i := range 20 {
		to := filepath.Join(dir, "copy")
		version, err := Snapshot(t.Context(), path, to)
		if err != nil || version != 3 {
			t.Fatalf("copy %d: version %d, %v", i, version, err)
		}
		if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		copied, err := sql.Open("sqlite", to)
		if err != nil {
			t.Fatal(err)
		}
		var rows, odd int
		var sound string
		if err := copied.QueryRow("SELECT count(*), (SELECT count(*) FROM (SELECT of FROM pair GROUP BY of HAVING count(*) != 2)) FROM pair").Scan(&rows, &odd); err != nil {
			t.Fatal(err)
		}
		if err := copied.QueryRow("PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
			t.Errorf("%s, %v", sound, err)
		}
		if rows < 22 || rows < before || odd != 0 {
			t.Errorf("copy %d has %d rows after %d, %d of half a transaction", i, rows, before, odd)
		}
		before = rows
		if err := copied.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(to); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	writing.Wait()

	for name, text := range map[string]string{"garbage": "this is no database, and it is long enough to be seen as none of its kind", "none": ""} {
		from := filepath.Join(dir, name)
		if text != "" {
			if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Snapshot(t.Context(), from, filepath.Join(dir, "copy")); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Lstat(filepath.Join(dir, "copy")); !os.IsNotExist(err) {
			t.Errorf("%s: a copy is left: %v", name, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Error("a database was made where there was none")
	}
}
