package smtpd

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/accept"
)

// failing makes a check that always fails for a reason.
func fails(name string, stage gateway.Stage, why gateway.Reason, args ...string) gateway.Row {
	return gateway.Row{Checks: []gateway.Check{{Name: name, Stage: stage,
		Run: func(context.Context, *gateway.Input) gateway.Finding {
			return gateway.Failed(why, args...).Show("seen", name)
		}}}}
}

// TestHeldRefusals: what the stages before RCPT refuse is spoken at RCPT, to everybody but those who must be reachable.
func TestHeldRefusals(t *testing.T) {
	for _, stage := range []gateway.Stage{gateway.Connect, gateway.Helo, gateway.Mail} {
		for _, action := range []gateway.Action{gateway.ActionReject, gateway.ActionDefer, gateway.ActionDrop} {
			if stage == gateway.Connect && action == gateway.ActionDrop {
				continue // TestDropAtConnect
			}
			t.Run(stage.String()+"-"+action.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					w.snap.Policy.Checks["held"] = gateway.CheckPolicy{Class: gateway.ClassList, Action: action}
					w.snap.Pipeline.Rows[stage] = []gateway.Row{fails("held", stage, gateway.AccessBlocked, "list")}
					c := w.dial(stranger)
					c.say("EHLO client.example")
					if got := c.say("MAIL FROM:<a@sender.example>"); !strings.HasPrefix(got, "250 ") {
						t.Fatalf("MAIL: %q", got)
					}
					if got := c.say("RCPT TO:<postmaster@example.org>"); !strings.HasPrefix(got, "250 ") {
						t.Fatalf("postmaster: %q", got)
					}
					got := c.say("RCPT TO:<b@example.org>")
					want := map[gateway.Action]string{gateway.ActionReject: "554 5.7.1 ", gateway.ActionDefer: "451 4.7.1 ", gateway.ActionDrop: "554 5.7.1 "}[action]
					if !strings.HasPrefix(got, want+"Refused by this site's own block list: list. Reference ") {
						t.Fatalf("RCPT: %q", got)
					}
					if c.gone() != (action == gateway.ActionDrop) {
						t.Errorf("gone is %v", c.gone())
					}
					c.hangUp()
					synctest.Wait()
					e := w.journal.events[0]
					if len(e.Record.Find("held")) != 1 || len(e.Record.Rcpts) != 2 || e.Record.Helo != "client.example" {
						t.Errorf("record %+v", e.Record)
					}
				})
			})
		}
	}
}

func TestDropAtConnect(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Policy.Checks["held"] = gateway.CheckPolicy{Class: gateway.ClassList, Action: gateway.ActionDrop}
		w.snap.Pipeline.Rows[gateway.Connect] = []gateway.Row{fails("held", gateway.Connect, gateway.AccessBlocked, "list")}
		c := w.dial(stranger)
		if got := c.heard(); !strings.HasPrefix(got, "554 5.7.1 Refused by this site's own block list") || !c.gone() {
			t.Errorf("%q", got)
		}
		if got := w.journal.all(); !slices.Equal(got, []string{"early access.blocked"}) {
			t.Errorf("journal: %q", got)
		}
	})
}

// TestNameIsReadAtMail: a second EHLO does not evade what is checked of the name.
func TestNameIsReadAtMail(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var seen []gateway.Hello
		w.snap.Policy.Checks["helo"] = gateway.CheckPolicy{Action: gateway.ActionScore}
		w.snap.Pipeline.Rows[gateway.Helo] = []gateway.Row{{Checks: []gateway.Check{{Name: "helo", Stage: gateway.Helo,
			Run: func(_ context.Context, in *gateway.Input) gateway.Finding {
				seen = append(seen, in.Session.Helo)
				return gateway.Passed()
			}}}}}
		c := w.dial(stranger)
		for _, name := range []string{"good.example", "[192.0.2.1]", "192.0.2.1", "bad_name.example", "[junk]", "dot.example."} {
			c.say("EHLO "+name, "MAIL FROM:<>")
		}
		c.say("HELO good.example", "MAIL FROM:<>")
		want := []gateway.Hello{{Name: "good.example", Extended: true, Valid: true},
			{Name: "[192.0.2.1]", Extended: true, Valid: true, Literal: true}, {Name: "192.0.2.1", Extended: true},
			{Name: "bad_name.example", Extended: true}, {Name: "[junk]", Extended: true}, {Name: "dot.example.", Extended: true},
			{Name: "good.example", Valid: true}}
		if !slices.Equal(seen, want) {
			t.Errorf("%+v", seen)
		}
		c.say("QUIT")
		if n := len(w.journal.events); n != len(want)+1 {
			t.Errorf("%d events", n)
		}
	})
}

