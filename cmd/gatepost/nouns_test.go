package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/greylist"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/store"
)

// TestNounsAreBounded shows what somebody of one domain is told of recipients and of who waits: of his own, and nothing of others.
func TestNounsAreBounded(t *testing.T) {
	w := newSpoolWorld(t, spools)
	d := w.daemon
	l, err := store.Open(store.Options{Dir: t.TempDir()}) // where names of those who wait are looked for
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.WithoutCancel(t.Context()))
	d.store = l
	if err := d.parts.useKey(make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
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
		if out, code := call(c.actor, "recipients show", &c.in); code != c.want || code == 0 && out.(*rcptShown).Address != c.in.Address {
			t.Errorf("%s: %+v: %d", c.actor.Role, c.in, code)
		}
	}
	for i, to := range []string{"a@example.org", "b@other.example", "c@example.org"} {
		from := gateway.Address{Text: "s@x.example", Local: "s", Domain: "x.example"}
		key := d.parts.keyer.Key(greylist.Identity("x.example"), from.Text, to)
		if _, err := d.parts.shaper.Greylist().Try(t.Context(), key, d.now.Load().greylist, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if i < 2 { // of the third nobody knows who it is
			d.guests.name(key.String(), guestName{From: from.Text, To: to})
		}
	}
	out, _ := call(operator, "greylist list", &api.GreylistAsk{Limit: 10})
	if got := out.(*waitingList); got.All != 3 || len(got.Waiting) != 3 {
		t.Errorf("all: %+v", got)
	}
	out, _ = call(desk, "greylist list", &api.GreylistAsk{Limit: 10})
	if got := out.(*waitingList); got.All != 1 || !slices.ContainsFunc(got.Waiting, func(w waiter) bool { return w.To == "a@example.org" }) {
		t.Errorf("of one domain: %+v", got)
	}
	for _, name := range []string{"limits top", "rbl status", "reload", "tls renew", "greylist release", "reputation reset", "recipients forget"} {
		in := map[string]any{"limits top": &api.Top{N: 1}, "tls renew": &api.RenewAsk{}, "greylist release": &api.GreylistPick{Key: "x"}, "reputation reset": &api.ReputationOf{Of: "x.example"},
			"recipients forget": &api.RcptForget{Route: "in"}}[name]
		if in == nil {
			in = &struct{}{}
		}
		if _, code := call(desk, name, in); code != 403 {
			t.Errorf("%s: %d", name, code)
		}
	}
}
