package e2e

import (
	"context"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/lab/mails"
)

// realFaults are the parts that are taken away, and the daemon and the sending Postfix that go on.
type realFaults struct {
	*realParts
	w   *world
	out *lab.Postfix
}

// TestRealFaults takes real parts away while mail is sent: it waits at the sender's MTA, or passes with a mark, and arrives
// once, as it was sent, when the part is back.
func TestRealFaults(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), realTime())
	defer cancel()
	p := startReal(t)
	port := keptPort(t)
	w := p.gate(t, setup{clamavTimeout: "5s", spamdTimeout: "15s", bootstrap: "[[listener]]\nname = \"again\"\naddresses = [\"" + port.Addr() + "\"]\n", routes: []route{{
		name: "internal", domains: []string{"lab.test"}, addr: p.inside.Addr,
		lines: `timeouts = { connect = "5s", command = "5s", data = "10s", final = "10s" }`,
	}}})
	f := &realFaults{realParts: p, w: w}
	f.out = labtest.Postfix(t, lab.PostfixOptions{Name: "mta.sender.test", Mailboxes: []string{sender}, Relay: port.Addr(), Port: p.ports.outside})
	t.Run("spamd killed", func(t *testing.T) { f.spamdKilled(ctx, t) })
	t.Run("spamd hangs", func(t *testing.T) { f.spamdHangs(ctx, t) })
	t.Run("clamd killed", func(t *testing.T) { f.clamdKilled(ctx, t) })
	t.Run("clamd hangs", func(t *testing.T) { f.clamdHangs(ctx, t) })
	t.Run("next hop stopped", func(t *testing.T) { f.nextHopStopped(ctx, t) })
	t.Run("next hop hangs", func(t *testing.T) { f.nextHopHangs(ctx, t) })
	t.Run("daemon killed", func(t *testing.T) { f.daemonKilled(ctx, t) })
}

// waits sends a mail that must be deferred with the words.
func (f *realFaults) waits(ctx context.Context, t *testing.T, words string) mails.Mail {
	t.Helper()
	m := letter(mailbox)
	send(ctx, t, f.out, m)
	queueSays(ctx, t, f.out, words)
	if found := copies(t, f.inside.Maildir(m.To), messageID(t, m.Body)); len(found) > 0 {
		t.Errorf("it arrived:\n%s", found[0])
	}
	f.w.awaitEvent(t, "transaction", "from="+sender, "reply^"+words)
	return m
}

func (f *realFaults) spamdKilled(ctx context.Context, t *testing.T) {
	if err := f.spamd.Kill(); err != nil {
		t.Fatal(err)
	}
	m := letter(mailbox)
	send(ctx, t, f.out, m)
	above := arrives(ctx, t, f.inside.Maildir(m.To), m.Body)
	if mark := fieldOf(above, "X-Gatepost-Unscanned"); mark != "spamassassin" {
		t.Errorf("marked %q in %q", mark, above)
	}
	if scanned := fieldOf(above, "X-Gatepost-Scanned"); !strings.Contains(scanned, "ClamAV") || strings.Contains(scanned, "SpamAssassin") {
		t.Errorf("scanned by %q", scanned)
	}
	f.startSpamd(ctx, t)
	// The daemon finds out by itself that it is back.
	if err := eventually(ctx, func() (string, bool) {
		m := letter(mailbox)
		send(ctx, t, f.out, m)
		mark := fieldOf(arrives(ctx, t, f.inside.Maildir(m.To), m.Body), "X-Gatepost-Unscanned")
		return "marked " + mark, mark == ""
	}); err != nil {
		t.Error(err)
	}
	f.settles(ctx, t, f.out)
}

func (f *realFaults) spamdHangs(ctx context.Context, t *testing.T) {
	if err := f.spamd.Pause(); err != nil {
		t.Fatal(err)
	}
	m := letter(mailbox)
	send(ctx, t, f.out, m)
	above := arrives(ctx, t, f.inside.Maildir(m.To), m.Body)
	if err := f.spamd.Resume(); err != nil {
		t.Fatal(err)
	}
	if mark := fieldOf(above, "X-Gatepost-Unscanned"); mark != "spamassassin" {
		t.Errorf("marked %q in %q", mark, above)
	}
	if err := eventually(ctx, func() (string, bool) {
		m := letter(mailbox)
		send(ctx, t, f.out, m)
		mark := fieldOf(arrives(ctx, t, f.inside.Maildir(m.To), m.Body), "X-Gatepost-Unscanned")
		return "marked " + mark, mark == ""
	}); err != nil {
		t.Error(err)
	}
	f.settles(ctx, t, f.out)
}

const notScanned = "451 4.7.1 The message cannot be scanned right now"

func (f *realFaults) clamdKilled(ctx context.Context, t *testing.T) {
	if err := f.clamd.Kill(); err != nil {
		t.Fatal(err)
	}
	m := f.waits(ctx, t, notScanned)
	f.startClamd(ctx, t)
	f.settles(ctx, t, f.out, m)
}

func (f *realFaults) clamdHangs(ctx context.Context, t *testing.T) {
	if err := f.clamd.Pause(); err != nil {
		t.Fatal(err)
	}
	m := f.waits(ctx, t, notScanned)
	if err := f.clamd.Resume(); err != nil {
		t.Fatal(err)
	}
	f.settles(ctx, t, f.out, m)
}

func (f *realFaults) nextHopStopped(ctx context.Context, t *testing.T) {
	if err := f.inside.Stop(); err != nil {
		t.Fatal(err)
	}
	m := f.waits(ctx, t, "451 4.4.1")
	f.startInside(ctx, t)
	f.settles(ctx, t, f.out, m)
}

func (f *realFaults) nextHopHangs(ctx context.Context, t *testing.T) {
	if err := f.inside.Pause(); err != nil {
		t.Fatal(err)
	}
	m := f.waits(ctx, t, "451 4.4.")
	if err := f.inside.Resume(); err != nil {
		t.Fatal(err)
	}
	f.settles(ctx, t, f.out, m)
}

// daemonKilled: the daemon ends between any two octets, and a new one begins in its folder. No mail is lost. One that the
// internal MTA had taken over a moment before comes twice, which SMTP cannot avoid (RFC 5321 section 6.1).
func (f *realFaults) daemonKilled(ctx context.Context, t *testing.T) {
	var sent []mails.Mail
	for range 20 {
		m := letter("bulk@lab.test")
		send(ctx, t, f.out, m)
		sent = append(sent, m)
	}
	box := f.inside.Maildir("bulk@lab.test")
	if _, err := box.Await(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if err := f.w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	f.w.start(t)
	f.settles(ctx, t, f.out)
	for _, m := range sent {
		if found := copies(t, box, messageID(t, m.Body)); len(found) == 0 {
			t.Errorf("%s was lost", messageID(t, m.Body))
		}
	}
}
