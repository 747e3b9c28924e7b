package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestConsolePolicy: an operator tunes a threshold and blocks a sender from a row of the log in the browser, looks at what differs, publishes it to be
// confirmed, confirms it, and goes back; real mail is judged by what is in force. What another published meanwhile is shown, and not
// written over; what nobody confirms is undone on time, although the daemon was killed meanwhile; a live view of the log goes on
// after that without a gap and without a line twice; and the audit log has each of these changes once.
func TestConsolePolicy(t *testing.T) {
	t.Parallel()
	w := begin(t, setup{console: keptPort(t).Addr(), clamav: "off", spamd: "off", policy: noGreylist})
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
	w.unconfirmed(t, b)
	w.audited(t, b)
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

// unconfirmed has another session publish what nobody confirms, over a draft of this one, and kills the daemon while it waits.
func (w *world) unconfirmed(t *testing.T, b *labtest.Browser) {
	t.Helper()
	second := w.operator(t, "second", "operator")
	b.Step("policy.tune", map[string]any{"name": "Tag", "value": 4.5}, nil)
	text, _ := w.command(t, 0, "policy", "export")
	publish := func(banner, confirm string, expect int) {
		t.Helper()
		form := second.ask("GET", "/policy", nil).part(t, `name="form" value="([^"]+)"`)
		fields, err := json.Marshal(map[string]any{"text": text + "[smtp]\nbanner = \"ESMTP " + banner + "\"\n", "comment": "of another", "confirm": confirm, "expect": expect})
		must(t, err)
		if a := second.send("POST", "/api/v1/policy/versions", bytes.NewReader(fields), "Content-Type", "application/json", "Gatepost-Form", form, "Origin", second.base, "Sec-Fetch-Site", "same-origin"); a.code != 200 {
			t.Fatalf("published by another: %d %s", a.code, a.body)
		}
		w.awaitGreeting(t, banner)
	}
	publish("second", "1h", 4)
	var seen struct {
		Notes         []string
		Differs, Said string
		Left          int
	}
	b.Step("policy.conflict", map[string]any{"look": "policy-conflict"}, &seen)
	if notes := strings.Join(seen.Notes, " "); !strings.Contains(notes, "second published version 5 after you began") {
		t.Errorf("the conflict: %q", notes)
	}
	if !strings.Contains(seen.Differs, `-banner = "ESMTP second"`) || !strings.Contains(seen.Said, "version 5 is in force") && !strings.Contains(seen.Said, "another version is in force") || seen.Left != 0 {
		t.Errorf("over what another did: %+v", seen)
	}
	w.command(t, 0, "policy", "confirm")
	b.Step("log.tail", nil, nil)
	if r := w.hello(t).deliverFrom("carol-before@example.org", "bob@served.test", "cut off 1").last(); !strings.HasPrefix(r, "250") {
		t.Errorf("before the kill: %q", r)
	}
	var before []int
	b.Step("log.resumes", map[string]any{"texts": []string{"carol-before@"}}, &before)
	resumed := make(chan []int)
	go func() {
		var n []int
		b.Try("log.resumes", map[string]any{"texts": []string{"carol-behind@"}}, &n)
		resumed <- n
	}()
	publish("third", "5s", 5)
	must(t, w.daemon.Kill())
	w.start(t)
	if r := w.hello(t).deliverFrom("carol-behind@example.org", "bob@served.test", "cut off 2").last(); !strings.HasPrefix(r, "250") {
		t.Errorf("after the kill: %q", r)
	}
	if n := <-resumed; len(n) != 1 || n[0] != 1 {
		t.Errorf("what came after the cut is shown %v times", n)
	}
	w.awaitGreeting(t, "second") // the third was not confirmed
	var all []string
	b.Step("policy.versions", map[string]any{"look": "policy-undone"}, &all)
	if len(all) != 7 || !strings.Contains(all[0], "in force") || !strings.Contains(all[0], "version 6 was undone, as version 5") || !strings.Contains(all[1], "of another") {
		t.Errorf("versions: %q", all)
	}
	var after []int
	b.Step("log.resumes", map[string]any{"texts": []string{"carol-before@", "carol-behind@"}}, &after)
	if len(after) != 2 || len(before) != 1 || before[0] != 1 || after[0] != 1 || after[1] != 1 {
		t.Errorf("lines of the live view: %v before, %v after", before, after)
	}
}
