package smtpd

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

func sleep(d time.Duration) { time.Sleep(d) }

// counting counts the writes of the server.
type counting struct {
	addressed
	writes *atomic.Int32
}

func (c counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.addressed.Write(p)
}

// TestPipelining: replies come in order, and a flight is answered with one write (RFC 2920).
func TestPipelining(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		var writes atomic.Int32
		w.srv.knock(context.Background(), counting{addressed{theirs, stranger}, &writes}, "test", nil)
		s := &secure{t: t, conn: ours}
		s.ask("")
		s.ask("EHLO client.example")
		before := writes.Load()
		if got := s.ask("MAIL FROM:<a@sender.example>\r\nRCPT TO:<unknown@example.org>\r\nRCPT TO:<x@elsewhere.example>\r\nRCPT TO:<b@example.org>\r\nDATA"); got[:4] != "250 " {
			t.Errorf("MAIL: %q", got)
		}
		for _, want := range []string{"550 5.1.1", "550 5.7.1", "250 2.1.5", "354 "} {
			if got := s.ask(""); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %q", want, got)
			}
		}
		if n := writes.Load() - before; n != 1 {
			t.Errorf("the flight took %d writes", n)
		}
		before = writes.Load()
		if got := s.ask("Subject: x\r\n\r\n.\r\nMAIL FROM:<c@sender.example>\r\nRSET\r\nNOOP\r\nQUIT"); !strings.HasPrefix(got, "250 2.0.0 Accepted") {
			t.Errorf("message: %q", got)
		}
		for _, want := range []string{"250 2.1.0", "250 2.0.0", "250 2.0.0", "221 "} {
			if got := s.ask(""); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %q", want, got)
			}
		}
		if n := writes.Load() - before; n != 3 {
			t.Errorf("the end took %d writes, not one for each synchronising point", n)
		}
	})
}

// TestReferences: every refusal behind the banner has the reference of its event.
func TestReferences(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Limits.SlowAfter = 100
		c := w.dial(stranger)
		c.heard()
		inSession := c.say("RCPT TO:<x>", "FOO", "MAIL FROM:<a", "\x7f"[:0]+"EHLO", "AUTH")
		c.say("EHLO client.example")
		inMail := c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<x@elsewhere.example>", "RCPT TO:<x", "MAIL FROM:<>", "DATA")
		c.say("QUIT")
		session, mail := w.journal.events[1].Record.ID, w.journal.events[0].Record.ID
		for _, line := range strings.Split(strings.TrimSpace(inSession), "\r\n") {
			if !strings.HasSuffix(line, ". Reference "+session.String()) {
				t.Errorf("%q", line)
			}
		}
		for _, line := range strings.Split(strings.TrimSpace(inMail), "\r\n")[1:] {
			if !strings.HasSuffix(line, ". Reference "+mail.String()) {
				t.Errorf("%q", line)
			}
		}
	})
}

func TestAppendReply(t *testing.T) {
	long := strings.Repeat("word ", 150)
	tests := []struct {
		reply gateway.Reply
		want  string
	}{
		{gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "OK"}, "250 2.0.0 OK\r\n"},
		{gateway.Reply{Code: 354, Text: "Go"}, "354 Go\r\n"},
		{gateway.Reply{Code: 250, Text: "a\nb\nc"}, "250-a\r\n250-b\r\n250 c\r\n"},
		{gateway.Reply{Code: 550, Enhanced: "5.1.1", Text: "a\nb"}, "550-5.1.1 a\r\n550 5.1.1 b\r\n"},
		{gateway.Reply{Code: 550, Enhanced: "junk", Text: "a"}, "550 a\r\n"},
		{gateway.Reply{Code: 550, Enhanced: "5.1.1", Text: "a\r250 b\x00\xff"}, "550 5.1.1 a?250 b??\r\n"},
		{gateway.Reply{Code: 550, Enhanced: "5.7.1", Text: long + "end"},
			"550-5.7.1 " + strings.TrimSpace(strings.Repeat("word ", 98)) + "\r\n550 5.7.1 " + strings.Repeat("word ", 52) + "end\r\n"},
	}
	for _, tt := range tests {
		if got := string(appendReply(nil, tt.reply)); got != tt.want {
			t.Errorf("%+v: %q", tt.reply, got)
		}
	}
	for line := range strings.SplitSeq(string(appendReply(nil, gateway.Reply{Code: 550, Enhanced: "5.7.1", Text: strings.Repeat("x", 5000)})), "\n") {
		if len(line)+1 > 512 {
			t.Errorf("a line of %d octets", len(line)+1)
		}
	}
}

// TestNothingRunsBehindTheEnd (go-smtp defects 13 and 18): what is pipelined behind the last reply is not executed.
func TestNothingRunsBehindTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.dial(stranger)
		c.say("EHLO client.example")
		flight := "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n"
		if got := c.say("QUIT", flight); got != "221 2.0.0 Goodbye\r\n" || !c.gone() {
			t.Errorf("%q", got)
		}
		w.snap.Limits.Errors = 1
		c = w.dial(stranger)
		c.say("EHLO client.example")
		if got := c.say("RCPT TO:<x>", flight); strings.Count(got, "\n") != 2 || !strings.Contains(got, "\n421 4.7.0 ") || !c.gone() {
			t.Errorf("%q", got)
		}
		if len(w.deliver.messages()) != 0 {
			t.Error("a message was delivered")
		}
	})
}

// TestNormalisedClient: a listed client may end its lines as it likes; still only CRLF.CRLF ends a message.
func TestNormalisedClient(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Normalise = func(s *gateway.Session) bool { return s.Client.Addr().String() == "198.51.100.7" }
		c := w.dial(stranger)
		c.heard()
		c.send("EHLO client.example\nMAIL FROM:<a@sender.example>\nRCPT TO:<b@example.org>\nDATA\n")
		if got := c.heard(); !strings.HasSuffix(got, "354 Send the message; end it with a line that has only a dot\r\n") {
			t.Fatalf("%q", got)
		}
		c.send("Subject: x\n\na\nb\r\n.\r\n")
		if got := c.heard(); !strings.HasPrefix(got, "250 ") {
			t.Fatalf("%q", got)
		}
		if m := w.deliver.messages()[0]; m.content != "Subject: x\r\n\r\na\r\nb\r\n" {
			t.Errorf("%q", m.content)
		}
		other := w.dial("198.51.100.8:1")
		other.heard()
		other.send("EHLO client.example\n")
		if got := other.heard(); !strings.HasPrefix(got, "554 5.5.2 ") || !other.gone() {
			t.Errorf("%q", got)
		}
		c.hangUp()
		synctest.Wait()
	})
}
