package entries

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/hits"
	"gatepost/internal/ownlist"
	"gatepost/internal/replay"
	"gatepost/internal/store"
)

var (
	operator = access.Actor{Name: "olga", Role: access.Operator}
	admin    = access.Actor{Name: "dora", Role: access.DomainAdmin, Domains: []string{"one.example"}}
)

// desk has three entries of the policy and own lists of three recipients; of some of them the store knows hits.
func desk(away error) *Desk {
	day := func(n int) filters.Note {
		return filters.Note{Owner: "anna", Reason: "ticket", Expires: filters.EntryDate{Day: time.Now().UTC().AddDate(0, 0, n).Truncate(24 * time.Hour)}}
	}
	listed := []filters.Listed{{Check: "access.client", Kind: "block", Value: "192.0.2.0/24", Note: day(3)}, {Check: "access.client", Kind: "allow", Value: "192.0.2.0/24", Note: day(-2)},
		{Check: "access.sender", Kind: "block", Value: "helo bad.example"}}
	old := time.Now().AddDate(0, 0, -31)
	own := ownlist.NewLists([]ownlist.Entry{{Rcpt: "bob@one.example", Kind: ownlist.Allow, Sender: "@partner.example", Time: old}, {Rcpt: "ann@one.example", Kind: ownlist.Block, Sender: "eve@x.example", Time: time.Now()},
		{Rcpt: "carl@two.example", Kind: ownlist.Block, Sender: "eve@x.example", Time: old}})
	counter := new(hits.Counter)
	counter.Learn(&gateway.Event{Kind: gateway.TransactionEvent, Record: &gateway.Record{Time: time.Now(), Findings: []gateway.Finding{{Check: "access.client", Measures: []gateway.Measure{{Name: "block", Value: 1, Text: "192.0.2.0/24"}}}}}})
	rules := []config.Rule{{Name: "macros", Action: "quarantine", Owner: "anna", Expires: config.Day{Time: time.Now().UTC().AddDate(0, 0, 3).Truncate(24 * time.Hour)}}, {Name: "watched", Action: "reject", Observe: true}}
	counter.Learn(&gateway.Event{Kind: gateway.TransactionEvent, Record: &gateway.Record{Time: time.Now()}, Verdict: gateway.Verdict{Rules: []gateway.Applied{{Rule: gateway.RuleLine(2, "watched", "policy.toml:9"), Observed: true}}}})
	return &Desk{Listed: func() []filters.Listed { return listed }, Rules: func() []config.Rule { return rules }, Own: func() *ownlist.Lists { return own }, Counter: func() *hits.Counter { return counter },
		Counts: func(_ context.Context, since int64, rcpts []string) (out []hits.Count, err error) {
			if away != nil || since != hits.Day(time.Now())-29 {
				return nil, away
			}
			if rcpts == nil {
				for _, k := range Keys(listed, rules) {
					out = append(out, hits.Count{Entry: k, Since: old})
				}
				out[0].N, out[0].Last = 4, time.Now().Add(-time.Hour)
			}
			for _, to := range rcpts {
				if to == "carl@two.example" {
					out = append(out, hits.Count{Entry: hits.Entry{List: "access.own", Kind: "block", Rcpt: to, Value: "eve@x.example"}, N: 7, Since: time.Now(), Last: time.Now()})
				}
			}
			return out, nil
		}, Try: &Trier{}}
}

