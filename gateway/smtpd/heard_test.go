package smtpd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/accept"
)

// heardClaim notes what it is told.
type heardClaim struct{ told []bool }

func (h *heardClaim) Done() []bool    { return nil }
func (h *heardClaim) End([]bool)      {}
func (h *heardClaim) Heard(read bool) { h.told = append(h.told, read) }

// remembering is a Deliverer of which each message has a claim.
type remembering struct{ claims []*heardClaim }

func (r *remembering) Deliver(context.Context, *gateway.Envelope, *gateway.Verdict) accept.Result {
	c := &heardClaim{}
	r.claims = append(r.claims, c)
	return accept.Result{Reply: gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "Accepted"}, Claim: c}
}

// TestHeard shows what tells that a client read the 250 of its message, and what does not.
func TestHeard(t *testing.T) {
	const begin = "MAIL FROM:<a@b.example>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n"
	for _, tt := range []struct {
		name string
		rest func(c *client)
		want string // of each message
	}{
		{"QUIT", func(c *client) { c.say("text", "."); c.say("QUIT") }, "[true]"},
		{"any command", func(c *client) { c.say("text", "."); c.say("NONSENSE") }, "[true]"},
		{"another message", func(c *client) { c.say("text", "."); c.say(begin + "text\r\n."); c.say("RSET") }, "[true] [true]"},
		{"gone", func(c *client) { c.say("text", "."); c.hangUp() }, "[false]"},
		{"half a command", func(c *client) { c.say("text", "."); c.send("QUI"); c.heard(); c.hangUp() }, "[false]"},
		{"silent", func(c *client) { c.say("text", "."); time.Sleep(301 * time.Second) }, "[false]"},
		{"QUIT that was sent before", func(c *client) { c.say("text", ".", "QUIT") }, "[false]"},
		{"the first command behind what was sent before", func(c *client) { c.say("text", ".", "NOOP"); c.say("NOOP"); c.say("QUIT") }, "[true]"},
		{"a message that was sent before", func(c *client) { c.say("text", ".", begin); c.say("text", "."); c.say("QUIT") }, "[false] [true]"},
		{"a message by BDAT", func(c *client) {
			c.say("text", ".")
			c.say(strings.TrimSuffix(begin, "DATA\r\n") + "BDAT 6 LAST\r\ntext")
			c.hangUp()
		}, "[true] [false]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				r := &remembering{}
				w.srv.Deliver = r
				c := w.dial(stranger)
				c.say("EHLO client.example")
				c.send(begin)
				c.heard()
				tt.rest(c)
				c.heard()
				c.hangUp()
				c.gone()
				w.open.Wait()
				var got []string
				for _, claim := range r.claims {
					got = append(got, fmt.Sprint(claim.told))
				}
				if all := strings.Join(got, " "); all != tt.want {
					t.Errorf("told %s, want %s", all, tt.want)
				}
			})
		})
	}
}

// spoolPort is a spool that takes mail, or not.
type spoolPort struct{ full gateway.Reason }

func (s *spoolPort) Takes(int64) gateway.Reason { return s.full }
func (s *spoolPort) Put(context.Context, *gateway.Delivery, gateway.Custody) error {
	return nil
}

// TestSpoolAtRcpt shows which recipients are taken while no next hop can be reached.
func TestSpoolAtRcpt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		spool  *spoolPort
		away   gateway.Reason
		spools bool
		asked  bool
		want   string
	}{
		{"spools", &spoolPort{}, gateway.NextHopAway, true, true, "250 250"},
		{"recipients that nobody was asked about", &spoolPort{}, gateway.NextHopAway, true, false, "451 451"},
		{"route defers", &spoolPort{}, gateway.NextHopAway, false, true, "451 451"},
		{"no spool", nil, gateway.NextHopAway, true, true, "451 451"},
		{"spool full", &spoolPort{gateway.NoStorage}, gateway.NextHopAway, true, true, "452 452"},
		{"spool full, and recipients that nobody was asked about", &spoolPort{gateway.NoStorage}, gateway.NextHopAway, true, false, "451 451"},
		{"busy", &spoolPort{}, gateway.NextHopBusy, true, true, "451 451"},
		{"there", &spoolPort{}, "", true, false, "250 250"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				if tt.spool != nil {
					w.srv.Spool = tt.spool
				}
				w.hops["main"] = gateway.Carries{Known: true, EightBit: true, Defer: tt.away}
				w.snap.Spools = map[string]bool{"main": tt.spools}
				check := &w.snap.Pipeline.Rows[gateway.Rcpt][0].Checks[0]
				if tt.asked {
					run := check.Run
					check.Run = func(ctx context.Context, in *gateway.Input) gateway.Finding {
						return run(ctx, in).Show("next hop", "remembered")
					}
				}
				var verified []bool
				w.deliver.do = func(_ context.Context, e *gateway.Envelope) {
					for _, r := range e.AcceptedRcpts() {
						verified = append(verified, r.Verified)
					}
				}
				c := w.dial(stranger)
				c.say("EHLO client.example")
				c.say("MAIL FROM:<>")
				one, two := c.say("RCPT TO:<a@example.org>"), c.say("RCPT TO:<b@example.org>")
				if got := one[:3] + " " + two[:3]; got != tt.want {
					t.Fatalf("%s%s", one, two)
				}
				if !strings.HasPrefix(one, "250") {
					return
				}
				c.say("DATA")
				c.say("text", ".")
				if got := fmt.Sprint(verified); got != fmt.Sprint([]bool{tt.asked, tt.asked}) {
					t.Errorf("verified: %s", got)
				}
			})
		})
	}
}

// TestVerified shows that only a finding of the check of recipients, about this one, that passed and says who was asked,
// makes a recipient verified.
func TestVerified(t *testing.T) {
	said := func(f gateway.Finding, check string, rcpt int) gateway.Finding {
		f.Check, f.Stage, f.Rcpt = check, gateway.Rcpt, rcpt
		return f
	}
	asked := gateway.Passed().Show("next hop", "route main")
	for name, tt := range map[string]struct {
		f    gateway.Finding
		want bool
	}{
		"passed":                     {said(asked, gateway.RcptCheck, 1), true},
		"another's":                  {said(asked, gateway.RcptCheck, 0), false},
		"another check":              {said(asked, "greylist", 1), false},
		"nobody asked":               {said(gateway.Passed(), gateway.RcptCheck, 1), false},
		"left out":                   {said(gateway.Finding{Result: gateway.NotRun, Reason: gateway.LeftNoInput}.Show("route", "x"), gateway.RcptCheck, 1), false},
		"could not tell":             {said(gateway.CouldNotTell(gateway.NextHopAway).Show("next hop", "x"), gateway.RcptCheck, 1), false},
		"refused, and only observed": {said(gateway.Failed(gateway.RcptUnknown).Show("next hop", "x"), gateway.RcptCheck, 1), false},
	} {
		if got := verified([]gateway.Finding{said(asked, "other", 1), tt.f}, 1); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
