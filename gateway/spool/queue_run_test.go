package spool

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// TestPutIsDelivered takes a message, forgets everything but the files, and delivers it as it was.
func TestPutIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		id := w.put(gateway.Custody{Subject: "hello"}, "bob@our.example", "eve@our.example")
		want, err := w.Open(id)
		if err != nil {
			t.Fatal(err)
		}
		defer want.Close()
		w.reopen()
		if got := w.left(); len(got) != 1 || got[id] != "waiting" {
			t.Fatalf("after a restart: %v", got)
		}
		stop := w.run()
		synctest.Wait()
		time.Sleep(time.Second)
		stop()
		got := w.has()
		if len(got) != 1 || got[0].id != id || strings.Join(got[0].to, " ") != "bob@our.example eve@our.example" ||
			!strings.HasSuffix(got[0].text, "of "+id.String()+"\r\n") || int64(len(got[0].text)) != want.Size() {
			t.Fatalf("delivered: %+v", got)
		}
		w.reopen()
		if got := w.left(); len(got) != 0 {
			t.Errorf("left: %v", got)
		}
		if got := w.words(id); got != "queued bob eve; delivered bob eve" {
			t.Errorf("told: %s", got)
		}
	})
}

// TestOutage keeps a route away for ten minutes: nothing but its probes reaches it meanwhile, no message is charged for
// them, and when it is back everything comes once, in order, one at a time first.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.answer, w.slow = unreached, 100*time.Millisecond
		var ids []gateway.ID
		for range 200 {
			ids = append(ids, w.put(gateway.Custody{}))
		}
		stop := w.run()
		time.Sleep(5 * time.Second)
		w.away(gateway.NextHopAway) // its breaker opens
		time.Sleep(10 * time.Minute)
		for _, l := range must(w.List(&Filter{})) {
			if l.State != Waiting || l.Attempts != 0 || !strings.Contains(l.Said, "refused") && !strings.Contains(l.Said, "away") {
				t.Fatalf("while it is away: %+v", l)
			}
		}
		w.hop.mu.Lock()
		tries := len(w.calls)
		w.calls, w.answer, w.carries.Defer = nil, nil, ""
		w.hop.mu.Unlock()
		if tries < 4 || tries > 10 {
			t.Errorf("%d tries in ten minutes", tries)
		}
		if r := w.Totals().Routes[0]; r.Away.IsZero() || r.Messages[Waiting] != 200 || r.Said == "" || r.Oldest.IsZero() {
			t.Errorf("totals: %+v", r)
		}
		time.Sleep(time.Minute)
		stop()
		for turn := 1; turn < 5; turn++ {
			within := 0
			for _, at := range w.calls {
				if at.Sub(w.calls[0]) < time.Duration(turn)*w.slow {
					within++
				}
			}
			if within != 1<<turn-1 && (turn < 4 || within > 1<<turn-1) {
				t.Errorf("%d had begun in the first %d turns", within, turn)
			}
		}
		got := w.has()
		if len(got) != len(ids) || w.most != 10 {
			t.Fatalf("%d of %d were delivered, %d at once", len(got), len(ids), w.most)
		}
		seen := map[gateway.ID]bool{}
		for i, m := range got {
			if seen[m.id] {
				t.Fatalf("%v came twice", m.id)
			}
			seen[m.id] = true
			// Those that are on their way together may pass each other.
			if place := indexOf(ids, m.id); place < i-10 || place > i+10 {
				t.Errorf("%d came as %d", place, i)
			}
		}
		if r := w.Totals(); len(r.Routes) != 0 || r.Messages != 0 || r.Octets != 0 {
			t.Errorf("after that: %+v", r)
		}
	})
}