func surface(t *testing.T, d *Desk) *control.Surface {
	t.Helper()
	s := &control.Surface{Operations: Operations(d)}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

// told lists what an actor is told.
func told(t *testing.T, s *control.Surface, who access.Actor, q api.EntryQuery) string {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	out, err := controltest.Ask[*api.Entries](t.Context(), s, who, "entry list", &q)
	if err != nil {
		return fmt.Sprint(controltest.Status(err))
	}
	var all []string
	for _, e := range out.Entries {
		mark := map[bool]string{true: " unused"}[e.Unused] + map[bool]string{true: " soon"}[e.Soon] + map[bool]string{true: " over"}[e.Over] + map[bool]string{true: " observed"}[e.Observed]
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %d", e.List, e.Kind, e.Rcpt, e.Value, e.Hits))+mark)
	}
	if out.Next != "" {
		all = append(all, "next "+out.Next)
	}
	if out.Trouble != "" {
		all = append(all, "trouble")
	}
	return strings.Join(all, "; ")
}

// TestList: entries of the policy with what the store and the process counted, marked; own lists by whose recipients they are; and
// whoever has one domain is told of no other, and not of the policy.
func TestList(t *testing.T) {
	s := surface(t, desk(nil))
	for _, c := range []struct {
		who  access.Actor
		q    api.EntryQuery
		want string
	}{
		{operator, api.EntryQuery{}, "client block  192.0.2.0/24 5 soon; client allow  192.0.2.0/24 0 unused over; sender block  helo bad.example 0 unused"},
		{operator, api.EntryQuery{Limit: 2, Cursor: "1"}, "client allow  192.0.2.0/24 0 unused over; sender block  helo bad.example 0 unused"},
		{operator, api.EntryQuery{Limit: 1, Cursor: "1"}, "client allow  192.0.2.0/24 0 unused over; next 2"},
		{operator, api.EntryQuery{List: "sender"}, "sender block  helo bad.example 0 unused"},
		{operator, api.EntryQuery{Mark: "unused", Limit: 1}, "client allow  192.0.2.0/24 0 unused over; next 1"},
		{operator, api.EntryQuery{Mark: "soon"}, "client block  192.0.2.0/24 5 soon"},
		{operator, api.EntryQuery{Mark: "over"}, "client allow  192.0.2.0/24 0 unused over"},
		{operator, api.EntryQuery{List: "own"}, "own block ann@one.example eve@x.example 0; own allow bob@one.example @partner.example 0 unused; own block carl@two.example eve@x.example 7"},
		{operator, api.EntryQuery{List: "own", Rcpt: "Carl@two.example"}, "own block carl@two.example eve@x.example 7"},
		{operator, api.EntryQuery{List: "own", Mark: "unused"}, "own allow bob@one.example @partner.example 0 unused"},
		{admin, api.EntryQuery{}, "own block ann@one.example eve@x.example 0; own allow bob@one.example @partner.example 0 unused"},
		{admin, api.EntryQuery{List: "own", Rcpt: "carl@two.example"}, ""},
		{operator, api.EntryQuery{List: "rule"}, "rule quarantine  macros 0 unused soon; rule reject  watched 1 observed"},
		{operator, api.EntryQuery{List: "rule", Mark: "unused"}, "rule quarantine  macros 0 unused soon"},
		{admin, api.EntryQuery{List: "client"}, "403"},
		{admin, api.EntryQuery{List: "rule"}, "403"},
		{operator, api.EntryQuery{Rcpt: "carl@two.example"}, "400"},
		{operator, api.EntryQuery{Cursor: "x"}, "400"},
		{operator, api.EntryQuery{Cursor: "99"}, ""},
	} {
		if got := told(t, s, c.who, c.q); got != c.want {
			t.Errorf("%s %+v:\n%s, want\n%s", c.who.Name, c.q, got, c.want)
		}
	}
	if got := told(t, surface(t, desk(errors.New("away"))), operator, api.EntryQuery{List: "client"}); got != "client block  192.0.2.0/24 1 soon; client allow  192.0.2.0/24 0 over; trouble" {
		t.Errorf("while the store is away: %s", got)
	}
}

// TestProposed: what is typed is the entry that its list would have, and what cannot be one is refused with what to write.
func TestProposed(t *testing.T) {
	now := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ list, kind, name, value, want string }{
		{"client", "block", "", " 192.0.2.77 ", "access.client block 192.0.2.77/32"},
		{"client", "allow", "", "192.0.2.77/24", "access.client allow 192.0.2.0/24"},
		{"client", "block", "", "::ffff:192.0.2.77", "access.client block 192.0.2.77/32"},
		{"client", "block", "", "fe80::1%eth0", "value"},
		{"client", "block", "", "bad.example", "value"},
		{"author", "allow", "", "@partner.example", "access.author allow @partner.example"},
		{"author", "block", "", "@partner.example", "kind"},
		{"sender", "allow", "", "@partner.example", "kind"},
		{"sender", "block", "", "@partner.example", "access.sender block address @partner.example"},
		{"sender", "block", "helo", "x.example", "access.sender block helo x.example"},
		{"sender", "block", "helo", strings.Repeat("x", 321), "value"},
		{"sender", "block", "helo", " ", "value"},
	} {
		change, x, err := proposed(&api.EntryTry{List: c.list, Kind: c.kind, Name: c.name, Value: c.value}, now)
		got := x.Check + " " + x.Kind + " " + x.Value
		if f, ok := errors.AsType[*control.Fault](err); ok {
			got = f.Field
		} else if _, err := config.Edit(nil, []config.Change{change}); err != nil || !strings.HasPrefix(change.Key, "checks."+x.Check) {
			t.Errorf("%+v: %v %v", c, change, err)
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// source is a log of two messages, of which one met the entry.
type source struct{}

func (source) Judged(_ context.Context, _ store.Window, see func(*store.Judged) error) ([]store.Gap, error) {
	for id := range 2 {
		r := &gateway.Record{ID: gateway.ID(id), Time: time.Unix(int64(id), 0), Stage: gateway.Data, Rcpts: []gateway.RecordRcpt{{To: gateway.Address{Local: "bob", Domain: "one.example"}, Code: 250}}}
		if err := see(&store.Judged{Record: r, Verdict: (&gateway.Policy{}).Judge(r)}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// TestTry: the operation waits for its turn, hands on what is wrong with an entry, lists nothing to who may not read the log, and
// prints what came of it.
func TestTry(t *testing.T) {
	turns := 0
	p := &gateway.Policy{Thresholds: gateway.Thresholds{Reject: 5}, Checks: map[string]gateway.CheckPolicy{"access.client": {Action: gateway.ActionReject, Class: gateway.ClassList}}}
	pl := &gateway.Pipeline{}
	pl.Rows[gateway.Connect] = []gateway.Row{{Checks: []gateway.Check{{Name: "access.client"}}}}
	find := func(r *gateway.Record) (gateway.Finding, bool) {
		if r.ID == 1 {
			return gateway.Failed(gateway.AccessBlocked).With(gateway.Measure{Name: "block", Value: 1, Text: "192.0.2.0/24"}), true
		}
		return gateway.Passed(), true
	}
	d := desk(nil)
	d.Try = &Trier{Log: source{}, Begin: func(context.Context) (func(), error) { turns++; return func() { turns-- }, nil },
		Draft: func(_ context.Context, c config.Change, x filters.Listed) (*replay.Entry, error) {
			if x.Value == "0.0.0.0/0" {
				return nil, &control.Fault{Status: http.StatusBadRequest, Message: "the whole internet"}
			}
			return &replay.Entry{Check: x.Check, Measure: x.Kind, Value: x.Value, Alone: find, Without: &replay.Draft{Policy: p, Pipeline: pl},
				With: &replay.Draft{Policy: p, Pipeline: pl, Again: []replay.Anew{{Check: "access.client", Find: find}}}}, nil
		}}
	s := surface(t, d)
	ask := func(who access.Actor, value string) (*api.EntryTried, error) {
		return controltest.Ask[*api.EntryTried](t.Context(), s, who, "entry try", &api.EntryTry{List: "client", Kind: "block", Value: value, Days: 7, Limit: 20})
	}
	got, err := ask(operator, "192.0.2.0/24")
	if err != nil || got.Met != 1 || got.Messages != 2 || got.Changed != 1 || got.Harder != 1 || len(got.List) != 1 || turns != 0 {
		t.Fatalf("%v %+v, %d turns", err, got, turns)
	}
	if hidden, err := ask(access.Actor{Role: access.Operator, Rights: []access.Right{access.PolicyRead}}, "192.0.2.0/24"); err != nil || len(hidden.List) != 0 || hidden.More != 1 {
		t.Errorf("without the right to read the log: %v %+v", err, hidden)
	}
	if _, err := ask(operator, "0.0.0.0/0"); controltest.Status(err) != 400 || turns != 0 {
		t.Errorf("%v, %d turns", err, turns)
	}
	if _, err := ask(admin, "192.0.2.0/24"); controltest.Status(err) != 403 {
		t.Error(err)
	}
	var out bytes.Buffer
	got.Unsure = 3
	printTried(&out, got)
	printEntry(&out, &api.Entry{List: "client", Kind: "block", Value: "192.0.2.0/24\x1b", Hits: 3, Owner: "anna", Unused: true})
	for _, want := range []string{"would have met 1 of 2 messages", "1 of them would have had another verdict: 0 milder, 1 harder", "3 more is not known", "accept -> reject", "3 hits", "never met", "owner anna, UNUSED"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, &out)
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("a control octet is printed")
	}
}
