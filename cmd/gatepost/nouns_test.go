package main

import (
	"errors"
	"testing"

	rcpts "gatepost/cmd/gatepost/recipients"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// TestNounsAreBounded shows what somebody of one domain is told of recipients: of his own, and nothing of others.
func TestNounsAreBounded(t *testing.T) {
	w := newSpoolWorld(t, spools)
	d := w.daemon
	surface := &control.Surface{Operations: d.operations()}
	call := func(a access.Actor, name string, in any) (any, int) {
		out, err := surface.Call(access.With(t.Context(), a), name, in)
		if f, ok := errors.AsType[*control.Fault](err); ok {
			return nil, f.Status
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return out, 0
	}
	operator, desk := access.Actor{Name: "o", Role: access.Operator}, access.Actor{Name: "h", Role: access.HelpDesk, Domains: []string{"example.org"}}
	for _, c := range []struct {
		actor access.Actor
		in    api.RcptAsk
		want  int
	}{{operator, api.RcptAsk{Limit: 5}, 0}, {operator, api.RcptAsk{Address: "a@other.example", Limit: 5}, 0}, {desk, api.RcptAsk{Limit: 5}, 403},
		{desk, api.RcptAsk{Address: "a@other.example", Limit: 5}, 403}, {desk, api.RcptAsk{Address: "example.org@other.example", Limit: 5}, 403}, {desk, api.RcptAsk{Address: "a@Example.org", Limit: 5}, 0}} {
		if out, code := call(c.actor, "recipients show", &c.in); code != c.want || code == 0 && out.(*rcpts.Shown).Address != c.in.Address {
			t.Errorf("%s: %+v: %d", c.actor.Role, c.in, code)
		}
	}
	for _, name := range []string{"limits top", "rbl status", "reload", "tls renew", "reputation reset", "recipients forget"} {
		in := map[string]any{"limits top": &api.Top{N: 1}, "tls renew": &api.RenewAsk{}, "reputation reset": &api.ReputationOf{Of: "x.example"},
			"recipients forget": &api.RcptForget{Route: "in"}}[name]
		if in == nil {
			in = &struct{}{}
		}
		if _, code := call(desk, name, in); code != 403 {
			t.Errorf("%s: %d", name, code)
		}
	}
}
