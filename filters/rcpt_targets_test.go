package filters

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
)

// routedPolicy has aliases whose targets say in their names what the next hop says of them, and a catch-all for each domain
// of that name.
func routedPolicy(t *testing.T) *gateway.Policy {
	t.Helper()
	p := servedPolicy()
	way := func(kind gateway.PlaceKind, to ...string) *gateway.Way {
		w := &gateway.Way{Route: "in", At: gateway.Place{File: "policy.toml", Line: 7, Kind: kind}}
		for _, a := range to {
			w.To = append(w.To, mailFrom(t, "<"+a+"@served.example>"))
		}
		return w
	}
	p.Routing = &gateway.Routing{Aliases: map[string]*gateway.Way{}, CatchAlls: map[*gateway.Domain]*gateway.Way{
		p.Domains["wide.example"]:          way(gateway.CatchAllPlace, "known"),
		p.Domains["xn--bcher-kva.example"]: way(gateway.CatchAllPlace, "unknown2")}}
	p.Routing.CatchAlls[p.Domains["wide.example"]].Route = "elsewhere"
	for name, to := range map[string]string{"all": "known known2", "some": "known unknown known2", "none": "unknown unknown2", "full": "known full unknown",
		"later": "later known away", "gone": "known away unknown", "list": "listed", "role": "known listed unknown"} {
		p.Routing.Aliases[name+"@served.example"] = way(gateway.AliasPlace, strings.Fields(to)...)
	}
	return p
}

// TestRcptTargets shows what is made of the answers about all that a recipient stands for.
func TestRcptTargets(t *testing.T) {
	d := &Deps{Policy: routedPolicy(t), Recipients: asking(func(to gateway.Address) recipients.Answer {
		switch name := strings.TrimRight(to.Local, "2"); name {
		case "known":
			return recipients.Answer{Kind: recipients.Known}
		case "full":
			return recipients.Answer{Kind: recipients.Refused, Reply: gateway.Reply{Code: 552, Enhanced: "5.2.2", Text: "<full@served.example> is full"}}
		case "later":
			return recipients.Answer{Kind: recipients.Deferred, Reply: gateway.Reply{Code: 450, Enhanced: "4.2.0", Text: "Wait"}}
		case "away":
			return recipients.Answer{Kind: recipients.Away}
		case "listed":
			return recipients.Answer{Kind: recipients.NotAsked}
		}
		return recipients.Answer{Kind: recipients.Unknown, Reply: gateway.Reply{Code: 550, Enhanced: "5.1.1"}}
	})}
	pl := build(t, "", d)
	for _, c := range []struct {
		to     string
		result gateway.Result
		reply  string // how the refusal begins
		sent   string // who gets it instead of all
		shows  string
	}{
		{"all@served.example", gateway.Pass, "", "", "alias policy.toml:7 -> known@served.example, known2@served.example"},
		{"some@served.example", gateway.Pass, "", "known@served.example known2@served.example", "unknown@served.example: unknown"},
		{"none@served.example", gateway.Fail, "550 5.1.1 No such recipient here: <none@served.example>", "", "unknown2@served.example: unknown"},
		{"full@served.example", gateway.Fail, "552 5.2.2 <full@served.example> is full", "", "full@served.example: refused"},
		{"later@served.example", gateway.Unknown, "450 4.2.0 Wait", "", "later@served.example: deferred"},
		{"gone@served.example", gateway.Unknown, "451 4.4.1", "", "away@served.example: away"},
		{"list@served.example", gateway.NotRun, "", "", "listed@served.example"},
		{"role@served.example", gateway.NotRun, "", "known@served.example listed@served.example", "known@served.example: known"},
		{"nobody@served.example", gateway.Fail, "550 5.1.1 No such recipient here: <nobody@served.example>", "", "route in"},
		{"nobody@wide.example", gateway.Pass, "", "known@served.example", "catch_all policy.toml:7 -> known@served.example"},
		{"nobody@xn--bcher-kva.example", gateway.Fail, "550 5.1.1 No such recipient here: <nobody@xn--bcher-kva.example>", "", "unknown2@served.example: unknown"},
	} {
		s := from("192.0.2.1", "good.example")
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl}
		rcpt := gateway.Recipient{Address: mailFrom(t, "<"+c.to+">")}
		to := d.Policy.Destination(rcpt.Address)
		rcpt.Route, rcpt.To = to.Route, to.To
		in := input(s, &gateway.Envelope{Rcpts: []gateway.Recipient{rcpt}})
		in.Rcpt = 0
		v := pl.Run(t.Context(), gateway.Rcpt, in)
		f := in.Envelope.Findings[len(in.Envelope.Findings)-1]
		_, reply := v.Rcpt(0, 1)
		if f.Result != c.result || (c.reply == "") != reply.IsZero() || !strings.HasPrefix(reply.String(), c.reply) {
			t.Errorf("%s: %s %s, %s; want %s %s", c.to, f.Result, f.Reason, reply, c.result, c.reply)
		}
		var sent []string
		if f.Instead != nil {
			for _, a := range f.Instead.To {
				sent = append(sent, a.Text)
			}
		}
		if got := strings.Join(sent, " "); got != c.sent {
			t.Errorf("%s: sent on to %q, want %q", c.to, got, c.sent)
		}
		shown := ""
		for _, e := range f.Evidence {
			shown += e.Text + "\n"
		}
		if !strings.Contains(shown, c.shows) {
			t.Errorf("%s: the trace shows %q, want %q", c.to, shown, c.shows)
		}
	}
}

// TestRcptTargetsAreFew shows that an alias never asks about more targets at once than it may, and that a panic in one is
// the check's.
func TestRcptTargetsAreFew(t *testing.T) {
	var now, most atomic.Int32
	gate := make(chan struct{})
	d := &Deps{Recipients: asking(func(to gateway.Address) recipients.Answer {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if to.Local == "bad" {
			panic("bad")
		}
		<-gate
		return recipients.Answer{Kind: recipients.Known}
	})}
	var to gateway.Destination
	for range gateway.MaxTargets {
		to.To = append(to.To, gateway.Address{Text: "a@served.example", Local: "a", Domain: "served.example"})
	}
	done := make(chan []recipients.Answer)
	go func() { done <- d.askAll(context.Background(), gateway.Address{}, to) }()
	for range to.To {
		gate <- struct{}{}
	}
	if all := <-done; len(all) != gateway.MaxTargets || most.Load() > askAtOnce {
		t.Errorf("%d answers, %d at once", len(all), most.Load())
	}
	defer func() {
		if recover() == nil {
			t.Error("the panic is lost")
		}
	}()
	d.askAll(context.Background(), gateway.Address{}, gateway.Destination{To: []gateway.Address{{Local: "bad"}}})
}
