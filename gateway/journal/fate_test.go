package journal

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestFate shows that each thing that becomes of a message is a line of a verb of its own, with the reference, and what a
// person does names who.
func TestFate(t *testing.T) {
	var m memory
	j := New(Options{Sinks: []Sink{&m}, Store: new(fakeStore)})
	defer closeJournal(t, j)
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	many := make([]string, maxRcpts+7)
	for i := range many {
		many[i] = "someone@example.org"
	}
	for _, c := range []struct {
		fate gateway.Fate
		kind Verb
		want map[string]any
	}{
		{gateway.Fate{What: gateway.FateQueued, From: "a@x.example", Rcpts: []string{"b@y.example"}}, SpoolQueued, map[string]any{"from": "a@x.example"}},
		{gateway.Fate{What: gateway.FateDelivered, NextHop: "192.0.2.1:25", Said: "250 ok\x07", Attempt: 2}, SpoolDelivered,
			map[string]any{"next_hop": "192.0.2.1:25", "said": "250 ok\a", "attempt": 2.0, "from": ""}},
		{gateway.Fate{What: gateway.FateDeferred, Next: at.Add(time.Minute)}, SpoolDeferred, map[string]any{"next": "2026-11-26T10:01:00.000Z"}},
		{gateway.Fate{What: gateway.FateFailed, Rcpts: many}, SpoolFailed, map[string]any{"rcpts_more": 7.0}},
		{gateway.Fate{What: gateway.FateNotified, Notice: 99}, SpoolNotified, map[string]any{"notice": gateway.ID(99).String()}},
		{gateway.Fate{What: gateway.FateDead}, SpoolDead, nil},
		{gateway.Fate{What: gateway.FateDamaged}, SpoolDamaged, nil},
		{gateway.Fate{What: gateway.FateDeleted, By: "root (0)"}, SpoolOperator, map[string]any{"did": "deleted", "by": "root (0)"}},
		{gateway.Fate{What: "whatever"}, Note, nil},
	} {
		c.fate.ID, c.fate.Time = gateway.ID(7<<20), at
		j.Fate(&c.fate)
		m.mu.Lock()
		lines := m.lines
		m.mu.Unlock()
		l := lines[len(lines)-1]
		got := checkLine(t, l.JSON)
		if l.Verb != c.kind || got["kind"] != string(c.kind) || got["id"] != c.fate.ID.String() {
			t.Errorf("%s: %s", c.fate.What, l.JSON)
		}
		for name, v := range c.want {
			if got[name] != v {
				t.Errorf("%s: %s is %v, want %v", c.fate.What, name, got[name], v)
			}
		}
	}
}

// TestRenderFates shows the story of a message go on with what became of it, safe for a terminal.
func TestRenderFates(t *testing.T) {
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	fates := []gateway.Fate{{What: gateway.FateQueued, Time: at, Rcpts: []string{"b@y.example"}},
		{What: gateway.FateDeferred, Time: at, NextHop: "192.0.2.1:25", Said: "451 later \x1b[31m", Next: at.Add(time.Minute)},
		{What: gateway.FateHeld, Time: at, By: "root"}, {What: gateway.FateNotified, Time: at, Notice: 99}}
	text := Render(mailEvent(), RenderOptions{Fates: fates})
	for _, want := range []string{"Afterwards, in the spool", "queued for <b@y.example>", `deferred by 192.0.2.1:25: 451 later \u001b[31m; tried again at`,
		"held by root", "notified; notice " + gateway.ID(99).String()} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if alone := RenderFates(gateway.ID(7<<20), fates, RenderOptions{}); !strings.Contains(alone, gateway.ID(7<<20).String()) || !strings.Contains(alone, "held by root") {
		t.Errorf("%s", alone)
	}
	s := NewStory(mailEvent())
	s.Later = fates
	b, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(b), `"later":[{`) {
		t.Errorf("%v: %s", err, b)
	}
}
