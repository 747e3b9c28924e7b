package relay

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

func TestHELO(t *testing.T) {
	for _, code := range []string{"500", "502"} {
		f := newFake(t, everything...)
		f.set("EHLO", say(code+" 5.5.1 Command not recognized"))
		r := relayTo(t, f)
		if got := r.Relay(t.Context(), delivery(small, "a@example.org", "b@example.org")); got.Result != gateway.Delivered {
			t.Errorf("%s: %+v", code, got)
		}
		_, commands, _ := f.seen()
		if !slices.Contains(commands, "HELO mx.example.org") || slices.ContainsFunc(commands, func(c string) bool { return strings.Contains(c, "SIZE=") }) {
			t.Errorf("commands %q", commands)
		}
		if c := r.Carries("inner"); c != (gateway.Carries{Known: true}) {
			t.Errorf("carries %+v", c)
		}
	}
}

// What goes into MAIL and RCPT for which next hop and which message.
func TestParameters(t *testing.T) {
	for _, tt := range []struct {
		name       string
		offers     []string
		change     func(d *gateway.Delivery)
		mail, rcpt string // "" where nothing is sent
		code       int    // of the reply
	}{
		{name: "plain", mail: "MAIL FROM:<sender@example.net>", rcpt: "RCPT TO:<one@example.org>", code: 250},
		{name: "size", offers: []string{"size"}, mail: "MAIL FROM:<sender@example.net> SIZE=41", rcpt: "RCPT TO:<one@example.org>", code: 250},
		{name: "size is enough", offers: []string{"SIZE 41"}, mail: "MAIL FROM:<sender@example.net> SIZE=41", rcpt: "RCPT TO:<one@example.org>", code: 250},
		{name: "too big", offers: []string{"SIZE 40"}, code: 552},
		{name: "8-bit", offers: []string{"8bitmime"}, change: func(d *gateway.Delivery) { d.Content.EightBit = true },
			mail: "MAIL FROM:<sender@example.net> BODY=8BITMIME", rcpt: "RCPT TO:<one@example.org>", code: 250},
		{name: "7-bit", offers: []string{"8BITMIME"}, change: func(d *gateway.Delivery) { d.Options.EightBit = true },
			mail: "MAIL FROM:<sender@example.net>", rcpt: "RCPT TO:<one@example.org>", code: 250},
		{name: "8-bit not offered", change: func(d *gateway.Delivery) { d.Content.EightBit = true }, code: 554},
		{name: "utf-8 not needed", offers: []string{"SMTPUTF8"}, change: func(d *gateway.Delivery) { d.Options.UTF8 = true },
			mail: "MAIL FROM:<sender@example.net>", rcpt: "RCPT TO:<one@example.org>", code: 250},
		{name: "utf-8 header", offers: []string{"smtpUTF8"}, change: func(d *gateway.Delivery) { d.Content.UTF8 = true },
			mail: "MAIL FROM:<sender@example.net> SMTPUTF8", rcpt: "RCPT TO:<one@example.org>", code: 250},
		{name: "utf-8 address", offers: []string{"SMTPUTF8", "8BITMIME"}, change: func(d *gateway.Delivery) { d.Rcpts[0].Address = address("jürgen@example.org") },
			mail: "MAIL FROM:<sender@example.net> SMTPUTF8", rcpt: "RCPT TO:<jürgen@example.org>", code: 250},
		{name: "utf-8 not offered", change: func(d *gateway.Delivery) { d.Rcpts[0].Address = address("jürgen@example.org") }, code: 553},
		{name: "utf-8 domain", change: func(d *gateway.Delivery) {
			d.Rcpts[0].Address = gateway.Address{Text: `"a b"@bücher.example`, Local: "a b", Domain: "xn--bcher-kva.example"}
		}, mail: "MAIL FROM:<sender@example.net>", rcpt: `RCPT TO:<"a b"@xn--bcher-kva.example>`, code: 250},
		{name: "quoted", change: func(d *gateway.Delivery) {
			d.Rcpts[0].Address = gateway.Address{Text: `"v@x> X=\""@example.org`, Local: `v@x> X="`, Domain: "example.org"}
		}, mail: "MAIL FROM:<sender@example.net>", rcpt: `RCPT TO:<"v@x> X=\""@example.org>`, code: 250},
		{name: "null sender", change: func(d *gateway.Delivery) { d.From = gateway.Address{} }, mail: "MAIL FROM:<>", rcpt: "RCPT TO:<one@example.org>", code: 250},
		{name: "postmaster", change: func(d *gateway.Delivery) {
			d.Rcpts[0].Address = gateway.Address{Text: "postmaster", Local: "postmaster"}
		}, mail: "MAIL FROM:<sender@example.net>", rcpt: "RCPT TO:<postmaster>", code: 250},
		{name: "dsn", offers: []string{"dsn"}, change: withDSN, mail: "MAIL FROM:<sender@example.net> RET=HDRS ENVID=QQ+2B314",
			rcpt: "RCPT TO:<one@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;one+2Bx@example.org", code: 250},
		{name: "dsn not offered", change: withDSN, mail: "MAIL FROM:<sender@example.net>", rcpt: "RCPT TO:<one@example.org>", code: 250},
		{name: "line in address", change: func(d *gateway.Delivery) { d.Rcpts[0].Address.Text = "a\r\nDATA@example.org" }, code: 451},
		{name: "bracket in address", change: func(d *gateway.Delivery) { d.From.Text = "a> SIZE=0@example.org" }, code: 451},
		{name: "space in ENVID", offers: []string{"DSN"}, change: func(d *gateway.Delivery) { d.Options.EnvID = "a SMTPUTF8" }, code: 451},
		{name: "no recipient address", change: func(d *gateway.Delivery) { d.Rcpts[0].Address = gateway.Address{} }, code: 451},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, tt.offers...)
			d := delivery(small)
			if tt.change != nil {
				tt.change(d)
			}
			got := relayTo(t, f).Relay(t.Context(), d)
			_, commands, _ := f.seen()
			find := func(verb string) string {
				i := slices.IndexFunc(commands, func(c string) bool { return strings.HasPrefix(c, verb) })
				if i < 0 {
					return ""
				}
				return commands[i]
			}
			if mail, rcpt := find("MAIL"), find("RCPT"); mail != tt.mail || rcpt != tt.rcpt || got.Reply.Code != tt.code {
				t.Errorf("%q, %q: %+v", mail, rcpt, got)
			}
		})
	}
}

