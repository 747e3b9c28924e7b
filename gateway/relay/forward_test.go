package relay

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab"
	"gatepost/internal/smtpwire"
)

func sender(address, name, helo string) gateway.Client {
	return gateway.Client{Address: netip.MustParseAddrPort(address), Name: name, Helo: helo, ESMTP: true}
}

func fromClient(c gateway.Client, rcpts ...string) *gateway.Delivery {
	d := delivery(small, rcpts...)
	d.Client = c
	return d
}

func TestAttributes(t *testing.T) {
	all := []string{"NAME", "ADDR", "PORT", "PROTO", "HELO", "SOURCE", "IDENT", "LOGIN", "NEW"}
	long := strings.Repeat("a", 300)
	for _, tt := range []struct {
		offered []string
		c       gateway.Client
		source  bool
		want    string
	}{
		{all, sender("192.0.2.1:40", "out.sender.example", "helo.example"), true,
			"NAME=out.sender.example ADDR=192.0.2.1 PORT=40 PROTO=ESMTP HELO=helo.example SOURCE=REMOTE"},
		{all, sender("[2001:db8::1]:40", "", ""), false, "NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PORT=40 PROTO=ESMTP HELO=[UNAVAILABLE]"},
		{all, sender("[::ffff:192.0.2.1]:40", "a+b=c", "x\r\nMAIL FROM:<>"), false,
			"NAME=a+2Bb+3Dc ADDR=192.0.2.1 PORT=40 PROTO=ESMTP HELO=x+0D+0AMAIL+20FROM:<>"},
		{[]string{"ADDR"}, sender("[fe80::1%eth0]:40", "n", "h"), true, "ADDR=IPV6:fe80::1"},
		{[]string{"NAME", "HELO"}, sender("192.0.2.1:40", long, strings.Repeat("ü", 60)), true, "NAME=[UNAVAILABLE] HELO=[UNAVAILABLE]"},
		{nil, sender("192.0.2.1:40", "n", "h"), true, ""},
		{[]string{"PROTO"}, gateway.Client{}, false, "PROTO=SMTP"},
	} {
		words := attributes(tt.offered, tt.c, tt.source)
		if got := strings.Join(words, " "); got != tt.want {
			t.Errorf("%+v: %s", tt.c, got)
		}
	}
	words := attributes(all, sender("[2001:db8::1]:40", strings.Repeat("n", 255), strings.Repeat("h", 255)), true)
	commands := commandsOf("XFORWARD", words)
	if len(commands) != 2 {
		t.Errorf("%q", commands)
	}
	for _, c := range commands {
		if len(c) > 510 || !strings.HasPrefix(c, "XFORWARD ") {
			t.Errorf("%d octets: %s", len(c), c)
		}
	}
}

// Each message on a pooled connection is told as that of its client; the same client is not told twice, a question is our
// own, and without an offer or without leave nothing is told.
func TestForward(t *testing.T) {
	a, b := sender("192.0.2.1:40", "a.example", "ha.example"), sender("192.0.2.2:50", "", "hb.example")
	told := func(f *fake) (out []string) {
		_, commands, _ := f.seen()
		for _, c := range commands {
			if strings.HasPrefix(c, "X") {
				out = append(out, c)
			}
		}
		return out
	}
	const xa, xb = "NAME=a.example ADDR=192.0.2.1 HELO=ha.example", "NAME=[UNAVAILABLE] ADDR=192.0.2.2 HELO=hb.example"
	for _, tt := range []struct {
		name   string
		way    Forward
		offers string
		want   []string
		ehlos  int
	}{
		{"xclient", XClient, "XCLIENT NAME ADDR HELO", []string{"XCLIENT " + xa, "XCLIENT " + xb, "XCLIENT NAME=mx.example.org ADDR=127.0.0.1 HELO=mx.example.org", "XCLIENT " + xa}, 5},
		{"xforward", XForward, "xforward name addr helo", []string{"XFORWARD " + xa, "XFORWARD " + xb, "XFORWARD " + xb, "XFORWARD " + xa}, 1},
		{"the other is offered", XClient, "XFORWARD NAME ADDR HELO", nil, 1},
		{"nothing is offered", XClient, "HELP", nil, 1},
		{"no leave", ForwardNone, "XCLIENT NAME ADDR HELO", nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, append([]string{tt.offers}, everything...)...)
			f.set("XCLIENT", say("220 inner.example ESMTP"))
			f.set("XFORWARD", say("250 2.0.0 Ok"))
			r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), Forward: tt.way})
			for i, c := range []gateway.Client{a, b, b, {}, a} {
				if i == 3 {
					if v := r.Verify(t.Context(), "inner", gateway.Address{}, address("x@example.org")); v.Result != Takes {
						t.Errorf("verify: %+v", v)
					}
					continue
				}
				if got := r.Relay(t.Context(), fromClient(c)); got.Result != gateway.Delivered {
					t.Fatalf("message %d: %+v", i, got)
				}
			}
			_, commands, conns := f.seen()
			ehlos := strings.Count(strings.Join(commands, "\n"), "EHLO ")
			if as := strings.Count(strings.Join(commands, "\n"), "EHLO ha.example"); tt.way == XClient && tt.want != nil && as != 2 {
				t.Errorf("%d EHLO of the client's own words: %q", as, commands)
			}
			if got := told(f); !slices.Equal(got, tt.want) || conns != 1 || ehlos != tt.ehlos {
				t.Errorf("told %q over %d connections with %d EHLO", got, conns, ehlos)
			}
		})
	}
}

