package e2e

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The sizes of the crowds; scripts/soak has the full ones.
var (
	heldFlag    = flag.Int("held", 2000, "how many idle connections TestHeld holds")
	churnedFlag = flag.Int("churned", 3000, "how many connections TestChurn opens and closes")
)

// crowdTime is how long a test with a crowd may take.
func crowdTime(n int) time.Duration { return 8*time.Minute + time.Duration(n)*10*time.Millisecond }

// crowdSetup is a daemon that a crowd fits into, with the limits for each client and network as they are.
func crowdSetup(n int) setup {
	// The connections that a route keeps warm are in the room that a daemon has for more than before.
	routes := []route{{name: "internal", domains: []string{"served.test"}, lines: "pool = 4"}}
	return setup{clamav: "off", spamd: "off", routes: routes, env: []string{collectsOften}, limits: noWaits + "connections = " + strconv.Itoa(n*5/4+100) + "\n"}
}

// TestHeld: thousands of clients connect and say nothing more. Another one's mail passes meanwhile; when they go, all that
// the daemon held for them goes too.
func TestHeld(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), crowdTime(*heldFlag))
	defer cancel()
	w := begin(t, crowdSetup(*heldFlag))
	before := w.warm(t)
	var held, first usage
	for round := range 2 {
		began := time.Now()
		held = w.holds(ctx, t)
		t.Logf("held: %d idle connections, for %v\n  %v: %.1f KiB resident for each", *heldFlag, time.Since(began).Round(time.Millisecond),
			held, float64(held.resident-before.resident)/1024/float64(*heldFlag))
		if round == 0 {
			// Tables keep the room of their fullest moment: what the second crowd leaves must not be more.
			before.memory += int64(*heldFlag) * 512
			first = w.returns(t, before)
			before.memory = first.memory - roomFor.memory + 2<<20
		}
	}
	after := w.returns(t, before)
	w.served(t, "after all went")
	t.Logf("after the first %v\n  after the second %v", first, after)
}

// holds connects a crowd, sees another client served, and says what the daemon holds before all of the crowd goes.
func (w *world) holds(ctx context.Context, t testing.TB) usage {
	t.Helper()
	idle := startCrowd(ctx, t, fmt.Sprintf("hold %s %d", w.addr(), *heldFlag))
	if said := idle.said(t); said.Held != *heldFlag {
		t.Fatalf("%+v of %d\n%s", said, *heldFlag, w.daemon.Log())
	}
	w.served(t, "while thousands wait")
	held := w.usage(t)
	if held.descriptors < *heldFlag {
		t.Errorf("the daemon has %d descriptors for %d connections", held.descriptors, *heldFlag)
	}
	if err := idle.in.Close(); err != nil {
		t.Fatal(err)
	}
	idle.said(t)
	return held
}

// TestChurn: thousands of clients come and go at each stage of a session. Others are served meanwhile, no message is told
// 250 and lost, and nothing is left of them.
func TestChurn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), crowdTime(*churnedFlag))
	defer cancel()
	w := begin(t, crowdSetup(1000))
	before := w.warm(t)
	began, seed := time.Now(), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	busy := startCrowd(ctx, t, fmt.Sprintf("churn %s %d %d", w.addr(), *churnedFlag, seed))
	told := make(chan crowdSaid, 1)
	go func() {
		var s crowdSaid
		if err := busy.out.Decode(&s); err != nil {
			s.Why = err.Error()
		}
		told <- s
	}()
	served := 0
	var said crowdSaid
	for going := true; going; {
		w.served(t, "while others come and go")
		served++
		select {
		case said = <-told:
			going = false
		case <-time.After(100 * time.Millisecond):
		}
	}
	took := time.Since(began)
	if said.Held != *churnedFlag || said.Failed > 0 {
		t.Errorf("%+v of %d", said, *churnedFlag)
	}
	churned := 0
	for _, m := range w.hop(t).Accepted() {
		if strings.Contains(string(m.Body), "\r\nchurned\r\n") {
			churned++
		}
	}
	if churned < said.Accepted || said.Accepted == 0 {
		t.Errorf("the clients were told 250 for %d messages, and the next hop has %d", said.Accepted, churned)
	}
	after := w.returns(t, before)
	t.Logf("churn: %d connections in %v, %.0f a second, %d messages of theirs and %d of another client taken over\n  before %v\n  after  %v",
		*churnedFlag, took.Round(time.Millisecond), float64(*churnedFlag)/took.Seconds(), churned, served, before, after)
}

// served fails unless another client's mail passes.
func (w *world) served(t testing.TB, when string) {
	t.Helper()
	c := w.hello(t)
	if said := c.deliver("bob@served.test", "good"); !said.accepted() {
		t.Fatalf("%s a sender was told %q", when, said.last())
	}
	c.want("221", "QUIT")
	c.conn.Close()
}
