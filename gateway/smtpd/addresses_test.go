package smtpd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
)

// way is an alias for that many addresses.
func way(name string, n int, utf8 bool) *gateway.Way {
	w := &gateway.Way{Route: "main"}
	for i := range n {
		local := fmt.Sprint(name, i)
		w.To = append(w.To, gateway.Address{Text: local + "@example.org", Local: local, Domain: "example.org", UTF8: utf8})
	}
	return w
}

// TestAliasesInTransactions shows what aliases change of what one transaction can hold, and of what its next hop must carry.
func TestAliasesInTransactions(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Policy.Routing = &gateway.Routing{Aliases: map[string]*gateway.Way{"a@example.org": way("a", 60, false), "b@example.org": way("b", 60, false),
			"all@example.org": way("c", gateway.MaxTargets, false), "u@example.org": way("ü", 1, true)}}
		w.hops["main"] = gateway.Carries{Known: true, EightBit: true}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		for _, test := range []struct{ rcpt, want string }{
			{"all@example.org", "250 2.1.5 "}, // as many as every next hop takes
			{"a@example.org", "452 4.5.3 "},
			{"", ""},
			{"a@example.org", "250 2.1.5 "},
			{"b@example.org", "452 4.5.3 "},
			{"c@example.org", "250 2.1.5 "},
			{"", ""},
			{"u@example.org", "553 5.6.7 "}, // who it stands for needs what the next hop has not
		} {
			if test.rcpt == "" {
				c.say("RSET")
				continue
			}
			if got := c.say("MAIL FROM:<>", "RCPT TO:<"+test.rcpt+">"); !strings.Contains(got, "\n"+test.want) {
				t.Errorf("%s: %q, want %s", test.rcpt, got, test.want)
			}
		}
	})
}

// TestOffersFollowExceptions: a route that only single recipients take counts as well.
func TestOffersFollowExceptions(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Policy.Routing = &gateway.Routing{Routes: map[string]gateway.Exception{"ceo@example.org": {Route: "branch"}}}
		c := w.dial(stranger)
		if got := c.say("EHLO client.example"); strings.Contains(got, "SMTPUTF8") || strings.Contains(got, "DSN") {
			t.Errorf("the next hop of one recipient is not known: %q", got)
		}
		w.hops["branch"] = gateway.Carries{Known: true, EightBit: true, UTF8: true, DSN: true}
		if got := c.say("EHLO client.example"); !strings.Contains(got, "SMTPUTF8") || !strings.Contains(got, "DSN") {
			t.Errorf("all next hops carry it: %q", got)
		}
	})
}

// TestInstead: where a check finds that a recipient's mail goes, it goes, by that route.
func TestInstead(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		to := []gateway.Address{{Text: "x@other.example", Local: "x", Domain: "other.example"}}
		check := &w.snap.Pipeline.Rows[gateway.Rcpt][0].Checks[0]
		run := check.Run
		check.Run = func(ctx context.Context, in *gateway.Input) gateway.Finding {
			f := run(ctx, in)
			if in.Recipient().Address.Local == "caught" {
				f.Instead = &gateway.Destination{Route: "other", To: to}
			}
			return f
		}
		c := w.dial(stranger)
		got := c.say("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<caught@example.org>", "RCPT TO:<a@example.org>", "RCPT TO:<a@other.example>")
		if n := strings.Count(got, "\n250 2.1.5 "); n != 2 || !strings.Contains(got, "\n452 4.5.3 ") {
			t.Errorf("%q", got)
		}
		c.say("QUIT")
		i := slices.IndexFunc(w.journal.events, func(e *gateway.Event) bool { return e.Kind == gateway.TransactionEvent })
		if i < 0 {
			t.Fatal("the journal has no transaction")
		}
		if r := w.journal.events[i].Record.Rcpts; r[0].Route != "other" || len(r[0].Sent) != 1 || r[0].Sent[0] != to[0] || r[1].Sent != nil || r[2].Code != 250 {
			t.Errorf("the journal tells of %+v", r)
		}
	})
}
