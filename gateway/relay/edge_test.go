package relay

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// A next hop that says 354 although a recipient was refused gets not one octet more.
func TestNothingAfterARefusal(t *testing.T) {
	for name, rcpt := range map[string]string{"mixed": "b@example.org", "all": "one"} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, everything...)
			got := make(chan string, 1)
			f.set("BODY", func(s *fakeSession) bool {
				b, _ := io.ReadAll(s.in)
				got <- string(b)
				return false
			})
			f.rcpt[rcpt] = say("550 5.1.1 No such user")
			rcpts := []string{"a@example.org", "b@example.org"}
			if name == "all" {
				f.set("RCPT", say("550 5.1.1 No such user"))
			}
			out := relayTo(t, f).Relay(t.Context(), delivery(small, rcpts...))
			if out.Result == gateway.Delivered || out.At != "rcpt" {
				t.Errorf("got %+v", out)
			}
			if text := <-got; text != "" {
				t.Errorf("the next hop got %q after its 354", text)
			}
		})
	}
}

// In lock-step nothing follows a MAIL that was refused, and no DATA a refused recipient.
func TestLockStepStops(t *testing.T) {
	for step, want := range map[string]string{"MAIL": "EHLO MAIL RSET", "RCPT": "EHLO MAIL RCPT RSET"} {
		f := newFake(t)
		f.set(step, say("550 5.7.1 No"))
		if got := relayTo(t, f).Relay(t.Context(), delivery(small)); got.Result != gateway.RefusedByHop {
			t.Errorf("%s: %+v", step, got)
		}
		_, commands, _ := f.seen()
		for i := range commands {
			commands[i], _, _ = strings.Cut(commands[i], " ")
		}
		if got := strings.Join(commands, " "); got != want {
			t.Errorf("%s: commands %q, want %q", step, got, want)
		}
	}
}

// A connection is used for a hundred messages.
func TestMaxUses(t *testing.T) {
	f := newFake(t, everything...)
	r := relayTo(t, f)
	for range maxUses + 1 {
		if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
			t.Fatalf("got %+v", got)
		}
	}
	if _, _, conns := f.seen(); conns != 2 {
		t.Errorf("%d connections, want 2", conns)
	}
}

// What one next hop cannot carry is a refusal only when no other might.
func TestCannotCarryBesideAway(t *testing.T) {
	f := newFake(t, "PIPELINING")
	dead := Hop{Host: "127.0.0.1", Port: closedPort(t)}
	for _, order := range []int{-1, 1} {
		dead.Order = order
		r := newRelay(t, Route{Hops: []Hop{f.hop(), dead}, TLS: None, Timeouts: long()})
		d := delivery(small)
		d.Content.EightBit = true
		if got := r.Relay(t.Context(), d); got.Result != gateway.NotDelivered || got.Reply.Code != 451 {
			t.Errorf("order %d: %+v", order, got)
		}
	}
}

// After a failed handshake STARTTLS is left out for a while, then tried again.
func TestClearForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake(append([]string{"STARTTLS"}, everything...)...)
		f.set("STARTTLS", then(say("220 Go on"), closes))
		r, err := New(NewPools(f.pipe, nil), []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i, want := range []int{2, 3, 5} { // connections so far: two, one in clear, two again
			if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered || got.TLS != "" {
				t.Fatalf("message %d: %+v", i, got)
			}
			if _, _, conns := f.seen(); conns != want {
				t.Errorf("message %d: %d connections, want %d", i, conns, want)
			}
			time.Sleep(clearFor/2 + time.Minute) // the idle connection is closed meanwhile
		}
	})
}

// A next hop that stops reading is given up after the time for one write and a last look at what it said.
func TestStalledWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake(everything...)
		f.set("BODY", func(s *fakeSession) bool { <-s.f.done; return false })
		r, err := New(NewPools(f.pipe, nil), []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		defer close(f.done)
		defer r.Close()
		got := r.Relay(t.Context(), delivery(strings.Repeat("x\r\n", 200_000)))
		if got.Result != gateway.NotDelivered || got.At != "body" || got.Took != 185*time.Second {
			t.Errorf("got %+v", got)
		}
	})
}

// Only one call finds out whether a next hop works again, and one that ends without an answer lets another try.
func TestOneTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		for i := range tripAfter {
			if !b.allow() || b.failed(io.EOF) != (i == tripAfter-1) {
				t.Fatalf("failure %d", i)
			}
		}
		if b.allow() {
			t.Fatal("it does not rest")
		}
		time.Sleep(firstPause)
		if !b.allow() || b.allow() {
			t.Fatal("not exactly one trial")
		}
		b.skipped()
		if !b.allow() || b.allow() {
			t.Fatal("not exactly one trial after one that told nothing")
		}
		if b.failed(io.EOF) || b.allow() || !b.lastIs(io.EOF) {
			t.Fatal("a failed trial does not go on resting")
		}
		time.Sleep(2 * firstPause)
		if !b.allow() || !b.worked() || !b.allow() || !b.allow() {
			t.Fatal("a good trial does not close it")
		}
	})
}

func (b *breaker) lastIs(err error) bool { return b.lastError() == err }

// A panic during a trial gives the trial back.
func TestPanicInTrial(t *testing.T) {
	f := newFake(t, everything...)
	r := relayTo(t, f)
	h := r.routes["inner"].hops()[0].hop
	for range tripAfter {
		h.failed(io.EOF)
	}
	h.until = time.Now()
	d := delivery("")
	d.Content = gateway.Content{Parts: []io.Reader{panics{}}, Size: 10}
	func() {
		defer func() { _ = recover() }()
		r.Relay(t.Context(), d)
	}()
	if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
		t.Errorf("after it: %+v", got)
	}
}

// A connection whose RSET was not answered with 250 is not used again.
func TestVerifyResets(t *testing.T) {
	f := newFake(t, everything...)
	f.set("RSET", say("500 5.5.1 What?"))
	r := relayTo(t, f)
	for range 2 {
		if v := r.Verify(t.Context(), "inner", address("a@example.net"), address("b@example.org")); v.Result != Takes {
			t.Fatalf("got %+v", v)
		}
	}
	if _, _, conns := f.seen(); conns != 2 {
		t.Errorf("%d connections, want 2", conns)
	}
}
