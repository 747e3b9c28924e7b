package store

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/gateway"
)

// sieved makes a log of 200 blocks of a few events each, of which all but some of the newest are in sieves.
func sieved(t *testing.T) (*Log, *writer, []*gateway.Event) {
	t.Helper()
	l, w := idle(t, Options{span: 1}) // each block is a span
	var g ids
	var all []*gateway.Event
	now := time.Now()
	for i := range 200 {
		var some []*gateway.Event
		for k := range 3 {
			n := 3*i + k
			session := g.at(now)
			e := transaction(&g, now, fmt.Sprintf("user%d@d%d.example", n, n%50), fmt.Sprintf("box%d@r%d.example", n, n%5))
			e.Record.HeaderFrom = fmt.Sprintf("<author%d@a%d.example>", n, n%40)
			if n%7 == 0 {
				e.Record.From = gateway.Address{}
			}
			e.Verdict.Outcome, e.Verdict.Reason = gateway.Outcome(n%200/199*4), gateway.Reason(fmt.Sprintf("test.%d", n%100))
			e.Record.Session = session
			some = append(some, e)
		}
		some = append(some, connection(&g, now, fmt.Sprintf("192.0.2.%d", i), gateway.Drop))
		put(t, w, some...)
		all = append(all, some...)
	}
	return l, w, all
}

// inDay looks into the file of today.
func inDay(t *testing.T, l *Log, see func(context.Context, *view)) {
	t.Helper()
	gaps, err := l.Reader().walk(bounded30(t), "", "9999", false, func(ctx context.Context, v *view) error {
		see(ctx, v)
		return nil
	})
	if err != nil || len(gaps) > 0 {
		t.Fatal(gaps, err)
	}
}

func rowsIn(t *testing.T, l *Log, table string) (n int) {
	t.Helper()
	inDay(t, l, func(_ context.Context, v *view) {
		if err := v.file.tx.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
	})
	return n
}

