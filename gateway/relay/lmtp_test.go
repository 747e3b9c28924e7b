package relay

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

func newLMTP(t testing.TB, offers ...string) *fake {
	f := newFake(t, offers...)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lmtp, f.dots = true, map[string]act{}
	return f
}

func lmtpTo(t testing.TB, f *fake) *Relay {
	return newRelay(t, Route{Hops: []Hop{f.hop()}, LMTP: true, TLS: None, Timeouts: long()})
}

func codes(replies []gateway.Reply) (out []int) {
	for _, r := range replies {
		out = append(out, r.Code)
	}
	return out
}

// One reply for each recipient after the dot: all equal are one answer, others are told one by one.
func TestLMTP(t *testing.T) {
	three := []string{"a@example.org", "b@example.org", "c@example.org"}
	for _, tt := range []struct {
		name  string
		rcpts []string
		dots  map[string]act
		want  gateway.RelayResult
		reply string
		codes []int
		conns int // after a second message
	}{
		{"all", three, nil, gateway.Delivered, "250 2.0.0 <a@example.org> Saved", nil, 1},
		{"one", three[:1], nil, gateway.Delivered, "250 2.0.0 <a@example.org> Saved", nil, 1},
		{"one refused", three[:1], map[string]act{"a@example.org": say("552 5.2.2 Full")}, gateway.RefusedByHop, "552 5.2.2 Full", nil, 1},
		{"one lost", three[:1], map[string]act{"a@example.org": closes}, gateway.OutcomeUnknown, "451 4.4.2", nil, 2},
		{"full", three, map[string]act{"b@example.org": say("452 4.2.2 Full")}, gateway.MixedByHop, "451 4.3.0", []int{250, 452, 250}, 1},
		{"never", three, map[string]act{"a@example.org": say("550 5.7.1 No")}, gateway.MixedByHop, "451 4.3.0", []int{550, 250, 250}, 1},
		{"all full", three, map[string]act{"a@example.org": say("452 4.2.2 Full"), "b@example.org": say("451 4.3.0 Later"),
			"c@example.org": say("450 Later")}, gateway.DeferredByHop, "452 4.2.2 Full", []int{452, 451, 450}, 1},
		{"all never", three, map[string]act{"a@example.org": say("550 5.7.1 No"), "b@example.org": say("554 5.7.1 No"),
			"c@example.org": say("552 5.2.2 No")}, gateway.RefusedByHop, "550 5.7.1 No", []int{550, 554, 552}, 1},
		{"dies at once", three, map[string]act{"a@example.org": closes}, gateway.OutcomeUnknown, "451 4.4.2", nil, 2},
		{"dies after one", three, map[string]act{"b@example.org": closes}, gateway.MixedByHop, "451 4.3.0", []int{250, 451, 451}, 2},
		{"dies after a refusal", three, map[string]act{"a@example.org": say("550 5.7.1 No"), "b@example.org": closes},
			gateway.MixedByHop, "451 4.3.0", []int{550, 451, 451}, 2},
		{"unclear", three, map[string]act{"b@example.org": say("252 2.0.0 Perhaps")}, gateway.MixedByHop, "451 4.3.0", []int{250, 451, 250}, 2},
		{"one more", three, map[string]act{"c@example.org": raw("250 Ok\r\n250 Ok\r\n")}, gateway.Delivered, "250 2.0.0 <a@example.org> Saved", nil, 2},
		{"421", three, map[string]act{"c@example.org": then(say("421 4.3.2 Bye"), closes)}, gateway.MixedByHop, "451 4.3.0", []int{250, 250, 451}, 2},
	} {
		for _, offers := range [][]string{everything, nil, append([]string{"CHUNKING"}, everything...)} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				f := newLMTP(t, offers...)
				f.dots = tt.dots
				r := newRelay(t, Route{Hops: []Hop{f.hop()}, LMTP: true, TLS: None, Timeouts: long(), Chunking: true})
				got := r.Relay(t.Context(), delivery(small, tt.rcpts...))
				if got.Result != tt.want || !strings.HasPrefix(got.Reply.String(), tt.reply) || !slices.Equal(codes(got.Rcpts), tt.codes) || got.At != atDot {
					t.Fatalf("got %+v", got)
				}
				for i := range tt.rcpts {
					if took := tt.codes == nil && tt.want == gateway.Delivered || i < len(tt.codes) && tt.codes[i] == 250; got.TookFor(i) != took {
						t.Errorf("recipient %d: took is %v", i, !took)
					}
				}
				if again := r.Relay(t.Context(), delivery(small, "d@example.org")); again.Result != gateway.Delivered {
					t.Errorf("the message after it: %+v", again)
				}
				messages, commands, conns := f.seen()
				if conns != tt.conns || len(messages) != 2 || messages[0] != small || commands[0] != "LHLO mx.example.org" {
					t.Errorf("%d messages over %d connections; %q", len(messages), conns, commands)
				}
			})
		}
	}
}

