package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gatepost/gateway"
)

// waitFor waits until something holds, with a bound.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// TestSharedNodes shows that two nodes have one log, that each event says whose it is, also where two references are the same, and
// that what both count is summed.
func TestSharedNodes(t *testing.T) {
	o := sharedLog(t)
	second := *o
	second.Node = "mx2"
	one, two := openLog(t, Options{Shared: o}), openLog(t, Options{Shared: &second})
	var g ids
	now := time.Now()
	a, b := transaction(&g, now, "ann@sender.example", "bob@one.example"), transaction(&g, now, "carl@sender.example", "bob@one.example")
	same := *a
	minute, network := now.Truncate(time.Minute), netip.MustParsePrefix("192.0.2.0/24")
	for _, l := range []*Log{one, two} {
		l.Early(minute, network, gateway.TooManyConnections, 2)
	}
	write(t, one, a)
	write(t, two, b, &same)
	res, err := one.Reader().Search(bounded30(t), Query{})
	if err != nil || len(res.Rows) != 3 || res.Rows[0].Node != "mx2" {
		t.Fatalf("%v %+v", err, res)
	}
	if res, err = two.Reader().Search(bounded30(t), Query{To: "bob@one.example", From: "ann@sender.example"}); err != nil || len(res.Rows) != 2 || res.Rows[0].Node == res.Rows[1].Node {
		t.Errorf("%v %+v", err, res)
	}
	if list, more, err := one.Reader().Early(bounded30(t), Window{}, 10); err != nil || more || len(list) != 1 || list[0].N != 4 {
		t.Errorf("%v %v %+v", err, more, list)
	}
	if act, err := two.Reader().Activity(bounded30(t), Window{}); err != nil || act.Total().Transactions != 3 || act.Total().Early != 4 {
		t.Errorf("%v %+v", err, act)
	}
	alone, err := NewSharedReader(&Shared{URL: o.URL})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := alone.Trace(bounded30(t), b.Record.ID); err != nil || s.Event == nil || s.Node != "mx2" {
		t.Errorf("%v %+v", err, s)
	}
	if s, err := two.Reader().Trace(bounded30(t), b.Record.Session); err != nil || s.Event != nil || len(s.Transactions) != 1 || s.Node != "mx2" {
		t.Errorf("a connection that lasts: %v %+v", err, s)
	}
	if at, err := alone.Oldest(); err != nil || !at.Equal(dayOf(now).start()) {
		t.Errorf("%v %v", at, err)
	}
	if err := errors.Join(alone.Close(), NewReader(t.TempDir()).Close()); err != nil {
		t.Error(err)
	}
}

