package smtpd

import (
	"strings"
	"testing"
	"testing/synctest"

	"gatepost/gateway"
)

// TestRequireTLS: offered under TLS only, where all next hops of all routes can carry it; what one of them can no longer is
// refused at its recipient, and the next hop is told.
func TestRequireTLS(t *testing.T) {
	can, cannot := gateway.Carries{Known: true, RequireTLS: true}, gateway.Carries{Known: true}
	for _, c := range []struct {
		name        string
		main, other gateway.Carries
		allowed     bool
		offered     bool
	}{
		{"all can", can, can, true, true},
		{"one cannot", can, cannot, true, false},
		{"the other cannot", cannot, can, true, false},
		{"one is not known", can, gateway.Carries{}, true, false},
		{"without", can, can, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.offerTLS()
				w.hops["main"], w.hops["other"], w.snap.Offers.RequireTLS = c.main, c.other, c.allowed
				s := w.encrypted(t)
				if got := s.ask("EHLO client.example"); strings.Contains(got, "REQUIRETLS\r\n") != c.offered {
					t.Errorf("EHLO: %q", got)
				}
				got := s.ask("MAIL FROM:<a@sender.example> requiretls")
				if want := map[bool]string{true: "250 ", false: "555 5.5.4 "}[c.offered]; !strings.HasPrefix(got, want) {
					t.Fatalf("MAIL: %q", got)
				}
				if !c.offered {
					return
				}
				w.hops["other"] = cannot // its next hop comes back without
				if got := s.ask("RCPT TO:<b@other.example>"); !strings.HasPrefix(got, "550 5.7.30 REQUIRETLS support required") {
					t.Errorf("RCPT: %q", got)
				}
				if got := s.ask("RCPT TO:<b@example.org>"); !strings.HasPrefix(got, "250 ") {
					t.Errorf("RCPT: %q", got)
				}
				s.ask("DATA")
				if got := s.ask("Subject: x\r\n\r\ntext\r\n."); !strings.HasPrefix(got, "250 ") {
					t.Errorf("message: %q", got)
				}
				if got := w.deliver.messages(); len(got) != 1 {
					t.Errorf("%d messages", len(got))
				}
				synctest.Wait()
				if e := w.journal.events[0]; !e.Record.RequireTLS || len(e.Record.Rcpts) != 2 || e.Record.Rcpts[0].Code != 550 {
					t.Errorf("%+v", e.Record)
				}
				// A bounce is not refused for it.
				if got := s.ask("MAIL FROM:<> REQUIRETLS"); !strings.HasPrefix(got, "250 ") {
					t.Errorf("MAIL: %q", got)
				}
				if got := s.ask("RCPT TO:<b@other.example>"); !strings.HasPrefix(got, "250 ") {
					t.Errorf("RCPT: %q", got)
				}
			})
		})
	}
}

// TestRequireTLSParameter: it has no value and is there once.
func TestRequireTLSParameter(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.offerTLS()
		w.hops["main"], w.hops["other"] = gateway.Carries{Known: true, RequireTLS: true}, gateway.Carries{Known: true, RequireTLS: true}
		s := w.encrypted(t)
		s.ask("EHLO client.example")
		for _, bad := range []string{"REQUIRETLS=YES", "REQUIRETLS=", "REQUIRETLS REQUIRETLS"} {
			if got := s.ask("MAIL FROM:<a@sender.example> " + bad); !strings.HasPrefix(got, "501 5.5.4 ") {
				t.Errorf("%s: %q", bad, got)
			}
		}
		s.ask("HELO client.example") // offers nothing
		if got := s.ask("MAIL FROM:<a@sender.example> REQUIRETLS"); !strings.HasPrefix(got, "555 5.5.4 ") {
			t.Errorf("after HELO: %q", got)
		}
	})
}

// encrypted is a session up to its handshake.
func (w *world) encrypted(t *testing.T) *secure {
	s := w.dialByHand(t)
	s.ask("")
	s.ask("EHLO client.example")
	s.ask("STARTTLS")
	s.handshake()
	return s
}

// TestNothingOfClearStays: a transaction that was dropped, what was offered and how the client was called count for nothing
// behind the handshake; a second STARTTLS and a login are refused there, and injected text within TLS is only text.
func TestNothingOfClearStays(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.offerTLS()
		s := w.dialByHand(t)
		s.ask("")
		s.ask("EHLO client.example")
		s.ask("MAIL FROM:<a@sender.example>")
		s.ask("RCPT TO:<b@example.org>")
		s.ask("RSET")
		s.ask("STARTTLS")
		s.handshake()
		for _, step := range [][2]string{
			{"RCPT TO:<b@example.org>", "503 "}, {"DATA", "503 "}, {"MAIL FROM:<a@sender.example>", "503 5.5.1 Say EHLO first"},
			{"STARTTLS", "503 5.5.1 This session is encrypted already"}, {"STARTTLS x", "501 "}, {"AUTH PLAIN AGFubgBzZWNyZXQ=", "502 5.7.0 "},
			{"EHLO client.example", "250-"}, {"RCPT TO:<b@example.org>", "503 "}, {"STARTTLS", "503 5.5.1 This session is encrypted already"},
			{"MAIL FROM:<a@sender.example>\r\nSTARTTLS", "250 "}, {"", "503 5.5.1 "}, {"QUIT", "221 "},
		} {
			if got := s.ask(step[0]); !strings.HasPrefix(got, step[1]) {
				t.Errorf("%q: %q, not %q", step[0], got, step[1])
			}
		}
	})
}
