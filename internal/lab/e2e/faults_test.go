package e2e

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// awaitBegun waits until the next hop has been given the message, and has not answered.
func awaitBegun(t *testing.T, hop *lab.NextHop) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(5 * time.Millisecond) {
		for _, line := range hop.Commands() {
			if line == "DATA" {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the next hop heard only %q", hop.Commands())
		}
	}
}

// begun is a client in the middle of a message.
func (w *world) begun(t *testing.T) *client {
	t.Helper()
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	c.want("250", "RCPT TO:<bob@served.test>")
	c.want("354", "DATA")
	c.send(head + "the first half\r\n")
	return c
}

// TestClientVanishes: a client that goes away in the middle of a message has sent none; one that goes away after the dot
// has, and does not stop the delivery.
func TestClientVanishes(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{})
	for _, how := range []string{"closes", "resets"} {
		c := w.begun(t)
		if how == "resets" {
			if err := c.conn.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
		}
		c.conn.Close()
	}
	for n := range 2 {
		if _, err := w.await(t.Context(), n, "connection", func(e event) bool {
			return e.text("kind") == "connection" && e.text("end") == "closed" && e.text("transactions") == "1"
		}); err != nil {
			t.Fatal(err)
		}
	}
	hop := w.hop(t)
	if all := hop.Messages(); len(all) > 0 {
		t.Fatalf("the next hop got %+v", all)
	}

	hop.On("DOT", lab.ReplyAfter(500*time.Millisecond, ""))
	c := w.begun(t)
	c.send("the other half\r\n.\r\n")
	awaitBegun(t, hop)
	c.conn.Close()
	all, err := hop.AwaitAccepted(labtest.Context(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := readArrival(all[0]); err != nil || a.content != head+"the first half\r\nthe other half\r\n" {
		t.Errorf("the next hop got %q, %v", a.content, err)
	}
	w.awaitEvent(t, "transaction", "relay=delivered", "verdict=accept")
}

// TestFirstClient: whoever comes first is offered what the next hop carries, though that takes its time to say so. A sender
// that is not offered 8BITMIME would re-encode its mail.
func TestFirstClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.hop(t).On("EHLO", lab.ReplyAfter(100*time.Millisecond, ""))
	w.options.Config, w.options.Policy = w.config, w.policy
	w.daemon = labtest.Gatepost(t, w.dir, w.options)
	if said := w.dial(t).say("EHLO first.example.org"); !strings.Contains(said, "8BITMIME\n") {
		t.Errorf("the first client was offered %q", said)
	}
}

// TestKill: a daemon that dies in the middle of a message has told nobody 250 for it, and starts again on what it left.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"within the message", "after the dot"} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			w := begin(t, setup{})
			hop := w.hop(t)
			hop.On("DOT", lab.ReplyAfter(3*time.Second, ""))
			c := w.begun(t)
			if after == "after the dot" {
				c.send("the other half\r\n.\r\n")
				awaitBegun(t, hop)
			}
			if err := w.daemon.Kill(); err != nil {
				t.Fatal(err)
			}
			if r := c.reply(); r != "" {
				t.Errorf("the sender was told %q", r)
			}
			if after == "within the message" && len(hop.Messages()) > 0 {
				t.Errorf("the next hop got %+v", hop.Messages())
			}
			hop.Forget()
			w.start(t)
			if said := w.hello(t).deliver("bob@served.test", "again"); !said.accepted() || len(hop.Accepted()) == 0 {
				t.Errorf("after a restart: %q", said.last())
			}
		})
	}
}

