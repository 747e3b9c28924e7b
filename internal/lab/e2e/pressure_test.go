package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// metric reads a metric by its name with labels; it is -1 where it is not shown.
func (w *world) metric(t *testing.T, name string) float64 {
	t.Helper()
	_, text, err := w.daemon.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return -1
	}
	return n
}

// awaitMetric waits until a metric has a value.
func (w *world) awaitMetric(t *testing.T, name string, want float64) {
	t.Helper()
	got := -1.0
	for deadline := time.Now().Add(60 * time.Second); got != want; time.Sleep(20 * time.Millisecond) {
		if got = w.metric(t, name); got != want && time.Now().After(deadline) {
			t.Fatalf("%s is %v, want %v", name, got, want)
		}
	}
}

// hopMetric is the name of a metric of a next hop.
func (w *world) hopMetric(name, route string) string {
	return fmt.Sprintf("gatepost_next_hop_%s{next_hop=%q,route=%q}", name, w.hops[route].Addr(), route)
}

// TestPressure: fifty senders that stall within a message hold no connection of the next hop, so that its other mail goes
// on over a pool of two. A next hop that hangs after the dot holds what its queue may hold; hundreds of senders more are
// deferred at RCPT, without a body, so that the memory does not grow with them. The other route notices nothing of either.
func TestPressure(t *testing.T) {
	t.Parallel()
	const pool = "recipients = \"none\"\npool = 2\n"
	w := begin(t, setup{offers: "-", clamav: "off", spamd: "off", trusted: `"127.0.0.0/8"`, limits: noWaits + "connections = 2000\n",
		routes: []route{{name: "slow", lines: pool + "queue = 3\n"}, {name: "quick", lines: pool}}})
	quick, slow := w.hops["quick"], w.hops["slow"]
	w.awaitMetric(t, w.hopMetric("connections_idle", "quick"), 1) // one is there before any mail
	w.awaitMetric(t, w.hopMetric("connections_idle", "slow"), 1)
	slow.On("DOT", lab.Silence())

	const stalled = 50
	block := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 1500)
	var held []*client
	for range stalled {
		c := w.hello(t)
		c.want("250", "MAIL FROM:<alice@example.org>")
		c.want("250", "RCPT TO:<bob@quick.test>")
		c.want("354", "DATA")
		c.send(head + block)
		held = append(held, c)
	}
	delivered := 0
	mail := func(n int) {
		t.Helper()
		for range n {
			c := w.hello(t)
			if said := c.deliver("bob@quick.test", "text"); !said.accepted() {
				t.Fatalf("a message of the quick route was told %q", said.last())
			}
			delivered++
			c.want("221", "QUIT")
		}
	}
	mail(20)
	if all := quick.Accepted(); len(all) != delivered || quick.Connections() > 2 {
		t.Errorf("the next hop has %d messages over %d connections at once", len(all), quick.Connections())
	}

	// Of a pool of two one is for mail: one message is on its way, and three wait.
	const taken = 4
	told := make(chan string, taken)
	var waiting sync.WaitGroup
	for range taken {
		c := w.hello(t)
		waiting.Go(func() {
			said := c.deliver("bob@slow.test", block)
			told <- said.dot
		})
	}
	w.awaitMetric(t, w.hopMetric("waiting", "slow"), taken-1)
	w.awaitMetric(t, w.hopMetric("connections_busy", "slow"), 1)
	for i := range 100 { // in less than the 30 s that the others may wait, on any machine
		c := w.hello(t)
		c.want("250", "MAIL FROM:<alice@example.org> SIZE=4000000")
		if r := c.say("RCPT TO:<bob@slow.test>"); !strings.HasPrefix(r, "451 4.4.5 The mail server behind this host takes mail more slowly") {
			t.Fatalf("sender %d was told %q", i, r)
		}
		if i%15 == 0 {
			c.want("250", "RSET")
			mail(1)
		}
	}
	w.awaitEvent(t, "transaction", "rcpts=bob@slow.test", "reason=next_hop.busy", "verdict=defer")
	if n := w.metric(t, "gatepost_bodies"); n != stalled+taken {
		t.Errorf("%v bodies are held, want %d", n, stalled+taken)
	}
	// What is held is what these bodies need, and no more than a little for each of the hundreds that wait elsewhere.
	if n := w.metric(t, "go_memstats_heap_inuse_bytes"); n > 160<<20 {
		t.Errorf("the heap is of %.0f octets", n)
	}

	slow.Forget() // its connections break: the outcome of the first is unknown, and the rest goes on
	waiting.Wait()
	close(told)
	unknown := 0
	for r := range told {
		if strings.HasPrefix(r, "451 4.4.2") {
			unknown++
		} else if !strings.HasPrefix(r, "250") {
			t.Errorf("a message to the next hop that hung was told %q", r)
		}
	}
	if all := slow.Accepted(); unknown != 1 || len(all) != taken-unknown {
		t.Errorf("%d of unknown outcome, %d messages at the next hop that hung", unknown, len(all))
	}
	for _, c := range held {
		c.send(".\r\n")
	}
	for _, c := range held {
		if r := c.reply(); !strings.HasPrefix(r, "250 ") {
			t.Errorf("a message that was slow to come was told %q", r)
		}
	}
	if all := quick.Accepted(); len(all) != delivered+stalled {
		t.Errorf("the next hop has %d messages, want %d", len(all), delivered+stalled)
	}
	w.awaitMetric(t, w.hopMetric("waiting", "slow"), 0)
	w.awaitMetric(t, "gatepost_bodies", 0)
}