// TestOnlyTheDelivererAccepts: whatever it says that is no 250 is no success, and never closes by mistake.
func TestOnlyTheDelivererAccepts(t *testing.T) {
	tests := []struct {
		reply gateway.Reply
		want  string
	}{
		{gateway.Reply{}, "451 4.3.0 "},
		{gateway.Reply{Code: 220, Text: "x"}, "451 4.3.0 "},
		{gateway.Reply{Code: 251, Text: "x"}, "451 4.3.0 "},
		{gateway.Reply{Code: 354, Text: "x"}, "451 4.3.0 "},
		{gateway.Reply{Code: 421, Enhanced: "4.4.2", Text: "Next hop says so"}, "451 4.4.2 Next hop says so. Reference "},
		{gateway.Reply{Code: 451, Enhanced: "4.4.1", Text: "Later"}, "451 4.4.1 Later. Reference "},
		{gateway.Reply{Code: 554, Enhanced: "5.0.0", Text: "Never"}, "554 5.0.0 Never. Reference "},
	}
	for _, tt := range tests {
		t.Run(itoa(tt.reply.Code), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.deliver.reply = tt.reply
				c := w.dial(stranger)
				c.say("EHLO client.example")
				c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
				if got := c.say("Subject: x", "", "."); !strings.HasPrefix(got, tt.want) || c.gone() {
					t.Errorf("%q", got)
				}
				c.say("QUIT")
				if e := w.journal.events[1]; e.Session.Accepted != 0 || e.Session.Errors != 0 {
					t.Errorf("summary %+v", e.Session)
				}
			})
		})
	}
}

// TestDropAfterData: the reply is said, and the connection is closed.
func TestDropAfterData(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Policy.Checks["content"] = gateway.CheckPolicy{Class: gateway.ClassMalware, Action: gateway.ActionDrop}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		if got := c.say("Subject: x", "", "VIRUS", "."); !strings.HasPrefix(got, "554 5.7.1 Message refused") || !c.gone() {
			t.Errorf("%q", got)
		}
	})
}

// TestVerdictTime: checks that hang are cut off, and what they could not tell is judged.
func TestVerdictTime(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Pipeline.Rows[gateway.Data][0].Checks[0].Run = func(ctx context.Context, _ *gateway.Input) gateway.Finding {
			<-ctx.Done()
			return gateway.CouldNotTell(gateway.ScannerFailed)
		}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		c.say("Subject: x", "", ".")
		sleep(w.snap.Limits.VerdictTime)
		if got := c.heard(); !strings.HasPrefix(got, "451 4.7.1 The message cannot be scanned") {
			t.Errorf("%q", got)
		}
	})
}