// A fault in the place of any reply: what was said before it holds, and what comes behind it is not known.
func TestLMTPFaults(t *testing.T) {
	for _, fl := range faults() {
		for at := range 3 {
			t.Run(fmt.Sprintf("%s/%d", fl.name, at), func(t *testing.T) {
				t.Parallel()
				f := newLMTP(t, everything...)
				rcpts := []string{"a@example.org", "b@example.org", "c@example.org"}
				f.dots[rcpts[at]] = fl.act
				r := lmtpTo(t, f)
				got := r.Relay(t.Context(), delivery(small, rcpts...))
				for i := range rcpts {
					if i < at && !got.TookFor(i) {
						t.Errorf("recipient %d said yes before it: %+v", i, got)
					}
				}
				if fl.name != "250" && got.TookFor(at) {
					t.Errorf("a success without a 250: %+v", got)
				}
				if got.Result != gateway.Delivered && (got.Reply.Code < 400 || got.Reply.Code >= 500) {
					t.Errorf("told %s", got.Reply)
				}
				f.mu.Lock()
				f.dots = nil
				f.mu.Unlock()
				inStepAfter(t, f, r, "DOT")
			})
		}
	}
}

// Only LHLO will do, and a refused recipient ends the message before its body.
func TestLMTPBefore(t *testing.T) {
	smtp := newFake(t, everything...)
	got := lmtpTo(t, smtp).Relay(t.Context(), delivery(small))
	if _, commands, _ := smtp.seen(); got.Result != gateway.NotDelivered || got.At != atEHLO || slices.Contains(commands, "HELO mx.example.org") {
		t.Errorf("a server of SMTP: %+v, %q", got, commands)
	}
	f := newLMTP(t, everything...)
	f.rcpt["b@example.org"] = say("550 5.1.1 No such user")
	r := lmtpTo(t, f)
	got = r.Relay(t.Context(), delivery(small, "a@example.org", "b@example.org"))
	if messages, _, _ := f.seen(); got.Result != gateway.MixedByHop || got.At != atRcpt || len(messages) > 0 || got.TookFor(0) {
		t.Errorf("got %+v, %d messages", got, len(messages))
	}
	if v := r.Verify(t.Context(), "inner", gateway.Address{}, address("b@example.org")); v.Result != Refuses {
		t.Errorf("verify: %+v", v)
	}
}

// A late answer of which some came in time.
func TestLMTPLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake(everything...)
		f.lmtp, f.dots = true, map[string]act{"b@example.org": func(s *fakeSession) bool {
			time.Sleep(400 * time.Second)
			return say("452 4.2.2 Full")(s)
		}}
		r, err := New(NewPools(f.pipe, nil), []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example", Port: 24}}, LMTP: true, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer close(f.done)
		told := make(heard, 2)
		d := delivery(small, "a@example.org", "b@example.org", "c@example.org")
		d.Late = told.late
		if got := r.Relay(t.Context(), d); got.Result != gateway.OutcomeUnknown || !got.Late {
			t.Fatalf("got %+v", got)
		}
		if late := <-told; late.Result != gateway.MixedByHop || !slices.Equal(codes(late.Rcpts), []int{250, 452, 250}) {
			t.Errorf("late: %+v", late)
		}
		r.pools.Close()
		if len(told) > 0 {
			t.Error("told twice")
		}
	})
}

// A socket of this host is never spoken to under TLS unless that is required.
func TestLMTPOverSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lmtp")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f := quietFake(append([]string{"STARTTLS"}, everything...)...)
	f.lmtp = true
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); f.hangUp(); wg.Wait() })
	r := newRelay(t, Route{Hops: []Hop{{Host: "unix:" + path}}, LMTP: true, Timeouts: long()})
	for range 3 {
		got := r.Relay(t.Context(), delivery(small, "a@example.org", "b@example.org"))
		if got.Result != gateway.Delivered || got.NextHop != "unix:"+path || got.TLS != "" {
			t.Fatalf("got %+v", got)
		}
	}
	if messages, _, conns := f.seen(); len(messages) != 3 || conns != 1 {
		t.Errorf("%d messages over %d connections", len(messages), conns)
	}
}

// Whatever comes after the dot, who is told to have the message was told so by a 250 in its place, and nobody else.
func FuzzLMTPReplies(f *testing.F) {
	for _, s := range []string{"250 a\r\n250 b\r\n250 c\r\n", "250 a\r\n550 5.1.1 b\r\n", "250-a\r\n250 b\r\n452 4.2.2 c\r\n", "421 bye\r\n",
		"550 a\r\n550 b\r\n550 c\r\n", "354 go\r\n250 a\r\n", "250 a\r\nnonsense\r\n250 c\r\n", "250 a\r\n250 b\r\n250 c\r\n250 d\r\n", ""} {
		f.Add(s, uint8(3))
		f.Add(s, uint8(1))
	}
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		want := int(n%8) + 1
		c := &conn{hop: &hop{settings: settings{lmtp: true}}, in: smtpwire.NewReader(strings.NewReader(text)), want: want}
		a := c.judged(context.Background(), c.hear())
		said, oracle := 0, smtpwire.NewReader(strings.NewReader(text))
		var yes []bool
		for range want {
			r, err := oracle.ReadReply()
			if err != nil {
				break
			}
			said++
			yes = append(yes, r.Is(250))
		}
		for i := range want {
			if took := i < said && yes[i]; a.TookFor(i) != took {
				t.Errorf("%q: recipient %d of %d: %+v", text, i, want, a)
			}
		}
		if a.keep && (said < want || oracle.Buffered() > 0) {
			t.Errorf("%q: kept after %d of %d", text, said, want)
		}
		if a.Result != gateway.Delivered && (a.Reply.Code < 400 || a.Reply.Code >= 500 && a.Result != gateway.RefusedByHop) {
			t.Errorf("%q: %s is told %s", text, a.Result, a.Reply)
		}
		if len(a.Rcpts) != 0 && len(a.Rcpts) != want {
			t.Errorf("%q: %d replies for %d recipients", text, len(a.Rcpts), want)
		}
	})
}
