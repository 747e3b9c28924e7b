package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/mark"
	"gatepost/internal/lab/bench/sink"
)

func startSink(t *testing.T) *sink.Sink {
	t.Helper()
	s, err := sink.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestSizes shows that messages have the size that was asked for, whatever they hold, and arrive whole.
func TestSizes(t *testing.T) {
	s := startSink(t)
	for _, size := range []int{0, 300, 512, 1000, 10 << 10, 100<<10 + 1, 1 << 20, 3<<20 + 77} {
		for _, pipeline := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d pipeline=%t", size, pipeline), func(t *testing.T) {
				m := NewMessage(size)
				// A body is never shorter than its lines; near the header's own size that shows.
				if least := 512; m.Size() != size && size >= least {
					t.Errorf("size %d, want %d", m.Size(), size)
				}
				before := s.Count()
				r, err := Job{Addr: s.Addr(), Message: m, Connections: 3, PerSession: 2, Pipeline: pipeline,
					For: 20 * time.Second, Count: 11, Timeout: 20 * time.Second}.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if r.Acknowledged.Messages != 11 || len(r.Latencies) != 11 || r.Rate() <= 0 {
					t.Errorf("%d messages, %d latencies, rate %v; want 11", r.Acknowledged.Messages, len(r.Latencies), r.Rate())
				}
				if err := s.Count().Minus(before).Check(r.Acknowledged); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if n := s.Count().Sessions; n < 6 {
		t.Errorf("%d sessions: connections were not opened anew", n)
	}
}

// script is a server that answers as a script says: one reply for the banner and for each line it reads, but that the
// lines of a message are one. The last reply is repeated.
func script(t *testing.T, replies ...string) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r, body := bufio.NewReader(conn), false
				for i := 0; ; i++ {
					reply := replies[min(i, len(replies)-1)]
					if _, err := conn.Write([]byte(reply)); err != nil || reply == "" {
						return // without a word
					}
					for {
						line, err := r.ReadString('\n')
						if err != nil {
							return
						}
						if !body || line == ".\r\n" {
							break
						}
					}
					body = strings.HasPrefix(reply, "250") && i == 3
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestRefusals shows that any reply but the expected one fails the run and is told.
func TestRefusals(t *testing.T) {
	ok := []string{"220 hi\r\n", "250-hi\r\n250 SIZE 10\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"}
	names := []string{"banner", "EHLO", "MAIL", "RCPT", "DATA", "message", "QUIT"}
	for step, name := range names {
		for _, reply := range []string{"451 4.3.0 no\r\n", "", "250", "x\r\n", "999 what\r\n"} {
			t.Run(name+" "+strings.TrimSpace(reply), func(t *testing.T) {
				replies := append(append([]string{}, ok[:min(step, len(ok))]...), reply)
				r, err := Job{Addr: script(t, replies...), Message: NewMessage(1000), Connections: 1, PerSession: 1,
					For: 10 * time.Second, Count: 1, Timeout: 300 * time.Millisecond}.Run(t.Context())
				if err == nil {
					t.Fatalf("no error; %d acknowledged", r.Acknowledged.Messages)
				}
				if !strings.Contains(err.Error(), name) {
					t.Errorf("error %q does not name %s", err, name)
				}
				if want := int64(step / len(ok)); r.Acknowledged.Messages != want {
					t.Errorf("%d acknowledged, want %d", r.Acknowledged.Messages, want)
				}
			})
		}
	}
}

// TestEnds shows that a load ends with its context though the server answers nothing.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Job{Addr: script(t, "220 hi\r\n", "250 hi\r\n", ""), Message: NewMessage(1000), Connections: 4, PerSession: 1,
		For: time.Minute, Timeout: time.Minute}.Run(ctx)
	if err == nil {
		t.Error("no error")
	}
	if _, err := (Job{Addr: "127.0.0.1:1", Message: NewMessage(1000), Connections: 1, PerSession: 1, For: time.Minute, Timeout: time.Minute}).Run(t.Context()); err == nil {
		t.Error("nobody listens, and there is no error")
	}
}

// TestLossIsNoticed shows that a sink that did not get what was acknowledged is told from one that did, in every way in
// which a gateway could lose or spoil mail.
func TestLossIsNoticed(t *testing.T) {
	body := func(m *Message, id uint64, mid, end string) string {
		return "Received: by a gateway\r\n" + string(m.appendHead(nil, id, time.Now())) + mid + end
	}
	m := NewMessage(10 << 10)
	whole := string(m.body)
	for _, c := range []struct {
		name string
		sent []string // what the gateway makes of messages 1 and 2
		want string   // "" when all is well
	}{
		{"both", []string{body(m, 1, whole, string(appendEnd(nil, 1))), body(m, 2, whole, string(appendEnd(nil, 2)))}, ""},
		{"one lost", []string{body(m, 1, whole, string(appendEnd(nil, 1)))}, "1 did not arrive"},
		{"one twice, one lost", []string{body(m, 1, whole, string(appendEnd(nil, 1))), body(m, 1, whole, string(appendEnd(nil, 1)))}, "not the same"},
		{"one more", []string{body(m, 1, whole, string(appendEnd(nil, 1))), body(m, 2, whole, string(appendEnd(nil, 2))), body(m, 2, whole, string(appendEnd(nil, 2)))}, "only 2 were acknowledged"},
		{"truncated", []string{body(m, 1, whole, string(appendEnd(nil, 1))), body(m, 2, whole[:4000], "\r\n.\r\n")}, "1 messages arrived damaged"},
		{"an octet less", []string{body(m, 1, whole, string(appendEnd(nil, 1))), body(m, 2, whole[1:], string(appendEnd(nil, 2)))}, "1 messages arrived damaged"},
		{"dots not doubled", []string{body(m, 1, whole, string(appendEnd(nil, 1))), body(m, 2, strings.Replace(whole, "\r\n..a", "\r\n.a", 1), string(appendEnd(nil, 2)))}, "1 messages arrived damaged"},
		{"mixed", []string{body(m, 1, whole, string(appendEnd(nil, 2))), body(m, 2, whole, string(appendEnd(nil, 1)))}, "2 messages arrived damaged"},
		{"two in one", []string{body(m, 1, whole, "") + body(m, 2, whole, string(appendEnd(nil, 2)))}, "1 messages arrived damaged"},
		{"no mark", []string{body(m, 1, whole, string(appendEnd(nil, 1))), "Subject: other\r\n\r\nother\r\n.\r\n"}, "1 without a mark"},
		{"empty", []string{body(m, 1, whole, string(appendEnd(nil, 1))), ".\r\n"}, "1 without a mark"},
		{"cut off", []string{body(m, 1, whole, string(appendEnd(nil, 1))), "CUT" + body(m, 2, whole[:5000], "")}, "1 cut off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startSink(t)
			for _, text := range c.sent {
				deliver(t, s.Addr(), text)
			}
			var acknowledged mark.Tally
			acknowledged.Add(1, int64(m.size))
			acknowledged.Add(2, int64(m.size))
			deadline := time.Now().Add(5 * time.Second)
			err := s.Count().Check(acknowledged)
			// A connection that is cut off is noticed in the sink's own time.
			for err == nil != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				if time.Now().After(deadline) {
					t.Fatalf("error %v, want %q", err, c.want)
				}
				time.Sleep(5 * time.Millisecond)
				err = s.Count().Check(acknowledged)
			}
		})
	}
}