// TestEvent: the record of a transaction is complete, stays as it is, and gives the same verdict again.
func TestEvent(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Policy.Checks["held"] = gateway.CheckPolicy{Action: gateway.ActionObserve}
		w.snap.Pipeline.Rows[gateway.Connect] = []gateway.Row{fails("held", gateway.Connect, gateway.RDNSNone, "x")}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("AUTH PLAIN c2VjcmV0")
		c.say("MAIL FROM:<a@sender.example> SIZE=100 BODY=8BITMIME ENVID=a+2Bb RET=HDRS",
			"RCPT TO:<b@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@example.org", "RCPT TO:<x@elsewhere.example>", "DATA")
		c.say("Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=", "Message-ID: <1@sender.example>", "From: a@sender.example", "", "VIRUS", ".")
		c.say("MAIL FROM:<second@sender.example>", "RCPT TO:<unknown@example.org>", "RCPT TO:<b@example.org>")
		sleep(w.snap.Policy.Delays.UnknownRecipient)
		c.say("QUIT")
		first, last := w.journal.events[0], w.journal.events[2]
		for _, e := range w.journal.events {
			if again := w.snap.Policy.Judge(e.Record); !reflect.DeepEqual(again, e.Verdict) {
				t.Errorf("judged again:\n%+v\nnot\n%+v", again, e.Verdict)
			}
		}
		r := first.Record
		if r.From.Text != "a@sender.example" || r.HeaderFrom != "a@sender.example" || len(r.Rcpts) != 2 || r.Rcpts[0].Code != 250 ||
			r.Rcpts[1].Code != 550 || r.Stage != gateway.Data || r.Client.String() != "198.51.100.7" {
			t.Errorf("record %+v", r)
		}
		if first.Subject != "grüße" || first.MessageID != "<1@sender.example>" || first.Reply.Code != 550 || len(first.Replies) != 2 {
			t.Errorf("event %+v", first)
		}
		if len(first.Evidence) != len(r.Findings) {
			t.Fatalf("%d evidence of %d findings", len(first.Evidence), len(r.Findings))
		}
		for i, f := range r.Findings {
			if !reflect.DeepEqual(first.Evidence[i], f.Evidence) {
				t.Errorf("evidence of %s: %+v", f.Check, first.Evidence[i])
			}
		}
		if last.Kind != gateway.ConnectionEvent || len(last.Evidence) != 1 || last.Reply.Code != 221 || len(last.Session.Refused) != 4 {
			t.Errorf("connection %+v", last)
		}
		if all := strings.Join(last.Session.Refused, "\n"); strings.Contains(all, "c2VjcmV0") || !strings.Contains(all, "RCPT TO:<x@elsewhere.example> -> 550 5.7.1 ") {
			t.Errorf("refused: %q", all)
		}
	})
}

// TestOptionsReachTheEnvelope: what MAIL and RCPT asked for is handed on.
func TestOptionsReachTheEnvelope(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var got gateway.Envelope
		w.deliver.do = func(_ context.Context, e *gateway.Envelope) {
			got.Options, got.Rcpts, got.From, got.Route, got.Measured = e.Options, slices.Clone(e.Rcpts), e.From, e.Route, e.Measured
		}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<\"a b\"@Sender.Example> SIZE=100 BODY=8BITMIME SMTPUTF8 ENVID=a+2Bb RET=HDRS",
			"RCPT TO:<grüße@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@example.org", "DATA")
		c.say("Subject: x", "", strings.Repeat("x", 5000), "ü", ".")
		if want := (gateway.MailOptions{Size: 100, EightBit: true, UTF8: true, Return: "HDRS", EnvID: "a+2Bb"}); got.Options != want {
			t.Errorf("options %+v", got.Options)
		}
		if want := (gateway.Address{Text: `"a b"@sender.example`, Local: "a b", Domain: "sender.example"}); got.From != want {
			t.Errorf("from %+v", got.From)
		}
		to := got.Rcpts[0]
		if want := (gateway.Address{Text: "grüße@example.org", Local: "grüße", Domain: "example.org", UTF8: true}); to.Address != want {
			t.Errorf("to %+v", to.Address)
		}
		if !slices.Equal(to.Options.Notify, []string{"SUCCESS", "FAILURE"}) || to.Options.Original != "rfc822;b@example.org" || got.Route != "main" {
			t.Errorf("recipient %+v, route %q", to, got.Route)
		}
		if want := (gateway.Measured{Octets: 12 + 2 + 5002 + 4, Lines: 4, LongestLine: 5000, EightBit: true, Clean: true}); !reflect.DeepEqual(got.Measured, want) {
			t.Errorf("measured %+v", got.Measured)
		}
	})
}