func withDSN(d *gateway.Delivery) {
	d.Options.Return, d.Options.EnvID = "HDRS", "QQ+2B314"
	d.Rcpts[0].Options = gateway.RcptOptions{Notify: []string{"SUCCESS", "DELAY"}, Original: "rfc822;one+2Bx@example.org"}
}

func TestFailover(t *testing.T) {
	dead := Hop{Host: "127.0.0.1", Port: closedPort(t)}
	for name, first := range map[string]func(f *fake){
		"banner 554": func(f *fake) { f.set("banner", say("554 No")) },
		"EHLO 421":   func(f *fake) { f.set("EHLO", say("421 Bye")) },
		"MAIL 421":   func(f *fake) { f.set("MAIL", say("421 Bye")) },
		"MAIL gone":  func(f *fake) { f.set("MAIL", closes) },
		"DATA gone":  func(f *fake) { f.set("DATA", closes) },
		"no 8-bit":   func(f *fake) { f.offers = []string{"PIPELINING"} },
		"hangs":      func(f *fake) { f.set("banner", hang) },
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := newFake(t, everything...), newFake(t, everything...)
			first(bad)
			hops := []Hop{good.hop(), bad.hop(), dead}
			hops[0].Order, hops[1].Order, hops[2].Order = 30, 20, 10
			times := long()
			if name == "hangs" {
				times.Command = time.Second
			}
			r := newRelay(t, Route{Hops: hops, TLS: None, Timeouts: times})
			d := delivery(small)
			d.Content.EightBit = true
			got := r.Relay(t.Context(), d)
			messages, _, _ := good.seen()
			other, _, _ := bad.seen()
			if got.Result != gateway.Delivered || got.NextHop != good.hop().Address() || len(messages) != 1 || len(other) != 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// What is said of this mail is final: no other next hop is asked. Nor is one after an octet of the body was sent.
func TestNoFailover(t *testing.T) {
	for name, first := range map[string]func(f *fake){
		"MAIL 550": func(f *fake) { f.set("MAIL", say("550 5.7.1 No")) },
		"RCPT 450": func(f *fake) { f.set("RCPT", say("450 4.2.0 Later")) },
		"BODY":     func(f *fake) { f.set("BODY", closes) },
		"DOT":      func(f *fake) { f.set("DOT", closes) },
		"DOT 421":  func(f *fake) { f.set("DOT", say("421 4.3.2 Bye")) },
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := newFake(t, everything...), newFake(t, everything...)
			first(bad)
			second := good.hop()
			second.Order = 1
			r := newRelay(t, Route{Hops: []Hop{bad.hop(), second}, TLS: None, Timeouts: long()})
			got := r.Relay(t.Context(), delivery(small))
			if messages, _, conns := good.seen(); got.Result == gateway.Delivered || len(messages) > 0 || conns > 0 {
				t.Errorf("got %+v, the other had %d connections", got, conns)
			}
		})
	}
}

