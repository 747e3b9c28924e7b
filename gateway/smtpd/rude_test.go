package smtpd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// TestFloods sends one thing over and over, pipelined and without an end, under the default limits. Each such session is
// ended by us, after a bounded number of commands and replies, with one event that is bounded too.
func TestFloods(t *testing.T) {
	floods := []string{"NOOP\r\n", "NOOP x\r\n", "RSET\r\n", "VRFY b\r\n", "EXPN b\r\n", "HELP\r\n", "EHLO client.example\r\n", "HELO x\r\n",
		"STARTTLS\r\n", "AUTH PLAIN\r\n", "TURN\r\n", "ETRN x\r\n", "FOO\r\n", "\r\n", "\n", "\r\r\n", "\x00\r\n", "\xff\r\n", " \r\n", "DATA\r\n", "MAIL\r\n",
		"MAIL FROM:<a@sender.example>\r\n", "MAIL FROM:<a@sender.example>\r\nRSET\r\n", "MAIL FROM:<a@sender.example> SIZE=99999999\r\n",
		"RCPT TO:<b@example.org>\r\n", "MAIL FROM:<a@sender.example>\r\nRCPT TO:<unknown@example.org>\r\n",
		"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\nRSET\r\n", "BDAT 0\r\n", "BDAT 1\r\nx", "BDAT 1 LAST\r\nx", "BDAT x\r\n",
		"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\nBDAT 0\r\nBDAT 1\r\nx", "QUIT x\r\nQUIT\r\n", strings.Repeat("x", 3000) + "\r\n",
		"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nVIRUS\r\n.\r\n", "Subject: x\r\n", "GET\r\n", strings.Repeat("x", 5000)}
	for _, flood := range floods {
		for _, greeted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%.40q-%t", flood, greeted), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *world) {
					w.srv.TLS = nil
					c := w.dial(stranger)
					if greeted {
						c.say("EHLO client.example")
					}
					n := max(1, 200_000/len(flood))
					c.send(strings.Repeat(flood, n))
					for began := time.Now(); !c.gone() && time.Since(began) < time.Hour; {
						time.Sleep(10 * time.Second)
					}
					if replies := countReplies(c.heard()); !c.gone() || replies > 500 {
						t.Errorf("closed %t, %d replies", c.gone(), replies)
					}
					synctest.Wait()
					last := w.journal.events[len(w.journal.events)-1]
					if s := last.Session; last.Kind != gateway.ConnectionEvent || s.Commands > 500 || s.End == gateway.EndClosed || len(s.Refused) > maxRefusals ||
						len(last.Record.Findings) > 3 || len(w.journal.events) > 60 {
						t.Errorf("%d events, the last %+v", len(w.journal.events), last)
					}
				})
			})
		}
	}
}

// countReplies counts the last lines of replies.
func countReplies(text string) (n int) {
	for line := range strings.SplitSeq(text, "\r\n") {
		if len(line) > 3 && line[3] == ' ' {
			n++
		}
	}
	return n
}

// TestTrickle: whatever trickles in place of a command, one octet at a time, its deadline is not renewed.
func TestTrickle(t *testing.T) {
	for name, text := range map[string]string{"command": "NOOP " + strings.Repeat("x", 200), "spaces": strings.Repeat(" ", 200),
		"CR": strings.Repeat("\r", 200), "NUL": "N" + strings.Repeat("\x00", 200), "overlong": strings.Repeat("x", 3000)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				c := w.dial(stranger)
				c.say("EHLO client.example")
				if name == "overlong" { // the limit was passed; now the rest trickles
					c.send(text)
				}
				began := time.Now()
				for i := 0; !c.gone() && i < 200; i++ {
					c.send(text[i : i+1])
					time.Sleep(10 * time.Second)
				}
				if took := time.Since(began); took < 300*time.Second || took > 320*time.Second || !strings.HasPrefix(c.heard(), "421 4.4.2 ") {
					t.Errorf("ended after %v", took)
				}
			})
		})
	}
}

