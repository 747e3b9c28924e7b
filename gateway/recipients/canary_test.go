package recipients

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
)

func atMail(v relay.Verified) relay.Verified {
	v.At = "mail"
	return v
}

// What a next hop says to nobody and to a sender, and what that makes of its word.
func TestCanary(t *testing.T) {
	for _, tt := range []struct {
		name           string
		nobody, sender relay.Verified
		before         bool // it took everyone when it was asked before
		want           bool
		news           bool
	}{
		{"takes everyone", yes, yes, false, true, true},
		{"still", yes, yes, true, true, false},
		{"knows its recipients", no, no, false, false, false},
		{"knows them now", no, no, true, false, true},
		{"knows them where there is a sender", yes, no, false, false, false},
		{"refuses another way", never, never, false, false, false},
		{"does not take bounces, and else everyone", atMail(never), yes, false, true, true},
		{"does not take bounces, and knows", atMail(never), no, false, false, false},
		{"takes nothing", atMail(never), atMail(never), true, true, false},
		{"away", away, away, true, true, false},
		{"away in between", yes, away, false, false, false},
		{"says later", later, later, true, true, false},
		{"says later to a sender", yes, later, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &hop{says: func(from, rcpt gateway.Address) relay.Verified {
				if rcpt.RoleOf() != "" {
					return yes
				}
				if !strings.HasPrefix(rcpt.Local, "gatepost-canary-") || rcpt.Domain != "example.org" {
					t.Errorf("asked for %s", rcpt.Text)
				}
				if from.IsNull() {
					return tt.nobody
				}
				return tt.sender
			}}
			r := New(NewCache(0), h, Sources{Policy: &gateway.Policy{Domains: map[string]*gateway.Domain{"example.org": {Name: "example.org", Route: "inner"}}}})
			d := domainOf{"inner", "example.org"}
			if tt.before {
				r.cache.setCanary(d, Canary{Route: d.route, Domain: d.name, Everyone: true})
			}
			c, news := r.probe(t.Context(), d, address("postmaster@mx.example.org"))
			if c.Everyone != tt.want || news != tt.news || r.cache.everyone("inner", "example.org") != tt.want {
				t.Errorf("%+v, news %v", c, news)
			}
		})
	}
}

// Who is taken by a next hop that takes everyone is taken, and never verified; its refusals still count.
func TestEveryone(t *testing.T) {
	policy := &gateway.Policy{Domains: map[string]*gateway.Domain{"example.org": {Name: "example.org", Route: "inner", Subdomains: true}, "example.net": {Name: "example.net", Route: "inner"}}}
	for _, spare := range []bool{false, true} {
		h := new(hop)
		c := NewCache(0)
		r := New(c, h, Sources{Policy: policy, Routes: map[string]Source{"inner": {Spare: spare}}})
		ask := func(says relay.Verified, rcpt string) (Answer, bool) {
			h.set(says)
			before := h.count()
			a := r.Ask(t.Context(), "inner", address("a@example.com"), address(rcpt))
			return a, h.count() > before
		}
		if a, _ := ask(yes, "known@example.org"); !a.Verified() {
			t.Fatalf("%+v", a)
		}
		c.setCanary(domainOf{"inner", "example.org"}, Canary{Everyone: true})
		for rcpt, cached := range map[string]bool{"known@example.org": true, "other@example.org": false, "x@sub.example.org": false} {
			a, asked := ask(yes, rcpt)
			if a.Kind != NotAsked || !a.Everyone || a.Verified() || asked != (!cached && !spare) {
				t.Errorf("spare %v: %s: %+v, asked %v", spare, rcpt, a, asked)
			}
		}
		if a, _ := ask(no, "refused@example.org"); (a.Kind == Unknown) == spare {
			t.Errorf("spare %v: a refusal: %+v", spare, a)
		}
		if a, _ := ask(yes, "user@example.net"); !a.Verified() {
			t.Errorf("another domain: %+v", a)
		}
		r.Learn("inner", address("later@example.org"), address("a@example.com"), never.Reply)
		if a, _ := ask(yes, "later@example.org"); a.Kind != Refused {
			t.Errorf("what it refused a message: %+v", a)
		}
		c.setCanary(domainOf{"inner", "example.org"}, Canary{})
		if a, _ := ask(yes, "known@example.org"); !a.Verified() {
			t.Errorf("it knows its recipients again: %+v", a)
		}
	}
}

