package recipients

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/relay"
)

func address(text string) gateway.Address {
	var a gateway.Address
	_ = a.UnmarshalText([]byte(text))
	return a
}

// hop is a next hop that says what the test wants, to the questions it counts.
type hop struct {
	mu    sync.Mutex
	asked int
	says  func(from, rcpt gateway.Address) relay.Verified
	takes time.Duration
}

func (h *hop) Verify(ctx context.Context, _ string, from, rcpt gateway.Address) relay.Verified {
	h.mu.Lock()
	h.asked++
	says, takes := h.says, h.takes
	h.mu.Unlock()
	select {
	case <-time.After(takes):
		return says(from, rcpt)
	case <-ctx.Done():
		return relay.Verified{Reply: gateway.Reply{Code: 451, Enhanced: "4.4.1"}, Said: ctx.Err().Error()}
	}
}

func (h *hop) set(v relay.Verified) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.says = func(gateway.Address, gateway.Address) relay.Verified { return v }
}

func (h *hop) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

func said(r relay.VerifyResult, code int, enhanced string) relay.Verified {
	return relay.Verified{Result: r, At: "rcpt", Reply: gateway.Reply{Code: code, Enhanced: enhanced, Text: "words"}}
}

var (
	yes   = said(relay.Takes, 250, "2.1.5")
	no    = said(relay.Refuses, 550, "5.1.1")
	never = said(relay.Refuses, 550, "5.7.1")
	later = said(relay.Postpones, 450, "4.2.1")
	away  = said(relay.Away, 451, "4.4.1")
)

// Each step sets what the next hop says, lets time pass, asks, and says which answer is right and whether it was asked.
func TestAsk(t *testing.T) {
	type step struct {
		hop    relay.Verified
		after  time.Duration
		from   string // "" is a@example.net
		want   Kind
		code   int
		asked  bool
		cached bool
	}
	const hour = time.Hour
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"yes for a day", []step{{hop: yes, want: Known, code: 250, asked: true}, {hop: no, after: 23 * hour, want: Known, cached: true},
			{hop: no, after: 2 * hour, want: Unknown, code: 550, asked: true}}},
		{"yes for any sender", []step{{hop: yes, want: Known, code: 250, asked: true}, {hop: never, from: "b@example.com", want: Known, cached: true}}},
		{"yes for longer while away", []step{{hop: yes, want: Known, code: 250, asked: true},
			{hop: away, after: 100 * hour, want: Known, asked: true, cached: true}, {hop: yes, want: Known, code: 250, asked: true}}},
		{"no is asked live", []step{{hop: no, want: Unknown, code: 550, asked: true}, {hop: no, want: Unknown, code: 550, asked: true},
			{hop: yes, want: Known, code: 250, asked: true}}},
		{"no stands in for ten minutes", []step{{hop: no, want: Unknown, code: 550, asked: true},
			{hop: away, after: 9 * time.Minute, want: Unknown, code: 550, asked: true, cached: true},
			{hop: away, after: 2 * time.Minute, want: Away, code: 451, asked: true}}},
		{"no after yes", []step{{hop: yes, want: Known, code: 250, asked: true}, {hop: no, after: 25 * hour, want: Unknown, code: 550, asked: true},
			{hop: away, after: hour, want: Away, code: 451, asked: true}}},
		{"refusal holds for this sender", []step{{hop: never, want: Refused, code: 550, asked: true},
			{hop: yes, after: 23 * hour, want: Refused, code: 550, cached: true}, {hop: yes, from: "b@example.com", want: Known, code: 250, asked: true},
			{hop: yes, want: Refused, code: 550, cached: true}, {hop: yes, after: 2 * hour, want: Known, cached: true}}},
		{"refusal of the null sender", []step{{hop: never, from: "<>", want: Refused, code: 550, asked: true},
			{hop: yes, want: Known, code: 250, asked: true}, {hop: yes, from: "<>", want: Refused, code: 550, cached: true}}},
		{"550 alone is not unknown", []step{{hop: said(relay.Refuses, 550, "5.0.0"), want: Refused, code: 550, asked: true}}},
		{"5.1.0", []step{{hop: said(relay.Refuses, 550, "5.1.0"), want: Unknown, code: 550, asked: true}}},
		{"5.1.10", []step{{hop: said(relay.Refuses, 556, "5.1.10"), want: Unknown, code: 556, asked: true}}},
		{"5.4.1", []step{{hop: said(relay.Refuses, 550, "5.4.1"), want: Refused, code: 550, asked: true}}},
		{"5.4.1 of Exchange Online", []step{{hop: relay.Verified{Result: relay.Refuses, At: "rcpt", Reply: gateway.Reply{Code: 550, Enhanced: "5.4.1",
			Text: "Recipient address rejected: Access denied. [EXAMPLE.prod.outlook.example]"}}, want: Unknown, code: 550, asked: true}}},
		{"5.1.2", []step{{hop: said(relay.Refuses, 550, "5.1.2"), want: Refused, code: 550, asked: true}}},
		{"5.1.1 at MAIL", []step{{hop: relay.Verified{Result: relay.Refuses, At: "mail", Reply: no.Reply}, want: Refused, code: 550, asked: true}}},
		{"cannot carry", []step{{hop: relay.Verified{Result: relay.Refuses, At: "ehlo", Reply: gateway.Reply{Code: 553, Enhanced: "5.6.7"}},
			want: Refused, code: 553, asked: true}, {hop: yes, want: Known, code: 250, asked: true}}},
		{"4xx is never kept", []step{{hop: later, want: Deferred, code: 450, asked: true}, {hop: later, want: Deferred, code: 450, asked: true},
			{hop: away, want: Away, code: 451, asked: true}}},
		{"4xx is told, though known", []step{{hop: yes, want: Known, code: 250, asked: true}, {hop: later, after: 25 * hour, want: Deferred, code: 450, asked: true}}},
		{"away", []step{{hop: away, want: Away, code: 451, asked: true}}},
		{"away without a reply", []step{{hop: relay.Verified{}, want: Away, code: 451, asked: true}}},
		{"away never says 5xx", []step{{hop: said(relay.Away, 550, "5.1.1"), want: Away, code: 451, asked: true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := new(hop)
				r := New(NewCache(0), h, Sources{})
				for i, s := range tt.steps {
					h.set(s.hop)
					time.Sleep(s.after)
					before, from := h.count(), "a@example.net"
					if s.from != "" {
						from = strings.Trim(s.from, "<>")
					}
					a := r.Ask(t.Context(), "inner", address(from), address("user@example.org"))
					if a.Kind != s.want || a.Reply.Code != s.code || (h.count() > before) != s.asked || a.FromCache != s.cached {
						t.Fatalf("step %d: %+v, asked %v", i, a, h.count() > before)
					}
				}
			})
		})
	}
}

