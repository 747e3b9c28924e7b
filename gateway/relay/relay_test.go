package relay

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

var everything = []string{"PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "DSN"}

func address(text string) gateway.Address {
	var a gateway.Address
	_ = a.UnmarshalText([]byte(text))
	return a
}

// long are timeouts that a busy machine keeps.
func long() Timeouts {
	return Timeouts{Connect: 20 * time.Second, Command: 20 * time.Second, Write: 20 * time.Second,
		Final: 20 * time.Second, Slot: 20 * time.Second, Idle: time.Minute}
}

func newRelay(t testing.TB, r Route) *Relay {
	t.Helper()
	if r.Name == "" {
		r.Name = "inner"
	}
	if r.Hostname == "" {
		r.Hostname = "mx.example.org"
	}
	rel, err := New(NewPools(nil, nil), []Route{r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rel.Close)
	return rel
}

func relayTo(t testing.TB, f *fake) *Relay {
	return newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long()})
}

func delivery(body string, rcpts ...string) *gateway.Delivery {
	d := &gateway.Delivery{Route: "inner", From: address("sender@example.net"),
		Content: gateway.Content{Parts: []io.Reader{strings.NewReader(body)}, Size: int64(len(body))}}
	if len(rcpts) == 0 {
		rcpts = []string{"one@example.org"}
	}
	for _, r := range rcpts {
		d.Rcpts = append(d.Rcpts, gateway.Recipient{Address: address(r), Reply: gateway.Reply{Code: 250}})
	}
	return d
}

const small = "Subject: hello\r\n\r\n.a dot\r\n..two\r\n.\r\nbye\r\n"

func TestDeliversByteForByte(t *testing.T) {
	big := strings.Repeat("A line that is long enough to fill several buffers of the writer.\r\n.dot\r\n", 9000)
	for _, tt := range []struct {
		name, body string
		offers     []string
		chunking   bool
	}{
		{"pipelined", small, everything, false},
		{"lock-step", small, nil, false},
		{"big", big, everything, false},
		{"chunk", small, append([]string{"CHUNKING"}, everything...), true},
		{"big chunk", big, append([]string{"CHUNKING"}, everything...), true},
		{"chunk not offered", small, everything, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, tt.offers...)
			r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), Chunking: tt.chunking})
			d := delivery(tt.body, "one@example.org", "two@example.org")
			half := len(tt.body) / 2
			d.Content.Parts = []io.Reader{strings.NewReader(tt.body[:half]), strings.NewReader(""), strings.NewReader(tt.body[half:])}
			got := r.Relay(t.Context(), d)
			if got.Result != gateway.Delivered || got.Reply.Code != 250 || got.At != "dot" || got.NextHop == "" {
				t.Fatalf("got %+v", got)
			}
			messages, _, _ := f.seen()
			if len(messages) != 1 || messages[0] != tt.body {
				t.Fatalf("the next hop got %d messages, not the one that was sent", len(messages))
			}
		})
	}
}

// The fake answers nothing before it has the whole flight: a client that waits for a reply would hang.
func TestOneFlight(t *testing.T) {
	f := newFake(t, everything...)
	f.collects = 5
	r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long()})
	got := r.Relay(t.Context(), delivery(small, "a@example.org", "b@example.org", "c@example.org"))
	if got.Result != gateway.Delivered {
		t.Fatalf("got %+v", got)
	}
}

func TestManyRecipients(t *testing.T) {
	for _, offers := range [][]string{everything, nil} {
		f := newFake(t, offers...)
		var rcpts []string
		for range 350 {
			rcpts = append(rcpts, "r"+string(rune('a'+len(rcpts)%26))+strings.Repeat("x", len(rcpts)%40)+"@example.org")
		}
		got := relayTo(t, f).Relay(t.Context(), delivery(small, rcpts...))
		_, commands, _ := f.seen()
		n := 0
		for _, c := range commands {
			if strings.HasPrefix(c, "RCPT ") {
				n++
			}
		}
		if got.Result != gateway.Delivered || n != 350 {
			t.Fatalf("%d recipients, got %+v", n, got)
		}
	}
}