// deliver sends one message text with its dot; CUT in front of it closes the connection within.
func deliver(t *testing.T, addr, text string) {
	t.Helper()
	c, err := dial(addr, time.Now().Add(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	// All at once: what stands behind a dot in one segment is read as commands.
	commands := "MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@served.test>\r\nDATA\r\n"
	text, cut := strings.CutPrefix(text, "CUT")
	if err := c.write(commands, text); err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{250, 250, 354} {
		if err := c.expect("command", code, nil); err != nil {
			t.Fatal(err)
		}
	}
	if cut {
		return
	}
	if err := c.expect("message", 250, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.quit(); err != nil {
		t.Fatal(err)
	}
}

// TestPercentile shows the nearest rank.
func TestPercentile(t *testing.T) {
	var r Result
	if got := r.Percentile(50); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := 1; i <= 200; i++ {
		r.Latencies = append(r.Latencies, time.Duration(i))
	}
	for p, want := range map[float64]time.Duration{0: 1, 50: 100, 99: 198, 100: 200} {
		if got := r.Percentile(p); got != want {
			t.Errorf("p%v is %d, want %d", p, got, want)
		}
	}
}

// TestRate shows that a paced load offers what it says, and that a message that waits for a connection is late by its wait.
func TestRate(t *testing.T) {
	s := startSink(t)
	j := Job{Addr: s.Addr(), Message: NewMessage(1000), Connections: 4, PerSession: 5, For: time.Second, Rate: 50, Timeout: 20 * time.Second}
	r, err := j.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Count().Check(r.Acknowledged); err != nil || r.Acknowledged.Messages != 50 || r.Due != 50 {
		t.Errorf("%d of %d messages, %v; want 50", r.Acknowledged.Messages, r.Due, err)
	}
	// A server that takes a tenth of a second for each: of 20 messages that come due in a tenth, the last waits for all before it.
	j.Addr, j.Connections, j.PerSession = slow(t, 100*time.Millisecond), 1, 100
	j.For, j.Rate = 100*time.Millisecond, 200
	if r, err = j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What does not begin within three times the length does not begin.
	if n := r.Acknowledged.Messages; n > 4 || r.Due != 20 || r.Latencies[n-1] < time.Duration(n-1)*95*time.Millisecond {
		t.Errorf("%d of %d messages, latencies %v", n, r.Due, r.Latencies)
	}
}

// slow is a server that answers a message only after a time.
func slow(t *testing.T, wait time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 hi\r\n")
		data := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			switch line := lines.Text(); {
			case data && line != ".":
				continue
			case line == "DATA":
				data = true
				fmt.Fprint(conn, "354 go\r\n")
				continue
			case line == ".":
				data = false
				time.Sleep(wait)
			case line == "QUIT":
				fmt.Fprint(conn, "221 bye\r\n")
				return
			}
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}()
	return l.Addr().String()
}

// TestPace shows which messages of a job begin, by number and time.
func TestPace(t *testing.T) {
	began := time.Now()
	for _, c := range []struct {
		job    Job
		n      int64
		at     time.Duration
		beyond bool
	}{
		{Job{For: time.Second}, 1 << 20, 999 * time.Millisecond, false},
		{Job{For: time.Second}, 0, time.Second, true},
		{Job{For: time.Second, Count: 5}, 4, 0, false},
		{Job{For: time.Second, Count: 5}, 5, 0, true},
		{Job{For: time.Second, Least: 5}, 4, 2 * time.Second, false},
		{Job{For: time.Second, Least: 5}, 5, 2 * time.Second, true},
		{Job{For: time.Second, Least: 5}, 4, 3 * time.Second, true},
	} {
		p := pace{Job: c.job, began: began}
		if got := p.beyond(c.n, began.Add(c.at)); got != c.beyond {
			t.Errorf("%+v: message %d at %v: beyond %t, want %t", c.job, c.n, c.at, got, c.beyond)
		}
	}
}

// TestIdle shows that idle connections stand where they should, live, and end; and that one that fails is an error.
func TestIdle(t *testing.T) {
	s := startSink(t)
	h, err := Idle{Addr: s.Addr(), Count: 40}.Hold(t.Context(), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if n := h.Alive(); n != 40 || s.Count().Sessions != 40 {
		t.Errorf("%d of 40 live, the sink has %d", n, s.Count().Sessions)
	}
	_ = s.Close()
	for end := time.Now().Add(10 * time.Second); h.Alive() > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d live though the server has gone", h.Alive())
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if _, err := (Idle{Addr: s.Addr(), Count: 2}).Hold(t.Context(), 10*time.Second); err == nil {
		t.Error("nobody listens, and there is no error")
	}
	// A sink offers no STARTTLS.
	if _, err := (Idle{Addr: startSink(t).Addr(), Count: 1, TLS: true}).Hold(t.Context(), 10*time.Second); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("error %v", err)
	}
}

// TestHandshakes shows that a session that is not encrypted, or not resumed, as was asked is an error.
func TestHandshakes(t *testing.T) {
	certificate, key, err := lab.NewCertificate("mx.gatepost.test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name        string
		server      *tls.Config // nil: no STARTTLS
		tls, resume bool
		err         string
		curve       string
	}{
		{name: "in clear"},
		{name: "full", server: &tls.Config{Certificates: []tls.Certificate{pair}}, tls: true, curve: "X25519"},
		{name: "resumed", server: &tls.Config{Certificates: []tls.Certificate{pair}}, tls: true, resume: true, curve: "X25519"},
		{name: "without tickets", server: &tls.Config{Certificates: []tls.Certificate{pair}, SessionTicketsDisabled: true}, tls: true, resume: true, err: errNotResumed.Error()},
		{name: "no STARTTLS", tls: true, err: "STARTTLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return nil, nil }))
			server.Domain, server.TLSConfig = "mx.gatepost.test", c.server
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- server.Serve(l) }()
			defer func() { _ = server.Close(); <-done }()
			length := time.Second
			if c.err != "" {
				length = time.Minute // it ends at the error
			}
			met, err := Handshakes{Addr: l.Addr().String(), Connections: 2, For: length, TLS: c.tls, Resume: c.resume, Timeout: 20 * time.Second}.Run(t.Context())
			if c.err == "" && (err != nil || met.Sessions == 0 || met.Curve != c.curve) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%+v, error %v", met, err)
			}
		})
	}
}

