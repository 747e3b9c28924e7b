package main

import (
	"context"
	"testing"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
	"gatepost/gateway/relay"
)

// takesAll is a next hop that takes every recipient.
type takesAll struct{}

func (takesAll) Verify(context.Context, string, gateway.Address, gateway.Address) relay.Verified {
	return relay.Verified{Result: relay.Takes, At: gateway.AtRcpt, Reply: gateway.Reply{Code: 250}}
}

// TestLearnRcpts shows what of the answers of a next hop counts for mail that comes after: a refusal of RCPT does, and one after
// the dot where the sender must come again for others. A message that is refused for all keeps no other one away.
func TestLearnRcpts(t *testing.T) {
	var from, ann, bob gateway.Address
	for a, text := range map[*gateway.Address]string{&from: "s@sender.example", &ann: "ann@served.example", &bob: "bob@served.example"} {
		_ = a.UnmarshalText([]byte(text))
	}
	no, yes := gateway.Reply{Code: 554, Enhanced: "5.7.1", Text: "content"}, gateway.Reply{Code: 250}
	later := gateway.Reply{Code: 452, Enhanced: "4.2.2", Text: "full"}
	for _, c := range []struct {
		name     string
		result   gateway.RelayResult
		at       string
		ann, bob gateway.Reply
		refused  bool // ann, from then on
	}{
		{"RCPT", gateway.MixedByHop, gateway.AtRcpt, no, yes, true},
		{"RCPT of all", gateway.RefusedByHop, gateway.AtRcpt, no, no, true},
		{"after the dot", gateway.MixedByHop, gateway.AtDot, no, yes, true},
		{"after the dot, and nobody took it", gateway.MixedByHop, gateway.AtDot, no, later, true},
		{"after the dot, by all", gateway.RefusedByHop, gateway.AtDot, no, no, false},
		{"after the dot, and for a while", gateway.MixedByHop, gateway.AtDot, later, no, false},
	} {
		rcpts := recipients.New(recipients.NewCache(0), takesAll{}, recipients.Sources{})
		learnRcpts(rcpts, "in", from, &gateway.Relayed{Result: c.result, At: c.at, To: []gateway.Address{ann, bob}, Rcpts: []gateway.Reply{c.ann, c.bob}})
		if a := rcpts.Ask(t.Context(), "in", from, ann); (a.Kind == recipients.Refused) != c.refused {
			t.Errorf("%s: %s", c.name, a.Kind)
		}
	}
}
