package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/lab"
)

// keptWorld is a daemon whose spamd quarantines what it sees.
func keptWorld(t *testing.T) *world {
	w := begin(t, keptSetup())
	w.spamd.On("REPORT", keptVerdict())
	return w
}

// keptSetup and keptVerdict are what it is made of.
func keptSetup() setup {
	return setup{policy: noGreylist, routes: []route{{name: "internal", domains: []string{"served.test"}, lines: "when_down = \"spool\"\n"}}}
}

func keptVerdict() lab.Action {
	return lab.Action{Bytes: []byte("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 9.0 / 5.0\r\n\r\n"), Then: lab.Close}
}

const keptMail = "From: alice@example.org\r\nTo: bob@served.test\r\nSubject: win now\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <kept@example.org>\r\n\r\ntext\r\n.. dots\r\n"

// quarantined sends that mail and returns its reference.
func (w *world) quarantined(t *testing.T, rcpts ...string) string {
	t.Helper()
	return w.quarantinedAs(t, keptMail, rcpts...)
}

func (w *world) quarantinedAs(t *testing.T, message string, rcpts ...string) string {
	t.Helper()
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	for _, to := range rcpts {
		c.want("250", "RCPT TO:<"+to+">")
	}
	c.want("354", "DATA")
	c.send(message + ".\r\n")
	ref := spoolRef(t, c.reply())
	c.want("221", "QUIT")
	return ref
}