// TestStorm shows what counts as refused, at the banner and at RCPT, and that who is let in is an error.
func TestStorm(t *testing.T) {
	ok := []string{"220 hi\r\n", "250 hi\r\n", "250 ok\r\n"}
	for _, c := range []struct {
		name    string
		talk    bool
		replies []string
		err     string // "" when it is refused
	}{
		{"RCPT", true, append(ok[:3:3], "550 5.7.1 no\r\n", "221 bye\r\n"), ""},
		{"taken", true, append(ok[:3:3], "250 ok\r\n"), "not refused"},
		{"early", true, []string{"554 no\r\n"}, "banner"},
		{"let in", false, []string{"220 hi\r\n"}, "not refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Storm{Addr: script(t, c.replies...), Connections: 3, For: 50 * time.Millisecond, Talk: c.talk, Timeout: 10 * time.Second}.Run(t.Context())
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || r.Connections < 3 || r.Rate() <= 0 || r.Reply != "550 5.7.1 no" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	t.Run("banner", func(t *testing.T) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(conn, "521 5.3.2 no\r\n")
				conn.Close()
			}
		}()
		r, err := Storm{Addr: l.Addr().String(), Connections: 2, For: 20 * time.Millisecond, Timeout: 10 * time.Second}.Run(t.Context())
		if err != nil || r.Connections < 2 || r.Reply != "521 5.3.2 no" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestListed shows what counts as refused, deferred and let in, and which addresses the clients have.
func TestListed(t *testing.T) {
	ok := []string{"220 hi\r\n", "250-hi\r\n250 there\r\n", "250 ok\r\n"}
	for _, c := range []struct {
		name    string
		replies []string
		want    Met
	}{
		{"RCPT", append(ok[:3:3], "550 5.7.1 no\r\n", "221 bye\r\n"), Met{Refused: 1, Refusal: "550 5.7.1 no"}},
		{"RCPT later", append(ok[:3:3], "451 4.4.3 later\r\n"), Met{Deferred: 1, Deferral: "451 4.4.3 later"}},
		{"banner", []string{"554 no\r\n"}, Met{Refused: 1, Refusal: "554 no"}},
		{"banner later", []string{"421 later\r\n"}, Met{Deferred: 1, Deferral: "421 later"}},
		{"closed", append(ok[:2:2], ""), Met{Deferred: 1}},
		{"taken", append(ok[:3:3], "250 ok\r\n", "221 bye\r\n"), Met{LetIn: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := Listed{Addr: script(t, c.replies...), From: netip.MustParsePrefix("127.0.9.0/29"), Connections: 7, Timeout: 10 * time.Second}
			m, err := l.Run(t.Context())
			if err != nil || m.Sessions != 7 || m.Rate() <= 0 || m.Refused != 7*c.want.Refused || m.Deferred != 7*c.want.Deferred || m.LetIn != 7*c.want.LetIn ||
				m.Refusal != c.want.Refusal || m.Deferral != c.want.Deferral {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
	l := Listed{From: netip.MustParsePrefix("127.0.9.0/29")}
	for n, want := range map[int]string{0: "127.0.9.1", 5: "127.0.9.6", 6: "127.0.9.1"} {
		if got := l.Client(n).String(); got != want {
			t.Errorf("client %d has %s, not %s", n, got, want)
		}
	}
	l.Addr, l.Connections, l.Timeout = "127.0.0.1:1", 2, time.Second
	if m, err := l.Run(t.Context()); err == nil {
		t.Errorf("nobody listens, and there is no error: %+v", m)
	}
}

// TestGather shows that messages are held before their end, all at once, and then arrive whole.
func TestGather(t *testing.T) {
	s := startSink(t)
	held := false
	tally, err := Gather(t.Context(), s.Addr(), NewMessage(300<<10), 5, 20*time.Second, func() error {
		held = true
		if c := s.Count(); c.Sessions != 5 || c.Whole.Messages != 0 {
			t.Errorf("while they are held: %+v", c)
		}
		return nil
	})
	if err != nil || !held || tally.Messages != 5 {
		t.Errorf("%+v, held %t, %v", tally, held, err)
	}
	if err := s.Count().Check(tally); err != nil {
		t.Error(err)
	}
	// One that cannot is an error, and the others do not wait for it.
	if _, err := Gather(t.Context(), "127.0.0.1:1", NewMessage(1000), 3, 20*time.Second, func() error { return nil }); err == nil {
		t.Error("nobody listens, and there is no error")
	}
}