func TestSubjectRules(t *testing.T) {
	tests := []struct {
		to   []string
		want string
	}{
		{[]string{"b@example.org"}, "a subject that is longer than twenty characters"},
		{[]string{"b@cut.example"}, "a subject that is lo"},
		{[]string{"b@off.example"}, ""},
		{[]string{"b@example.org", "b@cut.example"}, "a subject that is lo"},
		{[]string{"b@cut.example", "b@example.org"}, "a subject that is lo"},
		{[]string{"b@example.org", "b@off.example"}, ""},
		{[]string{"postmaster"}, ""},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, w *world) {
			c := w.dial(stranger)
			c.say("EHLO client.example")
			c.say("MAIL FROM:<>")
			for _, to := range tt.to {
				c.say("RCPT TO:<" + to + ">")
			}
			c.say("DATA")
			c.say("Subject: a subject that is longer than twenty characters", "", ".")
			if got := w.journal.events[0].Subject; got != tt.want {
				t.Errorf("%v: %q", tt.to, got)
			}
		})
	}
}

// TestNextHopSays421: what a next hop says of its own connection never ends ours, at RCPT neither.
func TestNextHopSays421(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Policy.Checks["hop"] = gateway.CheckPolicy{Class: gateway.ClassRecipient, Action: gateway.ActionDefer}
		w.snap.Pipeline.Rows[gateway.Rcpt] = []gateway.Row{fails("hop", gateway.Rcpt, gateway.RcptRefused, "421", "4.3.2", "Closing")}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>")
		if got := c.say("RCPT TO:<b@example.org>"); !strings.HasPrefix(got, "451 4.3.2 Closing. Reference ") || c.gone() {
			t.Errorf("%q", got)
		}
		c.say("QUIT")
		if e := w.journal.events[0]; len(e.Replies) != 1 || e.Replies[0].Code != 451 {
			t.Errorf("replies %+v", e.Replies)
		}
	})
}

// TestAhead: what is slow begins with the connection, and its context ends with it.
func TestAhead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		ended := false
		w.snap.Pipeline.Ahead = []func(context.Context, *gateway.Session) func(){func(ctx context.Context, s *gateway.Session) func() {
			gateway.Fact(&s.Facts, "test", func() int { return 7 })
			return func() {
				<-ctx.Done()
				ended = true
			}
		}, func(context.Context, *gateway.Session) func() { return nil }, func(context.Context, *gateway.Session) func() { panic("early") }}
		seen := 0
		w.snap.Pipeline.Rows[gateway.Mail] = []gateway.Row{{Checks: []gateway.Check{{Name: "content", Stage: gateway.Mail,
			Run: func(_ context.Context, in *gateway.Input) gateway.Finding {
				seen = gateway.Fact(&in.Session.Facts, "test", func() int { return 0 })
				return gateway.Passed()
			}}}}}
		c := w.dial(stranger)
		c.say("EHLO client.example", "MAIL FROM:<>")
		c.say("QUIT")
		if seen != 7 || !ended {
			t.Errorf("the fact is %d, ended is %v", seen, ended)
		}
	})
}

// careless is a Deliverer that does not look at the verdict.
type careless struct{}

func (careless) Deliver(context.Context, *gateway.Envelope, *gateway.Verdict) accept.Result {
	return accept.Result{Reply: gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "Accepted"}}
}

// TestRefusedIsNeverAccepted: a verdict that refuses is never told as a success.
func TestRefusedIsNeverAccepted(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.srv.Deliver = careless{}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		if got := c.say("Subject: x", "", "VIRUS", "."); !strings.HasPrefix(got, "550 5.7.1 Message refused") {
			t.Errorf("%q", got)
		}
	})
}

// slowJournal takes its time.
type slowJournal struct{ *journal }

func (j slowJournal) Write(e *gateway.Event) {
	sleep(time.Minute)
	j.journal.Write(e)
}