// TestQuarantine plays the life of a quarantined message through the command line: kept over kill -9, found, viewed, refused
// while malware is in it, released once, told in the trace.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	w := keptWorld(t)
	ref := w.quarantined(t, "bob@served.test", "eve@served.test")
	if n := len(w.hop(t).Accepted()); n != 0 {
		t.Fatalf("%d messages were delivered", n)
	}
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	out, _ := w.command(t, 0, "quarantine", "list", "--to", "eve", "--class", "spam")
	for _, word := range []string{ref, "visible", "<alice@example.org> -> bob@served.test,eve@served.test", "spam.score", "win now"} {
		if !strings.Contains(out, word) {
			t.Errorf("list: no %q in %s", word, out)
		}
	}
	if out, _ := w.command(t, 0, "quarantine", "list", "--subject", "nothing such"); out != "" {
		t.Errorf("another subject: %s", out)
	}
	if out, _ := w.command(t, 0, "quarantine", "show", ref); !strings.Contains(out, "9.0 points") || strings.Contains(out, "dots") {
		t.Errorf("show: %s", out)
	}
	if out, _ := w.command(t, 0, "quarantine", "view", ref, "--raw"); out != strings.ReplaceAll(keptMail, "\r\n..", "\r\n.") {
		t.Errorf("view: %q", out)
	}
	w.clamd.On("INSTREAM", lab.Action{Bytes: []byte("stream: Win.Trojan.Later-1 FOUND\x00"), Then: lab.Close})
	if _, said := w.command(t, 1, "quarantine", "release", ref); !strings.Contains(said, "malware was found in it: Win.Trojan.Later-1") {
		t.Errorf("infected: %s", said)
	}
	w.clamd.On("INSTREAM")
	w.command(t, 0, "quarantine", "release", ref, "--only", "bob@served.test")
	all := w.hop(t).Accepted()
	if len(all) != 1 {
		t.Fatalf("%d were released", len(all))
	}
	a, err := readArrival(all[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := a.field("X-Gatepost-Released"); got != ref || a.content != strings.ReplaceAll(keptMail, "\r\n..", "\r\n.") {
		t.Errorf("released as %q:\n%s", got, a.content)
	}
	if _, said := w.command(t, 1, "quarantine", "release", ref, "--other", "x@elsewhere.test"); !strings.Contains(said, "not served here") {
		t.Errorf("elsewhere: %s", said)
	}
	w.command(t, 0, "quarantine", "forward", ref, "--analyst", "help@served.test")
	last := w.hop(t).Accepted()[1]
	if !strings.Contains(string(last.Raw), "Content-Type: message/rfc822\r\n") || !strings.Contains(string(last.Raw), "\r\nSubject: win now\r\n") {
		t.Errorf("forwarded:\n%s", last.Raw)
	}
	w.awaitCommand(t, "Afterwards, in quarantine", "trace", ref)
	for _, want := range []string{"released by ", "for <bob@served.test>", "viewed by ", "refused by ", "uid "} {
		w.awaitCommand(t, want, "trace", ref)
	}
	w.command(t, 0, "quarantine", "delete", ref)
	w.awaitLine(t, "kind=quarantine_deleted", "id="+ref)
	w.command(t, 1, "quarantine", "release", ref)
	if left, err := filepath.Glob(filepath.Join(lab.StateDir(w.dir), "vault", "*", "*", "*", "*")); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// TestQuarantineSpools shows that what is released while the next hop is away goes to the spool and arrives once.
func TestQuarantineSpools(t *testing.T) {
	t.Parallel()
	w := keptWorld(t)
	ref := w.quarantined(t, "bob@served.test")
	down(w.hop(t))
	if out, _ := w.command(t, 0, "quarantine", "release", ref); !strings.Contains(out, "taken for bob@served.test: in the spool as ") {
		t.Errorf("away: %s", out)
	}
	w.hop(t).On("CONNECT")
	// Where the spool tries at this moment there is nothing to retry: exit 1.
	if _, errOut, code, err := w.daemon.Command(t.Context(), "queue", "retry", "--all", "--route", "internal"); err != nil || code > 1 {
		t.Errorf("retry: %d, %v: %s", code, err, errOut)
	}
	w.awaitQueue(t, 0)
	if n := len(w.hop(t).Accepted()); n != 1 {
		t.Errorf("%d arrived", n)
	}
	if out, _ := w.command(t, 0, "quarantine", "list", "--state", "released"); !strings.Contains(out, ref) {
		t.Errorf("released: %s", out)
	}
}

// TestQuarantineWithoutKey shows that without the file of keys nothing is taken into the quarantine, nor let in, and that all
// is as it was once the file is back.
func TestQuarantineWithoutKey(t *testing.T) {
	t.Parallel()
	w := keptWorld(t)
	ref := w.quarantined(t, "bob@served.test")
	found, err := filepath.Glob(filepath.Join(lab.StateDir(w.dir), "keys", "vault.key"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(found[0], found[0]+".away"); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	c.want("250", "RCPT TO:<bob@served.test>")
	c.want("354", "DATA")
	c.send("X: 1\r\n" + keptMail + ".\r\n")
	if said := c.reply(); !strings.HasPrefix(said, "451 4.3.0 ") {
		t.Errorf("without keys: %q", said)
	}
	w.awaitLine(t, "kind=alarm", "part=quarantine")
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(found[0]+".away", found[0]); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.command(t, 0, "quarantine", "release", ref)
	if n := len(w.hop(t).Accepted()); n != 1 {
		t.Errorf("%d arrived", n)
	}
}

// TestQuarantineBulk shows what somebody does with many messages at once: he sees first what it would be, the copies of others
// stay, and saying it again does nothing twice.
func TestQuarantineBulk(t *testing.T) {
	t.Parallel()
	w := keptWorld(t)
	both := w.quarantined(t, "bob@served.test", "eve@served.test")
	own := w.quarantinedAs(t, strings.Replace(keptMail, "<kept@", "<other@", 1), "bob@served.test", "ann@served.test", "eve@served.test")
	pick := []string{"--rcpt", "BOB@served.test", "--subject", "WIN", "--class", "spam", "--since", "1h"}
	do := func(code int, verb string, more ...string) (string, string) {
		return w.command(t, code, append(append([]string{"quarantine", verb}, pick...), more...)...)
	}
	if _, said := do(2, "release"); !strings.Contains(said, "that picks 2 messages; add --all") {
		t.Errorf("without --all: %s", said)
	}
	if out, said := do(0, "release", "--dry-run"); !strings.Contains(out, both) || !strings.Contains(out, own) || !strings.Contains(said, "of each only the copy of BOB@served.test") {
		t.Errorf("--dry-run: %s%s", out, said)
	}
	do(0, "release", "--all")
	to := func() (all []string) {
		for _, m := range w.hop(t).Accepted() {
			all = append(all, strings.Join(m.Rcpts, ","))
		}
		return all
	}
	if got := strings.Join(to(), " "); strings.Count(got, "bob@") != 2 || strings.Contains(got, "eve@") || strings.Contains(got, "ann@") {
		t.Errorf("delivered for %s", got)
	}
	if _, said := do(1, "release", "--all"); !strings.Contains(said, "0 messages done, 0 not") {
		t.Errorf("again: %s", said)
	}
	w.command(t, 0, "quarantine", "delete", "--only", "eve@served.test", "--from", "alice", "--all")
	for _, ref := range []string{both, own} {
		if out, _ := w.command(t, 0, "quarantine", "show", ref); !strings.Contains(out, "bob@served.test: released") || !strings.Contains(out, "eve@served.test: deleted") {
			t.Errorf("afterwards: %s", out)
		}
	}
	w.command(t, 0, "quarantine", "release", "--from", "alice", "--all")
	if got := to(); len(got) != 3 || !strings.Contains(got[2], "<ann@served.test>") || strings.Contains(got[2], ",") {
		t.Errorf("the rest went to %s", got)
	}
	w.command(t, 0, "quarantine", "report", "--from", "alice", "--all", "--as", "spam")
	if out, _ := w.command(t, 0, "quarantine", "list", "--reported", "spam"); strings.Count(out, "reported as spam") != 2 {
		t.Errorf("reported: %s", out)
	}
	w.command(t, 0, "quarantine", "delete", "--from", "alice", "--all")
	if out, _ := w.command(t, 0, "quarantine", "list"); out != "" {
		t.Errorf("left: %s", out)
	}
}