// TestTerminate: SIGTERM tells idle clients to go and lets transactions end; then the daemon ends with 0.
func TestTerminate(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{shutdown: "20s"})
	hop := w.hop(t)
	hop.On("DOT", lab.ReplyAfter(time.Second, ""))
	idle, fresh, busy, relaying := w.hello(t), w.dial(t), w.begun(t), w.begun(t)
	relaying.send("the other half\r\n.\r\n")
	awaitBegun(t, hop)
	if err := w.daemon.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*client{"idle": idle, "fresh": fresh} {
		if r := c.reply(); !strings.HasPrefix(r, "421 4.3.2 ") {
			t.Errorf("the %s client was told %q", name, r)
		}
		c.closed()
	}
	if conn, err := net.DialTimeout("tcp", w.addr(), time.Second); err == nil {
		// The kernel may have taken it before the socket was closed; nobody speaks to it.
		if n, _ := conn.Read(make([]byte, 1)); n > 0 {
			t.Error("a new client is greeted after SIGTERM")
		}
		conn.Close()
	}
	if r := relaying.reply(); !strings.HasPrefix(r, "250 2.0.0 ") {
		t.Errorf("the client after the dot was told %q", r)
	}
	busy.send("the other half\r\n.\r\n")
	if r := busy.reply(); !strings.HasPrefix(r, "250 2.0.0 ") {
		t.Errorf("the client within a message was told %q", r)
	}
	if r := busy.reply(); !strings.HasPrefix(r, "421 4.3.2 ") {
		t.Errorf("after its message the client was told %q", r)
	}
	w.ended(t)
	if got := len(hop.Accepted()); got != 2 {
		t.Errorf("the next hop has %d messages", got)
	}
	all, err := w.events()
	if err != nil {
		t.Fatal(err)
	}
	delivered := 0
	for _, e := range all {
		if e.text("relay") == "delivered" {
			delivered++
		}
	}
	if delivered != 2 {
		t.Errorf("the journal has %d deliveries:\n%s", delivered, show(all))
	}
}

// ended waits for the daemon's end, which must be a good one.
func (w *world) ended(t *testing.T) {
	t.Helper()
	select {
	case <-w.daemon.Done():
	case <-time.After(clientTime):
		t.Fatal("the daemon does not end")
	}
	if code := w.daemon.ExitCode(); code != 0 {
		t.Errorf("exit code %d\n%s", code, w.daemon.Log())
	}
}

// TestTerminateInTime: a client that dawdles does not keep the daemon, and has no 250.
func TestTerminateInTime(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{shutdown: "1s"})
	c := w.begun(t)
	if err := w.daemon.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := c.reply(); strings.HasPrefix(r, "2") {
		t.Errorf("the client was told %q", r)
	}
	w.ended(t)
	if all := w.hop(t).Messages(); len(all) > 0 {
		t.Errorf("the next hop got %+v", all)
	}
}

// TestReload: SIGHUP with a good file is for new sessions; a session in flight keeps the policy it began with. A bad file
// changes nothing, and the journal says so. The listeners stay.
func TestReload(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{})
	hop := w.hop(t)
	addr := w.addr()
	host, port, err := net.SplitHostPort(hop.Addr())
	if err != nil {
		t.Fatal(err)
	}
	more := w.policy + fmt.Sprintf("[[route]]\nname = \"more\"\ntls = \"none\"\nnext_hop = [{ host = %q, port = %s }]\n[[domain]]\nname = \"new.test\"\nroute = \"more\"\n", host, port)

	old := w.hello(t)
	old.want("250", "MAIL FROM:<alice@example.org>")
	w.reload(t, more, "reload")
	old.want("550 5.7.1 ", "RCPT TO:<bob@new.test>")
	old.want("250 2.1.5 ", "RCPT TO:<bob@served.test>")
	// Its next transaction as well.
	old.want("250", "RSET")
	if said := old.deliver("bob@new.test", "text"); !strings.HasPrefix(said.rcpt, "550 5.7.1 ") {
		t.Errorf("the old session was told %q", said.last())
	}
	if said := w.hello(t).deliver("bob@new.test", "text"); !said.accepted() {
		t.Errorf("a new session was told %q", said.last())
	}
	newer := w.hello(t)
	first := w.awaitEvent(t, "transaction", "rcpts=bob@new.test,bob@served.test")
	second := w.awaitEvent(t, "transaction", "relay=delivered")
	if first.text("policy") == second.text("policy") {
		t.Errorf("both sessions had policy %s", first.text("policy"))
	}

	for _, bad := range []string{
		more + "[limits\n",
		more + "[checks.clamav]\nactoin = \"off\"\n",
		strings.Replace(more, "route = \"more\"", "route = \"none\"", 1),
	} {
		w.reload(t, bad, "reload_failed")
	}
	if said := newer.deliver("bob@new.test", "text"); !said.accepted() {
		t.Errorf("after a bad file the session in flight was told %q", said.last())
	}
	if said := w.hello(t).deliver("bob@new.test", "text"); !said.accepted() {
		t.Errorf("after a bad file a new session was told %q", said.last())
	}
	w.reload(t, w.policy, "reload")
	if said := w.hello(t).deliver("bob@new.test", "text"); !strings.HasPrefix(said.rcpt, "550 5.7.1 ") {
		t.Errorf("with the first policy again a new session was told %q", said.last())
	}
	if w.addr() != addr {
		t.Errorf("the listener moved from %s to %s", addr, w.addr())
	}
}

