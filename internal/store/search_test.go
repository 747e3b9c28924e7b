package store

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// states are the ways a day may be kept, all of which must give the same answers: in files, whose days are open, closed or both, and
// in PostgreSQL.
func states(t *testing.T, test func(t *testing.T, o Options, settle func(l *Log, last bool))) {
	for name, settle := range map[string]func(t *testing.T, l *Log, last bool){
		"open":   func(*testing.T, *Log, bool) {},
		"closed": func(t *testing.T, l *Log, last bool) { closeDays(t, l) },
		"both": func(t *testing.T, l *Log, last bool) {
			if !last {
				closeDays(t, l)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { test(t, Options{}, func(l *Log, last bool) { t.Helper(); settle(t, l, last) }) })
	}
	t.Run("postgres", func(t *testing.T) { test(t, Options{Shared: sharedLog(t)}, func(*Log, bool) {}) })
}

func TestSearch(t *testing.T) { states(t, testSearch) }

func testSearch(t *testing.T, o Options, settle func(*Log, bool)) {
	var g ids
	noon := dayOf(time.Now()).start().Add(-12 * time.Hour) // yesterday's noon, so that nothing is of the future
	l := openLog(t, o)
	names := map[gateway.ID]string{}
	add := func(name string, e *gateway.Event, change func(*gateway.Event)) *gateway.Event {
		if change != nil {
			change(e)
		}
		names[e.Record.ID] = name
		write(t, l, e)
		settle(l, name == "carried" || name == "null")
		return e
	}
	add("old", transaction(&g, noon.Add(-24*time.Hour), "ann@sender.example", "bob@one.example"), nil)
	add("plain", transaction(&g, noon, "Ann@Sender.example", "bob@one.example"), nil)
	add("bulk", transaction(&g, noon.Add(time.Minute), "bounce-1@bulk.example", "bob@one.example"), func(e *gateway.Event) {
		e.Record.HeaderFrom = "Shop <news@shop.example>"
	})
	add("null", transaction(&g, noon.Add(2*time.Minute), "", "carl@two.example"), func(e *gateway.Event) { e.Record.HeaderFrom = "" })
	add("percent", transaction(&g, noon.Add(3*time.Minute), "50%_off@odd.example", "dora@one.example.net"), func(e *gateway.Event) {
		e.Verdict.Outcome, e.Verdict.Reason, e.Record.Client = gateway.Reject, gateway.SpamScore, netip.MustParseAddr("2001:db8::1")
	})
	add("quit", connection(&g, noon.Add(4*time.Minute), "198.51.100.9", gateway.Accept), nil)
	add("dropped", connection(&g, noon.Add(5*time.Minute), "198.51.100.200", gateway.Drop), nil)
	add("carried", connection(&g, noon.Add(6*time.Minute), "192.0.2.25", gateway.Accept), func(e *gateway.Event) { e.Session.Transactions = 2 })
	day := Window{Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour)}
	tests := []struct {
		name string
		q    Query
		want string
	}{
		{"all", Query{}, "dropped quit percent null bulk plain old"},
		{"a time", Query{Window: day}, "dropped quit percent null bulk plain"},
		{"until is not in it", Query{Window: Window{Until: noon}}, "old"},
		{"since is in it", Query{Window: Window{Since: noon.Add(5 * time.Minute)}}, "dropped"},
		{"from an address", Query{From: "ANN@sender.EXAMPLE"}, "plain old"},
		{"from in brackets", Query{From: "<ann@sender.example>"}, "plain old"},
		{"from the From field", Query{From: "news@shop.example"}, "bulk"},
		{"from a domain", Query{From: "sender.example"}, "plain old"},
		{"from a domain with @", Query{From: "@bulk.example"}, "bulk"},
		{"from the domain of the From field", Query{From: "shop.example"}, "bulk"},
		{"from nobody", Query{From: "<>"}, "null"},
		{"from a part", Query{From: "bounce"}, "bulk"},
		{"from a part with a star", Query{From: "*@bulk.*"}, "bulk"},
		{"from a part with signs of LIKE", Query{From: "50%_o*"}, "percent"},
		{"a percent sign is no pattern", Query{From: "a%n"}, ""},
		{"to", Query{To: "bob@one.example"}, "bulk plain old"},
		{"to a domain", Query{To: "one.example"}, "bulk plain old"},
		{"to a part", Query{To: "dor"}, "percent"},
		{"from and to", Query{From: "sender.example", To: "bob@one.example", Window: day}, "plain"},
		{"a verdict", Query{Verdicts: []gateway.Outcome{gateway.Reject, gateway.Drop}}, "dropped percent"},
		{"a reason", Query{Reason: gateway.SpamScore}, "percent"},
		{"a client", Query{Client: "198.51.100.9"}, "quit"},
		{"a network", Query{Client: "198.51.100.0/24"}, "dropped quit"},
		{"a network of IPv6", Query{Client: "2001:db8::/32"}, "percent"},
		{"everybody of IPv4", Query{Client: "0.0.0.0/0", Window: day}, "dropped quit null bulk plain"},
		{"to the beginning of a domain", Query{To: "one.exam"}, ""},
		{"to a part of a domain", Query{To: "*wo.examp*"}, "null"},
		{"to a part that no trigram knows", Query{To: "@t*"}, "null"},
		{"from a part of a part", Query{From: "unce-1@bulk.exa*"}, "bulk"},
		{"from parts in another order", Query{From: "bulk*bounce"}, ""},
		{"from a part and to a part", Query{From: "50%*odd", To: "dora*net"}, "percent"},
		{"a message id that is none", Query{MessageID: "<>"}, ""},
		{"a subject in capitals", Query{Subject: "VOICE 47", Window: day}, "percent null bulk plain"},
		{"another subject", Query{Subject: "invoices"}, ""},
		{"a subject", Query{Subject: "invoice", Window: day}, "percent null bulk plain"},
		{"nothing", Query{To: "nobody@one.example"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := l.Reader().Search(bounded30(t), tt.q)
			if err != nil || len(res.Gaps) > 0 || res.Partial || res.More {
				t.Fatalf("%v %+v", err, res)
			}
			var got []string
			for _, r := range res.Rows {
				got = append(got, names[r.ID])
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
	t.Run("a message id", func(t *testing.T) {
		all, err := l.Reader().Search(bounded30(t), Query{From: "<>"})
		if err != nil {
			t.Fatal(err)
		}
		res, err := l.Reader().Search(bounded30(t), Query{MessageID: "<" + all.Rows[0].MessageID + ">"})
		if err != nil || len(res.Rows) != 1 || res.Rows[0].ID != all.Rows[0].ID {
			t.Errorf("%v %+v", err, res)
		}
	})
	t.Run("page by page", func(t *testing.T) {
		var got []string
		q := Query{Limit: 2}
		for range 10 {
			res, err := l.Reader().Search(bounded30(t), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range res.Rows {
				got = append(got, names[r.ID])
				q.Before = r.ID
			}
			if !res.More {
				break
			}
		}
		if s := strings.Join(got, " "); s != "dropped quit percent null bulk plain old" {
			t.Errorf("got %q", s)
		}
	})
}

func TestQueryIsRefused(t *testing.T) {
	r := NewReader(t.TempDir())
	for _, q := range []Query{{From: "x"}, {From: "@"}, {To: "*a*"}, {Client: "not an address"}, {Client: "1.2.3.4/99"}} {
		if _, err := r.Search(bounded30(t), q); !errors.Is(err, ErrQuery) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestNoLogAtAll(t *testing.T) {
	r := NewReader(filepath.Join(t.TempDir(), "missing"))
	if res, err := r.Search(bounded30(t), Query{}); err != nil || len(res.Rows) != 0 {
		t.Errorf("%v %+v", err, res)
	}
	if _, err := r.Trace(bounded30(t), 1<<50); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if a, err := r.Activity(bounded30(t), Window{}); err != nil || !a.None() {
		t.Errorf("%v %+v", err, a)
	}
}

func TestSearchOutOfTime(t *testing.T) { engines(t, testSearchOutOfTime) }

func testSearchOutOfTime(t *testing.T, o Options) {
	var g ids
	l := openLog(t, o)
	write(t, l, transaction(&g, time.Now(), "ann@sender.example", "bob@one.example"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if res, err := l.Reader().Search(ctx, Query{}); err != nil || !res.Partial {
		t.Errorf("%v %+v", err, res)
	}
}

func TestTrace(t *testing.T) { states(t, testTrace) }

func testTrace(t *testing.T, o Options, settle func(*Log, bool)) {
	var g ids
	l := openLog(t, o)
	late := dayOf(time.Now()).start().Add(-time.Second) // a session over midnight
	c := connection(&g, late, "192.0.2.25", gateway.Accept)
	first, second := transaction(&g, late, "a@sender.example", "bob@one.example"), transaction(&g, late.Add(2*time.Second), "b@sender.example", "bob@one.example")
	first.Record.Session, second.Record.Session = c.Record.ID, c.Record.ID
	write(t, l, first)
	settle(l, false)
	write(t, l, second)
	settle(l, true)
	s, err := l.Reader().Trace(bounded30(t), c.Record.ID)
	if err != nil || s.Event != nil || len(s.Transactions) != 2 {
		t.Fatalf("a session that lasts: %v %+v", err, s)
	}
	write(t, l, c)
	settle(l, true)
	s, err = l.Reader().Trace(bounded30(t), c.Record.ID)
	if err != nil || s.Event == nil || s.Event.Kind != gateway.ConnectionEvent || len(s.Transactions) != 2 || s.Transactions[1].Record.ID != second.Record.ID {
		t.Errorf("a session: %v %+v", err, s)
	}
	s, err = l.Reader().Trace(bounded30(t), second.Record.ID)
	if err != nil || s.Event.Record.ID != second.Record.ID || s.Connection == nil || s.Connection.Record.ID != c.Record.ID {
		t.Errorf("a transaction: %v %+v", err, s)
	}
	if _, err := l.Reader().Trace(bounded30(t), g.at(late)); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
	var seen []gateway.ID
	gaps, err := l.Reader().Events(bounded30(t), Window{}, func(e *gateway.Event) error {
		seen = append(seen, e.Record.ID)
		return nil
	})
	if err != nil || len(gaps) > 0 || len(seen) != 2 || seen[0] != first.Record.ID {
		t.Errorf("events: %v %v %v", err, gaps, seen)
	}
	stop := errors.New("enough")
	if _, err := l.Reader().Events(bounded30(t), Window{}, func(*gateway.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("events: %v", err)
	}
}

// TestWrittenAgain shows that a later word on a transaction takes the place of the first.
func TestWrittenAgain(t *testing.T) { states(t, testWrittenAgain) }

func testWrittenAgain(t *testing.T, o Options, settle func(*Log, bool)) {
	var g ids
	l := openLog(t, o)
	e := transaction(&g, time.Now(), "a@sender.example", "bob@one.example")
	write(t, l, e)
	settle(l, false)
	again := *e
	again.Relayed = &gateway.Relayed{Result: gateway.OutcomeUnknown}
	write(t, l, &again)
	settle(l, true)
	res, err := l.Reader().Search(bounded30(t), Query{})
	if err != nil || len(res.Rows) != 1 || res.Rows[0].Verdict != gateway.Defer {
		t.Errorf("%v %+v", err, res)
	}
	s, err := l.Reader().Trace(bounded30(t), e.Record.ID)
	if err != nil || s.Event.Relayed.Result != gateway.OutcomeUnknown {
		t.Errorf("%v %+v", err, s)
	}
}

func TestActivity(t *testing.T) { engines(t, testActivity) }

func testActivity(t *testing.T, o Options) {
	var g ids
	l := openLog(t, o)
	h := dayOf(time.Now()).start().Add(-5 * time.Hour)
	write(t, l, connection(&g, h.Add(10*time.Minute), "192.0.2.1", gateway.Accept), connection(&g, h.Add(70*time.Minute), "192.0.2.1", gateway.Drop),
		transaction(&g, h.Add(70*time.Minute), "a@b.example", "bob@one.example"))
	net := netip.MustParsePrefix("198.51.100.0/24")
	l.Early(h.Add(2*time.Hour), net, gateway.TooManyConnections, 7)
	l.Early(h.Add(2*time.Hour), net, gateway.TooManyConnections, 3)
	l.Early(h.Add(2*time.Hour), netip.Prefix{}, gateway.TooManyConnections, 40)
	flush(t, l)
	a, err := l.Reader().Activity(bounded30(t), Window{Since: h, Until: h.Add(3 * time.Hour)})
	want := []Hour{{h, 1, 1, 0, 0}, {h.Add(time.Hour), 1, 1, 1, 0}, {h.Add(2 * time.Hour), 0, 0, 0, 50}}
	if err != nil || len(a.Hours) != 3 || a.Hours[0] != want[0] || a.Hours[1] != want[1] || a.Hours[2] != want[2] {
		t.Errorf("%v %+v", err, a)
	}
	if total := a.Total(); total.Connections != 2 || total.Early != 50 || a.None() {
		t.Errorf("%+v", total)
	}
	if a, err := l.Reader().Activity(bounded30(t), Window{Since: h.Add(11 * time.Minute), Until: h.Add(70 * time.Minute)}); err != nil || !a.None() {
		t.Errorf("a quiet time: %v %+v", err, a)
	}
	list, more, err := l.Reader().Early(bounded30(t), Window{}, 1)
	if err != nil || !more || len(list) != 1 || list[0].Network != "other" || list[0].N != 40 {
		t.Errorf("%v %v %+v", err, more, list)
	}
	if list, more, err = l.Reader().Early(bounded30(t), Window{}, 10); err != nil || more || len(list) != 2 || list[1].N != 10 || list[1].Network != "198.51.100.0/24" {
		t.Errorf("%v %v %+v", err, more, list)
	}
}

// TestSearchByWhatBecameOfIt: mail that the checks let pass and the next hop did not take is found among the deferred and
// the rejected, and not among the accepted.
func TestSearchByWhatBecameOfIt(t *testing.T) { states(t, testSearchByWhatBecameOfIt) }

func testSearchByWhatBecameOfIt(t *testing.T, o Options, settle func(*Log, bool)) {
	l := openLog(t, o)
	var g ids
	now := time.Now()
	for result, from := range map[gateway.RelayResult]string{gateway.Delivered: "taken@x.example", gateway.DeferredByHop: "later@x.example",
		gateway.OutcomeUnknown: "vanished@x.example", gateway.RefusedByHop: "refused@x.example"} {
		e := transaction(&g, now, from, "b@one.example")
		e.Verdict.Outcome, e.Relayed = gateway.Accept, &gateway.Relayed{Result: result}
		write(t, l, e)
	}
	settle(l, true)
	for verdict, want := range map[gateway.Outcome]int{gateway.Accept: 1, gateway.Defer: 2, gateway.Reject: 1} {
		r, err := l.Reader().Search(bounded30(t), Query{Verdicts: []gateway.Outcome{verdict}})
		if err != nil || len(r.Rows) != want {
			t.Errorf("%s: %d rows, want %d, %v", verdict, len(r.Rows), want, err)
		}
	}
	closeLog(t, l)
}