// TestReplyBeforeEvent: the client never waits for the journal.
func TestReplyBeforeEvent(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.srv.Journal = slowJournal{w.journal}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
		if got := c.say("BDAT 14 LAST", "Subject: x", ""); !strings.HasPrefix(got, "250 2.0.0 Accepted") {
			t.Errorf("%q", got)
		}
		sleep(time.Minute)
	})
}

// TestHopLearnedMeanwhile: what was offered at EHLO may turn out wrong by RCPT; then the recipient is refused, and not the
// message changed.
func TestHopLearnedMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.dial(stranger)
		c.say("EHLO client.example")
		w.hops["main"] = gateway.Carries{Known: true, Recipients: 1}
		if got := c.say("MAIL FROM:<> BODY=8BITMIME", "RCPT TO:<b@example.org>", "RSET"); !strings.Contains(got, "\n554 5.6.3 ") {
			t.Errorf("8BITMIME: %q", got)
		}
		if got := c.say("MAIL FROM:<> SMTPUTF8", "RCPT TO:<b@example.org>", "RSET"); !strings.Contains(got, "\n553 5.6.7 ") {
			t.Errorf("SMTPUTF8: %q", got)
		}
		got := c.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>")
		if !strings.Contains(got, "\n250 2.1.5 ") || !strings.Contains(got, "\n452 4.5.3 Too many recipients in one transaction: at most 1") {
			t.Errorf("recipients: %q", got)
		}
		for reason, want := range map[gateway.Reason]string{gateway.NextHopBusy: "\n451 4.4.5 ", gateway.NextHopAway: "\n451 4.4.1 "} {
			w.hops["main"] = gateway.Carries{Known: true, Defer: reason}
			if got := c.say("RSET", "MAIL FROM:<>", "RCPT TO:<a@example.org>"); !strings.Contains(got, want) {
				t.Errorf("%s: %q", reason, got)
			}
			// Who was let in already is not joined by a refusal, though nothing moves any more.
			w.hops["main"] = gateway.Carries{Known: true}
			c.say("RCPT TO:<a@example.org>")
			w.hops["main"] = gateway.Carries{Known: true, Defer: reason}
			if got := c.say("RCPT TO:<b@example.org>"); !strings.Contains(got, "250 2.1.5 ") {
				t.Errorf("%s behind a recipient: %q", reason, got)
			}
		}
		w.hops["main"] = gateway.Carries{} // nothing is known: nothing is refused for it
		if got := c.say("RSET", "MAIL FROM:<> SMTPUTF8 BODY=8BITMIME", "RCPT TO:<b@example.org>"); !strings.Contains(got, "\n250 2.1.5 ") {
			t.Errorf("unknown: %q", got)
		}
	})
}

// TestOffersFollowTheRoutes: every route counts, that of postmaster too, and a new policy has its own.
func TestOffersFollowTheRoutes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		offered := func() string {
			c := w.dial(stranger)
			return c.say("EHLO client.example")
		}
		if got := offered(); !strings.Contains(got, "8BITMIME") || !strings.Contains(got, "SMTPUTF8") || !strings.Contains(got, "DSN") {
			t.Errorf("%q", got)
		}
		again := testPolicy()
		again.Postmaster.Route = "postmaster"
		snap := *w.snap
		snap.Policy, w.snap = again, &snap
		if got := offered(); strings.Contains(got, "8BITMIME") || strings.Contains(got, "SMTPUTF8") || strings.Contains(got, "DSN") {
			t.Errorf("the next hop of postmaster is not known: %q", got)
		}
		w.hops["postmaster"] = gateway.Carries{Known: true, UTF8: true, DSN: true}
		if got := offered(); strings.Contains(got, "8BITMIME") || strings.Contains(got, "SMTPUTF8") || !strings.Contains(got, "DSN") {
			t.Errorf("SMTPUTF8 without 8BITMIME: %q", got)
		}
		w.hops["postmaster"] = gateway.Carries{Known: true, EightBit: true}
		if got := offered(); !strings.Contains(got, "8BITMIME") || strings.Contains(got, "SMTPUTF8") || strings.Contains(got, "DSN") {
			t.Errorf("8BITMIME alone: %q", got)
		}
	})
}
