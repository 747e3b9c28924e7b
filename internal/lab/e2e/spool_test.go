package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
)

// spoolWorld is a daemon whose route to served.test spools, and that may send notices by another. Clients come with an address of
// their own choice.
func spoolWorld(t *testing.T, bootstrap string) *world {
	t.Helper()
	dns := dnslab.New(t, dnslab.Text(dmarcZones+spfZones))
	w := newWorld(t, setup{clamav: "off", dns: dns.Addr(),
		routes: []route{{name: "internal", domains: []string{"served.test"}, lines: "when_down = \"spool\"\n"}, {name: "outbound"}},
		policy: noGreylist + "[queue]\nschedule = [\"1s\"]\nlifetime = \"1h\"\nnotices_via = \"outbound\"\n",
		bootstrap: "[[listener]]\nname = \"proxied\"\naddresses = [\"127.0.0.1:0\"]\nproxy_from = [\"127.0.0.1\"]\n" +
			"[spool]\n" + bootstrap})
	w.dns = dns
	return w
}

// down lets a next hop be away: whoever connects is sent away before a word.
func down(hop *lab.NextHop) {
	hop.On("CONNECT", lab.Gone())
	hop.Disconnect()
}

// offer has a host send a message and returns the last reply, of RCPT or after the dot.
func (w *world) offer(t *testing.T, host, mailFrom, rcpt, message string) string {
	t.Helper()
	c := w.proxied(t, "proxied", from(host))
	if r := c.reply(); !strings.HasPrefix(r, "220 ") {
		t.Fatalf("banner %q", r)
	}
	c.want("250", "EHLO mx."+mailFrom[strings.IndexByte(mailFrom, '@')+1:])
	c.want("250", "MAIL FROM:<"+mailFrom+">")
	said := c.say("RCPT TO:<" + rcpt + ">")
	if strings.HasPrefix(said, "250") {
		c.want("354", "DATA")
		c.send(message + ".\r\n")
		said = c.reply()
	}
	c.want("221", "QUIT") // it was heard, so that another is no retry
	return said
}

// awaitCommand waits until what a command prints has a text.
func (w *world) awaitCommand(t *testing.T, want string, args ...string) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(50 * time.Millisecond) {
		out, errOut, _, err := w.daemon.Command(t.Context(), args...)
		if err == nil && strings.Contains(out, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("gatepost %s: no %q, %v, in\n%s%s", strings.Join(args, " "), want, err, out, errOut)
		}
	}
}

// command runs a command with the daemon's configuration and wants its exit code.
func (w *world) command(t *testing.T, code int, args ...string) (out, errOut string) {
	t.Helper()
	out, errOut, got, err := w.daemon.Command(t.Context(), args...)
	if err != nil || got != code {
		t.Fatalf("gatepost %s: %d, want %d, %v: %s%s", strings.Join(args, " "), got, code, err, out, errOut)
	}
	return out, errOut
}

// queue is what lies in the spool.
func (w *world) queue(t *testing.T, filter ...string) (all []event) {
	t.Helper()
	out, _ := w.command(t, 0, append([]string{"queue", "list", "--json"}, filter...)...)
	for line := range strings.Lines(out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, e)
	}
	return all
}

// awaitQueue waits until so many messages lie in the spool that a filter picks.
func (w *world) awaitQueue(t *testing.T, n int, filter ...string) {
	t.Helper()
	var all []event
	for deadline := time.Now().Add(clientTime); ; time.Sleep(50 * time.Millisecond) {
		if all = w.queue(t, filter...); len(all) == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the spool has %d messages of %v, not %d:\n%s\n%s", len(all), filter, n, show(all), w.daemon.Log())
		}
	}
}

// awaitLine waits for a line of the journal of any kind.
func (w *world) awaitLine(t *testing.T, want ...string) event {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		for _, e := range w.lines(t) {
			if e.check(want) == nil {
				return e
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no line %v in\n%s", want, w.daemon.Log())
		}
	}
}

// spoolRef is that of a 250 after the dot.
func spoolRef(t *testing.T, reply string) string {
	t.Helper()
	m := regexp.MustCompile(`^250 2\.0\.0 Accepted, ([0-9A-Z-]+)$`).FindStringSubmatch(reply)
	if m == nil {
		t.Fatalf("no 250 with a reference: %q", reply)
	}
	return m[1]
}

// differs takes out of a message as it arrived what is its own: reference and time.
func differs(body []byte, ref string) string {
	text := strings.ReplaceAll(string(body), ref, "REF")
	return regexp.MustCompile(`;\r\n\t[A-Z][a-z]{2}, \d.*\r\n`).ReplaceAllString(text, "; WHEN\r\n")
}

