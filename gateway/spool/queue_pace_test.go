package spool

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// TestLate: an answer that comes after the wait for it was over ends the message without a second copy, and one that comes
// when it is being tried again changes nothing.
func TestLate(t *testing.T) {
	cases := map[string]struct {
		result gateway.RelayResult
		after  time.Duration
		told   string
		copies int
		left   string
	}{
		"delivered": {gateway.Delivered, 10 * time.Minute, "queued a b; deferred a b; delivered a b", 0, ""},
		"refused":   {gateway.RefusedByHop, 10 * time.Minute, "queued a b; deferred a b; failed a b; dead a b", 0, "dead"},
		"deferred":  {gateway.DeferredByHop, 10 * time.Minute, "queued a b; deferred a b; deferred a b; delivered a b", 1, ""},
		"unknown":   {gateway.OutcomeUnknown, 12 * time.Minute, "queued a b; deferred a b; delivered a b", 1, ""},
		"mixed":     {gateway.MixedByHop, 10 * time.Minute, "queued a b; deferred a b; deferred b; delivered a; delivered b", 1, ""},
		"never":     {gateway.NotDelivered, 0, "queued a b; deferred a b; delivered a b", 1, ""},
		"too late":  {gateway.Delivered, 20 * time.Minute, "queued a b; deferred a b; delivered a b", 1, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				h := &lateHop{hop: &w.hop, after: c.after, r: gateway.Relayed{Result: c.result, At: gateway.AtDot, Reply: reply(250)}}
				switch c.result {
				case gateway.RefusedByHop:
					h.r.Reply = reply(550)
				case gateway.MixedByHop:
					h.r.Rcpts = []gateway.Reply{reply(250), reply(450)}
					h.r.Reply = reply(451)
				case gateway.Delivered:
				default:
					h.r.Reply = reply(451)
				}
				w.Queue.opts.NextHop = func() gateway.NextHop { return h }
				id := w.put(gateway.Custody{}, "a@our.example", "b@our.example")
				stop := w.run()
				time.Sleep(time.Hour)
				stop()
				if got := w.words(id); got != c.told || len(w.has()) != c.copies || w.left()[id] != c.left {
					t.Errorf("told %s; %d copies; it is %q", got, len(w.has()), w.left()[id])
				}
			})
		})
	}
}

// lateHop answers the first message late, and takes all others.
type lateHop struct {
	*hop
	after time.Duration // 0: never
	r     gateway.Relayed
	once  bool
}

func (h *lateHop) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	if h.once {
		return h.hop.Relay(ctx, d)
	}
	h.once = true
	if h.after > 0 {
		time.AfterFunc(h.after, func() { d.Late(h.r) })
	}
	return gateway.Relayed{Result: gateway.OutcomeUnknown, At: gateway.AtDot, Reply: reply(451), Late: true}
}

// TestRoutesAreFair: a route with thousands of messages, slow or away, takes nothing from another.
func TestRoutesAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *QueueOptions) { o.Together, o.PerRoute = 6, 4 })
		w.slow = time.Second
		for n := range 300 {
			d := mail(w.ids.Next(), []string{"a", "b", "c"}[min(n/100, 2)], "bob@our.example")
			if err := w.Put(t.Context(), d, gateway.Custody{}); err != nil {
				t.Fatal(err)
			}
		}
		var order []string
		w.answer = func(d *gateway.Delivery, text string) gateway.Relayed {
			if d.Route == "c" {
				return unreached(d, text)
			}
			order = append(order, d.Route)
			return gateway.Relayed{Result: gateway.Delivered, At: gateway.AtDot, Reply: reply(250)}
		}
		stop := w.run()
		time.Sleep(20 * time.Second)
		w.hop.mu.Lock()
		count := map[string]int{}
		for _, m := range order {
			count[m]++
		}
		if w.most > 6 || count["a"] < 35 || count["b"] < 35 || count["a"]-count["b"] > 20 || count["b"]-count["a"] > 20 {
			t.Errorf("%d at once; %v", w.most, count)
		}
		w.hop.mu.Unlock()
		stop()
	})
}