// TestTrickleOfLines: a client that says something in time, again and again, is ended by the time of the session.
func TestTrickleOfLines(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Limits.JunkCommands = 1000
		c := w.dial(stranger)
		c.say("EHLO client.example")
		began := time.Now()
		for !c.gone() && time.Since(began) < 2*time.Hour {
			c.send("NOOP\r\n")
			time.Sleep(250 * time.Second)
		}
		if took := time.Since(began); took > w.snap.Limits.SessionTime+250*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// TestNeverReads: a client that sends group after group and never reads a reply holds a few replies in memory, and a
// goroutine for as long as one write may take.
func TestNeverReads(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		w.srv.knock(context.Background(), addressed{theirs, stranger}, "test", nil)
		r := bufio.NewReader(ours)
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		w.open.Go(func() {
			_, _ = ours.Write([]byte("EHLO client.example\r\nMAIL FROM:<a@sender.example>\r\n" + strings.Repeat("RCPT TO:<b@example.org>\r\n", 50_000)))
		})
		began := time.Now()
		for w.srv.Sessions() > 0 && time.Since(began) < time.Hour {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > w.snap.Limits.WriteTimeout+2*time.Second {
			t.Errorf("ended after %v", took)
		}
		if got := w.journal.all(); len(got) != 2 || !strings.HasPrefix(got[1], "connection end=timeout") {
			t.Errorf("journal: %q", got)
		}
		ours.Close()
		w.open.Wait()
	})
}

// TestThousandsOfRecipients: of thousands of recipients, accepted or not, a bounded number is kept, the event is bounded,
// and the message goes to those that were accepted. Where none was, the flood has an end.
func TestThousandsOfRecipients(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.dial("127.0.0.1:4000")
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>")
		for i := range 5000 {
			c.send("RCPT TO:<b" + itoa(i) + "@example.org>\r\n")
		}
		got := c.heard()
		if ok, no := strings.Count(got, "250 2.1.5"), strings.Count(got, "452 4.5.3"); ok != 1000 || no != 4000 {
			t.Errorf("%d accepted, %d refused", ok, no)
		}
		c.say("DATA")
		if got := c.say("Subject: x", "", "."); !strings.HasPrefix(got, "250 ") {
			t.Errorf("%q", got)
		}
		c.say("QUIT")
		if m := w.deliver.messages(); len(m) != 1 || len(m[0].to) != 1000 {
			t.Errorf("%d messages", len(m))
		}
		if e := w.journal.events[0]; len(e.Replies) > 1000+keptRefused+1 || len(e.Record.Findings) > 2*(1000+keptRefused+1) || len(e.Session.Refused) > 0 {
			t.Errorf("%d replies, %d findings", len(e.Replies), len(e.Record.Findings))
		}
	})
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Policy.Checks["rcpt"] = gateway.CheckPolicy{Class: gateway.ClassRelay, Action: gateway.ActionDefer}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>")
		for i := range 5000 {
			c.send("RCPT TO:<unknown" + itoa(i) + "@example.org>\r\n")
		}
		time.Sleep(time.Minute)
		got := c.heard()
		if n := strings.Count(got, "\r\n"); !c.gone() || n > 100+2*keptRefused+5 || !strings.Contains(got, "421 4.7.0 Too much sent") {
			t.Errorf("closed %t after %d replies", c.gone(), n)
		}
	})
}

// late is a body that has room for its first octets only.
type late struct {
	memory
	failed bool
}

func (l *late) Write(p []byte) (int, error) {
	if _, err := l.memory.Write(p); err != nil || len(l.b) < 100 {
		return len(p), err
	}
	if l.failed {
		l.w.t.Error("written after it failed")
	}
	l.failed = true
	return 0, errFull
}

func (l *late) Discard() {
	if !l.open {
		l.w.t.Error("given back twice")
	}
	l.memory.Discard()
}

// TestNoRoomGivesBack: a body that finds no room is given back at once, while its sender is still sending.
func TestNoRoomGivesBack(t *testing.T) {
	for _, begin := range []string{"DATA", "BDAT 100000 LAST"} {
		bubble(t, func(t *testing.T, w *world) {
			w.newBody = func() gateway.BodyWriter { return &late{memory: memory{w: w}} }
			c := w.dial(stranger)
			c.say("EHLO client.example")
			c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>")
			c.say(begin)
			c.send("Subject: x\r\n\r\n")
			c.heard()
			if w.bodies != 1 {
				t.Errorf("%s: %d bodies at its beginning", begin, w.bodies)
			}
			c.send(strings.Repeat("x", 1000) + "\r\n")
			if got := c.heard(); w.bodies != 0 || got != "" {
				t.Errorf("%s: %d bodies are held by who found no room; %q", begin, w.bodies, got)
			}
			rest := strings.Repeat("x", 100000-14-1002)
			if begin == "DATA" {
				rest += "\r\n.\r\n"
			}
			c.send(rest)
			if got := c.heard(); !strings.HasPrefix(got, "452 4.3.1 ") || c.gone() {
				t.Errorf("%s: %q", begin, got)
			}
		})
	}
}

