package store

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestFates shows that what becomes of a message in the spool, days after it came, is found with it, and by its reference
// alone where its transaction is not there.
func TestFates(t *testing.T) { engines(t, testFates) }

func testFates(t *testing.T, o Options) {
	l := openLog(t, o)
	g := new(ids)
	now := time.Now().Truncate(time.Millisecond)
	came := now.Add(-30 * time.Hour)
	e, other := transaction(g, came, "ann@sender.example", "bob@one.example"), transaction(g, came, "ann@sender.example", "carol@one.example")
	notice := g.at(now)
	var want []gateway.Fate
	tell := func(id gateway.ID, at time.Time, what gateway.FateWord, said string) gateway.Fate {
		f := gateway.Fate{ID: id, Time: at.UTC(), What: what, Route: "main", From: "ann@sender.example", Rcpts: []string{"bob@one.example"}, Said: said, Attempt: 3}
		if !l.Fate(&f) {
			t.Fatal("no room for a fate")
		}
		return f
	}
	for _, e := range []*gateway.Event{e, other} {
		if !l.Write(e) {
			t.Fatal("no room")
		}
	}
	want = append(want, tell(e.Record.ID, came, gateway.FateQueued, ""), tell(e.Record.ID, came.Add(time.Hour), gateway.FateDeferred, "451 4.3.0 later"),
		tell(e.Record.ID, now, gateway.FateDelivered, "250 2.0.0 taken"))
	alone := tell(notice, now, gateway.FateDead, "550 5.1.1 nobody")
	flush(t, l)
	r := l.Reader()
	s, err := r.Trace(bounded30(t), e.Record.ID)
	if err != nil || s.Event == nil || !reflect.DeepEqual(s.Fates, want) {
		t.Errorf("%v: %+v, want %+v", err, s.Fates, want)
	}
	if s, err := r.Trace(bounded30(t), other.Record.ID); err != nil || len(s.Fates) != 0 {
		t.Errorf("another message: %v, %+v", err, s.Fates)
	}
	if s, err := r.Trace(bounded30(t), notice); err != nil || s.Event != nil || !reflect.DeepEqual(s.Fates, []gateway.Fate{alone}) {
		t.Errorf("of which only that is known: %v, %+v", err, s)
	}
	if _, err := r.Trace(bounded30(t), g.at(now)); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	found, err := r.Search(bounded30(t), Query{Window: Window{Since: came.Add(-time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	later := map[gateway.ID]gateway.FateWord{}
	for _, row := range found.Rows {
		later[row.ID] = row.Later
	}
	if len(later) != 2 || later[e.Record.ID] != gateway.FateDelivered || later[other.Record.ID] != "" {
		t.Errorf("found %v", later)
	}
}

// TestFatesOfOldFiles shows that files of the version before, which know nothing of the spool, are read beside new ones.
func TestFatesOfOldFiles(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, Options{Dir: dir})
	g := new(ids)
	came := time.Now().Add(-30 * time.Hour)
	e := transaction(g, came, "ann@sender.example", "bob@one.example")
	l.Write(e)
	closeLog(t, l)
	db, err := openWrite(bounded30(t), dayOf(came).path(dir))
	if err == nil {
		_, err = db.Exec("DROP TABLE fate; PRAGMA user_version = 2")
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, Options{Dir: dir})
	f := gateway.Fate{ID: e.Record.ID, Time: time.Now().UTC().Truncate(time.Millisecond), What: gateway.FateDelivered}
	l.Fate(&f)
	flush(t, l)
	if s, err := l.Reader().Trace(bounded30(t), e.Record.ID); err != nil || s.Event == nil || !reflect.DeepEqual(s.Fates, []gateway.Fate{f}) || len(s.Gaps) > 0 {
		t.Errorf("%v: %+v", err, s)
	}
}

// TestFatesOf shows what is counted of one kind in a time, over days, and which of it is listed.
func TestFatesOf(t *testing.T) { engines(t, testFatesOf) }

func testFatesOf(t *testing.T, o Options) {
	l := openLog(t, o)
	g := new(ids)
	now := time.Now().Truncate(time.Millisecond)
	since := now.Add(-72 * time.Hour)
	for i, at := range []time.Time{since.Add(-time.Millisecond), since, since.Add(30 * time.Hour), now.Add(-time.Hour), now} {
		f := gateway.Fate{ID: g.at(now), Time: at.UTC(), What: gateway.FateKeptReleased, From: "ann@sender.example", Attempt: i}
		other := f
		other.What = gateway.FateKeptDeleted
		if !l.Fate(&f) || !l.Fate(&other) {
			t.Fatal("no room")
		}
	}
	flush(t, l)
	n, newest, gaps, err := l.Reader().FatesOf(bounded30(t), Window{Since: since, Until: now}, gateway.FateKeptReleased, 2)
	if err != nil || n != 3 || len(newest) != 2 || newest[0].Attempt != 3 || newest[1].Attempt != 2 || len(gaps) != 0 {
		t.Errorf("%d, %+v, %v, %v", n, newest, gaps, err)
	}
	if n, newest, _, err := l.Reader().FatesOf(bounded30(t), Window{Since: since, Until: now}, gateway.FateKeptExpired, 2); err != nil || n != 0 || newest != nil {
		t.Errorf("of which there was none: %d, %+v, %v", n, newest, err)
	}
}