// TestSpoolOutage: while the next hop is away, mail for verified recipients that was scanned is taken, and nothing else; it
// survives a kill; and when the next hop is back it arrives once, octet for octet as it would have without the outage.
func TestSpoolOutage(t *testing.T) {
	t.Parallel()
	w := spoolWorld(t, "reserve = \"16M\"\n")
	w.start(t)
	hop := w.hops["internal"]
	mail := written("sends.example", "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=latin1\r\n") + "..two dots\r\n\xe4\xf6\xfc\r\n"
	through := spoolRef(t, w.offer(t, "198.51.100.20", "news@sends.example", "bob@served.test", mail))
	before := hop.Accepted()

	down(hop)
	spooled := spoolRef(t, w.offer(t, "198.51.100.20", "news@sends.example", "bob@served.test", mail))
	if r := w.offer(t, "198.51.100.20", "news@sends.example", "carol@served.test", mail); !strings.HasPrefix(r, "451 ") {
		t.Errorf("an unverified recipient: %q", r)
	}
	w.spamd.On("CHECK", lab.Gone())
	w.spamd.On("SYMBOLS", lab.Gone())
	w.spamd.On("REPORT", lab.Gone())
	w.spamd.On("HEADERS", lab.Gone())
	if r := w.offer(t, "198.51.100.20", "news@sends.example", "bob@served.test", mail); !strings.HasPrefix(r, "451 ") {
		t.Errorf("mail that was not scanned: %q", r)
	}
	w.awaitLine(t, "kind=spool_queued", "id="+spooled)
	if all := w.queue(t); len(all) != 1 || all[0].text("id") != spooled || all[0].text("route") != "internal" {
		t.Fatalf("the spool has\n%s", show(all))
	}

	w.awaitCommand(t, "Afterwards, in the spool", "trace", spooled) // it is in the log, which is not flushed as the spool is
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if all := w.queue(t); len(all) != 1 || all[0].text("id") != spooled {
		t.Errorf("without the daemon the spool has\n%s", show(all))
	}
	w.command(t, 3, "queue", "retry", spooled)
	w.offers = "-" // its next hop is away
	w.start(t)
	w.awaitQueue(t, 1)
	hop.On("CONNECT")
	w.awaitQueue(t, 0)
	after := hop.Accepted()[len(before):]
	if len(after) != 1 {
		t.Fatalf("%d arrived", len(after))
	}
	got, want := differs(after[0].Body, spooled), differs(before[len(before)-1].Body, through)
	if got != want || after[0].Mail != before[len(before)-1].Mail {
		t.Errorf("arrived by %s\n%q\nwithout the outage by %s\n%q", after[0].Mail, got, before[len(before)-1].Mail, want)
	}
	w.awaitLine(t, "kind=spool_delivered", "id="+spooled)
	w.awaitCommand(t, "delivered for <bob@served.test> by ", "trace", spooled)
	w.awaitCommand(t, "spooled: delivered", "log", "search", "--to", "bob@served.test")
}

// TestSpoolFailures: what the next hop refuses when it is back is told to a sender whose domain was authenticated, by the way
// out; for all others it is a dead letter and an alarm. No notice is answered by another.
func TestSpoolFailures(t *testing.T) {
	t.Parallel()
	w := spoolWorld(t, "reserve = \"16M\"\n")
	w.start(t)
	hop, out := w.hops["internal"], w.hops["outbound"]
	mail := written("sends.example", "")
	spoolRef(t, w.offer(t, "198.51.100.20", "news@sends.example", "bob@served.test", mail))
	down(hop)
	told := spoolRef(t, w.offer(t, "198.51.100.20", "news@sends.example", "bob@served.test", mail))
	dead := spoolRef(t, w.offer(t, "203.0.113.20", "news@sends.example", "bob@served.test", written("nobody.example", "")))
	hop.On("DOT", lab.Reply("550 5.7.1 not at mail01.corp.local [10.1.2.3]"))
	hop.On("CONNECT")
	w.awaitQueue(t, 1, "--state", "dead")
	notices, err := out.AwaitAccepted(t.Context(), 1)
	if err != nil {
		t.Fatalf("%v\n%s", err, w.daemon.Log())
	}
	text := string(notices[0].Body)
	if !strings.HasPrefix(notices[0].Mail, "MAIL FROM:<>") || len(notices[0].Rcpts) != 1 || !strings.HasPrefix(notices[0].Rcpts[0], "RCPT TO:<news@sends.example>") {
		t.Errorf("the notice went from %q to %q", notices[0].Mail, notices[0].Rcpts)
	}
	for _, want := range []string{"Reporting-MTA: dns; " + hostname, "Final-Recipient: rfc822; bob@served.test", "Action: failed", "Status: 5.7.1",
		"Diagnostic-Code: smtp; 550 5.7.1 not at [...] [[...]]", told, "Auto-Submitted: auto-replied"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the notice\n%s", want, text)
		}
	}
	for _, inner := range []string{"mail01", "10.1.2.3", "127.0.0.1", "X-Spam-", "X-Gatepost-"} {
		if strings.Contains(text, inner) {
			t.Errorf("the notice tells %q:\n%s", inner, text)
		}
	}
	if all := w.queue(t); len(all) != 1 || all[0].text("id") != dead || all[0].text("state") != "dead" {
		t.Errorf("the spool has\n%s", show(all))
	}
	w.awaitLine(t, "kind=spool_notified", "id="+told)
	w.awaitLine(t, "kind=spool_dead", "id="+dead)
	w.awaitLine(t, "kind=alarm", "part=dead letters")

	// A person looks, mends the next hop, and has it tried once more.
	w.command(t, 2, "queue", "retry", "--all")
	hop.On("DOT")
	w.command(t, 0, "queue", "retry", "--state", "dead")
	w.awaitQueue(t, 0)
	w.awaitLine(t, "kind=spool_operator", "id="+dead, "did=retried")
	w.awaitLine(t, "kind=alarm_over", "part=dead letters")
	if n := len(out.Accepted()); n != 1 {
		t.Errorf("%d notices", n)
	}
}

