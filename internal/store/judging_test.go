package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"gatepost/gateway"
)

// odd makes an event of whatever an event may hold.
func odd(r *rand.Rand, g *ids, at time.Time) *gateway.Event {
	word := func() string {
		return []string{"", "a", "österreich", "\x00\xff", "spamd", "DKIM_ADSP", fmt.Sprint(r.IntN(1000))}[r.IntN(7)]
	}
	e := transaction(g, at, fmt.Sprintf("u%d@d%d.example", r.IntN(50), r.IntN(9)), "bob@one.example")
	rec := e.Record
	rec.Stage, rec.Trusted, rec.Relay, rec.RequireTLS = gateway.Stage(r.IntN(5)), r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0
	rec.Client = []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("::ffff:192.0.2.9")}[r.IntN(4)]
	rec.Cert, rec.CertKey, rec.HeaderFrom, rec.Helo = word(), word(), word(), word()
	rec.From = gateway.Address{Text: word(), Local: word(), Domain: word(), UTF8: r.IntN(2) == 0}
	for range r.IntN(4) {
		to := gateway.RecordRcpt{To: addr(word() + "@one.example"), Route: word(), Code: r.IntN(600)}
		if r.IntN(3) == 0 {
			to.Sent = []gateway.Address{addr("x@y.example"), addr("z@y.example")}
		}
		rec.Rcpts = append(rec.Rcpts, to)
		e.Verdict.Rcpts = append(e.Verdict.Rcpts, gateway.Decision{Outcome: gateway.Outcome(r.IntN(6)), Reason: gateway.Reason(word()), Check: word()})
	}
	for range r.IntN(20) {
		f := gateway.Finding{Check: word(), Stage: gateway.Stage(r.IntN(5)), Rcpt: r.IntN(4) - 1, Result: gateway.Result(r.IntN(4)), Reason: gateway.Reason(word()), Proves: word(), Took: time.Duration(r.IntN(99))}
		for range r.IntN(3) {
			f.Args, f.Parts = append(f.Args, word()), append(f.Parts, r.IntN(9)-1)
			f.Measures = append(f.Measures, gateway.Measure{Name: word(), Text: word(), Value: r.NormFloat64()})
		}
		rec.Findings = append(rec.Findings, f)
	}
	e.Evidence = nil
	return e
}

// judgedOf is what Judged must give of an event.
func judgedOf(e *gateway.Event) Judged {
	rec := *e.Record
	rec.Findings = nil
	for _, f := range e.Record.Findings {
		f.Took, f.Evidence = 0, nil
		rec.Findings = append(rec.Findings, f)
	}
	v := gateway.Verdict{Decision: lean(e.Verdict.Decision), Stage: rec.Stage, Score: e.Verdict.Score}
	for _, d := range e.Verdict.Rcpts {
		v.Rcpts = append(v.Rcpts, lean(d))
	}
	return Judged{Record: &rec, Verdict: v, Policy: e.Policy}
}

func lean(d gateway.Decision) gateway.Decision {
	return gateway.Decision{Outcome: d.Outcome, Reason: d.Reason, Check: d.Check}
}

// own copies what Judged gave, which is good until it gives the next, and leaves out what files without judging have beside.
func own(j *Judged) Judged {
	e := gateway.Event{Record: j.Record, Verdict: j.Verdict, Policy: j.Policy}
	out := judgedOf(&e)
	out.Record.Rcpts = append([]gateway.RecordRcpt(nil), out.Record.Rcpts...)
	return out
}

// same compares them; no list is as good as an empty one.
func same(a, b Judged) bool {
	for _, r := range []*gateway.Record{a.Record, b.Record} {
		if len(r.Findings) == 0 {
			r.Findings = nil
		}
	}
	return reflect.DeepEqual(a, b)
}

// TestJudged shows that what is judged again is what was judged: whatever an event holds, before its day has an index and
// after, of files that have the judging apart and of those that have only stories.
func TestJudged(t *testing.T) { engines(t, testJudged) }

