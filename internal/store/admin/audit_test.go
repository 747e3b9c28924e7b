package admin

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/audit"
)

// noted is an entry of a test, with a source of its own.
func noted(actor, object, domain string, at time.Time) audit.Entry {
	return audit.Entry{Time: at.UTC().Truncate(time.Microsecond), Node: "mx1", Actor: actor, Role: "operator", Via: "session", Address: "192.0.2.1",
		Operation: "queue retry", Object: object, Domain: domain, Asked: `{"id":"ü'?$1"}`, Before: "{}", After: `["\u0000"]`, Source: actor + object}
}

// verified is the report of a chain that must hold.
func verified(t *testing.T, db *DB, want int64) audit.Report {
	t.Helper()
	r, err := audit.Verify(context.Background(), db.Audit())
	must(t, err)
	if r.Bad != 0 || r.Entries != want {
		t.Errorf("%+v, want %d entries", r, want)
	}
	return r
}

// TestAuditAppend shows that two nodes make one chain without gaps, that an entry which is told twice is there once, and that what
// is read is what was written.
func TestAuditAppend(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx, now := context.Background(), time.Now()
		nodes := []*DB{db, again()}
		var group sync.WaitGroup
		errs := make(chan error, 80)
		for i := range 4 {
			group.Go(func() {
				for n := range 10 {
					e := noted(fmt.Sprint("a", i), fmt.Sprint(n), "example.org", now)
					_, err := nodes[i%2].Audit().Append(ctx, []audit.Entry{e, e})
					errs <- err
					_, err = nodes[(i+1)%2].Audit().Append(ctx, []audit.Entry{e})
					errs <- err
				}
			})
		}
		group.Wait()
		for range 80 {
			must(t, <-errs)
		}
		r := verified(t, db, 40)
		head, err := db.Audit().Append(ctx, nil)
		must(t, err)
		rows, err := db.Audit().List(ctx, audit.Filter{Actor: "a1", Object: "7"})
		must(t, err)
		want := noted("a1", "7", "example.org", now)
		if len(rows) != 1 || head.String() != r.Head {
			t.Fatalf("%d rows, head %s, %s", len(rows), head, r.Head)
		}
		want.Number = rows[0].Number
		if rows[0].Entry != want {
			t.Errorf("%+v", rows[0].Entry)
		}
	})
}

// TestAuditList shows what the filter picks, and that pages join.
func TestAuditList(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, _ func() *DB) {
		ctx, now := context.Background(), time.Now().UTC()
		var all []audit.Entry
		for i := range 30 {
			all = append(all, noted([]string{"anna", "bert"}[i%2], fmt.Sprint(i), []string{"example.org", "example.net", ""}[i%3], now.Add(time.Duration(i)*time.Minute)))
		}
		_, err := db.Audit().Append(ctx, all)
		must(t, err)
		numbers := func(f audit.Filter) (out []int64) {
			t.Helper()
			rows, err := db.Audit().List(ctx, f)
			must(t, err)
			for _, r := range rows {
				out = append(out, r.Number)
			}
			return out
		}
		for name, tt := range map[string]struct {
			f    audit.Filter
			want []int64
		}{
			"most":          {audit.Filter{Most: 2}, []int64{30, 29}},
			"below":         {audit.Filter{Most: 2, Below: 5}, []int64{4, 3}},
			"actor":         {audit.Filter{Actor: "bert", Most: 3}, []int64{30, 28, 26}},
			"domain":        {audit.Filter{Domain: "example.net", Most: 2}, []int64{29, 26}},
			"of domains":    {audit.Filter{Domains: []string{"example.net", "example.org"}, Most: 4}, []int64{29, 28, 26, 25}},
			"of no domain":  {audit.Filter{Domains: []string{}}, nil},
			"other's":       {audit.Filter{Domain: "example.org", Domains: []string{"example.net"}}, nil},
			"time":          {audit.Filter{From: now.Add(3 * time.Minute), To: now.Add(5 * time.Minute)}, []int64{5, 4}},
			"object":        {audit.Filter{Object: "7"}, []int64{8}},
			"operation":     {audit.Filter{Operation: "queue", Most: 1}, nil},
			"like a phrase": {audit.Filter{Actor: "' OR 1=1 --"}, nil},
		} {
			if got := numbers(tt.f); !slices.Equal(got, tt.want) {
				t.Errorf("%s: %v, want %v", name, got, tt.want)
			}
		}
		var pages []int64
		for below := int64(0); ; {
			page := numbers(audit.Filter{Below: below, Most: 7})
			if len(page) == 0 {
				break
			}
			pages, below = append(pages, page...), page[len(page)-1]
		}
		if len(pages) != 30 || !slices.IsSortedFunc(pages, func(a, b int64) int { return int(b - a) }) {
			t.Errorf("%v", pages)
		}
	})
}