// Canaries are sent at the start, after a recovery and every six hours, and to nobody who is away or not asked.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := &gateway.Policy{Domains: map[string]*gateway.Domain{"a.example": {Name: "a.example", Route: "inner"}, "b.example": {Name: "b.example", Route: "inner"},
			"none.example": {Name: "none.example", Route: "open"}, "*.c.example": {Name: "*.c.example", Route: "inner"}}}
		h := &hop{says: func(_, rcpt gateway.Address) relay.Verified {
			switch {
			case rcpt.Domain == "a.example" && rcpt.RoleOf() == "":
				return yes
			case rcpt.Domain == "a.example" || rcpt.Domain == "b.example":
				return no
			}
			t.Errorf("asked for %s", rcpt.Text)
			return yes
		}}
		r := New(NewCache(0), h, Sources{Policy: policy, Routes: map[string]Source{"open": {None: true}}})
		up := make(chan bool, 1)
		up <- true
		var told []Canary
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			r.Watch(ctx, address("postmaster@mx.example.org"), func() map[string]bool {
				is := <-up
				up <- is
				return map[string]bool{"inner": is}
			}, func(c Canary) { told = append(told, c) })
			close(ended)
		}()
		const once = 3 + 2 // a: both senders and postmaster; b: one and postmaster
		asked := func(what string, after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			if h.count() != want {
				t.Errorf("%s: asked %d times, want %d", what, h.count(), want)
			}
		}
		set := func(is bool) { <-up; up <- is }
		asked("before the first look", 5*time.Second, 0)
		asked("start", 30*time.Second, once)
		asked("five hours later", 5*time.Hour, once)
		asked("six hours later", 62*time.Minute, 2*once)
		set(false)
		asked("away", 10*time.Hour, 2*once)
		set(true)
		asked("back", time.Minute, 3*once)
		stop()
		<-ended
		list := r.Canaries()
		if len(list) != 2 || list[0].Domain != "a.example" || !list[0].Everyone || list[1].Everyone || list[1].NoPostmaster != "" && list[1].NoPostmaster != no.Said {
			t.Errorf("%+v", list)
		}
		if len(told) == 0 || told[0].Domain != "a.example" || !told[0].Everyone {
			t.Errorf("told %+v", told)
		}
	})
}

// A next hop that does not know postmaster is told of, unless policy sends its mail elsewhere.
func TestNoPostmaster(t *testing.T) {
	no := no
	no.Said = "550 5.1.1 no such user"
	h := new(hop)
	h.set(no)
	policy := &gateway.Policy{Domains: map[string]*gateway.Domain{"example.org": {Name: "example.org", Route: "inner"}}}
	r := New(NewCache(0), h, Sources{Policy: policy})
	if list := r.Probe(t.Context(), address("a@example.net")); len(list) != 1 || list[0].NoPostmaster != no.Said {
		t.Errorf("%+v", list)
	}
	policy.Routing = &gateway.Routing{Aliases: map[string]*gateway.Way{"postmaster@example.org": {Route: "inner", To: []gateway.Address{address("admin@example.org")}}}}
	if list := r.Probe(t.Context(), address("a@example.net")); len(list) != 1 || list[0].NoPostmaster != "" {
		t.Errorf("with an alias: %+v", list)
	}
}

// A domain that another stands for is asked about once.
func TestAskedOnce(t *testing.T) {
	d := &gateway.Domain{Name: "example.org", Route: "inner"}
	s := Sources{Policy: &gateway.Policy{Domains: map[string]*gateway.Domain{"example.org": d, "old.example": d, "example.net": {Name: "example.net", Route: "inner"}}}}
	want := []domainOf{{"inner", "example.net"}, {"inner", "example.org"}}
	if got := s.asked(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
