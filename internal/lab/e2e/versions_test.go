package e2e

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
// away starts with what was published last. What one wrote into the log that they share the other tells of, also after the server was away.
func TestPolicyNodes(t *testing.T) {
	t.Parallel()
	p := labtest.Postgres(t)
	url, err := p.Database(labtest.Context(t), "policy")
	must(t, err)
	node := func(name string) setup {
		return setup{clamav: "off", spamd: "off", bootstrap: fmt.Sprintf("[store]\nurl = %q\nlog = %q\nnode = %q\n", url, url, name)}
	}
	a, b := begin(t, node("mx1")), begin(t, node("mx2"))
	told := func(from string) {
		t.Helper()
		if r := a.hello(t).deliverFrom(from, "bob@served.test", "who tells of it?"); !strings.HasPrefix(r.last(), "250") {
			t.Fatalf("mail: %q", r.last())
		}
		b.awaitCommand(t, `"node":"mx1"`, "log", "search", "--json", "--from", from)
	}
	told("before@example.org")
	a.awaitMetric(t, "gatepost_control_data_up", 1)
	b.awaitMetric(t, "gatepost_control_data_up", 1)
	a.command(t, 0, "policy", "apply", a.document(t, a.greets("two")))
	b.awaitGreeting(t, "two")
	b.command(t, 0, "policy", "rollback")
	a.awaitGreeting(t, "")
	b.awaitGreeting(t, "")
	a.command(t, 0, "policy", "apply", a.document(t, a.greets("four")))
	b.awaitGreeting(t, "four")
	must(t, b.daemon.Kill())
	a.awaitCommand(t, hostname, "node", "list")
	must(t, p.Stop())
	b.name = "mx2.gatepost.test"
	b.config = strings.Replace(b.config, hostname, b.name, 1) // each node needs a name of its own
	b.start(t)
	b.awaitGreeting(t, "four")
	if _, errOut := b.command(t, 1, "policy", "rollback"); !strings.Contains(errOut, "the store of the control data does not answer; mail goes on") {
		t.Errorf("without a store: %s", errOut)
	}
	if r := a.hello(t).deliverFrom("meanwhile@example.org", "bob@served.test", "mail goes on"); !strings.HasPrefix(r.last(), "250") {
		t.Errorf("mail: %q", r.last())
	}
	must(t, p.Restart(labtest.Context(t)))
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
	a.awaitCommand(t, b.name, "node", "list")
	if _, said := a.command(t, 1, "node", "remove", b.name); !strings.Contains(said, "stop it first") {
		t.Errorf("a node that is there: %s", said)
	}
}

