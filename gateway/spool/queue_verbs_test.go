package spool

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// do does a verb to the messages, and returns what was said of each.
func (w *world) do(a Action, f Filter) string {
	var out []string
	err := w.Do(w.t.Context(), &f, a, func(l *Listed, err error) error {
		word := "done"
		if err != nil {
			word = err.Error()
		}
		out = append(out, word)
		return nil
	})
	if err != nil {
		out = append(out, err.Error())
	}
	return strings.Join(out, "; ")
}

func only(id gateway.ID) Filter { return Filter{IDs: []gateway.ID{id}} }

// TestVerbs does each verb to a message in each state, dry first, and looks at it before and after a restart.
func TestVerbs(t *testing.T) {
	cases := []struct {
		state State
		verb  Verb
		said  string // "done", or why not
		then  string // state, before anything else happens
		told  string
		sent  int // deliveries in the hour after
	}{
		{Waiting, Retry, "done", "waiting", "retried", 1},
		{Waiting, Hold, "done", "held", "held", 0},
		{Waiting, Release, "nothing is to be done", "waiting", "", 1},
		{Waiting, Bounce, "done", "dead", "bounced", 0},
		{Waiting, Delete, "done", "", "deleted", 0},
		{Waiting, Reroute, "done", "waiting", "rerouted", 1},
		{Held, Retry, "nothing is to be done", "held", "", 0},
		{Held, Hold, "nothing is to be done", "held", "", 0},
		{Held, Release, "done", "waiting", "released", 1},
		{Held, Bounce, "done", "dead", "bounced", 0},
		{Held, Delete, "done", "", "deleted", 0},
		{Held, Reroute, "done", "held", "rerouted", 0},
		{Dead, Retry, "done", "waiting", "retried", 1},
		{Dead, Hold, "done", "held", "held", 0},
		{Dead, Release, "nothing is to be done", "dead", "", 0},
		{Dead, Bounce, "nothing is to be done", "dead", "", 0},
		{Dead, Delete, "done", "", "deleted", 0},
		{Dead, Reroute, "done", "waiting", "rerouted", 1},
		{Delivering, Hold, "it is being delivered now", "", "", 1},
		{Delivering, Delete, "it is being delivered now", "", "", 1},
	}
	for _, c := range cases {
		t.Run(c.state.String()+" "+string(c.verb), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.answer = func(*gateway.Delivery, string) gateway.Relayed {
					code, result := 451, gateway.DeferredByHop
					if c.state == Dead {
						code, result = 550, gateway.RefusedByHop
					}
					return gateway.Relayed{Result: result, At: gateway.AtDot, Reply: reply(code)}
				}
				if c.state == Delivering {
					w.answer, w.slow = nil, time.Minute
				}
				id := w.put(gateway.Custody{})
				stop := w.run()
				time.Sleep(time.Second)
				if c.state == Held {
					w.do(Action{Verb: Hold}, only(id))
				}
				if got := w.left()[id]; got != c.state.String() {
					t.Fatalf("it is %s", got)
				}
				if c.state != Delivering {
					stop()
					stop = func() {}
				}
				before := w.words(id)
				a := Action{Verb: c.verb, Route: "other", DryRun: true}
				if got := w.do(a, only(id)); got != c.said || w.words(id) != before || w.left()[id] != c.state.String() {
					t.Errorf("dry: %s; %s", got, w.left()[id])
				}
				a.DryRun = false
				if got := w.do(a, only(id)); got != c.said {
					t.Errorf("%s, want %s", got, c.said)
				}
				if c.told != "" && !strings.Contains(strings.TrimPrefix(w.words(id), before), c.told+" bob") {
					t.Errorf("told: %s", w.words(id))
				}
				for range 2 {
					if c.state == Delivering {
						break
					}
					if got := w.left()[id]; got != c.then {
						t.Errorf("it is %q, want %q", got, c.then)
					}
					if c.verb == Reroute && must(w.Show(id)).Route != "other" {
						t.Errorf("it goes to %s", must(w.Show(id)).Route)
					}
					w.reopen()
				}
				stop()
				w.hop.mu.Lock()
				w.answer, w.slow = nil, 0
				w.hop.mu.Unlock()
				stop = w.run()
				time.Sleep(time.Hour)
				stop()
				if got := len(w.has()); got != c.sent {
					t.Errorf("%d deliveries, want %d", got, c.sent)
				}
			})
		})
	}
}

