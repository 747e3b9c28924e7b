package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/lab/dialog"
)

func startNextHop(t *testing.T, o NextHopOptions) *NextHop {
	t.Helper()
	h, err := StartNextHop(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func play(t *testing.T, h *NextHop, config *tls.Config, script string) {
	t.Helper()
	s, err := dialog.Parse(t.Name(), script)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(testContext(t), dialog.Hooks{
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", h.Addr())
		},
		TLS: config,
		Do:  map[string]func(context.Context, []string) error{"nexthop": h.Directive},
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNextHopNotesOctets(t *testing.T) {
	h := startNextHop(t, NextHopOptions{})
	play(t, h, nil, `
S: 220 ...
C: EHLO gatepost.lab.test
S: 250-nexthop.lab.test
S: ...
S: 250-CHUNKING
S: ...
C: MAIL FROM:<a@example.org> SIZE=10
S: 250 ...
C: RCPT TO:<b@lab.test>
S: 250 ...
C: DATA
S: 354 ...
R: one\r\n..two\r\nbare\n.\nnot the end\r\n.\n\r\n.\r\n
S: 250 ...
-- nexthop got 1 messages
-- nexthop last contains \n.two\r
-- nexthop last lacks ..two
-- nexthop last MAIL FROM:<a@example.org> SIZE=10
-- nexthop last RCPT TO:<b@lab.test>
C: MAIL FROM:<>
S: 250 ...
C: RCPT TO:<b@lab.test>
S: 250 ...
R: BDAT 4\r\na\r\n.
S: 250 ...
R: BDAT 4 LAST\r\n\r\nb\n
S: 250 ...
-- nexthop got 2 messages
C: QUIT
S: 221 ...
-- expect-closed
`)
	got := h.Accepted()
	if want := "one\r\n.two\r\nbare\n.\nnot the end\r\n\n\r\n"; string(got[0].Body) != want {
		t.Errorf("by DATA: got %q, want %q", got[0].Body, want)
	}
	if want := "a\r\n.\r\nb\n"; string(got[1].Body) != want || !got[1].Chunked {
		t.Errorf("by BDAT: got %q, want %q", got[1].Body, want)
	}
}

func TestNextHopFaults(t *testing.T) {
	start := `
S: 220 ...
C: HELO x
S: 250 ...
C: MAIL FROM:<a@example.org>
`
	body := "S: 250 ...\nC: RCPT TO:<b@lab.test>\nS: 250 ...\nC: DATA\nS: 354 ...\n"
	for name, script := range map[string]string{
		"banner":       "-- nexthop on CONNECT reply 554 go away\n-- connect\nS: 554 go away\n",
		"MAIL closes":  "-- nexthop on MAIL close" + start + "-- expect-closed\n",
		"MAIL hangs":   "-- nexthop on MAIL hang" + start + "-- silent 100ms\n",
		"MAIL resets":  "-- nexthop on MAIL reset" + start + "-- expect-closed\n",
		"RCPT of one":  "-- nexthop on \"RCPT <c@lab.test>\" reply 450 4.2.0 later" + start + "S: 250 ...\nC: RCPT TO:<c@lab.test>\nS: 450 4.2.0 later\nC: RCPT TO:<b@lab.test>\nS: 250 ...\n",
		"in the body":  "-- nexthop on BODY close" + start + body + "-- expect-closed\n-- nexthop got 0 messages\n",
		"after dot":    "-- nexthop on DOT close" + start + body + "R: x\\r\\n.\\r\\n\n-- expect-closed\n-- nexthop got 0 messages\n",
		"refuses mail": "-- nexthop on DOT reply 550 5.7.1 no" + start + body + "R: x\\r\\n.\\r\\n\nS: 550 5.7.1 no\n-- nexthop got 0 messages\n",
		"no rcpt":      start + "S: 250 ...\nC: DATA\nS: 554 ...\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := startNextHop(t, NextHopOptions{})
			// A first connection so that a script may set a step before its own.
			play(t, h, nil, "-- connect\n"+strings.Replace(script, start, "\n-- connect"+start, 1))
		})
	}
}

func TestNextHopTLS(t *testing.T) {
	certificate, key, err := NewCertificate("nexthop.lab.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	h := startNextHop(t, NextHopOptions{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	play(t, h, &tls.Config{RootCAs: pool, ServerName: "nexthop.lab.test"}, `
S: 220 ...
C: EHLO x
S: ...
S: 250 STARTTLS
C: STARTTLS
S: 220 ...
-- tls
C: EHLO x
S: 250-nexthop.lab.test
S: ...
C: NOOP
S: 250 ...
`)
}

// An endless reply and a trickle must not keep Close waiting.
func TestFakeCloseEndsEverything(t *testing.T) {
	h := startNextHop(t, NextHopOptions{})
	for _, a := range []Action{Endless("250-again\r\n"), Trickle("250 slow\r\n", time.Hour), Silence(), {Delay: time.Hour}} {
		h.On("CONNECT", a)
		before := h.Connections()
		conn, err := net.Dial("tcp", h.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := poll(testContext(t), func() (bool, error) { return h.Connections() > before, nil }); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() { h.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Close does not return")
	}
}

func TestFakeClamd(t *testing.T) {
	c, err := StartFakeClamd(100)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for data, want := range map[string]string{
		"hello": "stream: OK", EICAR(): "stream: Eicar-Test-Signature FOUND",
		strings.Repeat("a", 101): "INSTREAM size limit exceeded. ERROR",
	} {
		if got := instream(t, "tcp", c.Addr(), []byte(data)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	c.On("INSTREAM", Raw("stream: "), Raw("garbage\xff\x00"))
	for _, want := range []string{"stream: ", "garbage\xff"} {
		if got := instream(t, "tcp", c.Addr(), []byte("x")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if n := len(c.Scanned()); n != 4 {
		t.Errorf("scanned %d streams, want 4", n)
	}
}

func TestFakeSpamd(t *testing.T) {
	s, err := StartFakeSpamd()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ask := func(text string, wait time.Duration) (string, error) {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(wait))
		fmt.Fprintf(conn, "SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n%s", len(text), text)
		b, err := io.ReadAll(bufio.NewReader(conn))
		return string(b), err
	}
	if got, _ := ask("Subject: a\r\n\r\n"+GTUBE(), time.Minute); !strings.Contains(got, "Spam: True ; 1000.0 / 5.0") {
		t.Errorf("got %q", got)
	}
	s.On("SYMBOLS", Gone(), Silence())
	if got, err := ask("x", time.Minute); got != "" || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a close gave %q and %v", got, err)
	}
	if got, err := ask("x", 200*time.Millisecond); got != "" || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silence gave %q and %v", got, err)
	}
	if err := poll(testContext(t), func() (bool, error) { return len(s.Requests()) == 3, nil }); err != nil {
		t.Errorf("got %d requests, want 3", len(s.Requests()))
	}
}

func TestGoSMTPTalksToItselfAndToPostfix(t *testing.T) {
	ctx := testContext(t)
	g, err := StartGoSMTP(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	p, err := StartPostfix(ctx, testDir(t), PostfixOptions{Relay: g.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, p.Process)
	for i, addr := range []string{g.Addr(), p.Addr} {
		m := GoSMTPSend{From: "a@example.org", To: []string{"b@lab.test"}, Body: []byte(testMail)}
		if _, err := m.Send(ctx, addr); err != nil {
			t.Fatal(err)
		}
		messages, err := g.Await(ctx, i+1)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(messages[i].Body), testMail) {
			t.Errorf("got %q", messages[i].Body)
		}
	}
}

func TestForget(t *testing.T) {
	h := startNextHop(t, NextHopOptions{})
	play(t, h, nil, `-- nexthop on MAIL reply 550-5.7.1 no\r\n550 5.7.1 never`+"\nS: 220 ...\nC: MAIL FROM:<a@example.org>\nS: 550-...\nS: 550 5.7.1 never\n-- nexthop saw MAIL\nC: QUIT\nS: 221 ...")
	h.Forget()
	if got := h.Commands(); len(got) != 0 || len(h.Messages()) != 0 {
		t.Errorf("still there: %q %v", got, h.Messages())
	}
	play(t, h, nil, "S: 220 ...\nC: MAIL FROM:<a@example.org>\nS: 250 ...\nC: QUIT\nS: 221 ...")
}