// listen serves on a real socket until the test ends.
func (w *world) listen() (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.srv.Serve(ctx, l, "test") }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			w.t.Error(err)
		}
	})
	return l.Addr().String()
}

// TestAheadInTheKernel: what a client sends while its command is being answered was sent too early where it had to wait,
// also when we have not read it. A client that waits is never punished.
func TestAheadInTheKernel(t *testing.T) {
	for _, early := range []bool{false, true} {
		w := newWorld(t)
		begun, go_ := make(chan bool), make(chan bool)
		w.snap.Pipeline.Rows[gateway.Mail] = []gateway.Row{{Checks: []gateway.Check{{Name: "slow", Stage: gateway.Mail,
			Run: func(context.Context, *gateway.Input) gateway.Finding {
				begun <- true
				<-go_
				return gateway.Passed()
			}}}}}
		w.snap.Policy.Checks["slow"] = gateway.CheckPolicy{Action: gateway.ActionScore}
		conn, err := net.Dial("tcp", w.listen())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		r := bufio.NewReader(conn)
		say := func(line string) {
			if _, err := conn.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		hear := func(want string) {
			if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
				t.Fatalf("%q, %v", line, err)
			}
		}
		hear("220 ")
		say("HELO client.example\r\n")
		hear("250 ")
		say("MAIL FROM:<a@sender.example>\r\n")
		<-begun
		if early {
			say("RCPT TO:<b@example.org>\r\n")
			time.Sleep(50 * time.Millisecond) // over loopback it is there long before
		}
		close(go_)
		hear("250 ")
		if !early {
			say("RCPT TO:<b@example.org>\r\n")
		}
		hear("250 ")
		say("QUIT\r\n")
		hear("221 ")
		if _, err := r.ReadByte(); err == nil {
			t.Error("the connection is open")
		}
		_ = conn.Close()
		if got := strings.Join(w.journal.all(), "\n"); strings.Contains(got, "pipelining=unoffered (behind MAIL: RCPT TO:<b@example.org>)") != early {
			t.Errorf("early %t: %s", early, got)
		}
	}
}

// TestHostileCrowd: when rude clients of every kind are gone, so are their goroutines.
func TestHostileCrowd(t *testing.T) {
	w := newWorld(t)
	w.offerTLS()
	l := &w.snap.Limits
	l.Connections, l.PerClient = 1000, 1000
	w.snap.Policy.Trusted = nil
	l.CommandTimeout, l.DataTimeout, l.HandshakeTimeout, l.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	l.ErrorDelay, w.snap.Policy.Delays.UnknownRecipient = time.Millisecond, time.Millisecond
	addr := w.listen()
	before := runtime.NumGoroutine()
	mail := "EHLO c\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\n"
	var open []net.Conn
	for range 10 {
		for _, text := range []string{"", "EH", "EHLO c\r\n", mail, mail + "DATA\r\n", mail + "DATA\r\nSubject: x\r\n", mail + "BDAT 100000\r\nx",
			"EHLO c\r\nSTARTTLS\r\n", "EHLO c\r\n" + strings.Repeat("RSET\r\n", 20000), strings.Repeat("x", 100000), strings.Repeat("\n", 1000)} {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, conn)
			_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
			_, _ = conn.Write([]byte(text)) // it may be closed meanwhile
		}
	}
	for end := time.Now().Add(time.Minute); w.srv.Sessions() > 0 || runtime.NumGoroutine() > before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d sessions, %d goroutines, %d before", w.srv.Sessions(), runtime.NumGoroutine(), before)
		}
	}
	for _, conn := range open { // none of them closed its side
		_ = conn.Close()
	}
	if n := len(w.deliver.messages()); n != 0 {
		t.Errorf("%d messages", n)
	}
}