// TestHungStragglers: a route that was away and is back gets its mail although deliveries from before still hang.
func TestHungStragglers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		h := &hangs{hop: &w.hop}
		w.Queue.opts.NextHop = func() gateway.NextHop { return h }
		stop := w.run()
		for range 60 {
			w.put(gateway.Custody{})
		}
		time.Sleep(time.Second)
		h.set("hang")
		for range 3 {
			w.put(gateway.Custody{})
		}
		time.Sleep(time.Second)
		h.set("away")
		w.put(gateway.Custody{})
		time.Sleep(10 * time.Second)
		if r := w.Totals().Routes[0]; r.Away.IsZero() {
			t.Fatalf("%+v", r)
		}
		h.set("")
		var late []gateway.ID
		for range 20 {
			late = append(late, w.put(gateway.Custody{}))
		}
		time.Sleep(20 * time.Second)
		left := w.left()
		for _, id := range late {
			if left[id] != "" {
				t.Errorf("%v is %s", id, left[id])
			}
		}
		time.Sleep(time.Hour)
		stop()
		if r := w.Totals(); len(r.Routes) != 0 || w.index.lanes["inside"].inFlight != 0 {
			t.Errorf("%+v, %d on their way", r, w.index.lanes["inside"].inFlight)
		}
	})
}

// hangs is a hop that takes what comes, hangs with it for half an hour, or is not there.
type hangs struct {
	*hop
	how string
}

func (h *hangs) set(how string) {
	h.mu.Lock()
	h.how = how
	h.mu.Unlock()
}

func (h *hangs) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	h.mu.Lock()
	how := h.how
	h.mu.Unlock()
	switch how {
	case "hang":
		time.Sleep(10 * time.Minute)
		return gateway.Relayed{At: gateway.AtBody, Reply: reply(451)}
	case "away":
		return unreached(d, "")
	}
	return h.hop.Relay(ctx, d)
}

// TestStop: Run ends soon though next hops hang, and what was on its way is still there.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.slow = time.Hour
		for range 20 {
			w.put(gateway.Custody{})
		}
		stop := w.run()
		time.Sleep(time.Minute)
		began := time.Now()
		stop()
		if d := time.Since(began); d < drainTime || d > drainTime+time.Second {
			t.Errorf("it took %v", d)
		}
		if len(w.left()) != 20 {
			t.Errorf("%d are left", len(w.left()))
		}
		w.slow = time.Second
		stop = w.run()
		time.Sleep(100 * time.Millisecond)
		began = time.Now()
		stop() // what is on its way may end
		if len(w.has()) == 0 || time.Since(began) > 2*time.Second {
			t.Errorf("%d were delivered, in %v", len(w.has()), time.Since(began))
		}
	})
}

// TestPanic: a fault in somebody's code costs an attempt, not the queue.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		first := true
		w.answer = func(*gateway.Delivery, string) gateway.Relayed {
			if first {
				first = false
				panic("a fault")
			}
			return gateway.Relayed{Result: gateway.Delivered, At: gateway.AtDot, Reply: reply(250)}
		}
		w.put(gateway.Custody{})
		w.put(gateway.Custody{})
		stop := w.run()
		time.Sleep(time.Minute)
		stop()
		if len(w.has()) != 2 {
			t.Errorf("delivered: %v", w.has())
		}
	})
}