// TestBulk picks messages by each part of a filter, and refuses what would be too much.
func TestBulk(t *testing.T) {
	w := newWorld(t, func(o *QueueOptions) { o.Known = func(route string) bool { return route != "gone" } })
	var ids []gateway.ID
	for i, to := range []string{"a@our.example", "B@Our.example", "c@our.example"} {
		d := mail(w.ids.Next(), []string{"inside", "other", "inside"}[i], to)
		if i == 2 {
			d.From = gateway.Address{}
			for range 20 {
				d.Rcpts = append(d.Rcpts, gateway.Recipient{Address: addr("somebody.with.a.long.name@our.example")})
			}
			d.Rcpts = append(d.Rcpts, gateway.Recipient{Address: addr("last@our.example")})
		}
		if err := w.Put(t.Context(), d, gateway.Custody{Arrived: time.Unix(int64(1000*(i+1)), 0)}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	for name, c := range map[string]struct {
		f    Filter
		want string
	}{
		"all":         {Filter{}, "012"},
		"ids":         {Filter{IDs: []gateway.ID{ids[2], ids[0], ids[0], 7}}, "02"},
		"route":       {Filter{Route: "other"}, "1"},
		"state":       {Filter{State: "held"}, ""},
		"from":        {Filter{From: "ANNA@"}, "01"},
		"null":        {Filter{From: "<>"}, "2"},
		"to":          {Filter{To: "b@our.EXAMPLE"}, "1"},
		"last of 22":  {Filter{To: "last@"}, "2"},
		"none of 22":  {Filter{To: "lost@"}, ""},
		"before":      {Filter{Before: time.Unix(2000, 0)}, "0"},
		"after":       {Filter{After: time.Unix(2000, 0)}, "12"},
		"larger":      {Filter{Larger: 1 << 20}, ""},
		"smaller":     {Filter{Smaller: 1 << 20}, "012"},
		"limit":       {Filter{Limit: 2}, "01"},
		"more limits": {Filter{Limit: 1, To: "our.example", Route: "inside"}, "0"},
	} {
		got := ""
		for _, l := range must(w.List(&c.f)) {
			got += string(rune('0' + slices.Index(ids, l.ID)))
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for said, a := range map[string]Action{
		ErrAll.Error():                   {Verb: Delete},
		`there is no route "gone"`:       {Verb: Reroute, Route: "gone"},
		`"burn" is no verb of the queue`: {Verb: "burn"},
	} {
		f := Filter{Limit: 1}
		if a.Verb == Reroute {
			f = only(ids[0])
		}
		if got := w.do(a, f); got != said {
			t.Errorf("%s: %s", a.Verb, got)
		}
	}
	enough := errors.New("enough")
	n := 0
	if err := w.Do(t.Context(), &Filter{}, Action{Verb: Hold}, func(*Listed, error) error { n++; return enough }); err != enough || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	if s := must(w.Show(ids[2])); len(s.Listed.To) != 22 || len(s.Rcpts) != 22 || s.More || s.File == "" {
		t.Errorf("shown: %+v", s)
	}
	m := must(w.Open(ids[1]))
	defer m.Close()
	if text := string(must(io.ReadAll(m))); !strings.HasPrefix(text, "Subject: "+ids[1].String()) || !strings.HasSuffix(text, "of "+ids[1].String()+"\r\n") {
		t.Errorf("%q", text)
	}
}

// TestFailureIsTold: who may be told of a failure, and what becomes of the message when telling fails.
func TestFailureIsTold(t *testing.T) {
	cases := map[string]struct {
		custody gateway.Custody
		from    string
		notify  []string
		errs    []error // of Notice, one by one; then nil
		asked   int
		told    string
		left    string
	}{
		"authenticated":     {custody: gateway.Custody{Notify: true}, from: "anna@sender.example", asked: 1, told: "queued bob; failed bob; notified bob"},
		"not authenticated": {from: "anna@sender.example", told: "queued bob; failed bob; dead bob", left: "dead"},
		"null":              {custody: gateway.Custody{Notify: true}, told: "queued bob; failed bob; dead bob", left: "dead"},
		"never":             {custody: gateway.Custody{Notify: true}, from: "anna@sender.example", notify: []string{"NEVER"}, told: "queued bob; failed bob; dead bob", left: "dead"},
		"only delays":       {custody: gateway.Custody{Notify: true}, from: "anna@sender.example", notify: []string{"DELAY"}, told: "queued bob; failed bob; dead bob", left: "dead"},
		"failures":          {custody: gateway.Custody{Notify: true}, from: "anna@sender.example", notify: []string{"SUCCESS", "failure"}, asked: 1, told: "queued bob; failed bob; notified bob"},
		"none can be made":  {custody: gateway.Custody{Notify: true}, from: "anna@sender.example", errs: []error{ErrNoNotice}, asked: 1, told: "queued bob; failed bob; dead bob", left: "dead"},
		"no room for it":    {custody: gateway.Custody{Notify: true}, from: "anna@sender.example", errs: []error{ErrNoRoom, ErrLatched}, asked: 3, told: "queued bob; failed bob; notified bob"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				w := newWorld(t, func(o *QueueOptions) {
					o.Notice = func(_ context.Context, f *Failure) error {
						if asked++; asked <= len(c.errs) {
							return c.errs[asked-1]
						}
						text, err := io.ReadAll(f.Message)
						if f.From.Text != "anna@sender.example" || len(f.Rcpts) != 1 || f.Rcpts[0].Reply.Code != 550 || err != nil || !strings.HasPrefix(string(text), "Subject:") {
							t.Errorf("%+v", f)
						}
						return nil
					}
				})
				w.answer = func(*gateway.Delivery, string) gateway.Relayed {
					return gateway.Relayed{Result: gateway.RefusedByHop, At: gateway.AtRcpt, Reply: reply(550), Rcpts: []gateway.Reply{reply(550)}}
				}
				d := mail(w.ids.Next(), "inside", "bob@our.example")
				d.From, d.Rcpts[0].Options.Notify = addr(c.from), c.notify
				if err := w.Put(t.Context(), d, c.custody); err != nil {
					t.Fatal(err)
				}
				for range 2 { // a restart asks nobody again
					stop := w.run()
					time.Sleep(time.Hour)
					stop()
					w.reopen()
				}
				if asked != c.asked || w.words(d.ID) != c.told || w.left()[d.ID] != c.left || len(w.calls) != 1 {
					t.Errorf("asked %d times; told %s; it is %q; %d relays", asked, w.words(d.ID), w.left()[d.ID], len(w.calls))
				}
			})
		})
	}
}

// TestExpiry: what cannot be delivered in its lifetime fails, but not for a route that could not be asked; what is held
// and what is dead does not expire.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *QueueOptions) {
			o.Lifetime = 6 * time.Hour // a day of it would be a hundred thousand looks at a route that is away
			o.Notice = func(_ context.Context, f *Failure) error {
				if r := f.Rcpts[0]; !r.Expired || r.Reply.IsZero() {
					t.Errorf("%+v", r)
				}
				return nil
			}
		})
		w.answer = func(d *gateway.Delivery, text string) gateway.Relayed {
			if d.Route == "other" {
				return unreached(d, text)
			}
			return gateway.Relayed{Result: gateway.DeferredByHop, At: gateway.AtRcpt, Reply: reply(450)}
		}
		deferred, held := w.put(gateway.Custody{Notify: true}), w.put(gateway.Custody{Notify: true})
		w.do(Action{Verb: Hold}, only(held))
		d := mail(w.ids.Next(), "other", "bob@our.example")
		if err := w.Put(t.Context(), d, gateway.Custody{Notify: true}); err != nil {
			t.Fatal(err)
		}
		stop := w.run()
		time.Sleep(6*time.Hour - time.Minute)
		if got := w.left(); len(got) != 3 {
			t.Errorf("before its time: %v", got)
		}
		stop()
		time.Sleep(2 * time.Hour) // nobody runs; then the route is not yet known to be away
		w.reopen()
		stop = w.run()
		time.Sleep(10 * time.Minute)
		if got := w.left(); got[deferred] != "" || got[d.ID] != "waiting" || got[held] != "held" {
			t.Errorf("ten minutes after a start: %v", got)
		}
		time.Sleep(time.Hour)
		stop()
		if got := w.left(); len(got) != 1 || got[held] != "held" {
			t.Errorf("in the end: %v", got)
		}
		for id, want := range map[gateway.ID]string{deferred: "; failed bob; notified bob", d.ID: "queued bob; failed bob; notified bob"} {
			if got := w.words(id); !strings.HasSuffix(got, want) {
				t.Errorf("told: %s", got)
			}
		}
	})
}