// TestAuditTampered shows that a change of a row behind our back is found, whichever column it is.
func TestAuditTampered(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, _ func() *DB) {
		ctx := context.Background()
		var all []audit.Entry
		for i := range 6 {
			all = append(all, noted("anna", fmt.Sprint(i), "example.org", time.Now()))
		}
		_, err := db.Audit().Append(ctx, all)
		must(t, err)
		verified(t, db, 6)
		undone := fmt.Errorf("undone")
		for _, change := range []string{"time = time + 1", "node = 'mx2'", "actor = 'bert'", "role = ''", "via = 'token'", "address = ''", "operation = 'x'", "object = '9'", "domain = ''",
			"asked = ''", "before = 'x'", "after = ''", "error = 'x'", "source = 'x'", "erased = 1", "number = 99", "digest = hash", "hash = digest", "digest = NULL"} {
			err := db.Write(ctx, func(tx *Tx) error {
				if _, err := tx.Exec("UPDATE audit SET " + change + " WHERE number = 4"); err != nil {
					return err
				}
				rows, err := auditRows(tx, " AND number > ? ORDER BY number LIMIT ?", []any{0, 100})
				must(t, err)
				r, err := audit.Verify(ctx, walker(rows))
				must(t, err)
				if r.Bad != 4 {
					t.Errorf("%s: %+v", change, r)
				}
				return undone
			})
			if err != undone && !strings.HasPrefix(change, "digest = NULL") { // which the table refuses
				t.Errorf("%s: %v", change, err)
			}
		}
		verified(t, db, 6)
	})
}

// walker is a store that has these rows.
type walker []audit.Row

func (w walker) Append(context.Context, []audit.Entry) (audit.Head, error)    { panic("not asked") }
func (w walker) List(context.Context, audit.Filter) ([]audit.Row, error)      { panic("not asked") }
func (w walker) Erase(context.Context, time.Time, audit.Entry) (int64, error) { panic("not asked") }
func (w walker) Walk(_ context.Context, after int64, _ int) ([]audit.Row, error) {
	i := slices.IndexFunc(w, func(r audit.Row) bool { return r.Number > after })
	if i < 0 {
		return nil, nil
	}
	return w[i:], nil
}

// TestAuditRetain shows that the text of old entries goes and their chain holds, that what happened at another node's earlier clock
// goes with what is around it, that no entry can come a second time, and that there is an entry of it.
func TestAuditRetain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, _ func() *DB) {
		ctx, now := context.Background(), time.Now()
		var all []audit.Entry
		for i, age := range []int{50, 40, 45, 10, 41, 5} { // days
			all = append(all, noted("anna", fmt.Sprint(i), "example.org", now.AddDate(0, 0, -age)))
		}
		_, err := db.Audit().Append(ctx, all)
		must(t, err)
		l := audit.New(db.Audit(), "mx1", t.TempDir(), slog.New(slog.DiscardHandler))
		n, err := l.Retain(ctx, now.AddDate(0, 0, -30))
		must(t, err)
		r := verified(t, db, 7)
		if n != 3 || r.Erased != 3 {
			t.Errorf("%d, %+v", n, r)
		}
		rows, err := db.Audit().List(ctx, audit.Filter{})
		must(t, err)
		if last := rows[0]; last.Operation != audit.EraseOperation || last.Object != "3" || last.Via != "daemon" || !rows[6].Erased || rows[6].Actor != "" || rows[3].Erased {
			t.Errorf("%+v", rows)
		}
		if n, err = l.Retain(ctx, now.AddDate(0, 0, -30)); n != 0 || err != nil {
			t.Errorf("%d %v", n, err)
		}
		_, err = db.Audit().Append(ctx, all)
		must(t, err)
		verified(t, db, 7)
	})
}

