package maillog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/store"
)

// world is a log with mail of the last two days: to one of three domains, to two of them, and connections.
type world struct {
	*control.Surface
	log    *Log
	events []*gateway.Event // the newest first
}

func address(text string) (a gateway.Address) { _ = a.UnmarshalText([]byte(text)); return a }

// mail is an event of a message; each recipient has a word of its own in all that is said of it.
func mail(id gateway.ID, from, subject string, o gateway.Outcome, rcpts ...string) *gateway.Event {
	r := &gateway.Record{ID: id, Session: id - 1, Time: id.Time().UTC(), Stage: gateway.Data, Client: netip.MustParseAddr("192.0.2.25"), Helo: "mail.sender.example", From: address(from), Size: 1000}
	e := &gateway.Event{Kind: gateway.TransactionEvent, Record: r, Policy: "4f2a91", Subject: subject, MessageID: "<" + id.String() + "@x>", Took: time.Duration(id % 5000 * 1e6),
		Session: gateway.Summary{Client: netip.MustParseAddrPort("192.0.2.25:4000"), Transactions: 1, Refused: []string{"RCPT TO:<" + strings.Join(rcpts, "><") + ">"}}}
	e.Verdict.Outcome = o
	if o >= gateway.Quarantine {
		e.Verdict.Reason, e.Verdict.Check = gateway.SpamScore, "spamassassin"
	}
	for i, to := range rcpts {
		r.Rcpts = append(r.Rcpts, gateway.RecordRcpt{To: address(to), Route: "in", Code: 250})
		e.Verdict.Rcpts = append(e.Verdict.Rcpts, gateway.Decision{Outcome: o})
		e.Replies = append(e.Replies, gateway.Reply{Code: 250, Text: to + " is known"})
		r.Findings = append(r.Findings, gateway.Finding{Check: "rcpt", Stage: gateway.Rcpt, Rcpt: i})
		e.Evidence = append(e.Evidence, []gateway.Evidence{{Name: "reply", Text: "250 " + to}})
		e.Verdict.Rules = append(e.Verdict.Rules, gateway.Applied{Rule: "rule of " + to, Rcpts: []int{i}})
	}
	e.Reply = gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok for " + strings.Join(rcpts, " ")}
	e.Relayed = &gateway.Relayed{Result: gateway.Delivered, NextHop: "192.0.2.10:25", Said: e.Reply.Text, Reply: e.Reply}
	return e
}

