package store

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// TestDamaged shows that a file that is no database, or a broken one, is set aside and that the log goes on.
func TestDamaged(t *testing.T) {
	now := time.Now()
	for name, junk := range map[string]func(path string) error{
		"no database": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("junk"), 5000), 0o600) },
		"broken inside": func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, 100000), 4096)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var g ids
			l := openLog(t, Options{Dir: dir})
			for range 50 {
				write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
			}
			closeLog(t, l)
			path := dayOf(now).path(dir)
			if err := junk(path); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			l = openLog(t, Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&said, nil))})
			e := transaction(&g, now, "after@sender.example", "bob@one.example")
			write(t, l, e)
			if st := l.Stats(); st.Damaged != 1 || st.Failed != 0 || st.Written != 1 {
				t.Errorf("%+v, %s", st, said.String())
			}
			if _, err := os.Stat(path + damaged); err != nil || !strings.Contains(said.String(), "damaged") {
				t.Errorf("not set aside: %v, %s", err, said.String())
			}
			if _, err := l.Reader().Trace(bounded30(t), e.Record.ID); err != nil {
				t.Error(err)
			}
			res, err := l.Reader().Search(bounded30(t), Query{})
			if err != nil || len(res.Rows) != 1 || len(res.Gaps) != 1 {
				t.Errorf("%v %+v", err, res)
			}
			if ok, detail := l.Health(); !ok || !strings.Contains(detail, "1 damaged") {
				t.Errorf("%v %s", ok, detail)
			}
		})
	}
}

// TestReaderMeetsDamage shows that a reader tells of a damaged day and goes on with the others.
func TestReaderMeetsDamage(t *testing.T) {
	var g ids
	now := time.Now()
	l := openLog(t, Options{})
	write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	bad := dayOf(now).add(-1)
	if err := os.WriteFile(bad.path(l.o.Dir), bytes.Repeat([]byte("junk"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	res, err := l.Reader().Search(bounded30(t), Query{})
	if err != nil || len(res.Rows) != 1 || len(res.Gaps) != 1 || res.Gaps[0].Day != string(bad) {
		t.Errorf("%v %+v", err, res)
	}
	a, err := l.Reader().Activity(bounded30(t), Window{Until: dayOf(now).start()})
	if err != nil || a.None() {
		t.Errorf("a damaged day proves nothing: %v %+v", err, a)
	}
}
