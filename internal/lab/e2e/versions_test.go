package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/config"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// greets is the policy of a world with a banner, by which a new session shows under which version it is.
func (w *world) greets(banner string) string {
	return w.policy + "\n[smtp]\nbanner = \"ESMTP " + banner + "\"\n"
}

// greeted is what a new session is greeted with.
func (w *world) greeted(t *testing.T) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", w.addr(), clientTime)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(clientTime)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	must(t, err)
	_, banner, _ := strings.Cut(line, "ESMTP")
	return strings.TrimSpace(banner)
}

// awaitGreeting waits until new sessions are greeted so.
func (w *world) awaitGreeting(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		got := w.greeted(t)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			out, _, _, _ := w.daemon.Command(t.Context(), "policy", "versions")
			t.Fatalf("sessions are greeted with %q, not with %q\n%s", got, want, out)
		}
	}
}

// awaitCopy waits until the copy of the version in force, in the state folder, has a text.
func (w *world) awaitCopy(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		got, err := os.ReadFile(filepath.Join(lab.StateDir(w.dir), config.PublishedFile))
		if err == nil && strings.Contains(string(got), want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the copy of the version in force: %v\n%s", err, got)
		}
	}
}

// document writes a policy to a file.
func (w *world) document(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "p.toml")
	must(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// TestPolicyVersions: what is published is in force at once and after a kill, whatever policy.toml says; a session keeps the policy it
// began with; what is wrong changes nothing; what nobody confirms goes, over a kill too; and one can go back.
func TestPolicyVersions(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{clamav: "off", spamd: "off"})
	if out, _ := w.command(t, 0, "policy", "show"); !strings.Contains(out, "no version was published") {
		t.Errorf("show: %s", out)
	}
	before := w.dial(t)
	_, said := w.command(t, 0, "policy", "apply", w.document(t, w.greets("two")), "--comment", "first")
	if !strings.Contains(said, "version 2 is in force") {
		t.Errorf("apply: %s", said)
	}
	w.awaitGreeting(t, "two")
	before.want("250", "EHLO client.example.org")
	before.want("221", "QUIT")
	if _, said := w.command(t, 0, "policy", "apply", w.document(t, w.greets("two"))); !strings.Contains(said, "nothing changed") {
		t.Errorf("the same again: %s", said)
	}
	if out, errOut := w.command(t, 1, "policy", "apply", w.document(t, w.policy+"\n[smtp]\nbaner = 1\n")); out != "" || !strings.Contains(errOut, "did you mean banner?") || !strings.Contains(errOut, "p.toml:") {
		t.Errorf("a mistake: %s%s", out, errOut)
	}
	// policy.toml does not count any more.
	must(t, os.WriteFile(filepath.Join(w.dir, "policy.toml"), []byte("nonsense"), 0o600))
	if _, said := w.command(t, 0, "reload"); !strings.Contains(said, "policy.toml is ignored, since version 2 is published") {
		t.Errorf("reload: %s", said)
	}
	must(t, os.WriteFile(filepath.Join(w.dir, "policy.toml"), []byte(w.greets("file")), 0o600))
	w.command(t, 0, "reload")
	w.awaitGreeting(t, "two")
	must(t, w.daemon.Kill())
	w.policy = w.greets("file")
	w.start(t)
	w.awaitGreeting(t, "two")
	plain := strings.TrimSuffix(w.policy, "\n[smtp]\nbanner = \"ESMTP file\"\n")
	w.policy = plain

	// Nobody confirms it, and the process is killed meanwhile.
	w.command(t, 0, "policy", "apply", w.document(t, w.greets("three")), "--confirm", "5s")
	w.awaitGreeting(t, "three")
	must(t, w.daemon.Kill())
	w.start(t)
	w.awaitGreeting(t, "two")
	w.awaitCommand(t, "version 3 was undone: nobody confirmed it in time", "policy", "versions")
	w.command(t, 0, "policy", "apply", w.document(t, w.greets("five")), "--confirm", "1h", "--expect", "4")
	w.awaitGreeting(t, "five")
	w.command(t, 0, "policy", "confirm")
	if _, errOut := w.command(t, 1, "policy", "apply", w.document(t, w.greets("lost")), "--expect", "4"); !strings.Contains(errOut, "version 5 is in force") {
		t.Errorf("over what was not seen: %s", errOut)
	}
	w.command(t, 0, "policy", "rollback", "1")
	w.awaitGreeting(t, "")
	if out, _ := w.command(t, 0, "policy", "export"); out != plain {
		t.Errorf("version 1 is not what was in force before:\n%s", out)
	}
	if out, _ := w.command(t, 0, "policy", "diff", "1", "2"); !strings.Contains(out, "+banner = \"ESMTP two\"\n") {
		t.Errorf("diff: %s", out)
	}
	if r := w.hello(t).deliverFrom("alice@example.org", "bob@served.test", "mail goes on"); !strings.HasPrefix(r.last(), "250") {
		t.Errorf("mail: %q", r.last())
	}
}