func TestPoolReuse(t *testing.T) {
	f := newFake(t, everything...)
	r := relayTo(t, f)
	for i := range 5 {
		if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
			t.Fatalf("message %d: %+v", i, got)
		}
	}
	if _, _, conns := f.seen(); conns != 1 {
		t.Fatalf("%d connections for 5 messages, want 1", conns)
	}
	h := r.Health()[0]
	if h.Dials != 1 || h.Reused != 4 || h.Delivered != 5 || h.Idle != 1 || h.InUse != 0 {
		t.Fatalf("health %+v", h)
	}
}

func TestDeadIdleConnection(t *testing.T) {
	for name, kill := range map[string]func(f *fake){
		"closed": func(f *fake) { f.hangUp() },
		"421": func(f *fake) {
			f.mu.Lock()
			defer f.mu.Unlock()
			for c := range f.open {
				_, _ = io.WriteString(c, "421 4.4.2 idle for too long\r\n")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, everything...)
			r := relayTo(t, f)
			for range 3 {
				if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
					t.Fatalf("got %+v", got)
				}
				kill(f)
			}
			messages, _, conns := f.seen()
			if len(messages) != 3 || conns != 3 {
				t.Fatalf("%d messages over %d connections, want 3 over 3", len(messages), conns)
			}
		})
	}
}

// A connection that dies between the check and the first reply is replaced once, and nothing is lost or sent twice.
func TestStaleReuse(t *testing.T) {
	for name, dies := range map[string]act{"closes": closes, "421": then(say("421 4.4.2 bye"), closes)} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, everything...)
			r := relayTo(t, f)
			if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
				t.Fatalf("got %+v", got)
			}
			f.set("MAIL", func(s *fakeSession) bool {
				f.set("MAIL", nil)
				return dies(s)
			})
			got := r.Relay(t.Context(), delivery(small))
			messages, _, conns := f.seen()
			if got.Result != gateway.Delivered || len(messages) != 2 || conns != 2 {
				t.Fatalf("%d messages over %d connections, got %+v", len(messages), conns, got)
			}
		})
	}
}

func TestMixedRecipients(t *testing.T) {
	for _, tt := range []struct {
		name   string
		offers []string
		rcpt   map[string]act
		want   gateway.RelayResult
		code   int
		codes  []int
		conns  int // after a second message
		fewer  int
	}{
		{"one unknown", everything, map[string]act{"b@example.org": say("550 5.1.1 No such user")},
			gateway.MixedByHop, 451, []int{250, 550, 250}, 2, 0},
		{"one unknown, lock-step", nil, map[string]act{"b@example.org": say("550 5.1.1 No such user")},
			gateway.MixedByHop, 451, []int{250, 550, 250}, 1, 0},
		{"too many", everything, map[string]act{"c@example.org": say("452 4.5.3 Too many recipients")},
			gateway.MixedByHop, 451, []int{250, 250, 452}, 2, 2},
		{"too many, as Exim says it", everything, map[string]act{"c@example.org": say("452 too many recipients")},
			gateway.MixedByHop, 451, []int{250, 250, 452}, 2, 2},
		{"too many, as OpenSMTPD says it", everything, map[string]act{"c@example.org": say("451 4.5.3 Too many recipients: Too many recipients")},
			gateway.MixedByHop, 451, []int{250, 250, 451}, 2, 2},
		{"full", everything, map[string]act{"c@example.org": say("452 4.2.2 Mailbox full")},
			gateway.MixedByHop, 451, []int{250, 250, 452}, 2, 0},
		{"full, without enhanced code", everything, map[string]act{"c@example.org": say("452 Insufficient system storage")},
			gateway.MixedByHop, 451, []int{250, 250, 452}, 2, 0},
		{"all unknown", everything, map[string]act{"a@example.org": say("550 5.1.1 No such user"),
			"b@example.org": say("554 5.7.1 No"), "c@example.org": say("550 5.1.1 No")},
			gateway.RefusedByHop, 550, []int{550, 554, 550}, 2, 0},
		{"all later", nil, map[string]act{"a@example.org": say("450 4.2.1 Later"), "b@example.org": say("451 Later"),
			"c@example.org": say("450 4.2.1 Later")}, gateway.DeferredByHop, 450, []int{450, 451, 450}, 1, 0},
		{"no and later", nil, map[string]act{"a@example.org": say("550 5.1.1 No"), "b@example.org": say("451 Later"),
			"c@example.org": say("450 4.2.1 Later")}, gateway.MixedByHop, 451, []int{550, 451, 450}, 1, 0},
		{"forwarded", everything, map[string]act{"a@example.org": say("251 2.1.5 Will forward")}, gateway.Delivered, 250, nil, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, tt.offers...)
			f.rcpt = tt.rcpt
			r := relayTo(t, f)
			got := r.Relay(t.Context(), delivery(small, "a@example.org", "b@example.org", "c@example.org"))
			var codes []int
			for _, rep := range got.Rcpts {
				codes = append(codes, rep.Code)
			}
			if got.Result != tt.want || got.Reply.Code != tt.code || !slices.Equal(codes, tt.codes) {
				t.Fatalf("got %+v", got)
			}
			messages, _, _ := f.seen()
			if want := got.Result == gateway.Delivered; (len(messages) == 1) != want {
				t.Fatalf("the next hop saw %d messages: %q", len(messages), messages)
			}
			if n := r.Carries("inner").Recipients; n != tt.fewer {
				t.Errorf("limit of recipients %d, want %d", n, tt.fewer)
			}
			if got := r.Relay(t.Context(), delivery(small, "d@example.org")); got.Result != gateway.Delivered {
				t.Fatalf("the message after it: %+v", got)
			}
			if _, _, conns := f.seen(); conns != tt.conns {
				t.Errorf("%d connections, want %d", conns, tt.conns)
			}
		})
	}
}

