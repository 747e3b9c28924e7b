package e2e

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	sys "golang.org/x/sys/unix"

	"gatepost/internal/lab"
)

// TestDrain: a drained host is not ready at once, serves who comes until the time is over and then sends them away, lets
// sessions go on, and takes clients again when it is told.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{})
	command := func(code int, want string, args ...string) {
		t.Helper()
		_, said, got, err := w.daemon.Command(t.Context(), args...)
		if err != nil || got != code || !strings.Contains(said, want) {
			t.Errorf("%q: exit %d, %q, %v; want %d, %q", args, got, said, err, code, want)
		}
	}
	ready := func(want int, text string) {
		t.Helper()
		status, body, err := w.daemon.Get(t.Context(), "/readyz")
		if err != nil || status != want || !strings.Contains(body, text) {
			t.Errorf("/readyz: %d, %v\n%s", status, err, body)
		}
	}
	running := w.hello(t)
	command(1, "the daemon does not drain", "resume")
	command(0, "draining by operator since ", "drain", "--after", "1h")
	ready(http.StatusServiceUnavailable, "draining by operator since ")
	if said := w.hello(t).deliver("bob@served.test", "text"); !said.accepted() {
		t.Errorf("a client that came before the balancer knew was told %q", said.last())
	}
	command(0, "new connections are refused, until gatepost resume", "drain", "--after", "0s")
	c, banner := w.connect(t)
	if !strings.HasPrefix(banner, "421 4.3.2 ") {
		t.Errorf("a new client was told %q", banner)
	}
	c.closed()
	if said := running.deliver("bob@served.test", "text"); !said.accepted() {
		t.Errorf("the running session was told %q", said.last())
	}
	out, _, code, err := w.daemon.Command(t.Context(), "status")
	if err != nil || code != 1 || !strings.Contains(out, "draining by operator since ") {
		t.Errorf("status: exit %d, %v\n%s", code, err, out)
	}
	if _, metrics, err := w.daemon.Get(t.Context(), "/metrics"); err != nil || !strings.Contains(metrics, "\ngatepost_draining 1\n") {
		t.Errorf("the metrics do not tell, %v", err)
	}
	command(0, "the daemon serves again", "resume")
	ready(http.StatusOK, `"ready": true`)
	if said := w.hello(t).deliver("bob@served.test", "text"); !said.accepted() {
		t.Errorf("after resume a client was told %q", said.last())
	}
	kinds := map[string]int{}
	for _, e := range w.lines(t) {
		kinds[e.text("kind")]++
	}
	if kinds["drain"] != 2 || kinds["resume"] != 1 {
		t.Errorf("the journal has %v", kinds)
	}
	command(0, "", "drain", "--after", "0s")
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	w.start(t) // it is not kept
	ready(http.StatusOK, `"ready": true`)
}

// TestDescriptors: a daemon that may not have as many descriptors as its policy can want says so, with the words to write;
// when there are really none left it goes on with those that it serves, tells it once, and takes clients again.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{limits: noWaits + "connections = 5000\nconnections_per_client = 5000\n"})
	w.partIs(t, "descriptors", "allowed")
	var before sys.Rlimit
	if err := sys.Prlimit(w.daemon.PID(), sys.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	limit := func(n uint64) {
		t.Helper()
		if err := sys.Prlimit(w.daemon.PID(), sys.RLIMIT_NOFILE, &sys.Rlimit{Cur: n, Max: before.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	first := w.hello(t)
	limit(60)
	failures := func() int { return strings.Count(w.daemon.Log(), "no connection can be accepted") }
	var crowd []*client
	for range 80 { // the kernel takes those that the daemon cannot
		crowd = append(crowd, w.waiting(t))
	}
	for deadline := time.Now().Add(clientTime); failures() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing is told\n%s", w.daemon.Log())
		}
	}
	first.want("250", "NOOP")
	if said := first.deliver("bob@served.test", "text"); strings.HasPrefix(said.last(), "5") {
		t.Errorf("for want of descriptors a client was told %q", said.last())
	}
	time.Sleep(time.Second) // some more attempts of the accept loop
	// A descriptor that somebody gives back meanwhile lets one client in: then it is over, and begins anew.
	if n := failures(); n > 1+strings.Count(w.daemon.Log(), "connections are accepted again") {
		t.Errorf("it is told %d times\n%s", n, w.daemon.Log())
	}
	limit(before.Max)
	for i, c := range crowd {
		if banner := c.reply(); !strings.HasPrefix(banner, "220 ") {
			t.Errorf("client %d of the backlog was told %q", i, banner)
		}
		c.conn.Close()
	}
	// What failed meanwhile (a name server, the next hop) is left alone for some seconds.
	for deadline := time.Now().Add(2 * clientTime); ; time.Sleep(100 * time.Millisecond) {
		c := w.hello(t)
		said := c.deliver("bob@served.test", "text")
		c.conn.Close()
		if said.accepted() {
			return
		}
		if time.Now().After(deadline) || !strings.HasPrefix(said.last(), "4") {
			t.Fatalf("with descriptors again a client was told %q", said.last())
		}
	}
}

// TestTooFewDescriptors: what cannot be enough is told at the start, and at a reload that wants more.
func TestTooFewDescriptors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{limits: noWaits + "connections = 100\n"})
	w.options.Descriptors = 400
	w.start(t)
	w.partIs(t, "descriptors", "400 allowed")
	w.reload(t, strings.Replace(w.policy, "connections = 100", "connections = 1000", 1), "reload")
	w.partIs(t, "descriptors", "limits.connections = 1000 may need ")
	w.partIs(t, "descriptors", "400 are allowed: write LimitNOFILE=")
	if log := w.daemon.Log(); !strings.Contains(log, "descriptors: too few") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}

