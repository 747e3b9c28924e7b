package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestDayIsClosed shows that a Log makes the index of a day that is over by itself, of what comes later as well, and leaves
// today alone.
func TestDayIsClosed(t *testing.T) {
	var g ids
	var said bytes.Buffer
	now := time.Now()
	l, w := idle(t, Options{Log: slog.New(slog.NewTextHandler(&said, nil))})
	c := &closer{l: l, done: map[day]stamp{}}
	yesterday, today := dayOf(now).start().Add(-time.Hour), dayOf(now).start()
	for i := range 1200 {
		put(t, w, transaction(&g, yesterday, fmt.Sprintf("user%d@sender.example", i), "bob@one.example"))
		if i == 600 {
			put(t, w, transaction(&g, today, "today@sender.example", "bob@one.example"))
			c.look(t.Context(), dayOf(now).start().Add(closeAfter))
			c.look(t.Context(), dayOf(now).start().Add(closeAfter)) // nothing is left to do
		}
	}
	if n := strings.Count(said.String(), "index of a day was made"); n != 1 || !strings.Contains(said.String(), "events=601") {
		t.Errorf("%d times: %s", n, said.String())
	}
	c.look(t.Context(), dayOf(now).start().Add(closeAfter))
	for d, want := range map[day][3]int{dayOf(yesterday): {0, 1200, 1200}, dayOf(now): {1, 0, 0}} {
		var got [3]int
		db, _, err := openRead(t.Context(), d.path(l.o.Dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRow("SELECT (SELECT COUNT(*) FROM block), (SELECT COUNT(*) FROM event), (SELECT COUNT(*) FROM part WHERE part MATCH 'ann OR use')").Scan(&got[0], &got[1], &got[2]); err != nil || got != want {
			t.Errorf("%s: %v, %d blocks, events, parts, want %d", d, err, got, want)
		}
		var plan string
		q, err := (&Query{From: "user77"}).ready()
		if err != nil {
			t.Fatal(err)
		}
		cond := q.where(true)
		rows, err := db.Query("EXPLAIN QUERY PLAN "+rowColumns+cond.tables+" WHERE "+strings.Join(cond.terms, " AND ")+" ORDER BY e.id DESC LIMIT 50", cond.args...)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var a, b, c int
			var detail string
			if err := rows.Scan(&a, &b, &c, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail + "; "
		}
		if err := rows.Err(); err != nil || !strings.Contains(plan, "part VIRTUAL TABLE") || strings.Contains(plan, "SCAN e;") {
			t.Errorf("the index of parts is not used: %v %s", err, plan)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	whole(t, l.o.Dir, nil)
}

// TestClosingEndsInTheMiddle shows that a day half closed answers as a whole one, and that closing goes on where it was.
func TestClosingEndsInTheMiddle(t *testing.T) {
	var g ids
	l, w := idle(t, Options{})
	at := dayOf(time.Now()).start().Add(-time.Hour)
	for range 5 {
		put(t, w, transaction(&g, at, "ann@sender.example", "bob@one.example"), transaction(&g, at, "ann@sender.example", "bob@one.example"))
	}
	path := dayOf(at).path(l.o.Dir)
	for closed := range 6 {
		if res, err := l.Reader().Search(bounded30(t), Query{From: "ann", Limit: 4}); err != nil || len(res.Rows) != 4 || !res.More {
			t.Errorf("%d blocks closed: %v %+v", closed, err, res)
		}
		if res, err := l.Reader().Search(bounded30(t), Query{To: "bob@one.example"}); err != nil || len(res.Rows) != 10 || res.More {
			t.Errorf("%d blocks closed: %v %+v", closed, err, res)
		}
		whole(t, l.o.Dir, nil)
		db, err := openWrite(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, n, err := closeBlock(t.Context(), db, 0); err != nil || n != 2 && closed < 5 {
			t.Errorf("%d events, %v", n, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	put(t, w, transaction(&g, at, "ann@sender.example", "bob@one.example"))
	if _, err := (&closer{l: l}).close(ended, path); err == nil {
		t.Error("closed after the end")
	}
	if n := closeDays(t, l); n != 1 {
		t.Errorf("%d events were left", n)
	}
}

// TestDamagedBlock shows that a block that does not read costs its events and no others, open or closed.
func TestDamagedBlock(t *testing.T) {
	var g ids
	l, w := idle(t, Options{})
	now := time.Now()
	events := []*gateway.Event{transaction(&g, now, "a@x.example", "bob@one.example"), transaction(&g, now, "b@x.example", "bob@one.example"), transaction(&g, now, "c@x.example", "bob@one.example")}
	for _, e := range events {
		put(t, w, e)
	}
	db, err := sql.Open("sqlite", dsn(dayOf(now).path(l.o.Dir), url.Values{}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, change := range []string{"UPDATE block SET rows = substr(rows, 1, length(rows) - 1) WHERE seq = 2", "UPDATE stories SET body = CAST(body || 'x' AS BLOB) WHERE seq = 3"} {
		if _, err := db.Exec(change); err != nil {
			t.Fatal(err)
		}
	}
	check := func(gaps int) {
		t.Helper()
		res, err := l.Reader().Search(bounded30(t), Query{})
		if err != nil || len(res.Rows) != 2 || res.Rows[0].From != "c@x.example" || len(res.Gaps) != gaps {
			t.Errorf("%v %+v", err, res)
		}
		if s, err := l.Reader().Trace(bounded30(t), events[0].Record.ID); err != nil || s.Event == nil {
			t.Errorf("%v %+v", err, s)
		}
		if s, err := l.Reader().Trace(bounded30(t), events[2].Record.ID); err == nil || len(s.Gaps) == 0 {
			t.Errorf("a story that does not read: %v %+v", err, s)
		}
	}
	check(1)
	if n := closeDays(t, l); n != 2 {
		t.Errorf("%d closed", n)
	}
	check(1) // the block is still there
}

// firstVersion puts the file of testdata in a folder.
func firstVersion(t *testing.T, dir string, d day) {
	t.Helper()
	text, err := os.ReadFile("testdata/v1.sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", dsn(d.path(dir), url.Values{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(string(text)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFirstVersion shows that a file of the first version is read as it is, and that one in which the day goes on is brought
// up to date, with its events in it.
func TestFirstVersion(t *testing.T) {
	ask := func(t *testing.T, r *Reader, q Query, want ...string) {
		t.Helper()
		res, err := r.Search(bounded30(t), q)
		if err != nil || len(res.Gaps) > 0 {
			t.Fatalf("%+v: %v %+v", q, err, res)
		}
		var got []string
		for _, row := range res.Rows {
			got = append(got, row.ID.String())
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v: %v, want %v", q, got, want)
		}
	}
	const ann, bounce, session, dropped = "1M7W4-N6D80-003K", "1M7W4-N7CG0-005B", "1M7W4-N5E00-001V", "1M7W4-Q0100-006A"
	old := func(t *testing.T, r *Reader, transactions int) {
		ask(t, r, Query{From: "ann@sender.example"}, ann)
		ask(t, r, Query{From: "bounce"}, bounce)
		ask(t, r, Query{From: "*nce-1@bulk*"}, bounce)
		ask(t, r, Query{To: "one.example"}, ann)
		ask(t, r, Query{To: "carl@two.example", Verdicts: []gateway.Outcome{gateway.Reject}}, bounce)
		ask(t, r, Query{Client: "198.51.100.0/24"}, dropped)
		ask(t, r, Query{Subject: "INVOICE"}, bounce, ann)
		id, err := gateway.ParseID(session)
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.Trace(bounded30(t), id)
		if err != nil || s.Event == nil || len(s.Transactions) != transactions {
			t.Fatalf("%v %+v", err, s)
		}
		if id, err = gateway.ParseID(bounce); err != nil {
			t.Fatal(err)
		}
		if s, err = r.Trace(bounded30(t), id); err != nil || s.Connection == nil || s.Event.Relayed.Result != gateway.RefusedByHop || len(s.Event.Evidence) == 0 {
			t.Errorf("%v %+v", err, s)
		}
		n := 0
		if _, err := r.Events(bounded30(t), Window{Until: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}, func(*gateway.Event) error { n++; return nil }); err != nil || n != transactions {
			t.Errorf("%d events, %v", n, err)
		}
		list, _, err := r.Early(bounded30(t), Window{}, 10)
		if err != nil || len(list) != 1 || list[0].N != 12 {
			t.Errorf("%v %+v", err, list)
		}
	}
	t.Run("a day that is over", func(t *testing.T) {
		dir := t.TempDir()
		firstVersion(t, dir, "2026-11-20")
		old(t, NewReader(dir), 2)
		ask(t, NewReader(dir), Query{}, dropped, bounce, ann)
		if n := closeDays(t, &Log{o: Options{Dir: dir}}); n != 0 {
			t.Errorf("%d events were closed", n)
		}
	})
	t.Run("a day that goes on", func(t *testing.T) {
		var g ids
		now := time.Now()
		l, w := idle(t, Options{})
		firstVersion(t, l.o.Dir, dayOf(now))
		e := transaction(&g, now, "new@else.example", "dora@three.example")
		e.Subject = "Other"
		put(t, w, e)
		for range 2 {
			old(t, l.Reader(), 0) // they are looked for in the file of their day
			ask(t, l.Reader(), Query{}, e.Record.ID.String(), dropped, bounce, ann)
			ask(t, l.Reader(), Query{From: "new"}, e.Record.ID.String())
			if s, err := l.Reader().Trace(bounded30(t), e.Record.ID); err != nil || s.Event.Record.From.Text != "new@else.example" {
				t.Errorf("%v %+v", err, s)
			}
			closeDays(t, l)
		}
	})
}

// TestNumbersInFiles pins the numbers that are part of the files: a name that is put between others, and not behind them,
// would make old events say what never happened.
func TestNumbersInFiles(t *testing.T) {
	var got []string
	for i := range uint8(7) {
		got = append(got, fmt.Sprint(gateway.Stage(i), "/", gateway.Result(i), "/", gateway.Outcome(i), "/", gateway.RelayResult(i), "/", gateway.EventKind(i)))
	}
	const want = "[connect/unknown/accept/not delivered/connection helo/pass/tag/delivered/transaction mail/fail/quarantine/refused/unknown(2)" +
		" rcpt/not run/defer/deferred/unknown(3) data/unknown(4)/reject/mixed/unknown(4) unknown(5)/unknown(5)/drop/unknown/unknown(5)" +
		" unknown(6)/unknown(6)/unknown(6)/unknown(6)/unknown(6)]"
	if s := fmt.Sprint(got); s != want {
		t.Errorf("got  %s\nwant %s\na new name belongs at the end, and here", s, want)
	}
}