// TestNoSuchRoute: messages of a route that is no more wait, and go once it is there again, or a person sends them another way.
func TestNoSuchRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := []string{"other"}
		w := newWorld(t, func(o *QueueOptions) { o.Known = func(route string) bool { return slices.Contains(known, route) } })
		one, two := w.put(gateway.Custody{}), w.put(gateway.Custody{})
		stop := w.run()
		time.Sleep(time.Hour)
		if r := w.Totals().Routes; w.tries() != 0 || len(r) != 1 || r[0].Said != "no such route in the configuration in force" {
			t.Errorf("%d calls; %+v", w.tries(), r)
		}
		w.do(Action{Verb: Reroute, Route: "other"}, only(one))
		time.Sleep(time.Second)
		if got := w.has(); len(got) != 1 || got[0].id != one {
			t.Errorf("delivered: %v", got)
		}
		stop()
		known = append(known, "inside")
		stop = w.run()
		time.Sleep(time.Minute)
		stop()
		if got := w.has(); len(got) != 2 || got[1].id != two {
			t.Errorf("delivered: %v", got)
		}
	})
}

// TestSchedule: a message that is deferred again and again is tried at the times of the schedule, also over restarts, and by
// another one once it changes.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.answer = func(*gateway.Delivery, string) gateway.Relayed {
			return gateway.Relayed{Result: gateway.DeferredByHop, At: gateway.AtRcpt, Reply: reply(450)}
		}
		id := w.put(gateway.Custody{})
		stop := w.run()
		time.Sleep(63*time.Minute + 10*time.Second)
		stop()
		w.reopen()
		stop = w.run()
		time.Sleep(time.Hour)
		w.Tune(Tuning{Schedule: []time.Duration{time.Hour}})
		time.Sleep(2 * time.Hour)
		stop()
		var waits []time.Duration
		for i := 1; i < len(w.calls); i++ {
			waits = append(waits, w.calls[i].Sub(w.calls[i-1]).Round(time.Minute)/time.Minute)
		}
		if want := []time.Duration{1, 2, 5, 10, 15, 30, 30, 30, 30, 60}; !slices.Equal(waits, want) {
			t.Errorf("it waited %v minutes, want %v", waits, want)
		}
		if l := must(w.List(&Filter{}))[0]; l.ID != id || l.Attempts != 11 || time.Until(l.Next) > time.Hour || l.Said == "" {
			t.Errorf("%+v", l)
		}
	})
}

// TestBusy: a next hop that says it is busy gets nothing until it no longer does, and is not taken for one that is away.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.away(gateway.NextHopBusy)
		w.put(gateway.Custody{})
		stop := w.run()
		time.Sleep(10 * time.Minute)
		if r := w.Totals().Routes[0]; w.tries() != 0 || !r.Away.IsZero() {
			t.Errorf("%d calls, %+v", w.tries(), r)
		}
		w.away("")
		time.Sleep(1100 * time.Millisecond)
		stop()
		if len(w.has()) != 1 {
			t.Error("it was not delivered at once")
		}
	})
}

// TestLimitOfRecipients: no transaction has more recipients than the next hop said.
func TestLimitOfRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.carries.Recipients = 2
		w.put(gateway.Custody{}, "a@our.example", "b@our.example", "c@our.example", "d@our.example", "e@our.example")
		stop := w.run()
		time.Sleep(time.Second)
		stop()
		got := w.has()
		if len(got) != 3 || len(got[0].to) != 2 || len(got[1].to) != 2 || len(got[2].to) != 1 || len(w.left()) != 0 {
			t.Errorf("delivered: %v", got)
		}
	})
}

// TestClockSetBack: nobody waits until a clock that was set back is where it was.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.answer = func(*gateway.Delivery, string) gateway.Relayed {
			return gateway.Relayed{Result: gateway.DeferredByHop, At: gateway.AtRcpt, Reply: reply(450)}
		}
		w.put(gateway.Custody{})
		stop := w.run()
		time.Sleep(time.Second)
		stop()
		l := w.index.lanes["inside"]
		w.clock(time.Now())
		if len(l.due) != 0 || len(l.later) != 1 {
			t.Fatalf("%d due, %d later", len(l.due), len(l.later))
		}
		w.wall = w.wall.Add(time.Hour)
		w.clock(time.Now())
		if len(l.due) != 1 || len(l.later) != 0 {
			t.Errorf("%d due, %d later", len(l.due), len(l.later))
		}
	})
}