// TestMemoryLimit: messages that hold more memory than there is have new clients and messages sent away for a while. The
// daemon lives, what it acknowledged is there, and it recovers.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{clamav: "off", spamd: "off", body: "memory = \"4M\"\nmax_memory = \"1G\"",
		limits: noWaits + "message_size = \"4M\"\nconnections_per_client = 1000\nconnections_per_network = 1000\nconnections_per_wide_network = 1000\n"})
	var err error
	if w.options.Binary, err = lab.BuildPlain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.options.Env = []string{"GOMEMLIMIT=400MiB"}
	w.start(t)
	line := strings.Repeat("x", 98) + "\r\n"
	half := strings.Repeat(line, 36_000)
	var crowd []*client
	for range 140 { // hold 500 MB together, if they are let
		c, banner := w.connect(t)
		if strings.HasPrefix(banner, "220 ") && c.begin() {
			c.send(head + half)
			crowd = append(crowd, c)
		}
	}
	told := func() bool {
		c, r := w.connect(t)
		defer c.conn.Close()
		if strings.HasPrefix(r, "220 ") {
			c.say("EHLO client.example.org")
			r = c.deliver("bob@served.test", "text").last()
		}
		return strings.HasPrefix(r, "421 ") || strings.HasPrefix(r, "452 ")
	}
	awaitTold := func(refused bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * clientTime); told() != refused; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				_, metrics, _ := w.daemon.Get(t.Context(), "/metrics")
				t.Fatalf("with %d messages under way, new ones refused: want %t\n%s\n%s", len(crowd), refused, metrics, w.daemon.Log())
			}
		}
	}
	awaitTold(true)
	before, accepted := len(w.hop(t).Accepted()), 0
	for i, c := range crowd {
		if i >= 30 { // the others leave, and were told nothing
			c.conn.Close()
			continue
		}
		c.send("the end\r\n.\r\n")
		switch r := c.reply(); {
		case strings.HasPrefix(r, "250 "):
			accepted++
		case !strings.HasPrefix(r, "4"):
			t.Errorf("a client was told %q", r)
		}
		c.conn.Close()
	}
	if arrived := len(w.hop(t).Accepted()) - before; arrived != accepted || accepted == 0 {
		t.Errorf("%d were acknowledged and %d arrived", accepted, arrived)
	}
	for _, m := range w.hop(t).Accepted()[before:] {
		if strings.Count(string(m.Body), line) != 36_000 {
			t.Errorf("a message of %d octets arrived", len(m.Body))
		}
	}
	awaitTold(false)
	if err := w.daemon.Stop(); err != nil {
		t.Error(err)
	}
}

// begin runs a transaction as far as the message, or as far as it is let.
func (c *client) begin() bool {
	for _, step := range [...]struct{ say, want string }{{"EHLO client.example.org", "250"}, {"MAIL FROM:<alice@example.org>", "250"},
		{"RCPT TO:<bob@served.test>", "250"}, {"DATA", "354"}} {
		if !strings.HasPrefix(c.say(step.say), step.want) {
			return false
		}
	}
	return true
}

// waiting connects and reads nothing.
func (w *world) waiting(t *testing.T) *client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", w.addr(), clientTime)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t: t, conn: conn, in: bufio.NewReader(conn)}
}