// change runs a statement on today's file.
func change(t *testing.T, l *Log, text string, args ...any) {
	t.Helper()
	files, err := list(l.o.Dir)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	db, err := sql.Open("sqlite", dsn(files[0].path, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text, args...); err != nil {
		t.Fatal(err)
	}
}

// questions are those of every event.
func questions(all []*gateway.Event) (out []Query) {
	for _, e := range all {
		r := e.Record
		out = append(out, Query{Client: r.Client.String()}, Query{Verdicts: []gateway.Outcome{e.Outcome()}, Limit: 5}, Query{Reason: e.Verdict.Reason})
		if e.Kind != gateway.TransactionEvent {
			continue
		}
		to := r.Rcpts[0].To
		out = append(out, Query{To: to.Text}, Query{To: "@" + to.Domain, Limit: 5}, Query{MessageID: e.MessageID}, Query{From: fromHeader(r.HeaderFrom)},
			Query{From: domainOf(fromHeader(r.HeaderFrom))}, Query{Domains: []string{to.Domain, "nowhere.example"}, From: r.From.Text, Limit: 7})
		if r.From.Text == "" {
			out = append(out, Query{From: "<>"})
		} else {
			out = append(out, Query{From: r.From.Text}, Query{From: r.From.Domain})
		}
	}
	return out
}

// answers are what a log says to questions and to references.
func answers(t *testing.T, l *Log, all []*gateway.Event) (out []any) {
	t.Helper()
	r := l.Reader()
	for i, q := range questions(all) {
		if i%41 != 0 { // of each kind some
			continue
		}
		res, err := r.Search(bounded30(t), q)
		if err != nil || len(res.Rows) == 0 || len(res.Gaps) > 0 {
			t.Fatalf("%+v: %+v %v", q, res, err)
		}
		out = append(out, res)
	}
	for i := 0; i < len(all); i += 101 {
		for _, id := range []gateway.ID{all[i].Record.ID, all[i].Record.Session} {
			s, err := r.Trace(bounded30(t), id)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
	}
	return out
}

// TestSieve shows that with sieves every question is answered as without them, that a search for one thing reads hardly any block, and
// that one that is damaged, or was made by nobody, costs time only.
func TestSieve(t *testing.T) {
	l, _, all := sieved(t)
	if n := rowsIn(t, l, "sieve"); n != 3 {
		t.Fatalf("%d sieves", n)
	}
	inDay(t, l, func(ctx context.Context, v *view) {
		read, asked := 0, 0
		for _, e := range all[:len(all)-100*4] {
			if e.Kind != gateway.TransactionEvent {
				continue
			}
			w, err := (&Query{MessageID: e.MessageID}).ready()
			if err != nil {
				t.Fatal(err)
			}
			asked++
			if err := v.eachBlock(ctx, w.low, w.high, w.keys(), func(*blockRow) bool { read++; return true }); err != nil {
				t.Fatal(err)
			}
		}
		if tail := 200 - 3*sieveSpans; read < asked*(tail+1) || read > asked*(tail+3) {
			t.Errorf("%d blocks were read for %d questions, %d of them without a sieve", read, asked, tail)
		}
		id := int64(all[8].Record.ID)
		if seqs, err := v.sift(ctx, id, id+1, nil); err != nil || len(seqs) != 2 || seqs[1] != (struct{ first, last int64 }{3, 3}) {
			t.Errorf("%v %v", seqs, err)
		}
	})
	with := answers(t, l, all)
	for _, harm := range []string{
		"UPDATE sieve_part SET body = substr(body, 1, 100) || X'FFFE' || substr(body, 103)",
		"DELETE FROM sieve_part",
		"UPDATE sieve SET body = X'0102030405' WHERE first = 1",
		"DELETE FROM sieve WHERE first > 100",
		"DELETE FROM sieve",
	} {
		change(t, l, harm)
		if !reflect.DeepEqual(answers(t, l, all), with) {
			t.Errorf("%s: other answers", harm)
		}
	}
}

// TestSieveOfDamage shows that a block that is damaged is met by every search, whatever its sieve was made of.
func TestSieveOfDamage(t *testing.T) {
	l, w, _ := sieved(t)
	change(t, l, "DELETE FROM sieve")
	change(t, l, "DROP TRIGGER sieve_changed")
	change(t, l, "UPDATE block SET rows = X'00000000FF' WHERE seq = 9")
	for d := range w.open {
		w.close(d)
	}
	var g ids
	put(t, w, transaction(&g, time.Now(), "ann@sender.example", "bob@one.example"))
	if n := rowsIn(t, l, "sieve"); n != 1 {
		t.Fatalf("%d sieves", n)
	}
	if res, err := l.Reader().Search(bounded30(t), Query{From: "nobody@nowhere.example"}); err != nil || len(res.Gaps) != 1 {
		t.Errorf("%+v %v", res, err)
	}
}

// TestSievesOfOldFile shows that a file that was begun before there were sieves is read, gets them while it is written, and loses them
// with its blocks.
func TestSievesOfOldFile(t *testing.T) {
	l, w, all := sieved(t)
	with := answers(t, l, all)
	for d := range w.open {
		w.close(d)
	}
	change(t, l, `DROP TRIGGER sieve_changed; DROP TRIGGER sieve_closed; DROP TRIGGER sieve_gone; DROP TABLE sieve; DROP TABLE sieve_part; PRAGMA user_version = 4`)
	if !reflect.DeepEqual(answers(t, l, all), with) {
		t.Error("other answers without sieves")
	}
	var g ids
	for i := range 3 {
		put(t, w, transaction(&g, time.Now(), "ann@sender.example", "bob@one.example"))
		if n := rowsIn(t, l, "sieve"); n != i+1 { // one with each batch, so that none is held up
			t.Errorf("%d sieves after %d batches", n, i+1)
		}
	}
	with = answers(t, l, all)
	for d := range w.open {
		w.close(d)
	}
	closeDays(t, l)
	if !reflect.DeepEqual(answers(t, l, all), with) {
		t.Error("other answers when the day was over")
	}
	if a, b := rowsIn(t, l, "sieve"), rowsIn(t, l, "sieve_part"); a+b != 0 {
		t.Errorf("%d sieves and %d parts of a day without blocks", a, b)
	}
}

// stored are all sieves as they are in the file.
func stored(t *testing.T, l *Log) (out [][]byte) {
	t.Helper()
	inDay(t, l, func(_ context.Context, v *view) {
		rows, err := v.file.tx.Query("SELECT body FROM sieve UNION ALL SELECT body FROM sieve_part")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
	})
	return out
}

// TestSieveOfErased shows that of a person who was erased nothing is left in a sieve: it is as one that was made without him. What he
// was replaced by is found.
func TestSieveOfErased(t *testing.T) {
	l, w, all := sieved(t)
	for d := range w.open {
		w.close(d)
	}
	gone := all[4].Record.From
	w2, err := Open(Options{Dir: l.o.Dir, span: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer closeLog(t, w2)
	before := stored(t, l)
	if c, err := w2.Erase(bounded30(t), NewNames([]byte("key")), gone.Text); err != nil || c.Events != 1 || len(c.Gaps) > 0 {
		t.Fatalf("%+v %v", c, err)
	}
	after := stored(t, l)
	if n := rowsIn(t, l, "sieve"); n != 3 || reflect.DeepEqual(before, after) {
		t.Fatalf("%d sieves, changed %v", n, !reflect.DeepEqual(before, after))
	}
	if res, err := l.Reader().Search(bounded30(t), Query{From: "erased@" + gone.Domain}); err != nil || len(res.Rows) != 1 || res.Rows[0].ID != all[4].Record.ID {
		t.Errorf("%+v %v", res, err)
	}
	change(t, l, "DELETE FROM sieve WHERE first = 1")
	db, err := openWrite(bounded30(t), w2.days.of(time.Now().UnixMilli()).path(l.o.Dir))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	anew := rewriter{sieves: []seqs{{1, sieveSpans}}}
	if err := anew.sift(bounded30(t), db); err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(stored(t, l), after, slices.Equal[[]byte]) {
		t.Error("the sieve is not as one that was made without the person")
	}
}

// TestCountSince shows that counting goes on where it was, over the end of a day too, and that a file that was replaced is told.
func TestCountSince(t *testing.T) {
	l, w := idle(t, Options{})
	var g ids
	now, seen, m := time.Now(), 0, Mark{}
	more := func(want int) {
		t.Helper()
		before := seen
		gaps, next, err := l.Reader().CountSince(bounded30(t), Window{}, m, func(*Brief) { seen++ })
		if m = next; err != nil || len(gaps) > 0 || seen-before != want {
			t.Errorf("%d more, want %d; %v %v", seen-before, want, gaps, err)
		}
	}
	more(0)
	put(t, w, transaction(&g, now, "ann@sender.example", "bob@one.example"), connection(&g, now, "192.0.2.1", gateway.Drop))
	more(2)
	more(0)
	put(t, w, transaction(&g, now.AddDate(0, 0, -1), "ann@sender.example", "bob@one.example"))
	put(t, w, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	for d := range w.open {
		w.close(d)
	}
	closeDays(t, l)
	more(2)
	more(0)
	for d := range w.open {
		w.close(d)
	}
	path := dayOf(now).path(l.o.Dir)
	if _, err := setAside(path); err != nil {
		t.Fatal(err)
	}
	put(t, w, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	if _, _, err := l.Reader().CountSince(bounded30(t), Window{}, m, func(*Brief) {}); err != ErrMark {
		t.Errorf("%v", err)
	}
}

// spent is a context that ends when it was looked at so many times.
type spent struct {
	context.Context
	end  context.CancelFunc
	left atomic.Int64
}

func (s *spent) Done() <-chan struct{} {
	if s.left.Add(-1) == 0 {
		s.end()
	}
	return s.Context.Done()
}

// TestPartial shows that a search whose time is over says where to go on, also when it found nothing, and that what it found and what
// is found from there on are all that there is, each once.
func TestPartial(t *testing.T) {
	l, _, _ := sieved(t)
	full := Query{From: "@d7.example", Limit: MaxLimit}
	all, err := l.Reader().Search(bounded30(t), full)
	if err != nil || len(all.Rows) < 5 {
		t.Fatal(all, err)
	}
	partial, empty := 0, 0
	for k := int64(1); ; k++ {
		ctx, cancel := context.WithCancel(t.Context())
		s := &spent{Context: ctx, end: cancel}
		s.left.Store(k)
		res, err := l.Reader().Search(s, full)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if !res.Partial {
			break
		}
		if res.Next == 0 { // nothing was read: the same question is asked again
			if len(res.Rows) > 0 {
				t.Fatalf("%d rows, and nowhere to go on", len(res.Rows))
			}
			continue
		}
		if partial++; len(res.Rows) == 0 {
			empty++
		}
		on := full
		on.Before = res.Next
		rest, err := l.Reader().Search(bounded30(t), on)
		if err != nil || !reflect.DeepEqual(append(res.Rows, rest.Rows...), all.Rows) || res.Reached.After(res.Next.Time().Add(time.Millisecond)) {
			t.Fatalf("after %d looks: %d rows and %d, want %d; %v", k, len(res.Rows), len(rest.Rows), len(all.Rows), err)
		}
	}
	if partial == 0 || empty == 0 {
		t.Errorf("%d partial answers, %d of them without a row", partial, empty)
	}
}