func indexOf(ids []gateway.ID, id gateway.ID) int {
	for i := range ids {
		if ids[i] == id {
			return i
		}
	}
	return -1
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func reply(code int) gateway.Reply {
	return gateway.Reply{Code: code, Enhanced: map[int]string{2: "2.0.0", 4: "4.2.0", 5: "5.1.1"}[code/100], Text: "said"}
}

// step is what the next hop answers to one transaction: for whom it must be, and what comes of it.
type step struct {
	to     string
	result gateway.RelayResult
	at     string
	codes  []int
}

// TestResults plays results of relays and says what becomes of each recipient, and when it is tried again.
func TestResults(t *testing.T) {
	const minute = time.Minute
	cases := map[string]struct {
		notify bool
		steps  []step
		told   string
		left   string // state
		again  time.Duration
		saved  string // the ends that a restart finds
		notice string
	}{
		"deferred": {steps: []step{{"a b c", gateway.DeferredByHop, gateway.AtDot, nil}},
			told: "queued a b c; deferred a b c", left: "waiting", again: minute, saved: "pending pending pending"},
		"second time": {steps: []step{{"a b c", gateway.DeferredByHop, gateway.AtDot, nil}, {"a b c", gateway.Delivered, gateway.AtDot, nil}},
			told: "queued a b c; deferred a b c; delivered a b c"},
		"refused for all": {notify: true, steps: []step{{"a b c", gateway.RefusedByHop, gateway.AtDot, nil}},
			told: "queued a b c; failed a b c; notified a b c", notice: "a b c"},
		"refused, nobody may be told": {steps: []step{{"a b c", gateway.RefusedByHop, gateway.AtRcpt, []int{550, 551, 552}}},
			told: "queued a b c; failed a b c; dead a b c", left: "dead", saved: "dead dead dead"},
		"one refused at RCPT": {notify: true, steps: []step{{"a b c", gateway.MixedByHop, gateway.AtRcpt, []int{250, 550, 250}}, {"a c", gateway.Delivered, gateway.AtDot, nil}},
			told: "queued a b c; delivered a c; failed b; notified b", notice: "b"},
		"one refused, one later": {notify: true, steps: []step{{"a b c", gateway.MixedByHop, gateway.AtRcpt, []int{450, 550, 251}}, {"c", gateway.Delivered, gateway.AtDot, nil}},
			told: "queued a b c; deferred a; delivered c; failed b; notified b", left: "waiting", again: minute, saved: "pending notified done", notice: "b"},
		"no room beside others": {steps: []step{{"a b c", gateway.MixedByHop, gateway.AtRcpt, []int{250, 452, 452}}, {"a", gateway.Delivered, gateway.AtDot, nil},
			{"b c", gateway.MixedByHop, gateway.AtRcpt, []int{250, 452}}, {"b", gateway.Delivered, gateway.AtDot, nil}, {"c", gateway.Delivered, gateway.AtDot, nil}},
			told: "queued a b c; delivered a b c"},
		"no room, and then none at all": {steps: []step{{"a b c", gateway.MixedByHop, gateway.AtRcpt, []int{250, 452, 452}}, {"a", gateway.DeferredByHop, gateway.AtDot, nil}},
			told: "queued a b c; deferred a b c", left: "waiting", again: minute, saved: "pending pending pending"},
		"mixed after the dot": {notify: true, steps: []step{{"a b c", gateway.MixedByHop, gateway.AtDot, []int{250, 451, 550}}, {"b", gateway.Delivered, gateway.AtDot, nil}},
			told: "queued a b c; deferred b; delivered a; failed c; notified c; delivered b", notice: "c"},
		"mixed, and all of them the same": {steps: []step{{"a b c", gateway.MixedByHop, gateway.AtRcpt, []int{250, 250, 250}}},
			told: "queued a b c; deferred a b c", left: "waiting", again: minute, saved: "pending pending pending"},
		"mixed without replies": {steps: []step{{"a b c", gateway.MixedByHop, gateway.AtRcpt, nil}},
			told: "queued a b c; deferred a b c", left: "waiting", again: minute, saved: "pending pending pending"},
		"broken in the body": {steps: []step{{"a b c", gateway.NotDelivered, gateway.AtBody, nil}},
			told: "queued a b c; deferred a b c", left: "waiting", again: minute, saved: "pending pending pending"},
		"unknown": {steps: []step{{"a b c", gateway.OutcomeUnknown, gateway.AtDot, nil}},
			told: "queued a b c; deferred a b c", left: "waiting", again: minute, saved: "pending pending pending"},
		"not reached": {steps: []step{{"a b c", gateway.NotDelivered, gateway.AtDial, nil}},
			told: "queued a b c", left: "waiting", again: time.Second, saved: "pending pending pending"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var notices []string
				w := newWorld(t, func(o *QueueOptions) {
					o.Notice = func(_ context.Context, f *Failure) error {
						for _, r := range f.Rcpts {
							notices = append(notices, strings.TrimSuffix(r.Address.Text, "@our.example"))
							if r.Reply.Code/100 != 5 || r.Expired || r.NextHop != "hop:25" {
								t.Errorf("notice: %+v", r)
							}
						}
						return nil
					}
				})
				steps := c.steps
				waits := false // all steps are over, and it is tried again
				var mu sync.Mutex
				over := func() bool { mu.Lock(); defer mu.Unlock(); return len(steps) == 0 }
				again := func() bool { mu.Lock(); defer mu.Unlock(); return waits }
				w.answer = func(d *gateway.Delivery, _ string) gateway.Relayed {
					mu.Lock()
					defer mu.Unlock()
					if len(steps) == 0 {
						waits = true
						return unreached(d, "")
					}
					s := steps[0]
					steps = steps[1:]
					var to []string
					for i := range d.Rcpts {
						to = append(to, strings.TrimSuffix(d.Rcpts[i].Address.Text, "@our.example"))
					}
					if got := strings.Join(to, " "); got != s.to {
						t.Errorf("a transaction for %q, want %q", got, s.to)
					}
					r := gateway.Relayed{Result: s.result, At: s.at, NextHop: "hop:25", Reply: reply(map[gateway.RelayResult]int{gateway.Delivered: 250, gateway.RefusedByHop: 550}[s.result])}
					if r.Reply.Code == 0 {
						r.Reply = reply(451)
					}
					for _, code := range s.codes {
						r.Rcpts = append(r.Rcpts, reply(code))
					}
					return r
				}
				id := w.put(gateway.Custody{Notify: c.notify}, "a@our.example", "b@our.example", "c@our.example")
				stop := w.run()
				synctest.Wait()
				for !over() {
					time.Sleep(100 * time.Millisecond)
				}
				synctest.Wait()
				at := time.Now()
				if got := w.words(id); got != c.told {
					t.Errorf("told:\n%s, want\n%s", got, c.told)
				}
				if got := w.left()[id]; got != c.left {
					t.Errorf("it is %q, want %q", got, c.left)
				}
				if got := strings.Join(notices, " "); got != c.notice {
					t.Errorf("notice for %q, want %q", got, c.notice)
				}
				if c.again > 0 {
					for !again() && time.Since(at) < time.Hour {
						time.Sleep(100 * time.Millisecond)
						synctest.Wait()
					}
					if d := time.Since(at); d < c.again-200*time.Millisecond || d > c.again+1200*time.Millisecond {
						t.Errorf("tried again after %v, want %v", d, c.again)
					}
				}
				stop()
				w.reopen()
				if c.saved != "" {
					var ends []string
					for _, r := range must(w.Show(id)).Rcpts {
						ends = append(ends, r.End.String())
					}
					if got := strings.Join(ends, " "); got != c.saved {
						t.Errorf("a restart finds %q, want %q", got, c.saved)
					}
				} else if len(w.left()) != 0 {
					t.Errorf("a restart finds %v", w.left())
				}
			})
		})
	}
}
