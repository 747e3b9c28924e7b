package hits

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// met is a message of a moment that met an entry of the policy and two of own lists, one of which was not proven.
func met(at time.Time) *gateway.Event {
	return &gateway.Event{Kind: gateway.TransactionEvent, Record: &gateway.Record{Time: at, Findings: []gateway.Finding{
		{Check: "spf", Measures: []gateway.Measure{{Name: "block", Value: 1, Text: "no list"}}},
		{Check: "access.client", Measures: []gateway.Measure{{Name: "allow", Value: 1, Text: "192.0.2.0/24"}}},
		{Check: "access.author", Measures: []gateway.Measure{{Name: "unproven", Value: 1}}},
		{Check: gateway.OwnCheck, Measures: []gateway.Measure{{Name: gateway.OwnBlock, Value: 1, Text: "bob@one.example"}}},
	}}, Evidence: [][]gateway.Evidence{nil, nil, {{Name: "entry", Text: "allow @partner.example"}}, {
		{Name: "entry of ann@one.example", Text: "allow @partner.example"}, {Name: "entry of bob@one.example", Text: "block eve@partner.example"}}}}
}

// TestLearnRules: a rule that matched counts once a message, also where it is only observed; not one whose condition could not be
// worked out, and nothing that is no rule of the policy.
func TestLearnRules(t *testing.T) {
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	macros, watched := gateway.RuleLine(1, "macros", "policy.toml:8"), gateway.RuleLine(2, "watched", "policy.toml:12")
	e := &gateway.Event{Kind: gateway.TransactionEvent, Record: &gateway.Record{Time: at}, Verdict: gateway.Verdict{Rules: []gateway.Applied{
		{Rule: macros, Why: "it could not be told for ann"}, {Rule: macros, Check: "a", Action: "tag"}, {Rule: macros, Check: "b", Action: "tag"}, {Rule: watched, Action: "reject", Observed: true},
		{Rule: gateway.RuleLine(3, "not known", "policy.toml:20"), Why: "no such fact"}, {Rule: "the recipient's own allow list", Action: "accept"}}}}
	var c Counter
	c.Learn(e)
	e.Verdict.Rules[1].Rule = gateway.RuleLine(9, "macros", "policy.toml:99") // it was moved
	e.Verdict.Rules = e.Verdict.Rules[1:2]
	c.Learn(e)
	got := map[string]int64{}
	for x, n := range c.Pending() {
		got[x.List+" "+x.Kind+" "+x.Value] = n.N
	}
	if fmt.Sprint(got) != "map[rule rule macros:2 rule rule watched:1]" {
		t.Errorf("%v", got)
	}
}

// TestLearn: what counted is counted, by entry and day, and nothing that only looks like it; a connection that brought messages is
// not counted beside them.
func TestLearn(t *testing.T) {
	at := time.Date(2026, 11, 27, 23, 59, 0, 0, time.UTC)
	var c Counter
	c.Learn(met(at))
	c.Learn(met(at.Add(2 * time.Minute)))
	connection := met(at.Add(3 * time.Minute))
	connection.Kind = gateway.ConnectionEvent
	connection.Session.Transactions = 2
	c.Learn(connection)
	connection.Session.Transactions = 0
	c.Learn(connection)
	got := c.take(100)
	slices.SortFunc(got, func(a, b Hit) int { return 2*Compare(a.Entry, b.Entry) + int(a.Day-b.Day) })
	network := Entry{List: "access.client", Kind: Allow, Value: "192.0.2.0/24"}
	own := Entry{List: gateway.OwnCheck, Kind: Block, Rcpt: "bob@one.example", Value: "eve@partner.example"}
	want := []Hit{{network, Day(at), 1, at}, {network, Day(at) + 1, 2, at.Add(3 * time.Minute)}, {own, Day(at), 1, at}, {own, Day(at) + 1, 2, at.Add(3 * time.Minute)}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted\n%v, want\n%v", got, want)
	}
	if len(c.Pending()) != 0 {
		t.Error("something is left")
	}
}

// TestBounded: while no store takes them, as many entries are held as there is room for; the others are counted as lost, and known
// ones go on.
func TestBounded(t *testing.T) {
	var c Counter
	for i := range maxCounted + 7 {
		c.add(key{Entry{Value: fmt.Sprint(i)}, 1}, tally{n: 1})
	}
	c.add(key{Entry{Value: "0"}, 1}, tally{n: 1})
	if p := c.Pending(); len(p) != maxCounted || p[Entry{Value: "0"}].N != 2 || c.Lost() != 7 {
		t.Errorf("%d entries, %d lost", len(p), c.Lost())
	}
}

// shelf is a store in memory, which may be away.
type shelf struct {
	mu            sync.Mutex
	noted, pruned int
	entries       []Entry
	hits          map[key]int64
	err           error
}

func (s *shelf) Note(_ context.Context, _ string, entries []Entry, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.noted, s.entries = s.noted+1, entries
	}
	return s.err
}

func (s *shelf) Add(_ context.Context, _ string, all []Hit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range all {
		if s.err == nil {
			s.hits[key{h.Entry, h.Day}] += h.N
		}
	}
	return s.err
}

func (s *shelf) Counts(context.Context, int64, []string) ([]Count, error) { return nil, s.err }
func (s *shelf) Prune(context.Context, int64, time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pruned++
	return s.err
}

// TestKeeper: entries are noted where the policy is another; what a store that is away did not take is brought later, once; and a
// stop brings the rest.
func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hits: map[key]int64{}}
		var c Counter
		var version atomic.Int64
		k := &Keeper{Counter: &c, Store: s, Node: "mx1", Log: slog.New(slog.DiscardHandler), Version: func() any { return version.Load() }, Entries: func() []Entry { return []Entry{{Value: "x"}} }}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { k.Run(ctx); close(ended) }()
		time.Sleep(every + 2*time.Second)
		s.mu.Lock()
		if s.noted != 1 || s.pruned != 1 || len(s.entries) != 1 {
			t.Errorf("%+v", s)
		}
		at := time.Now()
		s.err = errors.New("away")
		s.mu.Unlock()
		c.Learn(met(at))
		version.Store(2)
		time.Sleep(2 * every)
		s.mu.Lock()
		if len(c.Pending()) != 2 || s.noted != 1 {
			t.Errorf("while the store is away: %v", c.Pending())
		}
		s.err = nil
		s.mu.Unlock()
		c.Learn(met(at))
		time.Sleep(2 * every)
		s.mu.Lock()
		for x, n := range s.hits {
			if n != 2 || x.day != Day(at) {
				t.Errorf("%v: %d", x, n)
			}
		}
		if len(s.hits) != 2 || s.noted != 2 || len(c.Pending()) != 0 {
			t.Errorf("after it: %+v", s)
		}
		s.mu.Unlock()
		c.Learn(met(at))
		stop()
		<-ended
		for x, n := range s.hits {
			if n != 3 {
				t.Errorf("after the stop: %v: %d", x, n)
			}
		}
	})
}
