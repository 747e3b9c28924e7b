package store

import (
	"database/sql"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDayOf(t *testing.T) {
	east := time.FixedZone("east", 9*3600)
	for _, tt := range []struct {
		at   time.Time
		want day
	}{
		{time.Date(2026, 11, 23, 23, 59, 59, 999999999, time.UTC), "2026-11-23"},
		{time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), "2026-11-24"},
		{time.Date(2026, 11, 24, 8, 59, 0, 0, east), "2026-11-23"},
		{time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC), "2028-02-29"},
	} {
		if got := dayOf(tt.at); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.at, got, tt.want)
		}
	}
	if d := day("2026-12-31"); d.add(1) != "2027-01-01" || d.add(-31) != "2026-11-30" || !d.end().Equal(d.add(1).start()) {
		t.Errorf("%s %s %s", d.add(1), d.add(-31), d.end())
	}
}

func TestFileDay(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 0, 10, 0, time.UTC)
	var g ids
	for _, tt := range []struct {
		began time.Time
		want  day
	}{
		{now, "2026-11-24"},
		{now.Add(-20 * time.Second), "2026-11-23"}, // began before midnight, ended after
		{now.AddDate(0, 0, -2), "2026-11-22"},
		{now.AddDate(0, 0, -3), "2026-11-24"}, // a clock that jumped
		{now.AddDate(0, 0, 1), "2026-11-25"},
		{now.AddDate(5, 0, 0), "2026-11-24"},
		{time.UnixMilli(0), "2026-11-24"},
	} {
		if got := new(days).file(g.at(tt.began), now); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.began, got, tt.want)
		}
	}
}

func TestParseDay(t *testing.T) {
	for name, want := range map[string]struct {
		d     day
		aside bool
	}{
		"log-2026-11-23.db":           {"2026-11-23", false},
		"log-2026-11-23.db.damaged":   {"2026-11-23", true},
		"log-2026-11-23.db.damaged.2": {"2026-11-23", true},
		"log-2026-11-23.db-wal":       {"", false},
		"log-2026-11-23.db-shm":       {"", false},
		"log-2026-13-23.db":           {"", false},
		"log-2026-11-23.txt":          {"", false},
		"log-":                        {"", false},
		"config.db":                   {"", false},
	} {
		if d, aside := parseDay(name); d != want.d || aside != want.aside {
			t.Errorf("%s: %q %v", name, d, aside)
		}
	}
}

// TestRollover shows that each day has its file, that only two stay open, and that a day that is over is one plain file.
func TestRollover(t *testing.T) {
	var g ids
	l, w := idle(t, Options{})
	now := time.Now()
	today := dayOf(now)
	for back := 3; back >= 0; back-- {
		at := now.AddDate(0, 0, -back)
		var b batch
		b.reset(dayOf(at))
		if err := b.add(l.encoder, transaction(&g, at, "ann@sender.example", "bob@one.example"), &l.to); err != nil {
			t.Fatal(err)
		}
		w.write(&b)
		if len(w.open) > maxOpen {
			t.Errorf("%d files open", len(w.open))
		}
	}
	w.tick(now)
	if len(w.open) != 2 || w.open[today] == nil || w.open[today.add(-1)] == nil {
		t.Errorf("open: %v", w.open)
	}
	over := today.add(-3).path(l.o.Dir)
	if size(over+"-wal") != 0 || size(over) == 0 {
		t.Error("a day that is over has a write-ahead log")
	}
	db, err := sql.Open("sqlite", dsn(over, url.Values{"mode": {"ro"}, "immutable": {"1"}}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM stories").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	for d := range w.open {
		w.close(d)
	}
	if info, err := os.Stat(today.path(l.o.Dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	res, err := l.Reader().Search(bounded30(t), Query{})
	if err != nil || len(res.Rows) != 4 {
		t.Errorf("%v %+v", err, res)
	}
}

func TestRetention(t *testing.T) {
	today := dayOf(time.Now())
	tests := []struct {
		name  string
		o     Options
		files map[int]int // days back -> octets
		aside int         // days back of a damaged one; 0: none
		want  string
		full  bool
	}{
		{name: "by age", o: Options{Days: 3}, files: map[int]int{0: 1, 1: 1, 2: 1, 3: 1, 40: 1}, want: "0 1 2"},
		{name: "a damaged one by age", o: Options{Days: 3}, files: map[int]int{0: 1}, aside: 3, want: "0"},
		{name: "by size, the oldest first", o: Options{MaxBytes: 250}, files: map[int]int{0: 100, 1: 100, 2: 100, 3: 100}, want: "0 1"},
		{name: "all within", o: Options{MaxBytes: 400}, files: map[int]int{0: 100, 1: 100, 2: 100, 3: 100}, want: "0 1 2 3"},
		{name: "today's is never removed, and taking ends", o: Options{MaxBytes: 50}, files: map[int]int{0: 100, 1: 100}, want: "0", full: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Dir = t.TempDir()
			for back, n := range tt.files {
				path := today.add(-back).path(tt.o.Dir)
				for _, p := range []string{path, path + "-wal"} {
					if err := os.WriteFile(p, make([]byte, n/2), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			if tt.aside > 0 {
				if err := os.WriteFile(today.add(-tt.aside).path(tt.o.Dir)+damaged, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l := openLog(t, tt.o) // looks at once
			entries, err := os.ReadDir(tt.o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			var left []string
			for _, e := range entries {
				if d, aside := parseDay(strings.TrimSuffix(e.Name(), "-wal")); d != "" || aside {
					back := strconvDays(today, d)
					if !slices.Contains(left, back) {
						left = append(left, back)
					}
				}
			}
			slices.Sort(left)
			if got := strings.Join(left, " "); got != tt.want {
				t.Errorf("left %q, want %q", got, tt.want)
			}
			if l.full.Load() != tt.full {
				t.Errorf("full: %v", l.full.Load())
			}
			var g ids
			if took := l.Write(transaction(&g, time.Now(), "", "postmaster")); took == tt.full {
				t.Errorf("took an event: %v", took)
			}
			if ok, detail := l.Health(); ok == tt.full {
				t.Errorf("%v %s", ok, detail)
			}
		})
	}
}

func strconvDays(today, d day) string {
	return string(rune('0' + int(today.start().Sub(d.start()).Hours()/24)))
}