func TestCase(t *testing.T) {
	h := new(hop)
	h.set(yes)
	r := New(NewCache(0), h, Sources{})
	for i, rcpt := range []string{"User@example.org", "User@EXAMPLE.org", "user@example.org"} {
		r.Ask(t.Context(), "inner", address("a@example.net"), address(rcpt))
		if want := []int{1, 1, 2}[i]; h.count() != want {
			t.Errorf("%s: asked %d times, want %d", rcpt, h.count(), want)
		}
	}
	r.Ask(t.Context(), "other", address("a@example.net"), address("user@example.org"))
	if h.count() != 3 {
		t.Error("the answer of one route was taken for another's")
	}
}

func TestNotAsked(t *testing.T) {
	h := new(hop)
	r := New(NewCache(0), h, Sources{Routes: map[string]Source{"open": {None: true}}})
	if a := r.Ask(t.Context(), "open", address("a@example.net"), address("x@example.org")); a.Kind != NotAsked || h.count() > 0 {
		t.Errorf("got %+v after %d questions", a, h.count())
	}
}

func TestOneQuestionForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hop{takes: time.Second}
		h.set(yes)
		r := New(NewCache(0), h, Sources{})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				from := address(fmt.Sprintf("s%d@example.net", i))
				if a := r.Ask(t.Context(), "inner", from, address("user@example.org")); a.Kind != Known {
					t.Errorf("got %+v", a)
				}
			})
		}
		wg.Wait()
		if h.count() != 1 {
			t.Errorf("asked %d times", h.count())
		}
	})
}

// A refusal may be about the sender: others get an answer of their own. The same sender shares it.
func TestRefusalIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hop{takes: time.Second, says: func(from, _ gateway.Address) relay.Verified {
			if from.Local == "bad" {
				return never
			}
			return yes
		}}
		r := New(NewCache(0), h, Sources{})
		var wg sync.WaitGroup
		ask := func(from string, want Kind) {
			wg.Go(func() {
				if a := r.Ask(t.Context(), "inner", address(from), address("user@example.org")); a.Kind != want {
					t.Errorf("%s: %+v", from, a)
				}
			})
		}
		ask("bad@example.net", Refused)
		synctest.Wait()
		ask("bad@example.net", Refused)
		ask("good@example.net", Known)
		wg.Wait()
		if h.count() != 2 {
			t.Errorf("asked %d times, want 2", h.count())
		}
	})
}

