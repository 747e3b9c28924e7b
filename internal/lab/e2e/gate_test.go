package e2e

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/store"
)

// shortWait lets the banner wait for so long that it shows, and no longer.
const shortWait = "[checks.pregreet]\nwait = \"2s\"\nstress_wait = \"1s\"\n"

// TestGateRemembers: a client waits for its first banner only, also after kill -9 and after an ordinary restart.
func TestGateRemembers(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{offers: "-", clamav: "off", spamd: "off", policy: shortWait})
	visit := func(name, waited string) {
		t.Helper()
		c := w.dial(t)
		c.want("250", "EHLO "+name)
		c.want("221", "QUIT")
		w.awaitEvent(t, "connection", "helo="+name, "end=quit", "waited_ms="+waited)
	}
	visit("first.example.org", "2000")
	visit("second.example.org", "")
	kept := func() bool {
		c, err := store.OpenClients(t.Context(), filepath.Join(lab.StateDir(w.dir), "clients.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		found := false
		err = c.Load(t.Context(), func(p netip.Prefix, r gateway.Remembered) {
			found = found || p == netip.MustParsePrefix("127.0.0.1/32") && r.Known(time.Now())
		})
		return err == nil && found
	}
	for end := time.Now().Add(clientTime); !kept(); time.Sleep(50 * time.Millisecond) { // about a second
		if time.Now().After(end) {
			t.Fatal("the client is not in clients.db")
		}
	}
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	visit("killed.example.org", "")
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	visit("restarted.example.org", "")
}

// TestGateReal: swaks and a real Postfix wait for the banner, and their mail passes.
func TestGateReal(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), realTime())
	defer cancel()
	w := begin(t, setup{clamav: "off", spamd: "off", offers: "-", policy: shortWait})
	r, err := lab.Swaks{Server: w.addr(), Hello: "swaks.example.org", From: "alice@example.org", To: []string{"bob@served.test"}}.Send(ctx)
	if err != nil || r.Code != 0 {
		t.Fatalf("swaks: %v\n%s", err, r.Transcript)
	}
	w.awaitEvent(t, "connection", "helo=swaks.example.org", "accepted=1", "waited_ms=2000")
	out := labtest.Postfix(t, lab.PostfixOptions{Name: "mta.example.org", Mailboxes: []string{"alice@example.org"}, Relay: w.addr(),
		Settings: []string{"smtp_bind_address = 127.0.0.2"}}) // an address that is not known yet
	for range 2 {
		if err := out.Send(ctx, "alice@example.org", []string{"bob@served.test"}, []byte("From: alice@example.org\nSubject: x\n\nx\n")); err != nil {
			t.Fatal(err)
		}
		if err := out.AwaitEmptyQueue(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.hop(t).AwaitAccepted(ctx, 3); err != nil {
		t.Error(err)
	}
	w.awaitEvent(t, "connection", "client^127.0.0.2:", "accepted=1", "waited_ms=2000")
	w.awaitEvent(t, "connection", "client^127.0.0.2:", "accepted=1", "waited_ms=")
}

// proxied connects to a listener behind proxies, says the octets and returns the client.
func (w *world) proxied(t testing.TB, listener, octets string) *client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", w.daemon.Addr(listener), clientTime)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn, in: bufio.NewReader(conn)}
	_, _ = conn.Write([]byte(octets)) // it may be closed already
	return c
}

func from(address string) string { return "PROXY TCP4 " + address + " 192.0.2.1 50000 25\r\n" }

