package smtpd

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestJoinedOnce: what was begun with the connection is joined once a session: before its first MAIL, so that a client that
// waits has heard the banner and EHLO meanwhile, or before the banner where refusals are spoken in its place.
func TestJoinedOnce(t *testing.T) {
	for name, at := range map[string]bool{"rcpt": false, "connect": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				var joined []string
				listed := false
				answer := func(s *gateway.Session) bool {
					return gateway.Fact(&s.Facts, "answer", func() bool { sleep(time.Second); return listed })
				}
				w.snap.Gate.RefuseAtConnect = at
				w.snap.Policy.Checks["late"] = gateway.CheckPolicy{Class: gateway.ClassList, Action: gateway.ActionReject}
				w.snap.Pipeline.Ahead = []func(context.Context, *gateway.Session) func(){func(_ context.Context, s *gateway.Session) func() { return func() { answer(s) } }}
				w.snap.Pipeline.Late = []gateway.Row{{Checks: []gateway.Check{{Name: "late", Stage: gateway.Connect,
					Run: func(_ context.Context, in *gateway.Input) gateway.Finding {
						joined = append(joined, in.Session.Helo.Name)
						if answer(in.Session) {
							return gateway.Failed(gateway.RBLListed, "you", "list", "code", "site")
						}
						return gateway.Passed()
					}}}}}
				hello := func(c *client) string {
					sleep(2 * time.Second) // the answer is there
					return c.say("EHLO client.example")
				}
				c := w.dial(stranger)
				if got := hello(c); !strings.Contains(got, "220 ") || !strings.Contains(got, "\n250") {
					t.Fatalf("%q", got)
				}
				want := []string{"client.example"}
				if at {
					want = []string{""} // nobody has said anything yet
				}
				if got := len(joined) > 0; got != at {
					t.Errorf("joined before MAIL: %v", got)
				}
				for range 3 {
					c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "RSET")
				}
				if !slices.Equal(joined, want) {
					t.Errorf("joined at %q, not %q", joined, want)
				}
				c.say("QUIT")
				if e := w.journal.events[0]; len(e.Record.Find("late")) != 1 {
					t.Errorf("record %+v", e.Record)
				}

				listed = true
				c = w.dial(stranger)
				got := hello(c)
				if at {
					if !strings.HasPrefix(got, "554 5.7.1 Refused: you is listed by list") || !c.gone() {
						t.Errorf("in place of the banner: %q", got)
					}
					return
				}
				got = c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<postmaster@example.org>", "RCPT TO:<b@example.org>")
				if !strings.Contains(got, "250 2.1.0") || !strings.Contains(got, "250 2.1.5") || !strings.Contains(got, "550 5.7.1 Refused: you is listed by list") {
					t.Errorf("held until RCPT: %q", got)
				}
			})
		})
	}
}