// The deadline of a message ends each step of it at once, also where nobody is woken for it; what was sent stays of unknown
// outcome, and the next hop is not blamed for our own time.
func TestDeadline(t *testing.T) {
	for step, want := range map[string]gateway.RelayResult{"banner": gateway.NotDelivered, "MAIL": gateway.NotDelivered,
		"BODY": gateway.NotDelivered, "DOT": gateway.OutcomeUnknown} {
		for _, alone := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				f := quietFake(everything...)
				f.set(step, func(s *fakeSession) bool { <-s.f.done; return false })
				r, err := New(NewPools(f.pipe, nil), []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None}})
				if err != nil {
					t.Fatal(err)
				}
				defer close(f.done)
				defer r.Close()
				parent := t.Context()
				if alone {
					parent = context.WithoutCancel(parent)
				}
				ctx := gateway.Within(parent, time.Now().Add(7*time.Second))
				defer ctx.End()
				if ctx.Alone() != alone {
					t.Errorf("alone is %v", ctx.Alone())
				}
				d := delivery(strings.Repeat("x\r\n", 200_000))
				got := r.Relay(ctx, d)
				if got.Result != want || got.Reply.Code != 451 || got.Took != 7*time.Second || !strings.Contains(got.Said, "deadline exceeded") {
					t.Errorf("%s, alone %v: %+v", step, alone, got)
				}
				if h := r.Health()[0]; h.InUse != 0 || h.Idle != 0 {
					t.Errorf("%s: health %+v", step, h)
				}
			})
		}
	}
}

func TestContext(t *testing.T) {
	f := newFake(t, everything...)
	r := relayTo(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := r.Relay(ctx, delivery(small)); got.Result != gateway.NotDelivered || got.Reply.Code != 451 {
		t.Fatalf("cancelled before: %+v", got)
	}
	for step, want := range map[string]gateway.RelayResult{"MAIL": gateway.NotDelivered, "DOT": gateway.OutcomeUnknown} {
		ctx, cancel := context.WithCancel(t.Context())
		f.set(step, func(s *fakeSession) bool { cancel(); return hang(s) })
		if got := r.Relay(ctx, delivery(small)); got.Result != want || got.Reply.Code != 451 {
			t.Errorf("cancelled at %s: %+v", step, got)
		}
		f.set(step, nil)
	}
	if h := r.Health()[0]; h.Failures > 0 || h.InUse != 0 {
		t.Errorf("health %+v", h)
	}
}
