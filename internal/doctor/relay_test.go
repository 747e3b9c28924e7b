package doctor

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/smtpwire"
)

// TestNotations shows that each way is another, that none names anybody who is served, and what a strict reader of addresses
// makes of them: those that it reads lead elsewhere or are said to be here.
func TestNotations(t *testing.T) {
	serves := func(name string) bool { return name == "example.org" }
	seen := map[string]bool{}
	for _, n := range notations("example.org", "mx.example.org", "192.0.2.25", serves) {
		if seen[n.to] {
			t.Errorf("%s twice", n.to)
		}
		seen[n.to] = true
		a, err := smtpwire.ParseAddress(strings.Trim(n.to, "<>"), false)
		if err == nil && serves(a.Domain) != n.here {
			t.Errorf("%s: is of %s, and here is %v", n.to, a.Domain, n.here)
		}
	}
	if len(seen) < 25 {
		t.Errorf("only %d ways", len(seen))
	}
	for _, n := range notations("example.org", "mx.example.org", "2001:db8::25", func(string) bool { return true }) {
		if strings.Contains(n.to, "."+"example.org>") && !strings.Contains(n.to, elsewhere+":") && n.to != "<relaytest%"+elsewhere+"@mx.example.org>" {
			t.Errorf("%s is served", n.to)
		}
	}
}

// TestRelay shows what is found of servers that take one way, all, nobody's recipient, or say nothing clear.
func TestRelay(t *testing.T) {
	const (
		closeIt = " -> close it now: take port 25 off the internet until it is; Gatepost itself relays for nobody, so look at what answers at ADDR and at the domains and aliases in policy.toml"
		way     = "<relaytest%relay-test.example@example.org>"
	)
	for _, c := range []struct {
		name string
		set  func(s *lab.NextHop)
		want string
	}{
		{"closed", func(*lab.NextHop) {}, "ok listener.relay"},
		{"all", func(s *lab.NextHop) { s.On("RCPT", lab.Reply("250 2.1.5 fine")) },
			"FAIL listener.relay ADDR: OPEN RELAY: RCPT TO:<relaytest@relay-test.example> from <> was answered 250 fine, and 43 of 53 other ways were taken too" + closeIt},
		{"source routes", func(s *lab.NextHop) {
			s.On("RCPT <@nexthop.lab.test:relaytest@relay-test.example>", lab.Reply("251 2.1.5 will forward"))
		},
			"FAIL listener.relay ADDR: OPEN RELAY: RCPT TO:<@nexthop.lab.test:relaytest@relay-test.example> from <> was answered 251 will forward, and 1 of 53 other ways were taken too" + closeIt},
		{"percent in a domain that knows its recipients", func(s *lab.NextHop) { s.On("RCPT "+way, lab.Reply("250 2.1.5 fine")) },
			"FAIL listener.relay ADDR: OPEN RELAY: RCPT TO:" + way + " from <> was answered 250 fine, and 1 of 53 other ways were taken too" + closeIt},
		{"greylists", func(s *lab.NextHop) { s.On("RCPT", lab.Reply("450 4.7.1 come again")) },
			"? listener.relay ADDR: 54 of 54 ways were neither refused nor taken, as <relaytest@relay-test.example>: 450 come again -> gatepost doctor --only listener, once more in ten minutes"},
		{"takes no sender", func(s *lab.NextHop) { s.On("MAIL", lab.Reply("550 5.7.1 not you")) },
			"? listener.relay ADDR: no recipient could be asked for: the sender was not taken: 550 not you"},
		{"hangs up", func(s *lab.NextHop) { s.On("RCPT", lab.ReplyThenClose("421 4.7.0 too much")) },
			"? listener.relay ADDR: 54 of 54 ways were neither refused nor taken, as <relaytest@relay-test.example>: 421 too much -> gatepost doctor --only listener, once more in ten minutes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := server(t, lab.NextHopOptions{Everyone: true})
			c.set(s)
			w := worldOf(s, nil)
			got := page(t, Group{"listener", func(ctx context.Context, r *Report) { w.relaying(ctx, r.at(0), s.Addr()) }})
			if len(got) != 1 || got[0] != c.want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), c.want)
			}
		})
	}
}

// acceptAll is a server that takes everybody of its domain, and nobody else.
type acceptAll struct{ *lab.NextHop }

// TestRelayOfAcceptAll shows that a domain that takes everybody is no open relay, and that what stands before its @ is told.
func TestRelayOfAcceptAll(t *testing.T) {
	s := acceptAll{server(t, lab.NextHopOptions{Everyone: true})}
	s.On("RCPT", lab.Reply("250 2.1.5 fine"))
	for _, n := range notations("example.org", here, "127.0.0.1", nil) {
		if !n.here {
			s.On("RCPT "+n.to, lab.Reply("550 5.7.1 relaying denied"))
		}
	}
	s.On("RCPT ", lab.Reply("501 5.5.4 brackets")) // that without brackets
	w := worldOf(s.NextHop, nil)
	got := page(t, Group{"listener", func(ctx context.Context, r *Report) { w.relaying(ctx, r.at(0), s.Addr()) }})
	want := "warn listener.relay ADDR: refused, but every recipient of example.org is taken, such as <relaytest%relay-test.example@example.org> too: whether the next hop reads that as a way on is up to it" +
		" -> let recipients be verified (docs/recipients.md), and have the next hop refuse such local parts"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// TestRelayOfPostfix shows that a real open relay is found, and that a closed one is not called one.
func TestRelayOfPostfix(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings []string
		want     Verdict
	}{
		{"open", []string{"mynetworks = 0.0.0.0/0", "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination", "smtpd_recipient_restrictions ="}, Fail},
		{"closed", []string{"mynetworks = 192.0.2.0/24", "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination", "smtpd_recipient_restrictions ="}, OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, err := lab.NewDir()
			if err != nil {
				t.Fatal(err)
			}
			p, err := lab.StartPostfix(t.Context(), dir, lab.PostfixOptions{Name: "mx.example.org", Mailboxes: []string{"user@example.org"}, Settings: c.settings})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Stop() })
			w := &World{Hostname: "mx.example.org", Domains: []Domain{{Name: "example.org"}}, DNS: mapDNS{}, Dial: (&net.Dialer{}).DialContext, Now: time.Now}
			found := Examine(t.Context(), []Group{{"listener", func(ctx context.Context, r *Report) { w.relaying(ctx, r.at(0), p.Addr) }}}, time.Minute)
			if lines := found[0].Lines; len(lines) != 1 || lines[0].Verdict != c.want || c.want == Fail && !strings.HasPrefix(lines[0].Saw, "OPEN RELAY") {
				t.Errorf("got %+v, want %s", lines, c.want)
			}
		})
	}
}