// TestRetryOfARouteThatIsAway: a person's word is tried at once, whatever the schedule says.
func TestRetryOfARouteThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.away(gateway.NextHopAway)
		w.answer = unreached
		id := w.put(gateway.Custody{})
		stop := w.run()
		time.Sleep(2 * time.Hour)
		before := w.tries()
		w.do(Action{Verb: Retry}, only(id))
		time.Sleep(time.Second)
		if n := w.tries(); n != before+1 {
			t.Errorf("%d tries, and %d before", n, before)
		}
		stop()
	})
}

// TestDeadAfterAHold: a message that was held for a month is not old as a dead letter at once.
func TestDeadAfterAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		id := w.put(gateway.Custody{})
		w.do(Action{Verb: Hold}, only(id))
		time.Sleep(40 * 24 * time.Hour)
		w.do(Action{Verb: Bounce}, only(id))
		w.reopen()
		if l := must(w.List(&Filter{State: "dead"})); len(l) != 1 || time.Since(l[0].Arrived) > time.Minute {
			t.Errorf("%+v", l)
		}
	})
}

// TestVerbWhileOthersAct: of many dead letters that are removed, one that somebody lets be tried again meanwhile stays.
func TestVerbWhileOthersAct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		ids := []gateway.ID{w.put(gateway.Custody{}), w.put(gateway.Custody{})}
		w.do(Action{Verb: Bounce}, Filter{IDs: ids})
		old := Filter{State: "dead"}
		var said []error
		err := w.Do(t.Context(), &old, Action{Verb: Delete}, func(l *Listed, err error) error {
			if said = append(said, err); len(said) == 1 {
				w.do(Action{Verb: Retry}, Filter{IDs: ids})
			}
			return nil
		})
		if err != nil || len(said) != 2 || said[0] != nil || !errors.Is(said[1], ErrNothing) {
			t.Errorf("%v: %v", said, err)
		}
		if left := w.left(); len(left) != 1 || !slices.Contains(ids, must(w.List(&Filter{}))[0].ID) {
			t.Errorf("left: %v", left)
		}
	})
}