// reload gives the daemon another policy and waits for what its journal says of it.
func (w *world) reload(t *testing.T, policy, kind string) {
	t.Helper()
	count := func() (n int) {
		for _, e := range w.lines(t) {
			if e.text("kind") == kind {
				n++
			}
		}
		return n
	}
	before := count()
	if err := w.daemon.Reload("", policy); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(clientTime); count() == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the journal has no new %s:\n%s", kind, w.daemon.Log())
		}
	}
}

// TestNoRoom: when the buffers of messages fill the room that they may take, new messages are deferred, and those that
// are under way arrive.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{clamav: "off", spamd: "off", limits: noWaits + "message_size = \"50M\"\n", body: "memory = \"4K\"\nmax_disk = \"64M\""})
	hop := w.hop(t)
	block := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 10_000)
	first := w.begun(t)
	for range 40 {
		first.send(block)
	}
	w.awaitOnDisk(t, 39_800_000) // not in socket buffers: the room must be taken before the second client wants it
	second := w.begun(t)
	for range 40 {
		second.send(block)
	}
	second.send(".\r\n")
	if r := second.reply(); !strings.HasPrefix(r, "452 4.3.1 ") {
		t.Errorf("the second client was told %q", r)
	}
	w.awaitEvent(t, "transaction", "verdict=defer", "reason=smtp.no_storage", "relay=")
	first.send(".\r\n")
	if r := first.reply(); !strings.HasPrefix(r, "250 2.0.0 ") {
		t.Errorf("the first client was told %q", r)
	}
	if all := hop.Messages(); len(all) != 1 || !all[0].Accepted {
		t.Errorf("the next hop has %d messages", len(all))
	}
	// The room is free again.
	if said := second.deliver("bob@served.test", strings.Repeat(block, 3)); !said.accepted() {
		t.Errorf("with room again the client was told %q", said.last())
	}
}

// awaitOnDisk waits until the bodies in files have at least so many octets.
func (w *world) awaitOnDisk(t *testing.T, octets float64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, text, err := w.daemon.Get(t.Context(), "/metrics")
		_, rest, _ := strings.Cut(text, "\ngatepost_body_disk_octets ")
		value, _, _ := strings.Cut(rest, "\n")
		if n, bad := strconv.ParseFloat(value, 64); bad == nil && n >= octets {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s octets of bodies on disk, want %.0f, %v", value, octets, err)
		}
	}
}

// TestEarly: a connection that is refused before the banner stands in the journal too, at the latest when the daemon ends.
func TestEarly(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{offers: "-", limits: noWaits + "connections_per_client = 2\n"})
	w.hello(t)
	w.hello(t)
	for range 3 {
		c, r := w.connect(t)
		if !strings.HasPrefix(r, "421 4.7.0 Too many connections at once from your address") {
			t.Errorf("the client was told %q", r)
		}
		c.closed()
	}
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, e := range w.lines(t) {
		if e.text("kind") == "early" && e.text("reason") == "smtp.too_many_from_client" {
			return
		}
	}
	t.Errorf("the journal does not tell:\n%s", show(w.lines(t)))
}
