package smtpd

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

func itoa(n int) string { return strconv.Itoa(n) }

// offerTLS gives the world a certificate of its own.
func (w *world) offerTLS() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(nil, cert, cert, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	asking := config.Clone()
	asking.ClientAuth = tls.RequestClientCert
	w.srv.TLS = func(ask bool) *tls.Config {
		if ask {
			return asking
		}
		return config
	}
}

// secure makes a client that speaks by hand, so that the conversation can go on in TLS.
type secure struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
}

func (w *world) dialByHand(t *testing.T) *secure {
	ours, theirs := net.Pipe()
	w.srv.knock(context.Background(), addressed{theirs, stranger}, "test", nil)
	t.Cleanup(func() { _ = ours.Close() })
	return &secure{t: t, conn: ours}
}

// ask sends a line, unless it is empty, and returns the whole reply.
func (s *secure) ask(line string) string {
	s.t.Helper()
	if line != "" {
		if _, err := s.conn.Write([]byte(line + "\r\n")); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
	}
	for {
		for i, n := 0, 0; ; i = n {
			end := strings.IndexByte(string(s.buf[i:]), '\n')
			if end < 0 {
				break
			}
			n = i + end + 1
			if n-i > 3 && s.buf[i+3] == ' ' {
				reply := string(s.buf[:n])
				s.buf = s.buf[n:]
				return reply
			}
		}
		chunk := make([]byte, 4096)
		n, err := s.conn.Read(chunk)
		s.buf = append(s.buf, chunk[:n]...)
		if err != nil && n == 0 {
			s.t.Fatalf("%s: %v after %q", line, err, s.buf)
		}
	}
}

func (s *secure) handshake() {
	s.t.Helper()
	c := tls.Client(s.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.org"})
	if err := c.Handshake(); err != nil {
		s.t.Fatalf("handshake: %v", err)
	}
	s.conn = c
}

func TestStartTLS(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.offerTLS()
		s := w.dialByHand(t)
		s.ask("")
		if got := s.ask("EHLO client.example"); !strings.Contains(got, "250-STARTTLS\r\n") {
			t.Errorf("EHLO: %q", got)
		}
		if got := s.ask("STARTTLS"); !strings.HasPrefix(got, "220 2.0.0 ") {
			t.Fatalf("STARTTLS: %q", got)
		}
		s.handshake()
		if got := s.ask("MAIL FROM:<a@sender.example>"); !strings.HasPrefix(got, "503 5.5.1 Say EHLO first") {
			t.Errorf("the name said in clear is still believed: %q", got)
		}
		if got := s.ask("EHLO client.example"); strings.Contains(got, "STARTTLS") {
			t.Errorf("EHLO: %q", got)
		}
		if got := s.ask("STARTTLS"); !strings.HasPrefix(got, "503 5.5.1 This session is encrypted") {
			t.Errorf("second STARTTLS: %q", got)
		}
		s.ask("MAIL FROM:<a@sender.example>")
		s.ask("RCPT TO:<b@example.org>")
		s.ask("DATA")
		if got := s.ask("Subject: x\r\n\r\ntext\r\n."); !strings.HasPrefix(got, "250 ") {
			t.Errorf("message: %q", got)
		}
		s.ask("QUIT")
		synctest.Wait()
		e := w.journal.events[0]
		if e.Record.TLS != "TLS1.3" || e.Session.TLS.Cipher == "" || e.Session.TLS.ServerName != "mx.example.org" {
			t.Errorf("journal: %+v", e.Session.TLS)
		}
	})
}

// TestStartTLSInjection: what was sent in clear behind STARTTLS is never executed, and the connection is closed.
func TestStartTLSInjection(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.offerTLS()
		c := w.dial(stranger)
		c.say("EHLO client.example")
		got := c.say("STARTTLS", "EHLO injected.example", "MAIL FROM:<a@sender.example>")
		if !strings.HasPrefix(got, "554 5.5.1 Something was sent in clear") || !c.gone() {
			t.Errorf("%q", got)
		}
		if got := w.journal.all(); len(got) != 1 || !strings.HasPrefix(got[0], "connection end=protocol transactions=0") {
			t.Errorf("journal: %q", got)
		}
	})
}

// TestStartTLSInjectedLate: the same in a packet of its own, before the handshake.
func TestStartTLSInjectedLate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.offerTLS()
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("STARTTLS")
		got := c.say("EHLO injected.example", "MAIL FROM:<a@sender.example>")
		if strings.Contains(got, "250") || !c.gone() {
			t.Errorf("%q", got)
		}
		if got := w.journal.all(); len(got) != 1 || !strings.HasPrefix(got[0], "connection end=tls transactions=0") {
			t.Errorf("journal: %q", got)
		}
	})
}

// TestStartTLSFails (go-smtp defect 8): after a failed handshake nothing goes on in clear; a silent one has an end.
func TestStartTLSFails(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.offerTLS()
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("STARTTLS")
		time.Sleep(31 * time.Second)
		if got := c.heard(); got != "" || !c.gone() {
			t.Errorf("%q", got)
		}
		if got := w.journal.all(); len(got) != 1 || !strings.HasPrefix(got[0], "connection end=tls") {
			t.Errorf("journal: %q", got)
		}
	})
}

func TestStartTLSNotNow(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.srv.TLS = func(bool) *tls.Config { return nil }
		c := w.dial(stranger)
		c.say("EHLO client.example")
		if got := c.say("STARTTLS"); !strings.HasPrefix(got, "454 4.7.0 ") {
			t.Errorf("%q", got)
		}
		w.snap.Offers.StartTLS = false
		if got := c.say("STARTTLS"); !strings.HasPrefix(got, "502 5.5.1 ") {
			t.Errorf("%q", got)
		}
		if got := c.say("QUIT"); !strings.HasPrefix(got, "221 ") {
			t.Errorf("%q", got)
		}
		if e := w.journal.events[0]; e.Session.End != gateway.EndQuit {
			t.Errorf("end %q", e.Session.End)
		}
	})
}
