package store

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestNoneIsLost shows that 60,000 events, pushed as fast as the store has them turned into what it keeps, and far faster than
// the 3,000 a second that a busy gateway has, are all in the file: the queue holds what the disk has not taken yet.
func TestNoneIsLost(t *testing.T) { engines(t, testNoneIsLost) }

func testNoneIsLost(t *testing.T, o Options) {
	var g ids
	now := time.Now()
	l := openLog(t, o)
	message, dropped := transaction(&g, now, "ann@sender.example", "bob@one.example"), connection(&g, now, "192.0.2.1", gateway.Drop)
	n := 60_000
	if o.Shared != nil {
		n = 10_000 // a test's server shares the processor
	}
	for i := range n {
		e, r := *message, *message.Record
		if i%2 == 1 {
			e, r = *dropped, *dropped.Record
		}
		r.ID = g.at(now)
		e.Record = &r
		if !l.Write(&e) {
			t.Fatalf("event %d found no room: %+v", i, l.Stats())
		}
	}
	flush(t, l)
	if st := l.Stats(); st.Written != int64(n) || st.Dropped+st.Failed != 0 || st.Queued != 0 {
		t.Errorf("%+v", st)
	}
	seen := 0
	if _, err := l.Reader().Events(bounded30(t), Window{}, func(*gateway.Event) error { seen++; return nil }); err != nil || seen != n/2 {
		t.Errorf("%d transactions, %v", seen, err)
	}
	a, err := l.Reader().Activity(bounded30(t), Window{})
	if total := a.Total(); err != nil || total.Connections != int64(n/2) || total.Transactions != int64(n/2) {
		t.Errorf("%+v %v", total, err)
	}
}

// TestSlowDisk shows that nobody waits while the disk hangs for as long as it likes, that 40,000 events, thirteen
// seconds' worth of 3,000 a second, have room meanwhile, and that all of them are written when it goes on.
func TestSlowDisk(t *testing.T) {
	var g ids
	now := time.Now()
	hang, hanging := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var free sync.Once
	l := openLog(t, Options{stall: func() { once.Do(func() { close(hanging) }); <-hang }})
	defer free.Do(func() { close(hang) })
	e := transaction(&g, now, "ann@sender.example", "bob@one.example")
	for l.Write(e); ; l.Write(e) {
		select {
		case <-hanging:
		default:
			continue
		}
		break
	}
	for range 40_000 { // the octets of the queue end at some 45,000 of these
		if st := l.Stats(); !l.Write(e) {
			t.Fatalf("no room: %+v", st)
		}
	}
	taken := int64(l.Stats().Queued)
	for l.Write(e) {
		taken++
	}
	if ok, detail := l.Health(); ok || !strings.Contains(detail, "dropped") {
		t.Errorf("%v %s", ok, detail)
	}
	free.Do(func() { close(hang) })
	flush(t, l)
	if st := l.Stats(); st.Written != taken || st.Dropped != 1 || st.Queued != 0 {
		t.Errorf("%+v, %d taken", st, taken)
	}
	if !l.Write(e) {
		t.Error("no room after the disk went on")
	}
}

