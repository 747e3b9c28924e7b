package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/internal/lab"
	"gatepost/internal/store"
)

// waiter is one line of gatepost greylist list --json.
type waiter struct {
	Key, From, To, Client, Identity, Reference string
	Since, Pass                                time.Time
	Named                                      bool
}

// grey runs a command of gatepost greylist.
func (w *world) grey(t *testing.T, exit int, words ...string) (out, errOut string) {
	t.Helper()
	out, errOut, code, err := w.daemon.Command(t.Context(), append([]string{"greylist"}, words...)...)
	if err != nil || code != exit {
		t.Fatalf("greylist %v: %v, exit %d: %s", words, err, code, errOut)
	}
	return out, errOut
}

// waiters asks who waits.
func (w *world) waiters(t *testing.T) (list []waiter) {
	t.Helper()
	out, _ := w.grey(t, 0, "list", "--json")
	for line := range strings.Lines(out) {
		var x waiter
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err, line)
		}
		list = append(list, x)
	}
	return list
}

// greyTry has a stranger try a recipient, and send a message where it is taken.
func (w *world) greyTry(t *testing.T, to, want string) {
	t.Helper()
	c := w.proxied(t, "proxied", from("198.51.100.9"))
	if got := c.reply(); !strings.HasPrefix(got, "220 ") {
		t.Fatal(got)
	}
	c.want("250", "EHLO bot.fresh.test")
	c.want("250", "MAIL FROM:<alice@a.fresh.test>")
	c.want(want, "RCPT TO:<"+to+">")
	if strings.HasPrefix(want, "250") {
		c.want("354", "DATA")
		c.want("250", "From: alice@a.fresh.test\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\nSubject: x\r\n\r\nx\r\n.")
	}
	c.want("221", "QUIT")
}

// TestGreylisting is a stranger that is held, seen by a person with its time to pass, over kill -9 too, released, forgotten,
// and that passes by itself in the end.
func TestGreylisting(t *testing.T) {
	t.Parallel()
	const grey = "[checks.pregreet]\nwait = \"0s\"\nstress_wait = \"0s\"\n[checks.greylist]\ndelay = "
	w := begin(t, setup{offers: "-", clamav: "off", spamd: "off", policy: grey + "\"10m\"\n",
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"})
	if list := w.waiters(t); len(list) != 0 {
		t.Errorf("%v", list)
	}
	w.greyTry(t, "bob@served.test", "451 4.7.1 Greylisted: your host is not known here yet; let it try again in 600 seconds")
	w.greyTry(t, "bob@served.test", "451 4.7.1 Greylisted: ")
	w.greyTry(t, "carol@served.test", "451 4.7.1 Greylisted: ")
	w.awaitMetric(t, `gatepost_greylist_total{outcome="first"}`, 2)
	w.awaitMetric(t, `gatepost_greylist_total{outcome="early"}`, 1)
	list := w.waiters(t)
	if len(list) != 2 || list[0].To != "carol@served.test" || list[1].From != "alice@a.fresh.test" || list[1].Client != "198.51.100.9" ||
		list[1].Identity != "net:198.51.100.0/24" || list[1].Pass.Sub(list[1].Since) != 10*time.Minute {
		t.Fatalf("%+v", list)
	}
	if out, _ := w.grey(t, 0, "list"); !strings.Contains(out, "passes in 9m") && !strings.Contains(out, "passes in 10m") || !strings.Contains(out, "<alice@a.fresh.test> -> bob@served.test") {
		t.Error(out)
	}
	bob := list[1].Key

	// It is kept over kill -9 within a second or so, with the names from the log.
	for end := time.Now().Add(clientTime); w.kept(t) < 2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("greylist.db does not have it")
		}
	}
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	if again := w.waiters(t); len(again) != 2 || again[1].Key != bob || !again[1].Since.Equal(list[1].Since) || again[1].To != "bob@served.test" || again[1].Reference == "" {
		t.Errorf("after kill -9: %+v", again)
	}

	// A person releases one by its key, and the other by its addresses.
	w.grey(t, 0, "release", bob)
	w.grey(t, 1, "release", bob)
	w.greyTry(t, "bob@served.test", "250")
	w.grey(t, 0, "release", "--from", "alice@a.fresh.test", "--to", "Carol@served.test")
	w.greyTry(t, "carol@served.test", "250")
	w.grey(t, 0, "forget", "--to", "carol@served.test")
	w.greyTry(t, "carol@served.test", "451 4.7.1 ")
	w.grey(t, 0, "forget", "--identity", "net:198.51.100.0/24")
	w.greyTry(t, "bob@served.test", "451 4.7.1 ")
	if _, said := w.grey(t, 1, "release", "no-key"); !strings.Contains(said, "20 letters") {
		t.Error(said)
	}

	// One that waits its time passes by itself, and the wait is told.
	w.policy = strings.Replace(w.policy, "\"10m\"", "\"1s\"", 1)
	if err := w.daemon.Reload(w.config, w.policy); err != nil {
		t.Fatal(err)
	}
	w.greyTry(t, "dora@served.test", "451 4.7.1 ")
	time.Sleep(1100 * time.Millisecond)
	w.greyTry(t, "dora@served.test", "250")
	w.awaitMetric(t, `gatepost_greylist_total{outcome="passed"}`, 1)
	// The client had a message accepted before: it is a known sender that was held, which is what an operator wants to know.
	if p95 := w.metric(t, `gatepost_greylist_delay_seconds{quantile="0.95",sender="known"}`); p95 < 1 {
		t.Errorf("p95 is %v", p95)
	}
	did := 0
	for _, e := range w.lines(t) {
		if e.text("kind") == "greylist" {
			did++
		}
	}
	if did != 5 {
		t.Errorf("%d lines of what a person did", did)
	}
}

// kept is how many pairs greylist.db has.
func (w *world) kept(t *testing.T) (n int) {
	t.Helper()
	g, err := store.OpenGreylist(t.Context(), filepath.Join(lab.StateDir(w.dir), "greylist.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Load(t.Context(), func(greylist.Key, greylist.Record) { n++ }, func(greylist.Tag, greylist.Passes) {}); err != nil {
		t.Fatal(err)
	}
	return n
}