// auditChild is the variable by which this program knows that it is the one that TestAuditKilled kills: the URL of its
// PostgreSQL, or the path of its file, and its folder behind a comma.
const auditChild = "GATEPOST_AUDIT_CHILD"

// noteUntilKilled notes entries one after the other, and says which are kept.
func noteUntilKilled(where string) {
	place, dir, _ := strings.Cut(where, ",")
	o := Options{Path: place}
	if strings.HasPrefix(place, "postgres:") {
		o = Options{URL: place, Time: 100 * time.Millisecond}
	}
	db, err := New(o)
	if err != nil {
		panic(err)
	}
	l := audit.New(db.Audit(), "mx1", dir, slog.New(slog.DiscardHandler))
	go l.Run(context.Background())
	for i := 0; ; i++ {
		if l.Note(context.Background(), audit.Entry{Actor: "anna", Operation: "test", Object: fmt.Sprint(i)}) {
			fmt.Println(i)
		}
	}
}

// TestAuditKilled shows that what noting called kept outlives kill -9, and is in the chain once: with a store that works, and with
// one that is away.
func TestAuditKilled(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, _ func() *DB) {
		away := "postgres://gatepost@/gatepost?host=" + t.TempDir()
		there := db.o.URL
		if there == "" {
			there = db.o.Path
		}
		dir, kept := t.TempDir(), map[string]bool{}
		self, err := os.Executable()
		must(t, err)
		for round, place := range []string{there, away, there} {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), auditChild+"="+place+","+dir)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			in := bufio.NewScanner(out)
			for n := 0; in.Scan(); n++ {
				kept[fmt.Sprint(round, " ", in.Text())] = true
				if n == 40 {
					must(t, cmd.Process.Kill())
				}
			}
			if err := cmd.Wait(); err == nil || len(kept) < 40*(round+1) {
				t.Fatalf("%v, %d kept", err, len(kept))
			}
		}
		l := audit.New(db.Audit(), "mx1", dir, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); l.Run(ctx) }()
		l.Note(ctx, audit.Entry{Actor: "anna", Operation: "test", Object: "last"})
		await(t, func() bool { waiting, _ := l.Counts(); return waiting == 0 })
		cancel()
		<-ended
		told, found := map[string]int{}, map[string]int{}
		for k := range kept {
			told[strings.Fields(k)[1]]++
		}
		sources := map[string]bool{}
		for after := int64(0); ; {
			rows, err := db.Audit().Walk(context.Background(), after, 500)
			must(t, err)
			if len(rows) == 0 {
				break
			}
			for _, r := range rows {
				found[r.Object]++
				if sources[r.Source] {
					t.Errorf("%s is there twice", r.Source)
				}
				sources[r.Source], after = true, r.Number
			}
		}
		for object, n := range told {
			if found[object] < n {
				t.Errorf("object %s was kept %d times and is there %d times", object, n, found[object])
			}
		}
		r, err := audit.Verify(context.Background(), db.Audit())
		must(t, err)
		if r.Bad != 0 || r.Entries < int64(len(kept)) {
			t.Errorf("%+v, %d kept", r, len(kept))
		}
		if text, err := os.ReadFile(filepath.Join(dir, "audit.head")); err != nil || strings.TrimSpace(string(text)) != r.Head {
			t.Errorf("%s, %v, %s", text, err, r.Head)
		}
	})
}