func testJudged(t *testing.T, o Options) {
	var g ids
	r := rand.New(rand.NewPCG(1, 2))
	dir, now := t.TempDir(), time.Now()
	o.Dir = dir
	l := openLog(t, o)
	want := map[gateway.ID]Judged{}
	for i := range 1200 {
		e := odd(r, &g, now)
		if i%7 == 0 {
			e = connection(&g, now, "192.0.2.9", gateway.Accept)
		} else {
			want[e.Record.ID] = judgedOf(e)
		}
		if !l.Write(e) {
			t.Fatal("no room")
		}
	}
	flush(t, l)
	check := func(when string) {
		t.Helper()
		seen := map[gateway.ID]bool{}
		gaps, err := l.Reader().Judged(bounded30(t), Window{}, func(j *Judged) error {
			id := j.Record.ID
			if got := own(j); seen[id] || !same(got, want[id]) {
				t.Fatalf("%s: %s (twice: %v)\n%+v\n%+v", when, id, seen[id], got.Record, want[id].Record)
			}
			seen[id] = true
			return nil
		})
		if err != nil || len(gaps) > 0 || len(seen) != len(want) {
			t.Fatalf("%s: %d of %d, %v %v", when, len(seen), len(want), gaps, err)
		}
	}
	check("open day")
	if o.Shared != nil {
		return
	}
	closeDays(t, l)
	check("with an index")
	enough, n := errors.New("enough"), 0
	if _, err := l.Reader().Judged(bounded30(t), Window{}, func(*Judged) error {
		if n++; n == 10 {
			return enough
		}
		return nil
	}); !errors.Is(err, enough) || n != 10 {
		t.Errorf("stopped after %d: %v", n, err)
	}
	if _, err := l.Reader().Judged(bounded30(t), Window{Since: now.Add(time.Hour)}, func(*Judged) error { return errors.New("not of that time") }); err != nil {
		t.Error(err)
	}
	closeLog(t, l)
	alter(t, dayOf(now).path(dir), "UPDATE stories SET body = body WHERE seq % 2 = 0") // as who erases something does
	check("half of the stories changed")
	alter(t, dayOf(now).path(dir), "DROP TRIGGER judging_changed; DROP TRIGGER judging_erased; DROP TABLE judging; PRAGMA user_version = 3")
	check("written before there was judging")
}

func alter(t *testing.T, path, text string) {
	t.Helper()
	db, err := openWrite(bounded30(t), path)
	if err == nil {
		_, err = db.Exec(text)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestJudgedDamage shows that a block that is damaged is a gap, and that the other blocks are given.
func TestJudgedDamage(t *testing.T) {
	var g ids
	dir, now := t.TempDir(), time.Now()
	l := openLog(t, Options{Dir: dir})
	for range 3 {
		write(t, l, transaction(&g, now, "ann@sender.example", "bob@one.example"))
	}
	closeLog(t, l)
	alter(t, dayOf(now).path(dir), "UPDATE judging SET body = zeroblob(40) WHERE seq = 2")
	n := 0
	gaps, err := NewReader(dir).Judged(bounded30(t), Window{}, func(*Judged) error { n++; return nil })
	if err != nil || len(gaps) != 1 || n != 2 {
		t.Errorf("%d given, %v %v", n, gaps, err)
	}
}

// FuzzJudging shows that no block, however broken, costs more memory than it has octets for, or ends the program; be it broken
// inside of what is packed or outside.
func FuzzJudging(f *testing.F) {
	var j judgingBlock
	var g ids
	j.reset()
	for range 3 {
		j.add(transaction(&g, time.Now(), "ann@sender.example", "bob@one.example"))
	}
	var p judgingPacker
	packed, err := p.pack(&j)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add(j.plain())
	f.Add([]byte{0, 0, 0, 0, judgingVersion, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r judgingReader
		defer r.close()
		n := 0
		see := func(j *Judged) error { n += 1 + len(j.Record.Findings) + len(j.Record.Rcpts); return nil }
		_ = r.all(string(b), see)
		if n > 8*len(b) {
			t.Errorf("%d things of %d octets", n, len(b))
		}
		if len(b) < 5 {
			return
		}
		b[4], n = judgingVersion, 0
		_ = r.read(sealed(b), see)
		if n > 8*len(r.plain) {
			t.Errorf("%d things of %d octets", n, len(r.plain))
		}
	})
}

// BenchmarkJudged tells what it costs to read a message to be judged again, and what is stored for it.
func BenchmarkJudged(b *testing.B) {
	s, now := newStock(), time.Now()
	l := openLog(b, Options{})
	const n = 20_000
	for i := range n {
		for e := s.event(i); !l.Write(e); {
			time.Sleep(time.Millisecond)
		}
	}
	flush(b, l)
	db, err := openWrite(b.Context(), dayOf(now).path(l.o.Dir))
	if err != nil {
		b.Fatal(err)
	}
	var judging, stories int64
	if err := db.QueryRow("SELECT (SELECT sum(length(body)) FROM judging), (SELECT sum(length(body)) FROM stories)").Scan(&judging, &stories); err != nil {
		b.Fatal(err)
	}
	db.Close()
	b.ReportAllocs()
	began, seen := cpu(b), 0
	for b.Loop() {
		if _, err := l.Reader().Judged(b.Context(), Window{}, func(*Judged) error { seen++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-began).Nanoseconds())/1000/float64(seen), "CPU-µs/message")
	b.ReportMetric(float64(judging)/n, "octets/event")
	b.ReportMetric(float64(stories)/n, "octets-of-story/event")
}