// What a next hop does at XCLIENT ends in no message under another's name; what it does at XFORWARD short of leaving is
// its own affair.
func TestForwardFaults(t *testing.T) {
	for _, fl := range faults() {
		for _, way := range []Forward{XClient, XForward} {
			if way == XClient && fl.name == "220" {
				continue // what it should say
			}
			t.Run(way.String()+"/"+fl.name, func(t *testing.T) {
				t.Parallel()
				f := newFake(t, append([]string{"XCLIENT ADDR", "XFORWARD ADDR"}, everything...)...)
				verb := strings.ToUpper(way.String())
				f.set(verb, fl.act)
				r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), Forward: way})
				got := r.Relay(t.Context(), fromClient(sender("192.0.2.1:40", "", "")))
				messages, _, _ := f.seen()
				answered := slices.Contains([]string{"450", "451 bare", "550", "554 bare", "503", "530", "555", "220", "250", "252", "299", "334", "354"}, fl.name)
				switch {
				case way == XForward && answered:
					if got.Result != gateway.Delivered || len(messages) != 1 {
						t.Errorf("got %+v", got)
					}
				case got.Result == gateway.Delivered || got.Result == gateway.RefusedByHop || got.Reply.Code != 451 || len(messages) > 0:
					t.Errorf("got %+v, %d messages", got, len(messages))
				}
				f.set(verb, say(map[Forward]string{XClient: "220 Hello", XForward: "250 Ok"}[way]))
				inStepAfter(t, f, r, "NOOP")
			})
		}
	}
	// A connection that was left alone too long is replaced there, too.
	f := newFake(t, append([]string{"XCLIENT ADDR"}, everything...)...)
	f.set("XCLIENT", say("220 Hello"))
	r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), Forward: XClient})
	r.Relay(t.Context(), fromClient(sender("192.0.2.1:40", "", "")))
	f.set("XCLIENT", func(s *fakeSession) bool { f.set("XCLIENT", say("220 Hello")); return false })
	if got := r.Relay(t.Context(), fromClient(sender("192.0.2.2:40", "", ""))); got.Result != gateway.Delivered {
		t.Errorf("a dead connection: %+v", got)
	}
}

// A real Postfix believes XCLIENT, with its rules for clients, and logs what XFORWARD says.
func TestPostfixForward(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p, err := lab.StartPostfix(ctx, dir, lab.PostfixOptions{Name: "inner.lab.test", Mailboxes: []string{"box@lab.test"},
		Settings: []string{"smtpd_authorized_xclient_hosts = 127.0.0.1", "smtpd_authorized_xforward_hosts = 127.0.0.1",
			"smtpd_client_restrictions = check_client_access inline:{192.0.2.66=REJECT}"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}()
	host, text, err := net.SplitHostPort(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	good, bad := sender("192.0.2.7:4000", "out.sender.example", "helo.sender.example"), sender("192.0.2.66:4000", "", "bad.example")
	for n, way := range []Forward{XClient, XForward} {
		r := newRelay(t, Route{Hops: []Hop{{Host: host, Port: port}}, TLS: None, Timeouts: long(), Forward: way})
		for range 2 {
			if got := r.Relay(ctx, fromClient(good, "box@lab.test")); got.Result != gateway.Delivered {
				t.Fatalf("%s: %+v\n%s", way, got, p.Log())
			}
			got := r.Relay(ctx, fromClient(bad, "box@lab.test"))
			if refused := got.Result == gateway.RefusedByHop; refused != (way == XClient) {
				t.Errorf("%s: a client that it refuses: %+v", way, got)
			}
			if v := r.Verify(ctx, "inner", gateway.Address{}, address("box@lab.test")); v.Result != Takes {
				t.Errorf("%s: %+v", way, v)
			}
		}
		// Who was made another client by Postfix stays that one; only the second question finds the first's connection.
		if h := r.Health()[0]; way == XForward && h.Dials != 1 || way == XClient && h.Dials > 5 {
			t.Errorf("%s: %d connections", way, h.Dials)
		}
		messages, err := p.Maildir("box@lab.test").Await(ctx, 2+4*n)
		if err != nil {
			t.Fatal(err)
		}
		believed := 0
		for _, m := range messages {
			if strings.Contains(string(m), "from helo.sender.example (out.sender.example [192.0.2.7])") {
				believed++
			}
		}
		if believed != 2 {
			t.Errorf("%s: %d messages are of the client in Received:\n%s", way, believed, messages[0])
		}
	}
	log, err := os.ReadFile(p.MailLog())
	if err != nil || !strings.Contains(string(log), "orig_client=out.sender.example[192.0.2.7]") {
		t.Errorf("the log does not tell of the client: %v", err)
	}
}

// No name or HELO of a stranger makes a second command, or a word of its own.
func FuzzForward(f *testing.F) {
	for _, s := range []string{"a.example", "x\r\nDATA", "a b", "a=b+c", "ü", "\x00", strings.Repeat("x", 400), ""} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, helo string) {
		words := attributes([]string{"NAME", "ADDR", "PORT", "PROTO", "HELO", "SOURCE"}, sender("[2001:db8::1]:40", name, helo), true)
		for _, c := range commandsOf("XCLIENT", words) {
			if len(c) > 510 || !ascii(c) || !plain(strings.ReplaceAll(c, " ", "")) {
				t.Fatalf("%q", c)
			}
		}
		if len(words) != 6 || strings.ContainsAny(strings.Join(words, ""), " \r\n") {
			t.Fatalf("%q", words)
		}
		_, value, _ := strings.Cut(words[4], "=")
		if back, err := smtpwire.DecodeXtext(value); value != unavailable && (err != nil || back != helo) {
			t.Errorf("%q is %q, %v", helo, back, err)
		}
	})
}