// largest makes the largest event that limits let come about: a thousand recipients of the longest addresses, findings of each,
// refused commands, and more evidence than is kept.
func largest(g *ids, now time.Time) *gateway.Event {
	e := transaction(g, now, strings.Repeat("a", 64)+"@"+strings.Repeat("b", 180)+".example", "bob@one.example")
	e.Record.Rcpts, e.Replies = nil, nil
	for i := range 1000 {
		to := fmt.Sprintf("%s%04d@%s.example", strings.Repeat("c", 60), i, strings.Repeat("d", 180))
		e.Record.Rcpts = append(e.Record.Rcpts, gateway.RecordRcpt{To: addr(to), Route: "main", Code: 550})
		e.Replies = append(e.Replies, gateway.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such recipient here: <" + to + ">"})
		for _, check := range []string{"relay", "rcpt", "greylist"} {
			f := gateway.Failed(gateway.RcptUnknown, to)
			f.Check, f.Stage, f.Rcpt = check, gateway.Rcpt, i
			e.Record.Findings = append(e.Record.Findings, f)
			e.Evidence = append(e.Evidence, []gateway.Evidence{{Name: "reply", Text: strings.Repeat("e", 300)}})
		}
	}
	for range 10 {
		e.Session.Refused = append(e.Session.Refused, strings.Repeat("f", 300))
	}
	e.Record.HeaderFrom, e.Subject = strings.Repeat("g", 64<<10), strings.Repeat("h", 800)
	e.Verdict = policy().Judge(e.Record)
	return e
}

// TestLargestEvents shows that 10,000 of the largest events cost bounded memory, that each is kept whole or counted, and that
// one that is larger than all bounds is counted and harms no other.
func TestLargestEvents(t *testing.T) { engines(t, testLargestEvents) }

func testLargestEvents(t *testing.T, o Options) {
	var g ids
	now := time.Now()
	l := openLog(t, o)
	e := largest(&g, now)
	first := e.Record.ID
	taken, most := int64(0), int64(0)
	for range 10_000 {
		r := *e.Record
		next := *e
		next.Record = &r
		if l.Write(&next) {
			taken++
			r.ID = g.at(now)
			e = &next
		}
		l.mu.Lock()
		most = max(most, l.held)
		l.mu.Unlock()
	}
	huge := transaction(&g, now, "ann@sender.example", "bob@one.example")
	huge.Record.HeaderFrom = strings.Repeat("x", maxStory+1)
	flush(t, l)
	if !l.Write(huge) { // it was taken, and cannot be kept
		t.Error("no room")
	}
	last := transaction(&g, now, "ann@sender.example", "bob@one.example")
	write(t, l, last)
	if st := l.Stats(); st.Written != taken+1 || st.Dropped != 10_000-taken || st.Failed != 1 || taken < 20 {
		t.Errorf("%+v, %d taken", st, taken)
	}
	if most > queueBytes+maxStory {
		t.Errorf("%d octets held", most)
	}
	if s, err := l.Reader().Trace(bounded30(t), first); err != nil || len(s.Event.Record.Rcpts) != 1000 || len(s.Event.Record.Findings) != 3008 {
		t.Errorf("%v", err)
	}
	if _, err := l.Reader().Trace(bounded30(t), last.Record.ID); err != nil {
		t.Error(err)
	}
	if res, err := l.Reader().Search(bounded30(t), Query{To: "one.example"}); err != nil || len(res.Rows) != 1 {
		t.Errorf("%v", err)
	}
}

// TestReadOnly shows that a file that cannot be written costs its events, which are counted and told of, and that the log
// recovers when it can.
func TestReadOnly(t *testing.T) {
	now := time.Now()
	for name, harm := range map[string]func(l *Log, path string) (mend func() error, err error){
		"read-only": func(l *Log, path string) (func() error, error) {
			l.o.pragmas = []string{"query_only(1)"} // as a file system that went read-only: root may write what modes forbid
			return func() error { l.o.pragmas = nil; return nil }, nil
		},
		"no file": func(l *Log, path string) (func() error, error) {
			return func() error { return os.Remove(path) }, os.Mkdir(path, 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var g ids
			l, w := idle(t, Options{})
			d := dayOf(now)
			put(t, w, transaction(&g, now, "ann@sender.example", "bob@one.example"))
			w.close(d)
			if err := os.Rename(d.path(l.o.Dir), d.path(l.o.Dir)+".old"); err != nil {
				t.Fatal(err)
			}
			mend, err := harm(l, d.path(l.o.Dir))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				put(t, w, transaction(&g, now, "ann@sender.example", "bob@one.example"))
			}
			if st := l.Stats(); st.Failed != 3 || st.Written != 1 || st.Queued != 0 || st.Damaged != 0 {
				t.Errorf("%+v", st)
			}
			if ok, detail := l.Health(); ok || !strings.Contains(detail, "cannot write") {
				t.Errorf("%v %s", ok, detail)
			}
			if err := mend(); err != nil {
				t.Fatal(err)
			}
			e := transaction(&g, now, "ann@sender.example", "bob@one.example")
			put(t, w, e)
			if ok, detail := l.Health(); !ok {
				t.Error(detail)
			}
			if _, err := l.Reader().Trace(bounded30(t), e.Record.ID); err != nil {
				t.Error(err)
			}
		})
	}
}
