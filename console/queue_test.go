package console

import (
	"context"
	"net/http"
	"testing"
	"time"

	"gatepost/gateway/spool"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// TestQueueLanes shows what waits for each route: how many in which state, since when its next hop is away, what it said, as text, and
// when it is tried again.
func TestQueueLanes(t *testing.T) {
	s := newSite(t)
	away := time.Now().Add(-time.Hour)
	totals := &spool.Totals{Routes: []spool.RouteTotals{
		{Route: "internal", Messages: map[spool.State]int{spool.Waiting: 1200, spool.Held: 3}, Octets: map[spool.State]int64{spool.Waiting: 4000, spool.Held: 1000},
			Oldest: away, Away: away, Said: "<b>no</b> route to host", Tries: 7, Retry: time.Now().Add(90 * time.Second)},
		{Route: "branch", Messages: map[spool.State]int{spool.Dead: 1}, Octets: map[spool.State]int64{spool.Dead: 10}}}}
	s.Surface.Operations = append(s.Surface.Operations, control.Define(control.Operation{Name: "queue list", Method: http.MethodGet, Path: "/queue", Doc: "List", Right: access.QueueRead},
		func(context.Context, *api.QueueAsk) (*api.QueueList, error) {
			return &api.QueueList{Totals: totals, Messages: []spool.Listed{{From: "a@b.test", Next: time.Now().Add(3 * time.Hour)}, {From: "due@b.test", Route: "internal", Next: time.Now().Add(-time.Minute)}}}, nil
		}))
	has(t, s.ask("anna", "GET", "/queue", nil), 200, `data-h="Messages">1,203`, "1200 waiting, 3 held, ", "&lt;b&gt;no&lt;/b&gt; route", "in 90 s", "7 tries", "1 dead, ", "as each is due", "in 3 h", "takes mail", "!>now<") // what is due waits for its route
	totals = nil                                                                                                                                                                                                               // of somebody who sees some domains only
	has(t, s.ask("anna", "GET", "/queue", nil), 200, "in 3 h", ">now<", "!By route")
}

func TestUntilText(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Hour: "now", 400 * time.Millisecond: "now", time.Second: "in 1 s", 119 * time.Second: "in 119 s", 2 * time.Minute: "in 2 min 0 s",
		119*time.Minute + 30*time.Second: "in 119 min 30 s", 2 * time.Hour: "in 2 h", 47*time.Hour + 40*time.Minute: "in 48 h"} {
		if got := untilText(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
