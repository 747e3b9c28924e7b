package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gatepost/internal/lab"
)

// hourly is a limit whose units come back so slowly that none does while a test runs.
func hourly(of, unit string, unknown, others int) string {
	return fmt.Sprintf("[[rate]]\nof = %q\nunit = %q\nunknown = \"%d/1h\"\nknown = \"%d/1h\"\nbad = \"%d/1h\"\n", of, unit, unknown, others, others)
}

// TestRates: a flood of a client, of its network and before the first line, and a harvest over sessions: what each hears, who
// is spared, and where an admin sees it.
func TestRates(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{clamav: "off", spamd: "off", trusted: `"127.0.0.0/8"`,
		policy: hourly("client", "connections", 5, 1) + hourly("network", "connections", 20, 1) + hourly("unknown-recipient", "recipients", 3, 1) +
			"[checks.greylist]\naction = \"off\"\n",
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n"})
	connects := func(client, want string) *client {
		t.Helper()
		c := w.proxied(t, "proxied", from(client))
		if got := c.reply(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", client, got, want)
		}
		return c
	}
	connect := func(client, want string) { t.Helper(); connects(client, want).conn.Close() }
	for range 5 {
		connect("198.51.100.1", "220 ")
	}
	connect("198.51.100.1", "421 4.7.0 Too many connections in a short time from your address 198.51.100.1; at most 5 per hour; try again in 7")
	for i := range 15 {
		connect(fmt.Sprintf("198.51.100.%d", 2+i), "220 ")
	}
	for range 2 { // 23 came by now, of which the network's limits let 22 pass at most; see limit.NewFront
		connect("198.51.100.60", "421 4.7.0 Too many connections in a short time from your network 198.51.100.0/26; at most 20 per hour; try again in 1")
	}
	connect("198.51.100.60", "421 4.7.0 Too many connections in a short time from your network 198.51.100.0/26; at most 22 per hour; try again in 3600 seconds")
	connect("198.51.100.64", "220 ")
	for range 30 {
		w.dial(t).conn.Close() // from loopback, which is trusted
	}

	for i := range 5 {
		w.hop(t).On(fmt.Sprintf("RCPT <ghost%d@served.test>", i), lab.Action{Bytes: []byte("550 5.1.1 no such user\r\n")})
	}
	const braked = "451 4.7.1 Too many recipients that do not exist, in a short time from your address 203.0.113.9; at most 3 per hour; look at your list of addresses, and try again in 1"
	for i := range 5 { // a guess a session
		c := connects("203.0.113.9", "220 ")
		c.want("250", "EHLO client.example.org")
		c.want("250", "MAIL FROM:<alice@example.org>")
		want := "550 5.1.1 "
		if i >= 3 {
			want = braked
		}
		c.want(want, fmt.Sprintf("RCPT TO:<ghost%d@served.test>", i))
		if i == 4 {
			c.want("250", "RCPT TO:<postmaster@served.test>")
		}
		c.want("221", "QUIT")
		for c.reply() != "" { // its last guess is charged when it ends
			t.Error("more was said behind 221")
		}
	}
	for _, said := range w.hop(t).Commands() {
		if strings.Contains(said, "ghost3@") || strings.Contains(said, "ghost4@") {
			t.Errorf("the next hop was asked behind the limit: %s", said)
		}
	}
	w.awaitEvent(t, "transaction", "reason=rate.unknown", "client=203.0.113.9:50000")

	out, errOut, code, err := w.daemon.Command(t.Context(), "limits", "top", "10", "--json")
	if err != nil || code != 0 {
		t.Fatalf("limits top: %v, exit %d, %s", err, code, errOut)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		var l struct {
			Limit, Subject string
			Over           bool
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		seen[fmt.Sprintf("%s %s %t", l.Limit, l.Subject, l.Over)] = true
	}
	for _, want := range []string{"connections/client/unknown 198.51.100.1/32 true", "connections/network/unknown 198.51.100.0/26 true",
		"recipients/unknown-recipient/unknown 203.0.113.9/32 true"} {
		if !seen[want] {
			t.Errorf("limits top has no %s in\n%s", want, out)
		}
	}
	if out, _, code, err := w.daemon.Command(t.Context(), "limits", "top"); err != nil || code != 0 || !strings.Contains(out, "5 of 5 per hour") {
		t.Errorf("limits top: %v, exit %d\n%s", err, code, out)
	}
	for limit, want := range map[string]float64{"connections/client/unknown": 1, "connections/network/unknown": 2, "recipients/unknown-recipient/unknown": 2} {
		if got := w.metric(t, fmt.Sprintf("gatepost_limit_over_total{limit=%q,refuses=\"yes\"}", limit)); got != want {
			t.Errorf("%s was over %v times, want %v", limit, got, want)
		}
	}
	if err := w.daemon.Stop(); err != nil { // what is counted is told each minute, and at the end
		t.Fatal(err)
	}
	turned := 0.0
	for _, e := range w.lines(t) {
		if e.text("kind") == "early" && e.text("reason") == "rate.connections" {
			var n float64
			fmt.Sscan(e.text("count"), &n)
			turned += n
		}
	}
	if turned != 4 {
		t.Errorf("%v connections are told of that came too fast, want 4", turned)
	}
}