func newWorld(t *testing.T) *world {
	t.Helper()
	l, err := store.Open(store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	w := &world{}
	now := time.Now()
	outcomes := []gateway.Outcome{gateway.Accept, gateway.Accept, gateway.Tag, gateway.Quarantine, gateway.Defer, gateway.Reject, gateway.Drop}
	for i := range 300 {
		// Less than two days: what is older when it is written is taken for a clock that went wrong, and is in today's file.
		id := gateway.ID(now.Add(-time.Duration(i)*9*time.Minute).Add(-time.Second).UnixMilli())<<20 | gateway.ID(2*i+1)
		to := [][]string{{"a@one.example"}, {"b@two.example"}, {"c@three.example"}, {"a@one.example", "b@two.example"}, {"c@three.example", "d@one.example", "a@one.example"}}[i%5]
		e := mail(id, fmt.Sprintf("s%d@sender.example", i%7), fmt.Sprintf("Offer %d", i), outcomes[i%len(outcomes)], to...)
		if i%50 == 49 {
			e = &gateway.Event{Kind: gateway.ConnectionEvent, Record: &gateway.Record{ID: id, Session: id, Time: id.Time().UTC(), Client: netip.MustParseAddr("198.51.100.7")},
				Session: gateway.Summary{Client: netip.MustParseAddrPort("198.51.100.7:4000"), End: gateway.EndQuit}}
		}
		w.events = append(w.events, e)
		l.Write(e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	w.log = New(l.Reader(), NewTail(l))
	w.Surface = &control.Surface{Operations: w.log.Operations()}
	if err := w.Validate(); err != nil {
		t.Fatal(err)
	}
	return w
}

func everybody() access.Actor { return access.Actor{Name: "anna", Role: access.Operator} }
func of(domains ...string) access.Actor {
	return access.Actor{Name: "hans", Role: access.HelpDesk, Domains: domains}
}

func (w *world) search(t *testing.T, a access.Actor, in api.LogSearch) *api.LogPage {
	t.Helper()
	if in.Limit == 0 {
		in.Limit = 500
	}
	if in.Range == "" {
		in.Range = "7d"
	}
	out, err := w.Call(access.With(t.Context(), a), "log search", &in)
	if err != nil {
		t.Fatalf("%+v: %v", in, err)
	}
	return out.(*api.LogPage)
}

// sees is what an actor sees of an event, by the letter of access.
func sees(a access.Actor, e *gateway.Event) (rcpts []string) {
	for _, r := range e.Record.Rcpts {
		if a.SeesAny(r.To.Text) {
			rcpts = append(rcpts, r.To.Text)
		}
	}
	return rcpts
}

// TestSearch holds what is found, page by page, and what is counted against a walk through all events, for whoever sees
// everything and for whoever sees some domains.
func TestSearch(t *testing.T) {
	w := newWorld(t)
	has := func(text string) func(*gateway.Event) bool {
		return func(e *gateway.Event) bool { return strings.Contains(e.Subject, text) }
	}
	for name, c := range map[string]struct {
		in   api.LogSearch
		want func(*gateway.Event) bool
	}{
		"all":     {api.LogSearch{}, func(*gateway.Event) bool { return true }},
		"stopped": {api.LogSearch{Verdict: "stopped"}, func(e *gateway.Event) bool { return e.Verdict.Outcome >= gateway.Quarantine }},
		"accepted": {api.LogSearch{Verdict: "accepted"}, func(e *gateway.Event) bool {
			return e.Verdict.Outcome < gateway.Quarantine && e.Kind == gateway.TransactionEvent
		}},
		"exactly": {api.LogSearch{Outcomes: []gateway.Outcome{gateway.Tag, gateway.Drop}}, func(e *gateway.Event) bool {
			return e.Verdict.Outcome == gateway.Tag || e.Verdict.Outcome == gateway.Drop
		}},
		"a word":    {api.LogSearch{Query: "offer"}, has("Offer")},
		"a subject": {api.LogSearch{Subject: "offer 12"}, has("Offer 12")},
		"words": {api.LogSearch{Query: `subject:"offer 1" -from:s1 verdict:rejected`}, func(e *gateway.Event) bool {
			return has("Offer 1")(e) && e.Record.From.Text != "s1@sender.example" && e.Verdict.Outcome >= gateway.Reject
		}},
		"a sender": {api.LogSearch{From: "s3@sender.example"}, func(e *gateway.Event) bool { return e.Record.From.Text == "s3@sender.example" }},
		"a client": {api.LogSearch{Query: "ip:198.51.100.0/24"}, func(e *gateway.Event) bool { return e.Kind == gateway.ConnectionEvent }},
		"a check":  {api.LogSearch{Query: "check:spamassassin"}, func(e *gateway.Event) bool { return e.Verdict.Check == "spamassassin" }},
		"a time": {api.LogSearch{Since: w.events[40].Record.Time, Until: w.events[10].Record.Time}, func(e *gateway.Event) bool {
			return e.Record.ID >= w.events[40].Record.ID>>20<<20 && e.Record.ID < w.events[10].Record.ID>>20<<20
		}},
		"to one, beside": {api.LogSearch{To: "two.example"}, func(e *gateway.Event) bool {
			return slices.ContainsFunc(e.Record.Rcpts, func(r gateway.RecordRcpt) bool { return r.To.Domain == "two.example" })
		}},
	} {
		for who, a := range map[string]access.Actor{"everybody": everybody(), "one": of("one.example"), "two": of("two.example", "three.example"), "none": of("four.example")} {
			var want []string
			var counts api.LogCounts
			for _, e := range w.events {
				rcpts := sees(a, e)
				if !c.want(e) || !a.Everywhere() && len(rcpts) == 0 || name == "to one, beside" && !slices.Contains(rcpts, "b@two.example") {
					continue
				}
				want = append(want, e.Record.ID.String()+" "+strings.Join(rcpts, " "))
				*counts.Of(api.ClassOf(e.Kind, e.Outcome(), e.Session.Transactions))++
			}
			for _, limit := range []int{500, 7} {
				var got []string
				in := c.in
				in.Limit = limit
				first := w.search(t, a, in)
				for page := first; ; page = w.search(t, a, in) {
					for _, r := range page.Rows {
						got = append(got, r.ID.String()+" "+strings.Join(r.Rcpts, " "))
						if len(sees(everybody(), eventOf(w, r.ID))) > len(r.Rcpts) && strings.Contains(r.Reply, "@") {
							t.Errorf("%s, %s: %s", name, who, r.Reply)
						}
					}
					if in.Cursor = page.Next; page.Next == "" {
						break
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s, %s, pages of %d: %d rows, want %d\n%q\n%q", name, who, limit, len(got), len(want), got[:min(len(got), 5)], want[:min(len(want), 5)])
				}
				if c.in.Verdict != "" {
					continue // counts are of all classes
				}
				sum := api.LogCounts{}
				for i := range first.Columns {
					sum.Add(&first.Columns[i].LogCounts)
				}
				if first.Counts != counts || sum != counts || !first.Complete {
					t.Errorf("%s, %s: counts %+v, in columns %+v, want %+v, complete %v", name, who, first.Counts, sum, counts, first.Complete)
				}
			}
		}
	}
}

func eventOf(w *world, id gateway.ID) *gateway.Event {
	return w.events[slices.IndexFunc(w.events, func(e *gateway.Event) bool { return e.Record.ID == id })]
}

// TestWrongQuestions shows that what cannot be read is refused, with the field that is wrong.
func TestWrongQuestions(t *testing.T) {
	w := newWorld(t)
	for query, field := range map[string]string{"q:colour:red": "q", "q:from:": "q", "q:ip:somewhere": "q", "q:score:>x": "q", "q:score:NaN": "q", "q:id:abc": "q", "q:verdict:good": "q", "q:-": "q", "q:" + strings.Repeat("a ", 17): "q",
		"q:" + strings.Repeat("x", 501): "q", "cursor:abc": "cursor", "from:*": "q", "client:nowhere": "q"} {
		key, value, _ := strings.Cut(query, ":")
		in := api.LogSearch{Range: "7d", Limit: 5}
		*map[string]*string{"q": &in.Query, "cursor": &in.Cursor, "from": &in.From, "client": &in.Client}[key] = value
		_, err := w.Call(access.With(t.Context(), everybody()), "log search", &in)
		if f, ok := errors.AsType[*control.Fault](err); !ok || f.Status != 400 || f.Field != field {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// TestStory shows the story of each event to each actor: of a message to several, nothing that is told names a recipient of another
// domain, wherever it stands.
func TestStory(t *testing.T) {
	w := newWorld(t)
	all := []string{"a@one.example", "d@one.example", "b@two.example", "c@three.example"}
	for _, a := range []access.Actor{everybody(), of("one.example"), of("two.example"), of("three.example", "two.example"), of("four.example")} {
		for _, e := range w.events[:60] {
			rcpts := sees(a, e)
			out, err := w.Call(access.With(t.Context(), a), "trace", &api.LogReference{ID: e.Record.ID.String()})
			if len(rcpts) == 0 && !a.Everywhere() {
				if controltest.Status(err) != 404 {
					t.Errorf("%v of %v: %v", a.Domains, sees(everybody(), e), err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			for _, to := range all {
				if mine := slices.Contains(rcpts, to); strings.Contains(string(text), to) != mine {
					t.Errorf("%v of %v: %s %v, in %s", a.Domains, sees(everybody(), e), to, !mine, text)
				}
			}
			back := new(api.LogStory)
			if err := json.Unmarshal(text, back); err != nil {
				t.Fatal(err)
			}
			if event, err := back.Event.Event(); err != nil || event.Record.ID != e.Record.ID || len(event.Record.Rcpts) != len(rcpts) || len(event.Evidence) != len(event.Record.Findings) {
				t.Errorf("it does not come back: %v, %s", err, text)
			}
		}
	}
	two := w.events[slices.IndexFunc(w.events, func(e *gateway.Event) bool { return len(sees(of("two.example"), e)) > 0 })]
	for _, a := range []access.Actor{everybody(), of("two.example")} { // of a log that nodes share, of a message and of a connection that lasts
		one := Story(&a, two.Record.ID, &store.Story{Event: two, Connection: two, Node: "mx2"})
		lasts := Story(&a, two.Record.Session, &store.Story{Transactions: []*gateway.Event{two}, Node: "mx2"})
		if one.Event.Node != "mx2" || one.Connection != nil && one.Connection.Node != "mx2" || lasts.Within[0].Node != "mx2" {
			t.Errorf("%v: whose it is: %+v, %+v", a.Domains, one.Event, lasts.Within[0])
		}
	}
	for _, id := range []string{"nonsense", gateway.ID(1 << 60).String()} {
		if _, err := w.Call(access.With(t.Context(), everybody()), "trace", &api.LogReference{ID: id}); err == nil {
			t.Errorf("%s has a story", id)
		}
	}
}

// TestSummary holds the numbers of a summary against a walk through all events; asked again, nothing but what is new is counted.
func TestSummary(t *testing.T) {
	w := newWorld(t)
	for who, a := range map[string]access.Actor{"everybody": everybody(), "one": of("one.example"), "both": of("two.example", "three.example")} {
		for r, long := range api.LogRanges() {
			ask := func() *api.Summary {
				out, err := w.Call(access.With(t.Context(), a), "log summary", &api.SummaryAsk{Range: r})
				if err != nil {
					t.Fatal(err)
				}
				return out.(*api.Summary)
			}
			got := ask()
			var want, sum api.LogCounts
			stopped := 0
			for _, e := range w.events {
				at := e.Record.Time
				if at.Before(got.Since.Add(-piece)) || at.Truncate(piece).Before(got.Since) || !a.Everywhere() && len(sees(a, e)) == 0 {
					continue
				}
				*want.Of(api.ClassOf(e.Kind, e.Outcome(), e.Session.Transactions))++
			}
			for i := range got.Columns {
				sum.Add(&got.Columns[i].LogCounts)
			}
			for _, x := range got.Reasons {
				stopped += x.N
			}
			if got.Counts != want || sum != want || !got.Complete || got.Until.Sub(got.Since) != long || len(got.Columns) != int(long/step(r)) {
				t.Errorf("%s, %s: %+v, in columns %+v, want %+v; %v", who, r, got.Counts, sum, want, got.Complete)
			}
			if r != "1h" && (len(got.Reasons) == 0 || got.Reasons[0].Reason != gateway.SpamScore || stopped < want.Stopped()) { // whole hours
				t.Errorf("%s, %s: %+v, want %d", who, r, got.Reasons, want.Stopped())
			}
			if again := ask(); again.Counts != got.Counts {
				t.Errorf("%s, %s: asked again: %+v, then %+v", who, r, got.Counts, again.Counts)
			}
		}
	}
	if n := len(w.log.counts.hours); n > maxHours {
		t.Errorf("%d hours are kept", n)
	}
}

// TestLatencies holds quantiles against sorted times: never less, and at most a sixth more.
func TestLatencies(t *testing.T) {
	for range 100 {
		var l latencies
		var all []time.Duration
		for range 1 + rand.IntN(500) {
			all = append(all, time.Duration(rand.Int64N(int64(time.Minute))))
			l.add(all[len(all)-1])
		}
		slices.Sort(all)
		for _, q := range []int{500, 950, 990} {
			got, n := l.quantile(q)
			want := max(all[(len(all)*q+999)/1000-1], time.Millisecond)
			if n != len(all) || got < want-time.Microsecond || float64(got) > float64(want)*1.16+float64(time.Microsecond) {
				t.Fatalf("%d of a thousand: %s, want %s", q, got, want)
			}
		}
	}
	if got, n := (&latencies{}).quantile(500); got != 0 || n != 0 {
		t.Error("there are some")
	}
	if latencyStep(1000*time.Hour) != len(latencies{})-1 {
		t.Error("a long time has no place")
	}
}

// kept takes events.
type keeps struct{ n int }

func (k *keeps) Write(*gateway.Event) bool                               { k.n++; return true }
func (k *keeps) Early(time.Time, netip.Prefix, gateway.Reason, int) bool { return true }
func (k *keeps) Fate(*gateway.Fate) bool                                 { return true }

// TestFollow shows who sees which events as they come, that one who does not keep up is told what he missed, that nobody waits for
// him, and that a place becomes free when one goes.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(keeps)
		l := New(store.NewReader(t.TempDir()), NewTail(k))
		follow := func(a access.Actor, in api.LogFollow, slow chan struct{}) (events *[]string, stop func()) {
			ctx, cancel := context.WithCancel(access.With(t.Context(), a))
			events = new([]string)
			ended := make(chan error, 1)
			go func() {
				ended <- l.follow(ctx, &in, func(_, event string, data any) error {
					if slow != nil {
						<-slow
					}
					text := ""
					switch x := data.(type) {
					case api.LogRow:
						text = x.Subject + " " + strings.Join(x.Rcpts, " ")
					case api.LogSkipped:
						text = fmt.Sprint(x.Rows)
					}
					*events = append(*events, event+" "+text)
					return nil
				})
			}()
			synctest.Wait()
			return events, func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		all, stopAll := follow(everybody(), api.LogFollow{}, nil)
		one, stopOne := follow(of("one.example"), api.LogFollow{}, nil)
		stopped, stopStopped := follow(everybody(), api.LogFollow{Verdict: "stopped", Query: "offer"}, nil)
		gate := make(chan struct{})
		slow, stopSlow := follow(everybody(), api.LogFollow{}, gate)
		for i := range 1 + followRows + 10 {
			to, o := []string{"b@two.example"}, gateway.Accept
			if i == 3 {
				to, o = []string{"a@one.example", "b@two.example"}, gateway.Reject
			}
			if !l.Tail.Write(mail(gateway.ID(i+1)<<20, "s@sender.example", fmt.Sprint("Offer ", i), o, to...)) {
				t.Fatal("not taken")
			}
			synctest.Wait()
		}
		if len(*all) != followRows+11 || (*all)[3] != "row Offer 3 a@one.example b@two.example" {
			t.Errorf("all: %d, %q", len(*all), (*all)[:4])
		}
		if !slices.Equal(*one, []string{"row Offer 3 a@one.example"}) || !slices.Equal(*stopped, []string{"row Offer 3 a@one.example b@two.example"}) {
			t.Errorf("one: %q, stopped: %q", *one, *stopped)
		}
		close(gate)
		synctest.Wait()
		if !slices.Contains(*slow, "skipped 10") || len(*slow) != followRows+2 {
			t.Errorf("slow: %d, %q", len(*slow), (*slow)[:3])
		}
		stopAll()
		stopOne()
		stopStopped()
		stopSlow()
		if l.Tail.some.Load() != 0 || k.n != followRows+11 {
			t.Errorf("%d follow, %d were kept", l.Tail.some.Load(), k.n)
		}
		var places []*follower
		for range maxFollowers {
			places = append(places, l.Tail.join())
		}
		if err := l.follow(access.With(t.Context(), everybody()), &api.LogFollow{}, nil); err == nil || !strings.Contains(err.Error(), "too many") {
			t.Errorf("one too many: %v", err)
		}
		l.Tail.leave(places[0])
		if l.Tail.join() == nil {
			t.Error("no place became free")
		}
	})
}

// TestMissed shows that a view that was interrupted is sent what came meanwhile, once.
func TestMissed(t *testing.T) {
	w := newWorld(t)
	last := mail(gateway.ID(time.Now().UnixMilli())<<20|77, "s@sender.example", "After", gateway.Accept, "a@one.example")
	w.log.Tail.Write(last)
	ctx, cancel := context.WithCancel(access.With(t.Context(), of("one.example")))
	got := make(chan string, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- w.log.follow(ctx, &api.LogFollow{Last: (last.Record.ID - 1).String()}, func(id, _ string, data any) error {
			got <- id + " " + data.(api.LogRow).Subject
			return nil
		})
	}()
	if s := <-got; s != last.Record.ID.String()+" After" {
		t.Error(s)
	}
	next := mail(last.Record.ID+1, "s@sender.example", "Later", gateway.Accept, "a@one.example")
	w.log.Tail.Write(last) // written again
	w.log.Tail.Write(next)
	if s := <-got; s != next.Record.ID.String()+" Later" {
		t.Error(s)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// FuzzTerms shows that whatever is typed into the query box is read or refused, and that what is read holds or does not.
func FuzzTerms(f *testing.F) {
	for _, s := range []string{`from:a -to:"b c" score:>8`, `"`, `ip:::1`, `ip:1.2.3.4/0`, "-", ":", "id:", "score:1e999", "\xff:\x00", "check:a\u202eb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		terms, err := readTerms(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x00\n\u202e") {
				t.Errorf("%q", err.Error())
			}
			return
		}
		row := api.LogRow{Rcpts: []string{"a@one.example"}, Subject: "Offer"}
		for i := range terms {
			terms[i].holds(&row)
		}
		if len(terms) > maxTerms {
			t.Errorf("%d words", len(terms))
		}
	})
}