func closedPort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port
}

func TestWeights(t *testing.T) {
	idle := func() *hop { return &hop{slots: newSlots(1, 1)} }
	rt := &route{named: []weighted{{idle(), 2, 1}, {idle(), 1, 9}, {idle(), 1, 1}}}
	rt.publish()
	first := map[int]int{}
	for range 2000 {
		o := rt.order(forMail)
		if len(o) != 3 || o[2].order != 2 {
			t.Fatalf("order %v", o)
		}
		first[o[0].weight]++
	}
	if first[9] < 1600 || first[1] < 50 {
		t.Errorf("first by weight: %v", first)
	}
	// One without a free connection comes behind those of its order, and not behind those of a later one.
	if err := rt.hops()[1].slots.take(t.Context(), forMail, time.Second); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if o := rt.order(forMail); o[0].weight != 1 || o[1].weight != 9 || o[2].order != 2 {
			t.Fatalf("with one full: %v", o)
		}
	}
}

// Three failures make a next hop rest; the pauses double to 30 s, and one call finds out.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials, up := 0, false
		f := quietFake("PIPELINING")
		pools := NewPools(func(ctx context.Context, _, _ string) (net.Conn, error) {
			dials++
			if !up {
				return nil, net.ErrClosed
			}
			return f.pipe(ctx, "", "")
		}, nil)
		r, err := New(pools, []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ask := func() VerifyResult {
			return r.Verify(t.Context(), "inner", gateway.Address{}, address("a@b.example")).Result
		}
		var at []time.Duration
		for began := time.Now(); time.Since(began) < 3*time.Minute; time.Sleep(100 * time.Millisecond) {
			before := dials
			if ask() != Away {
				t.Fatal("a next hop that is down answered")
			}
			if dials > before {
				at = append(at, time.Since(began).Round(100*time.Millisecond))
			}
		}
		want := []time.Duration{0, 100, 200, 2200, 6200, 14200, 30200, 60200, 90200, 120200, 150200}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(at, want) {
			t.Errorf("dialled at %v, want %v", at, want)
		}
		if h := r.Health()[0]; h.State != "open" || h.NextHop != "a.example:25" || h.LastError == "" || h.Usable() {
			t.Errorf("health %+v", h)
		}
		up = true
		time.Sleep(31 * time.Second)
		if got := ask(); got != Takes {
			t.Errorf("after it came back: %s", got)
		}
		if h := r.Health()[0]; h.State != "closed" || h.Failures != 0 || h.Asked == 0 {
			t.Errorf("health %+v", h)
		}
	})
}

// An idle connection is closed after its time, and its next hop is told.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake("PIPELINING")
		open := func() int {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.open)
		}
		r, err := New(NewPools(f.pipe, nil), []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: None}})
		if err != nil {
			t.Fatal(err)
		}
		r.Learn(t.Context())
		if h := r.Health()[0]; h.Idle != 1 || !h.Carries.Known || h.LearnedAt.IsZero() {
			t.Fatalf("health %+v", h)
		}
		for range 3 {
			time.Sleep(59 * time.Second)
			if v := r.Verify(t.Context(), "inner", gateway.Address{}, address("a@b.example")); v.Result != Takes {
				t.Fatalf("got %+v", v)
			}
		}
		if h := r.Health()[0]; h.Dials != 1 || h.Idle != 1 {
			t.Fatalf("health %+v", h)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if h := r.Health()[0]; h.Idle != 0 || open() != 0 {
			t.Errorf("%d connections are open, health %+v", open(), h)
		}
		for range 12 { // none is used for longer than ten minutes
			if v := r.Verify(t.Context(), "inner", gateway.Address{}, address("a@b.example")); v.Result != Takes {
				t.Fatalf("got %+v", v)
			}
			time.Sleep(58 * time.Second)
		}
		if h := r.Health()[0]; h.Dials != 3 {
			t.Errorf("%d connections, want 3", h.Dials)
		}
		r.Close()
		synctest.Wait()
		if open() != 0 {
			t.Errorf("%d connections are open after Close", open())
		}
	})
}