// TestSpoolFull: where the disk has no room to spare, mail is deferred, and that is an alarm; and with mail
// in the spool the daemon ends in time.
func TestSpoolFull(t *testing.T) {
	t.Parallel()
	w := spoolWorld(t, "reserve = \"16M\"\n")
	w.start(t)
	hop := w.hops["internal"]
	mail := written("sends.example", "")
	spoolRef(t, w.offer(t, "198.51.100.20", "news@sends.example", "bob@served.test", mail))
	down(hop)
	for range 3 {
		spoolRef(t, w.offer(t, "198.51.100.20", "news@sends.example", "bob@served.test", mail))
	}
	if err := w.daemon.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.ended(t)
	w.config = strings.Replace(w.config, "reserve = \"16M\"", "reserve = \"1000000G\"", 1)
	w.offers = "-"
	w.start(t)
	if r := w.offer(t, "198.51.100.20", "news@sends.example", "bob@served.test", mail); !strings.HasPrefix(r, "45") {
		t.Errorf("with no room: %q", r)
	}
	w.awaitLine(t, "kind=alarm", "part=spool", "detail^full")
	if all := w.queue(t); len(all) != 3 {
		t.Errorf("the spool has\n%s", show(all))
	}
	hop.On("CONNECT")
	w.awaitQueue(t, 0)
	if n := len(hop.Accepted()); n != 4 {
		t.Errorf("%d arrived", n)
	}
}

// TestSpoolDisk: a disk that is full, or takes nothing any more, is a 452 at RCPT or 451, and an alarm, and never a 250. A disk that failed keeps
// the spool shut, also when it works again, until a person says so; what lay there before is whole.
func TestSpoolDisk(t *testing.T) {
	t.Parallel()
	folder := func(dir string) string { return filepath.Join(lab.StateDir(dir), "spool") }
	w, path, remount := onDisk(t, setup{bootstrap: "[spool]\nreserve = \"16M\"\n", policy: noGreylist + "[queue]\nschedule = [\"1s\"]\n",
		routes: []route{{name: "internal", domains: []string{"served.test"}, lines: "when_down = \"spool\"\n"}}}, folder, "size=64m")
	hop := w.hop(t)
	send := func(want string) {
		t.Helper()
		c := w.hello(t)
		if said := c.deliver("bob@served.test", "text").last(); !strings.HasPrefix(said, want) {
			t.Fatalf("the sender was told %q, not %s", said, want)
		}
		c.want("221", "QUIT")
	}
	send("250")
	down(hop)
	send("250")
	w.awaitQueue(t, 1)

	ballast := filepath.Join(path, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 50<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	w.awaitLine(t, "kind=alarm", "part=spool", "detail^full")
	send("45")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	w.awaitLine(t, "kind=alarm_over", "part=spool")
	send("250")

	remount("ro")
	send("451")
	w.awaitLine(t, "kind=spool_latched")
	w.awaitLine(t, "kind=alarm", "part=spool", "detail^shut since its disk failed")
	if _, said := w.command(t, 1, "queue", "clear-latch"); !strings.Contains(said, "the disk still fails") {
		t.Error(said)
	}
	remount("rw")
	send("452")
	w.command(t, 0, "queue", "clear-latch")
	w.awaitLine(t, "kind=spool_cleared")
	send("250")
	hop.On("CONNECT")
	w.awaitQueue(t, 0)
	if n := len(hop.Accepted()); n != 4 {
		t.Errorf("%d arrived, not 4", n)
	}
}