// TestGateProxied: clients of their own behind one proxy: caps, early talkers, health checks, and what is only counted.
func TestGateProxied(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{offers: "-", clamav: "off", spamd: "off", policy: shortWait,
		limits: noWaits + "connections_per_client = 2\nconnections_per_network = 3\nconnections_per_wide_network = 4\n",
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n" +
			"[[listener]]\nname = \"elsewhere\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"10.0.0.8\"]\n"})
	for _, tt := range []struct{ name, listener, said, reply string }{
		{"one", "proxied", from("198.51.100.1"), "220 "},
		{"two", "proxied", from("198.51.100.1"), "220 "},
		{"client", "proxied", from("198.51.100.1"), "421 4.7.0 Too many connections at once from your address; at most 2"},
		{"third of the network", "proxied", from("198.51.100.2"), "220 "},
		{"network", "proxied", from("198.51.100.3"), "421 4.7.0 Too many connections at once from your network 198.51.100.0/26; at most 3"},
		{"fourth of the wide network", "proxied", from("198.51.101.1"), "220 "},
		{"wide network", "proxied", from("198.51.102.1"), "421 4.7.0 Too many connections at once from your network 198.51.96.0/21; at most 4"},
		{"health check", "proxied", "PROXY UNKNOWN\r\n", "220 "},
		{"TLS", "proxied", from("203.0.113.1") + "\x16\x03\x01\x02\x00", "554 5.5.1 This port begins in clear"},
		{"garbage", "proxied", "PROXY TCP4 x\r\n", ""},
		{"no header", "proxied", "EHLO client.example.org\r\n", ""},
		{"stranger", "elsewhere", from("198.51.100.1"), ""},
	} {
		if got := w.proxied(t, tt.listener, tt.said).reply(); !strings.HasPrefix(got, tt.reply) || tt.reply == "" && got != "" {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	early := w.proxied(t, "proxied", from("203.0.113.7")+"EHLO early.example.org\r\n")
	if got := early.reply(); !strings.HasPrefix(got, "220 ") {
		t.Errorf("early talker: %q", got)
	}
	if got := early.reply(); !strings.HasPrefix(got, "250") {
		t.Errorf("early talker: %q", got)
	}
	early.want("250", "MAIL FROM:<alice@example.org>")
	early.want("550 5.5.1 Refused: your host sent something before our greeting", "RCPT TO:<bob@served.test>")
	early.want("221", "QUIT")
	w.awaitEvent(t, "transaction", "verdict=reject", "reason=pregreet.early_talk", "client=203.0.113.7:50000", "proxy^127.0.0.1:")
	if err := w.daemon.Stop(); err != nil { // what is counted is told each minute, and at the end
		t.Fatal(err)
	}
	counts := map[string]string{}
	for _, e := range w.lines(t) {
		if e.text("kind") == "early" {
			counts[e.text("reason")] += "+" + e.text("count") // a minute may end in between
		}
	}
	for reason, n := range map[string]string{"smtp.too_many_from_client": "+1", "smtp.too_many_from_network": "+2", "pregreet.tls_hello": "+1",
		"proxy.bad": "+1", "proxy.missing": "+1", "proxy.stranger": "+1"} {
		if counts[reason] != n && counts[reason] != strings.Replace(n, "2", "1+1", 1) {
			t.Errorf("%s was counted %q, not %s", reason, counts[reason], n)
		}
	}
}

// TestGateStress: the journal tells once that load is shed and once that it is over, and status says so meanwhile.
func TestGateStress(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{offers: "-", clamav: "off", spamd: "off", limits: noWaits + "connections = 10\nconnections_per_client = 10\n"})
	await := func(kind string) event {
		t.Helper()
		for end := time.Now().Add(clientTime); ; time.Sleep(10 * time.Millisecond) {
			for _, e := range w.lines(t) {
				if e.text("kind") == kind {
					return e
				}
			}
			if time.Now().After(end) {
				t.Fatalf("the journal has no %s", kind)
			}
		}
	}
	var open []*client
	for range 8 {
		open = append(open, w.dial(t))
	}
	if e := await("stress"); e.text("connections") != "8" || e.text("connections_most") != "10" {
		t.Errorf("%v", e)
	}
	if out, _, _, err := w.daemon.Command(t.Context(), "status"); err != nil || !strings.Contains(out, "load is shed") {
		t.Errorf("status: %v\n%s", err, out)
	}
	if _, body, err := w.daemon.Get(t.Context(), "/metrics"); err != nil || !strings.Contains(body, "\ngatepost_stress 1\n") {
		t.Errorf("metrics: %v", err)
	}
	for _, c := range open {
		c.conn.Close()
	}
	await("stress_over")
	for _, kind := range []string{"stress", "stress_over"} {
		n := 0
		for _, e := range w.lines(t) {
			if e.text("kind") == kind {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d times %s", n, kind)
		}
	}
}
