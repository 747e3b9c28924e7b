package filters

import (
	"context"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
	nexthop "gatepost/gateway/relay"
)

func TestRcpt(t *testing.T) {
	said := func(code int, enhanced, text string) gateway.Reply {
		return gateway.Reply{Code: code, Enhanced: enhanced, Text: text}
	}
	d := &Deps{Recipients: answers{
		"known@served.example":    {Kind: recipients.Known, NextHop: "192.0.2.25:25", Said: "250 2.1.5 Ok"},
		"kept@served.example":     {Kind: recipients.Known, FromCache: true, Age: 90 * time.Minute},
		"unknown@served.example":  {Kind: recipients.Unknown, Reply: said(550, "5.1.1", "User unknown in table"), NextHop: "192.0.2.25:25", Said: "550 5.1.1 User unknown in table"},
		"full@served.example":     {Kind: recipients.Refused, Reply: said(552, "5.2.2", "Mailbox full"), Said: "552 5.2.2 Mailbox full"},
		"old@served.example":      {Kind: recipients.Refused, Reply: said(550, "", "Go away")},
		"later@served.example":    {Kind: recipients.Deferred, Reply: said(450, "4.2.0", "Greylisted")},
		"shutdown@served.example": {Kind: recipients.Deferred, Reply: said(421, "4.3.2", "Shutting down")},
		"away@served.example":     {Kind: recipients.Away, Reply: gateway.Word(gateway.Defer, gateway.NextHopAway, nil), Said: "connection refused"},
		"list@served.example":     {Kind: recipients.NotAsked},
	}}
	pl := build(t, "", d)
	for _, c := range []struct {
		local  string
		result gateway.Result
		reason gateway.Reason
		reply  string
		shows  string
	}{
		{"known", gateway.Pass, "", "", "route in, 192.0.2.25:25"},
		{"kept", gateway.Pass, "", "", "known, for 1h30m0s"},
		{"unknown", gateway.Fail, gateway.RcptUnknown, "550 5.1.1 No such recipient here: <unknown@served.example>", "550 5.1.1 User unknown in table"},
		{"full", gateway.Fail, gateway.RcptRefused, "552 5.2.2 Mailbox full", "552 5.2.2 Mailbox full"},
		{"old", gateway.Fail, gateway.RcptRefused, "550 5.0.0 Go away", "550 Go away"},
		{"later", gateway.Unknown, gateway.RcptRefused, "450 4.2.0 Greylisted", "450 4.2.0 Greylisted"},
		{"shutdown", gateway.Unknown, gateway.RcptRefused, "421 4.3.2 Shutting down", "421 4.3.2"},
		{"away", gateway.Unknown, gateway.NextHopAway, "451 4.4.1 ", "connection refused"},
		{"missing", gateway.Unknown, gateway.NextHopAway, "451 4.4.1 ", "route in"}, // the zero Answer tells nothing
		{"list", gateway.NotRun, gateway.LeftNoInput, "", "in does not have its recipients checked"},
	} {
		s := from("192.0.2.1", "good.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		in := input(s, &gateway.Envelope{Rcpts: []gateway.Recipient{recipientOf(t, d.Policy, "<"+c.local+"@served.example>")}})
		in.Rcpt = 0
		v := pl.Run(t.Context(), gateway.Rcpt, in)
		f := in.Envelope.Findings[len(in.Envelope.Findings)-1]
		_, reply := v.Rcpt(0, 1)
		if f.Result != c.result || f.Reason != c.reason || (c.reply == "") != reply.IsZero() || !strings.HasPrefix(reply.String(), c.reply) {
			t.Errorf("%s: %s %s, %s; want %s", c.local, f.Result, f.Reason, reply, c.reply)
		}
		shown := ""
		for _, e := range f.Evidence {
			shown += e.Text + "\n"
		}
		if !strings.Contains(shown, c.shows) {
			t.Errorf("%s: the trace shows %q, want %q", c.local, shown, c.shows)
		}
	}
	// Nobody can be asked where there is no route.
	in := input(from("192.0.2.1", "x.example"), &gateway.Envelope{Rcpts: []gateway.Recipient{{Address: mailFrom(t, "<known@served.example>")}}})
	in.Rcpt = 0
	if f := run(t, d.runRcpt, in); f.Result != gateway.NotRun {
		t.Errorf("without a route: %s", f.Result)
	}
}

// hop answers call-ahead for the real memory of recipients.
type hop nexthop.Verified

func (h hop) Verify(context.Context, string, gateway.Address, gateway.Address) nexthop.Verified {
	return nexthop.Verified(h)
}

// TestRcptRemembers runs the check over the real memory of recipients.
func TestRcptRemembers(t *testing.T) {
	cache := recipients.NewCache(10)
	policy := servedPolicy()
	in := input(from("192.0.2.1", "x.example"), &gateway.Envelope{Rcpts: []gateway.Recipient{recipientOf(t, policy, "<a@served.example>")}})
	in.Rcpt = 0
	d := &Deps{Recipients: recipients.New(cache, hop{Result: nexthop.Takes, At: "rcpt", NextHop: "h:25"}, recipients.Sources{}), Policy: policy}
	if f := run(t, d.runRcpt, in); f.Result != gateway.Pass || evidence(f, "remembered") != "" {
		t.Errorf("first: %s %v", f.Result, f.Evidence)
	}
	d.Recipients = recipients.New(cache, hop{}, recipients.Sources{})
	if f := run(t, d.runRcpt, in); f.Result != gateway.Pass || !strings.HasPrefix(evidence(f, "remembered"), "known, for ") {
		t.Errorf("second: %s %v", f.Result, f.Evidence)
	}
	d.Recipients = recipients.New(cache, hop{}, recipients.Sources{Routes: map[string]recipients.Source{"in": {None: true}}})
	if f := run(t, d.runRcpt, in); f.Result != gateway.NotRun {
		t.Errorf("a route that does not want it: %s %v", f.Result, f.Evidence)
	}
}
