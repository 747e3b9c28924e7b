package filters

import (
	"testing"
	"time"

	"gatepost/gateway"
)

// TestLesson: what a connection teaches about its client. What is only observed, and what a trusted client does, teaches
// nothing bad.
func TestLesson(t *testing.T) {
	o := &Pregreet{Remember: time.Hour, RememberPassed: 2 * time.Hour, RememberBad: 3 * time.Hour}
	began, took := time.Unix(1800000000, 0), 10*time.Second
	ended := began.Add(took)
	failed := []gateway.Finding{{Check: "pregreet", Result: gateway.Fail, Reason: gateway.EarlyTalk}}
	enforce := &gateway.Policy{Checks: map[string]gateway.CheckPolicy{"pregreet": {Action: gateway.ActionReject}, "verb": {Action: gateway.ActionObserve}, "helo": {Action: gateway.ActionReject}}}
	observe := &gateway.Policy{Mode: gateway.ObserveOnly, Checks: enforce.Checks}
	for name, c := range map[string]struct {
		kind    gateway.EventKind
		record  gateway.Record
		summary gateway.Summary
		policy  *gateway.Policy
		want    gateway.Remembered
	}{
		"nothing":            {},
		"kept silent":        {summary: gateway.Summary{Waited: time.Second}, want: gateway.Remembered{Pregreet: ended.Add(time.Hour)}},
		"passed everything":  {summary: gateway.Summary{Waited: time.Second, Passed: true}, want: gateway.Remembered{Pregreet: ended.Add(time.Hour), Protocol: ended.Add(2 * time.Hour)}},
		"known, passed":      {summary: gateway.Summary{Passed: true}, want: gateway.Remembered{Protocol: ended.Add(2 * time.Hour)}},
		"talked early":       {record: gateway.Record{Findings: failed}, want: gateway.Remembered{Bad: ended.Add(3 * time.Hour)}},
		"in observe mode":    {record: gateway.Record{Findings: failed}, policy: observe},
		"observed":           {record: gateway.Record{Findings: []gateway.Finding{{Check: "verb", Result: gateway.Fail}}}},
		"not a bot test":     {record: gateway.Record{Findings: []gateway.Finding{{Check: "helo", Result: gateway.Fail}}}},
		"trusted":            {record: gateway.Record{Findings: failed, Trusted: true}, summary: gateway.Summary{Passed: true}},
		"of a transaction":   {kind: gateway.TransactionEvent, record: gateway.Record{Findings: failed}},
		"passed a bot test":  {record: gateway.Record{Findings: []gateway.Finding{{Check: "pregreet", Result: gateway.Pass}}}},
		"silent, then a bot": {record: gateway.Record{Findings: failed}, summary: gateway.Summary{Waited: time.Second}, want: gateway.Remembered{Pregreet: ended.Add(time.Hour), Bad: ended.Add(3 * time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.policy == nil {
				c.policy = enforce
			}
			c.record.Time = began
			e := &gateway.Event{Kind: c.kind, Record: &c.record, Took: took, Session: c.summary}
			if got := o.Lesson(e, c.policy); got != c.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestPregreetOf: the edge makes no wait where the check is off.
func TestPregreetOf(t *testing.T) {
	o := &Pregreet{Wait: 6 * time.Second, StressWait: time.Second}
	for action, want := range map[gateway.Action]time.Duration{gateway.ActionOff: 0, gateway.ActionObserve: 6 * time.Second, gateway.ActionDrop: 6 * time.Second} {
		if got := PregreetOf(map[string]Configured{"pregreet": {Action: action, Options: o}}); got.Wait != want || got.StressWait > got.Wait {
			t.Errorf("%s: %+v", action, got)
		}
	}
	if got := PregreetOf(nil); got != (Pregreet{}) {
		t.Errorf("not configured: %+v", got)
	}
}