// TestConsolePolicy: an operator tunes a threshold and blocks a sender from a row of the log in the browser, looks at what differs, publishes it to be
// confirmed, confirms it, and goes back; real mail is judged by what is in force.
func TestConsolePolicy(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: "127.0.0.1:0", clamav: "off", spamd: "off", policy: noGreylist})
	send := func() string {
		c := w.hello(t)
		defer c.say("QUIT") // what was refused is logged at the end of a session
		return c.deliverFrom("alice@example.org", "bob@served.test", "hello").last()
	}
	if r := send(); !strings.HasPrefix(r, "250") {
		t.Fatalf("before: %q", r)
	}
	b := w.browse(t, lab.BrowserOptions{})
	w.signIn(t, b)
	var told string
	b.Step("policy.slide", map[string]any{"name": "Reject", "presses": 5}, &told)
	if told != "15.5" {
		t.Errorf("the slider of 15 after 5 steps: %q", told)
	}
	b.Step("policy.tune", map[string]any{"name": "Reject", "value": 12.5, "look": "policy-draft"}, &told)
	if !strings.Contains(told, "thresholds.reject = 12.5") {
		t.Errorf("draft: %q", told)
	}
	var filled map[string]string
	b.Step("log.arrived", map[string]any{"query": "from:alice@example.org"}, nil)
	b.Step("log.act", map[string]any{"query": "from:alice@example.org", "item": "Block @example.org…", "tries": "would have met 1 of 1 messages", "look": "log-act"}, &filled)
	if values := slices.Collect(maps.Values(filled)); !slices.Contains(values, "@example.org") || !slices.Contains(values, ownerName) || !slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, "message ") }) {
		t.Errorf("the form: %q", filled)
	}
	b.Step("policy.text", map[string]any{"replace": "reject = 12.5", "by": "rejct = 12.5", "look": "policy-text-wrong"}, &told)
	if !strings.Contains(told, "did you mean reject?") || !strings.Contains(told, "Line ") {
		t.Errorf("a mistake: %q", told)
	}
	b.Step("policy.text", map[string]any{"replace": "rejct = 12.5", "by": "reject = 12.5 # less"}, &told)
	b.Step("policy.pictures", map[string]any{"path": "/domains", "look": "domains"}, nil)
	w.shadow(t, b, send)
	var done struct{ InForce, Said, Alert string }
	b.Step("policy.publish", map[string]any{"comment": "block <b>spammer</b>", "wait": "10m", "look": "policy-publish"}, &done)
	if done.InForce != "version 2 is in force, by "+ownerName || !strings.Contains(done.Said, "goes by itself") {
		t.Errorf("published: %+v", done)
	}
	c := w.hello(t)
	r := c.deliverFrom("alice@example.org", "bob@served.test", "hello").last()
	if !strings.HasPrefix(r, "55") || !strings.Contains(r, "block list") {
		t.Errorf("after: %q", r)
	}
	c.want("221", "QUIT") // a transaction that was refused is over, and counted, with what comes behind it
	b.Step("policy.met", map[string]any{"entry": "@example.org", "hits": 1, "look": "lists-hits"}, nil)
	b.Step("policy.confirm", nil, &told)
	var s page
	b.Step("log.arrived", map[string]any{"query": "id:" + anyRef.FindString(r)}, nil)
	b.Step("log.read", map[string]any{"id": anyRef.FindString(r), "look": "blocked-why"}, &s)
	if s.decided() != "access.sender" || !strings.Contains(s.check("access.sender"), "@example.org") || !strings.Contains(s.check("access.sender"), "Policy line") {
		t.Errorf("why it is blocked: %+v", s)
	}
	// Another publishes meanwhile.
	b.Step("policy.tune", map[string]any{"name": "Tag", "value": 4}, nil)
	out, _ := w.command(t, 0, "policy", "export")
	w.command(t, 0, "policy", "apply", w.document(t, out+"# of another\n"))
	var left int
	b.Step("policy.discard", nil, &left)
	if left != 0 {
		t.Error("the draft is still there")
	}
	b.Step("policy.back", map[string]any{"version": 1, "look": "policy-history"}, &told)
	if !strings.HasPrefix(told, "version 4 is in force") {
		t.Errorf("back: %q", told)
	}
	if r := send(); !strings.HasPrefix(r, "250") {
		t.Errorf("back: %q", r)
	}
}

// shadow writes a rule into the draft, with a mistake first, and lets the draft run beside what is in force: mail fares as before, and
// what the rule would have done is counted.
func (w *world) shadow(t *testing.T, b *labtest.Browser, send func() string) {
	t.Helper()
	var rule struct {
		Wrong string
		Rules []string
	}
	b.Step("policy.rule", map[string]any{"fields": map[string]string{"name": "ours", "when": "size > 1 && sendr_domain == 'example.org'"}, "look": "rule-wrong"}, &rule)
	if !strings.Contains(rule.Wrong, "Line 1, column 13") || !strings.Contains(rule.Wrong, "sendr_domain") {
		t.Errorf("a mistake in a condition: %+v", rule)
	}
	b.Step("policy.rule", map[string]any{"fields": map[string]string{"name": "ours", "when": "size > 1 && sender_domain == 'example.org'"}, "look": "rules"}, &rule)
	if rule.Wrong != "" || len(rule.Rules) != 1 || !strings.Contains(rule.Rules[0], "ours") {
		t.Errorf("the rule: %+v", rule)
	}
	var told string
	b.Step("policy.shadow", nil, &told)
	if r := send(); !strings.HasPrefix(r, "250") {
		t.Errorf("a draft is in force: %q", r)
	}
	b.Step("policy.counted", map[string]any{"text": "1 messages judged again", "look": "shadow"}, &told)
	if !strings.Contains(told, "1 would have fared otherwise") {
		t.Errorf("the shadow run: %q", told)
	}
}
