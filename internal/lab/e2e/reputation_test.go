package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"gatepost/internal/lab"
)

// TestReputation: a host that brings malware is bad from the third time on: an admin sees it, with each number, in trace and by
// the command line; it is so after a restart too; and it is a stranger again when he says so.
func TestReputation(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{spamd: "off", policy: "[checks.greylist]\naction = \"off\"\n",
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"})
	brings := func(text, want string) {
		t.Helper()
		c := w.proxied(t, "proxied", from("203.0.113.9"))
		if got := c.reply(); !strings.HasPrefix(got, "220 ") {
			t.Fatal(got)
		}
		c.want("250", "EHLO client.example.org")
		if got := c.deliverFrom("alice@example.org", "anna@served.test", text); !strings.HasPrefix(got.last(), want) {
			t.Errorf("%q, want %q", got.last(), want)
		}
		c.want("221", "QUIT")
		if got := c.reply(); got != "" { // what it taught is learned before the connection ends
			t.Errorf("behind 221: %q", got)
		}
	}
	runs := func(want int, words ...string) string {
		t.Helper()
		out, errOut, code, err := w.daemon.Command(t.Context(), append([]string{"reputation"}, words...)...)
		if err != nil || code != want {
			t.Fatalf("%v: %v, exit %d: %s", words, err, code, errOut)
		}
		return out
	}
	if out := runs(0, "show", "203.0.113.9"); !strings.Contains(out, "client:203.0.113.9 ") || strings.Count(out, "unknown: no history") != 2 {
		t.Errorf("a stranger: %s", out)
	}
	for range 3 {
		brings(lab.EICAR()+"\r\n", "550 5.7.1 ")
	}
	const bad = "bad: accepted 0, spam 0, virus "
	if out := runs(0, "show", "203.0.113.9"); strings.Count(out, bad) != 2 || !strings.Contains(out, "network:203.0.113.0/24 ") {
		t.Errorf("after three: %s", out)
	}
	brings("hello\r\n", "250 ") // nobody is refused for it
	e := w.awaitEvent(t, "transaction", "relay=delivered")
	(&broken{w: w}).until(t, "trace tells of it", func() (string, bool) {
		story, _, code, err := w.daemon.Command(t.Context(), "trace", e.text("id"))
		return story, err == nil && code == 0 && strings.Contains(story, "client: 203.0.113.9: bad: accepted 0, spam 0, virus ") && strings.Contains(story, "2.0 reputation bad")
	})
	if n := w.metric(t, "gatepost_reputation_known{of=\"addresses\"}"); n != 2 {
		t.Errorf("%v addresses are known", n)
	}
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	var first struct{ Subject, Standing string }
	if err := json.Unmarshal([]byte(strings.SplitAfter(runs(0, "top", "5", "--json"), "\n")[0]), &first); err != nil || first.Subject != "client:203.0.113.9" || first.Standing != "bad" {
		t.Errorf("after a restart: %+v, %v", first, err)
	}
	if out := runs(0, "reset", "203.0.113.9"); out != "client:203.0.113.9\nnetwork:203.0.113.0/24\n" {
		t.Errorf("reset: %q", out)
	}
	runs(1, "reset", "203.0.113.9")
	if out := runs(0, "top"); out != "" {
		t.Errorf("top: %s", out)
	}
	runs(1, "show", "not an address")
	runs(2, "show")
	runs(2, "reset")
}

// TestReputationShared: what one node learned another knows, through Redis; and each of them knows it while Redis is away.
func TestReputationShared(t *testing.T) {
	t.Parallel()
	r := redisServer(t)
	table := redisTable(t, "unix:"+r.Socket)
	node := func() *world {
		return begin(t, setup{spamd: "off", bootstrap: table + "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n",
			policy: "[checks.greylist]\naction = \"off\"\n"})
	}
	a, b := node(), node()
	a.awaitMetric(t, "gatepost_redis_up", 1)
	b.awaitMetric(t, "gatepost_redis_up", 1)
	show := func(w *world) string {
		t.Helper()
		out, errOut, code, err := w.daemon.Command(t.Context(), "reputation", "show", "client:203.0.113.9")
		if err != nil || code != 0 {
			t.Fatalf("%v, exit %d: %s", err, code, errOut)
		}
		return out
	}
	for range 3 {
		c := a.proxied(t, "proxied", from("203.0.113.9"))
		c.reply()
		c.want("250", "EHLO client.example.org")
		if got := c.deliverFrom("alice@example.org", "anna@served.test", lab.EICAR()+"\r\n"); !strings.HasPrefix(got.last(), "550 5.7.1 ") {
			t.Errorf("%q", got.last())
		}
	}
	(&broken{w: b}).until(t, "the other node knows it", func() (string, bool) {
		out := show(b)
		return out, strings.Contains(out, "bad: accepted 0, spam 0, virus ")
	})
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*world{a, b} {
		if out := show(w); !strings.Contains(out, "bad: accepted 0, spam 0, virus ") {
			t.Errorf("while Redis is away: %s", out)
		}
	}
}