// TestSharedAway shows that nobody waits for a server that hangs, dies or is not there yet; that what came meanwhile is kept, each
// once, when it is back; and that readers are told, within their time.
func TestSharedAway(t *testing.T) {
	o := sharedLog(t)
	p := postgres(t)
	l := openLog(t, Options{Shared: o, Queue: 2000})
	var g ids
	now := time.Now()
	write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	conn, err := pgx.Connect(t.Context(), o.URL)
	if err == nil {
		_, err = conn.Exec(t.Context(), "CHECKPOINT") // what a crash may cost is told in the decision
	}
	if err = errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	for range 1500 {
		began := time.Now()
		if !l.Write(transaction(&g, now, "ann@sender.example", "bob@one.example")) {
			t.Fatalf("no room: %+v", l.Stats())
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("mail waited %s for the log", took)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if res, err := l.Reader().Search(ctx, Query{}); err != nil || !res.Partial {
		t.Errorf("a search of a server that hangs: %+v %v", res, err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the failure is told", func() bool { ok, text := l.Health(); return !ok && strings.Contains(text, "PostgreSQL") })
	for l.Write(transaction(&g, now, "ann@sender.example", "bob@one.example")) {
	}
	if st := l.Stats(); st.Dropped != 1 || st.Failed != 0 {
		t.Errorf("%+v", st)
	}
	taken := l.Stats().Queued + int(l.Stats().Written)
	if _, err := l.Reader().Search(t.Context(), Query{}); err == nil {
		t.Error("a search found something on a server that is not there")
	}
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	flush(t, l)
	if st := l.Stats(); int(st.Written) != taken || st.Failed != 0 {
		t.Errorf("%+v, want %d written", st, taken)
	}
	seen := 0
	if _, err := l.Reader().Count(bounded30(t), Window{}, func(*Brief) { seen++ }); err != nil || seen != taken {
		t.Errorf("%d kept of %d: %v", seen, taken, err)
	}
	if a, err := l.Reader().Activity(bounded30(t), Window{}); err != nil || int(a.Total().Transactions) != taken {
		t.Errorf("%v: counted %+v, want %d", err, a.Total(), taken)
	}
}

// TestSharedNotThere shows that a Log ends in time although its server never was there, and what it could not keep is counted.
func TestSharedNotThere(t *testing.T) {
	l, err := Open(Options{Shared: &Shared{URL: "postgres://gatepost@/none?host=" + t.TempDir(), Node: "mx1"}})
	if err != nil {
		t.Fatal(err)
	}
	var g ids
	for range 1200 {
		l.Write(transaction(&g, time.Now(), "ann@sender.example", "bob@one.example"))
	}
	closeLog(t, l)
	if st := l.Stats(); st.Failed != 1200 || st.Written != 0 || st.Queued != 0 {
		t.Errorf("%+v", st)
	}
	for _, o := range []*Shared{{URL: "postgres://gatepost@db.example.org/gatepost"}, {URL: "postgres://u:secret@[::1/x"}} {
		if _, err := Open(Options{Shared: o}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", o.URL, err)
		}
		if _, err := NewSharedReader(o); err == nil {
			t.Errorf("%s is taken", o.URL)
		}
	}
}

// TestSharedRetention shows which days go, by age and by size, also while others read; that one of a later version is not read and not
// written; and that a day that went is made again.
func TestSharedRetention(t *testing.T) {
	o := sharedLog(t)
	l := openLog(t, Options{Shared: o})
	narrow, err := prepare(Options{Shared: o, Days: 3, MaxBytes: 1 << 40}) // of another node, which nobody writes
	if err != nil {
		t.Fatal(err)
	}
	defer narrow.shared.db.Close()
	var g ids
	now := time.Now()
	conn, err := pgx.Connect(t.Context(), o.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for back := range 5 {
		d := dayOf(now).add(-back)
		if _, err := makeDay(t.Context(), conn, d, l.prefix); err != nil {
			t.Fatal(err)
		}
	}
	days := func() string {
		all, err := l.shared.days(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range all {
			out = append(out, strconvDays(dayOf(now), d))
		}
		return strings.Join(out, " ")
	}
	k := &sharedKeeper{l: narrow}
	if err := k.look(t.Context(), now); err != nil || days() != "2 1 0" {
		t.Errorf("by age: %q, %v", days(), err)
	}
	tx, err := conn.Begin(t.Context()) // somebody reads the oldest
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT * FROM "+schemaOf(dayOf(now).add(-2))+".event"); err != nil {
		t.Fatal(err)
	}
	_, total, err := l.shared.sizes(t.Context())
	if err != nil || total <= 0 {
		t.Fatal(total, err)
	}
	narrow.o.MaxBytes = total - 1
	if err := k.look(t.Context(), now); err == nil || days() != "2 0" {
		t.Errorf("while it is read: %q, %v", days(), err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	narrow.o.MaxBytes = 1
	if err := k.look(t.Context(), now); err != nil || days() != "0" || !narrow.full.Load() {
		t.Errorf("by size: %q, %v", days(), err)
	}
	if narrow.Write(transaction(&g, now, "ann@sender.example", "bob@one.example")) {
		t.Error("a full log takes events")
	}
	write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	if err := l.shared.drop(t.Context(), dayOf(now)); err != nil {
		t.Fatal(err)
	}
	write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	if n := found(t, l.Reader(), Query{}); n != 1 {
		t.Errorf("%d events of a day that was made again", n)
	}
	if _, err := conn.Exec(t.Context(), "UPDATE "+schemaOf(dayOf(now))+".meta SET version = 2"); err != nil {
		t.Fatal(err)
	}
	res, err := l.Reader().Search(bounded30(t), Query{})
	if err != nil || len(res.Gaps) != 1 || !strings.Contains(res.Gaps[0].Why, "newer") {
		t.Errorf("%v %+v", err, res)
	}
	later := openLog(t, Options{Shared: o})
	write(t, later, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	if st := later.Stats(); st.Failed != 1 || st.Written != 0 {
		t.Errorf("%+v", st)
	}
}

// TestDropContentless shows that of old days that of which no content came goes, whatever state the day is in, with all that told of
// it, once, and that nothing else does.
func TestDropContentless(t *testing.T) { states(t, testDropContentless) }

func testDropContentless(t *testing.T, o Options, settle func(*Log, bool)) {
	l := openLog(t, o)
	var g ids
	yesterday, now := dayOf(time.Now()).start().Add(-20*time.Hour), time.Now()
	refused := func(at time.Time) *gateway.Event {
		e := transaction(&g, at, "spam@bot.example", "bob@one.example")
		e.Record.Stage, e.Verdict.Outcome, e.Session.Octets = gateway.Rcpt, gateway.Reject, 0
		return e
	}
	quiet := connection(&g, yesterday, "198.51.100.7", gateway.Drop)
	brought := connection(&g, yesterday, "192.0.2.25", gateway.Accept)
	brought.Session.Octets, brought.Session.Transactions = 4711, 1
	content := transaction(&g, yesterday, "ann@sender.example", "bob@one.example")
	judged := transaction(&g, yesterday, "eve@sender.example", "bob@one.example")
	judged.Verdict.Outcome = gateway.Reject
	write(t, l, refused(yesterday), content, quiet, judged, brought, refused(yesterday))
	settle(l, false)
	write(t, l, refused(yesterday)) // a block that holds nothing else
	l.Early(yesterday, netip.MustParsePrefix("203.0.113.0/24"), gateway.TooManyConnections, 9)
	write(t, l, refused(now), transaction(&g, now, "carl@sender.example", "bob@one.example"))
	settle(l, true)
	c, err := l.DropContentless(bounded30(t), dayOf(now).start())
	if err != nil || c.Events != 4 || len(c.Gaps) > 0 {
		t.Fatalf("%+v %v", c, err)
	}
	if c, err = l.DropContentless(bounded30(t), dayOf(now).start()); err != nil || c.Events != 0 {
		t.Errorf("again: %+v %v", c, err)
	}
	r := l.Reader()
	for q, want := range map[*Query]int{{}: 4, {From: "bot.example"}: 1, {To: "bob@one.example"}: 4, {From: "spam@bot.example"}: 1, {Client: "198.51.100.7"}: 0, {From: "eve"}: 1, {Subject: "invoice"}: 4} {
		if got := found(t, r, *q); got != want {
			t.Errorf("%+v: %d found, want %d", q, got, want)
		}
	}
	if text := raw(t, l, dayOf(now)); strings.Contains(text, "bot.example") || strings.Contains(text, "203.0.113") {
		t.Error("something of what was refused is left")
	}
	for _, e := range []*gateway.Event{content, judged, brought} {
		if s, err := r.Trace(bounded30(t), e.Record.ID); err != nil || s.Event == nil {
			t.Errorf("%s: %v", e.Record.ID, err)
		}
	}
	if _, err := r.Trace(bounded30(t), quiet.Record.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	n := 0
	if gaps, err := r.Judged(bounded30(t), Window{}, func(*Judged) error { n++; return nil }); err != nil || gaps != nil || n != 4 {
		t.Errorf("%d are judged again, %v %v", n, gaps, err)
	}
	a, err := r.Activity(bounded30(t), Window{})
	if total := a.Total(); err != nil || total.Transactions != 7 || total.Early != 9 || total.Connections != 2 {
		t.Errorf("%v %+v", err, total)
	}
	if c, err := l.Pseudonymise(bounded30(t), names(), dayOf(now).start()); err != nil || c.Events != 3 {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := l.DropContentless(bounded30(t), dayOf(now).start()); err != nil || c.Events != 0 {
		t.Errorf("after that: %+v %v", c, err)
	}
	if got := found(t, r.Known(names()), Query{From: "ann@sender.example"}); got != 1 {
		t.Errorf("%d are found by who knows", got)
	}
}

// TestSharedHostile shows that what strangers write is kept and found, whatever octets it has and however long it is.
func TestSharedHostile(t *testing.T) {
	l := openLog(t, Options{Shared: sharedLog(t)})
	var g ids
	now := time.Now()
	long := strings.Repeat("x", 5000)
	e := transaction(&g, now, "a\x00\xff'\"; DROP TABLE event; --@evil.example", "bob@one.example")
	e.Subject, e.MessageID, e.Record.Helo = "\x00zero \xff', $1 ? %_", "<"+long+"@evil.example>", "\x00"
	other := transaction(&g, now, long+"@"+long+".example", long+"@one.example")
	write(t, l, e, other)
	if st := l.Stats(); st.Written != 2 || st.Failed != 0 {
		t.Fatalf("%+v", st)
	}
	for i, q := range []Query{{From: e.Record.From.Text}, {Subject: "\x00ZERO \xff', $1 ? %_"}, {MessageID: e.MessageID}, {From: "evil.example"}, {To: long + "@one.example"}, {From: other.Record.From.Text}} {
		if got := found(t, l.Reader(), q); got != 1 {
			t.Errorf("query %d: %d found", i, got)
		}
	}
	s, err := l.Reader().Trace(bounded30(t), e.Record.ID)
	if err != nil || s.Event.Subject != e.Subject || s.Event.Record.From.Text != e.Record.From.Text {
		t.Errorf("%v %+v", err, s.Event)
	}
}

// BenchmarkShared tells what a shared log of 200,000 events costs: how fast they come in, and how long each kind of search takes.
func BenchmarkShared(b *testing.B) {
	const n = 200_000
	o := sharedLog(b)
	l := openLog(b, Options{Shared: o, MaxBytes: 1 << 40})
	stock, began := newStock(), time.Now()
	for i := range n {
		for e := stock.event(i); !l.Write(e); {
			time.Sleep(time.Millisecond)
		}
	}
	flush(b, l)
	took := time.Since(began)
	conn, err := pgx.Connect(b.Context(), o.URL)
	if err == nil {
		_, err = conn.Exec(b.Context(), "ANALYZE")
	}
	if err = errors.Join(err, conn.Close(context.Background())); err != nil {
		b.Fatal(err)
	}
	_, size, err := l.shared.sizes(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("%d events in %s, %.0f a second, %d octets each\n", n, took, n/took.Seconds(), size/n)
	some := stock.events[4711]
	r := l.Reader()
	for _, q := range []struct {
		name string
		q    Query
	}{
		{"newest", Query{}}, {"from", Query{From: some.Record.From.Text}}, {"from domain", Query{From: some.Record.From.Domain}}, {"from part", Query{From: "user77"}},
		{"from part, none", Query{From: "nowhere"}}, {"to", Query{To: some.Record.Rcpts[0].To.Text}}, {"to domain, none", Query{To: "two.example"}},
		{"message id", Query{MessageID: "<4711@sender.example>"}}, {"verdict, none", Query{Verdicts: []gateway.Outcome{gateway.Drop}}}, {"client", Query{Client: "192.0.2.25"}},
		{"client, none", Query{Client: "198.51.100.0/24"}}, {"subject", Query{Subject: "invoice"}}, {"subject, none", Query{Subject: "nothing of that"}},
	} {
		b.Run(q.name, func(b *testing.B) {
			var times []time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := r.Search(b.Context(), q.q); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(began))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
	b.Run("trace", func(b *testing.B) {
		rows, err := r.Search(b.Context(), Query{To: some.Record.Rcpts[0].To.Text})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := r.Trace(b.Context(), rows.Rows[0].ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Count(b.Context(), Window{}, func(*Brief) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("judge all again", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.Judged(b.Context(), Window{}, func(*Judged) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