// The session that asks first goes away: the one that waits asks itself. And no wait is longer than its own context.
func TestFirstGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hop{takes: 10 * time.Second}
		h.set(yes)
		r := New(NewCache(0), h, Sources{})
		var wg sync.WaitGroup
		for i, within := range []time.Duration{time.Second, time.Hour, 2 * time.Second} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				a := r.Ask(ctx, "inner", address("a@example.net"), address("user@example.org"))
				if want := []Kind{Away, Known, Away}[i]; a.Kind != want || a.Kind == Away && a.Reply.Code != 451 {
					t.Errorf("session %d: %+v", i, a)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
	})
}

func TestLearn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply gateway.Reply
		then  relay.Verified
		want  Kind
		asked bool
	}{
		{"taken", gateway.Reply{Code: 250}, no, Known, false},
		{"unknown", no.Reply, no, Unknown, true},
		{"unknown, but now away", no.Reply, away, Unknown, true},
		{"refused", never.Reply, yes, Refused, false},
		{"later", later.Reply, later, Deferred, true},
		{"later, but now away", later.Reply, away, Known, true},
		{"too many", gateway.Reply{Code: 452, Enhanced: "4.5.3"}, no, Known, false},
		{"nothing", gateway.Reply{}, no, Known, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := new(hop)
			h.set(yes)
			r := New(NewCache(0), h, Sources{})
			from, to := address("a@example.net"), address("user@example.org")
			r.Ask(t.Context(), "inner", from, to)
			r.Learn("inner", to, from, tt.reply)
			h.set(tt.then)
			if a := r.Ask(t.Context(), "inner", from, to); a.Kind != tt.want || (h.count() > 1) != tt.asked {
				t.Errorf("%+v after %d questions", a, h.count())
			}
		})
	}
}

func TestBounded(t *testing.T) {
	h := new(hop)
	c := NewCache(1000)
	r := New(c, h, Sources{})
	for i := range 5000 {
		for _, v := range []relay.Verified{yes, no, never} {
			h.set(v)
			r.Ask(t.Context(), "inner", address("a@example.net"), address(fmt.Sprintf("%s%d@example.org", v.Reply.Enhanced, i)))
		}
		if i%100 == 0 { // what is used stays
			h.set(yes)
			r.Ask(t.Context(), "inner", address("a@example.net"), address("boss@example.org"))
		}
	}
	known, unknown, refused := c.Entries()
	if known > 1000 || unknown > 250 || refused > 250 || known < 500 {
		t.Errorf("%d, %d and %d entries", known, unknown, refused)
	}
	before := h.count()
	r.Ask(t.Context(), "inner", address("a@example.net"), address("boss@example.org"))
	if h.count() != before {
		t.Error("a recipient in use was forgotten")
	}
	n := c.Counters()
	if n.Asked.Load() != uint64(h.count()) || n.KnownTo.Load() == 0 || n.UnknownTo.Load() != 5000 || n.RefusedTo.Load() != 5000 {
		t.Errorf("counters: asked %d, unknown %d", n.Asked.Load(), n.UnknownTo.Load())
	}
}

// A relay that shows the contrary ends a refusal, and an unknown one is known again.
func TestLearnedOtherwise(t *testing.T) {
	for name, first := range map[string]relay.Verified{"refused": never, "unknown": no} {
		t.Run(name, func(t *testing.T) {
			h := new(hop)
			h.set(first)
			r := New(NewCache(0), h, Sources{})
			from, to := address("a@example.net"), address("user@example.org")
			r.Ask(t.Context(), "inner", from, to)
			r.Learn("inner", to, from, gateway.Reply{Code: 251})
			if a := r.Ask(t.Context(), "inner", from, to); a.Kind != Known || h.count() != 1 {
				t.Errorf("%+v after %d questions", a, h.count())
			}
			r.Learn("inner", to, from, later.Reply)
			h.set(away)
			if a := r.Ask(t.Context(), "inner", from, to); a.Kind != Known {
				t.Errorf("while away: %+v", a)
			}
		})
	}
}
