package main

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/journal"
	"gatepost/gateway/spool"
)

// totalsAge is how old the numbers of the spool may be: to count goes over all its messages, and is asked for by many at once.
const totalsAge = time.Second

// counted is what the spool held a moment ago.
type counted struct {
	mu sync.Mutex
	t  spool.Totals
	at time.Time
}

// spoolTotals is how full the spool is.
func (d *daemon) spoolTotals() spool.Totals {
	if d.queue == nil {
		return spool.Totals{}
	}
	c := &d.spoolCounted
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) > totalsAge {
		c.t, c.at = d.queue.Totals(), time.Now()
	}
	return c.t
}

// spoolHealth tells whether the spool takes mail, and whether all that it took is whole.
func (d *daemon) spoolHealth() (bool, string) {
	if d.queue == nil {
		return d.spoolError == "", d.spoolError
	}
	t := d.spoolTotals()
	used := len(d.now.Load().snapshot.Spools) > 0
	switch {
	case t.Latched != "":
		return false, "shut since its disk failed (" + t.Latched + "): mail is deferred; look at the disk, then gatepost queue clear-latch"
	case t.Full && used:
		return false, "full: mail is deferred"
	case t.Damaged > 0:
		return false, fmt.Sprintf("%d damaged files were set aside in %s", t.Damaged, filepath.Join(d.bootstrap.Spool.Dir, "corrupt"))
	case t.Messages == 0 && !used:
		return true, "empty; no route uses it"
	}
	return true, fmt.Sprintf("%d messages, %s, %d held", t.Messages, gateway.ShowSize(t.Octets), stateSum(&t, spool.Held))
}

// queueHealth tells whether mail in the spool gets on.
func (d *daemon) queueHealth() (bool, string) {
	if d.queue == nil {
		return true, ""
	}
	t := d.spoolTotals()
	now, after := d.now.Load(), d.document.Load().Policy.Queue.AlarmAfter
	for i := range t.Routes {
		r := &t.Routes[i]
		if r.Route != "" && !(spoolHop{now}).knows(r.Route) && waiting(r) > 0 {
			return false, fmt.Sprintf("%d messages wait for route %q, which the configuration does not have: gatepost queue reroute", waiting(r), r.Route)
		}
		if age := time.Since(r.Oldest); !r.Oldest.IsZero() && age > after {
			return false, fmt.Sprintf("%d messages wait for route %q, the oldest for %s: %s", waiting(r), r.Route, age.Round(time.Second), orWaits(r.Said))
		}
	}
	return true, fmt.Sprintf("%d messages wait", stateSum(&t, spool.Waiting)+stateSum(&t, spool.Delivering))
}

func orWaits(said string) string {
	if said == "" {
		return "gatepost queue list says why"
	}
	return said
}

// deadHealth tells whether there are dead letters: mail that was answered with 250, failed for good, and whose sender could
// not be told.
func (d *daemon) deadHealth() (bool, string) {
	if d.queue == nil {
		return true, ""
	}
	t := d.spoolTotals()
	if n := stateSum(&t, spool.Dead); n > 0 {
		return false, fmt.Sprintf("%d dead letters, whose senders were not told: gatepost queue list --state dead", n)
	}
	return true, "none"
}

// stateSum is how many messages of all routes are in a state.
func stateSum(t *spool.Totals, s spool.State) (n int) {
	for i := range t.Routes {
		n += t.Routes[i].Messages[s]
	}
	return n
}

// waiting is how many messages of a route are to be delivered.
func waiting(r *spool.RouteTotals) int {
	return r.Messages[spool.Waiting] + r.Messages[spool.Delivering]
}

// spoolCounts counts what became of mail in the spool, by route. The zero value is ready for use.
type spoolCounts struct {
	mu sync.Mutex
	n  map[[2]string]int // route and word
}

// add counts one change.
func (c *spoolCounts) add(ch *spool.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[[2]string]int)
	}
	c.n[[2]string{ch.Route, ch.What}]++
}

// series are the counts as metrics show them.
func (c *spoolCounts) series() (out []journal.Series) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, n := range c.n {
		if k[0] != "" {
			out = append(out, journal.Series{Labels: []string{k[0], k[1]}, Value: float64(n)})
		}
	}
	return out
}

// spoolInstruments shows the spool, and makes its parts of health.
func (d *daemon) spoolInstruments(m *journal.Metrics) {
	h := d.journal.Health()
	h.Watch("spool", d.spoolHealth)
	h.Watch("spool queue", d.queueHealth)
	h.Watch("dead letters", d.deadHealth)
	totals := d.spoolTotals
	byState := func(number func(r *spool.RouteTotals, s spool.State) float64) func() []journal.Series {
		return func() (out []journal.Series) {
			t := totals()
			for i := range t.Routes {
				for _, s := range [...]spool.State{spool.Waiting, spool.Delivering, spool.Held, spool.Dead} {
					out = append(out, journal.Series{Labels: []string{t.Routes[i].Route, s.String()}, Value: number(&t.Routes[i], s)})
				}
			}
			return out
		}
	}
	m.Gauges("spool_messages", "Messages in the spool, by route and what they do.", []string{"route", "state"},
		byState(func(r *spool.RouteTotals, s spool.State) float64 { return float64(r.Messages[s]) }))
	m.Gauges("spool_octets", "Their octets.", []string{"route", "state"},
		byState(func(r *spool.RouteTotals, s spool.State) float64 { return float64(r.Octets[s]) }))
	m.Gauges("spool_oldest_seconds", "Age of the oldest message of a route that waits.", []string{"route"}, func() (out []journal.Series) {
		t := totals()
		for i := range t.Routes {
			if r := &t.Routes[i]; !r.Oldest.IsZero() {
				out = append(out, journal.Series{Labels: []string{r.Route}, Value: time.Since(r.Oldest).Seconds()})
			}
		}
		return out
	})
	m.Counters("spool_events_total", "What became of messages in the spool, by route: queued, delivered, deferred (a try failed), failed, notified, dead, and what operators did.",
		[]string{"route", "what"}, d.spoolCounts.series)
	m.Gauge("spool_damaged", "Files that were not what was written, and were set aside.", func() float64 { return float64(totals().Damaged) })
	m.Gauge("spool_latched", "1 while the spool takes nothing since its disk failed.", func() float64 {
		if totals().Latched != "" {
			return 1
		}
		return 0
	})
}