// TestPolicyNodes: nodes with one PostgreSQL have the same version in force, whichever published it; one that starts while the server is
// away starts with what was published last. What one wrote into the log that they share the other tells of, and what one keeps in quarantine
// the other lists, also after the server was away.
func TestPolicyNodes(t *testing.T) {
	t.Parallel()
	p := labtest.Postgres(t)
	url, err := p.Database(labtest.Context(t), "policy")
	must(t, err)
	node := func(name string) setup {
		return setup{clamav: "off", spamd: "off", bootstrap: fmt.Sprintf("[store]\nurl = %q\nlog = %q\nquarantine = true\nnode = %q\n", url, url, name),
			policy: noGreylist + "[[rule]]\nname = \"large\"\naction = \"quarantine\"\nwhen = \"size > 5000\"\n"}
	}
	a, b := begin(t, node("mx1")), begin(t, node("mx2"))
	told := func(from string) {
		t.Helper()
		r := a.hello(t).deliverFrom(from, "bob@served.test", "who tells of it?")
		if !strings.HasPrefix(r.last(), "250") {
			t.Fatalf("mail: %q", r.last())
		}
		b.awaitCommand(t, `"node":"mx1"`, "log", "search", "--json", "--from", from)
		b.awaitCommand(t, "  Node           mx1\n", "trace", anyRef.FindString(r.last()))
		b.awaitCommand(t, `"node":"mx1"`, "trace", "--json", anyRef.FindString(r.last()))
		b.awaitCommand(t, ", at mx1", "log", "search", "--from", from)
	}
	kept := func(from string) (ref string) {
		t.Helper()
		r := a.hello(t).deliverFrom(from, "bob@served.test", strings.Repeat("much of it\r\n", 1000))
		if !strings.HasPrefix(r.last(), "250") {
			t.Fatalf("mail: %q", r.last())
		}
		return anyRef.FindString(r.last())
	}
	told("before@example.org")
	ref := kept("kept@example.org")
	b.awaitCommand(t, ", at mx1", "quarantine", "list", "--from", "kept@example.org")
	if _, said := b.command(t, 1, "quarantine", "show", ref); !strings.Contains(said, ref+" is kept by the node mx1, and this is mx2") {
		t.Errorf("what another node keeps: %s", said)
	}
	if _, said := b.command(t, 1, "quarantine", "release", ref); !strings.Contains(said, "kept by the node mx1") {
		t.Errorf("what another node keeps: %s", said)
	}
	a.command(t, 0, "quarantine", "delete", ref)
	for deadline := time.Now().Add(clientTime); ; time.Sleep(20 * time.Millisecond) {
		_, said, code, err := b.daemon.Command(t.Context(), "quarantine", "show", ref)
		if err == nil && code == 1 && strings.Contains(said, "not in quarantine") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("what another node erased: %v %s", err, said)
		}
	}
	a.awaitMetric(t, "gatepost_control_data_up", 1)
	b.awaitMetric(t, "gatepost_control_data_up", 1)
	a.command(t, 0, "policy", "apply", a.document(t, a.greets("two")))
	b.awaitGreeting(t, "two")
	b.command(t, 0, "policy", "rollback")
	a.awaitGreeting(t, "")
	b.awaitGreeting(t, "")
	a.command(t, 0, "policy", "apply", a.document(t, a.greets("four")))
	b.awaitGreeting(t, "four")
	b.awaitCopy(t, "ESMTP four") // what a start without the store goes by: written after the version is in force
	must(t, b.daemon.Kill())
	a.awaitCommand(t, "mx1", "node", "list")
	must(t, p.Stop())
	b.start(t)
	b.awaitGreeting(t, "four")
	if _, errOut := b.command(t, 1, "policy", "rollback"); !strings.Contains(errOut, "the store of the control data does not answer; mail goes on") {
		t.Errorf("without a store: %s", errOut)
	}
	if r := a.hello(t).deliverFrom("meanwhile@example.org", "bob@served.test", "mail goes on"); !strings.HasPrefix(r.last(), "250") {
		t.Errorf("mail: %q", r.last())
	}
	ref = kept("away@example.org")
	a.command(t, 0, "quarantine", "show", ref)
	if out, said := a.command(t, 0, "quarantine", "list"); !strings.Contains(out, ref) || !strings.Contains(said, "only what this node keeps is listed") {
		t.Errorf("without a store: %s%s", out, said)
	}
	must(t, p.Restart(labtest.Context(t)))
	b.awaitCommand(t, ref, "quarantine", "list")
	b.awaitCommand(t, `"node":"mx1"`, "log", "search", "--json", "--from", "meanwhile@example.org")
	told("after@example.org")
	for deadline := time.Now().Add(clientTime); ; time.Sleep(50 * time.Millisecond) { // connections from before are broken
		_, said, code, err := a.daemon.Command(t.Context(), "policy", "rollback", "1")
		if err == nil && code == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %v %s", code, err, said)
		}
	}
	b.awaitGreeting(t, "")
	a.awaitCommand(t, "mx2", "node", "list")
	if _, said := a.command(t, 1, "node", "remove", "mx2"); !strings.Contains(said, "stop it first") {
		t.Errorf("a node that is there: %s", said)
	}
}
