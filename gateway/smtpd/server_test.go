package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// TestServe takes a message over real sockets, on two listeners, and stops.
func TestServe(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 2)
	var addrs []string
	for _, name := range []string{"one", "two"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, l.Addr().String())
		go func() { served <- w.srv.Serve(ctx, l, name) }()
	}
	for _, addr := range addrs {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		r := bufio.NewReader(conn)
		for _, step := range [][2]string{{"", "220 "}, {"HELO client.example\r\n", "250 "},
			{"MAIL FROM:<a@sender.example>\r\n", "250 "}, {"RCPT TO:<b@example.org>\r\n", "250 "}, {"DATA\r\n", "354 "},
			{"Subject: x\r\n\r\n.\r\n", "250 "}, {"GET / HTTP/1.1\r\nmore\r\nand more\r\n", "554 "}} {
			if _, err := conn.Write([]byte(step[0])); err != nil {
				t.Fatal(err)
			}
			if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, step[1]) {
				t.Fatalf("%q: %q, %v", step[0], line, err)
			}
		}
		if _, err := r.ReadByte(); err == nil {
			t.Error("the connection is open")
		}
		_ = conn.Close()
	}
	cancel()
	for range addrs {
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	if err := w.srv.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if n := len(w.deliver.messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
	names := map[string]bool{}
	for _, e := range w.journal.events {
		names[e.Record.Listener] = true
	}
	if !names["one"] || !names["two"] {
		t.Errorf("listeners in the journal: %v", names)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.srv.Serve(t.Context(), l, "late"); !errors.Is(err, ErrStopped) {
		t.Errorf("serve after shutdown: %v", err)
	}
}

// failing is a listener that fails until it is mended, as without descriptors, and then works.
type failing struct {
	net.Listener
	mended chan struct{}
	tries  atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	f.tries.Add(1)
	select {
	case <-f.mended:
		return f.Listener.Accept()
	default:
		return nil, errors.New("accept: too many open files")
	}
}

// TestServeGoesOnAfterAcceptFails: it is told once, however often it is tried, and once when it is over.
func TestServeGoesOnAfterAcceptFails(t *testing.T) {
	w := newWorld(t)
	var log lockedBuffer
	w.srv.Log = slog.New(slog.NewTextHandler(&log, nil))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	broken := &failing{Listener: l, mended: make(chan struct{})}
	go func() { served <- w.srv.Serve(t.Context(), broken, "one") }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for end := time.Now().Add(20 * time.Second); broken.tries.Load() < 3 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if ok, detail := w.srv.Accepting(); ok || detail != "one: accept: too many open files" {
		t.Errorf("while it fails: %v, %q", ok, detail)
	}
	close(broken.mended)
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 ") {
		t.Errorf("%q, %v", line, err)
	}
	if ok, detail := w.srv.Accepting(); !ok {
		t.Errorf("when it works again: %q", detail)
	}
	if err := w.srv.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if text := log.String(); strings.Count(text, "too many open files") != 1 || strings.Count(text, "accepted again") != 1 {
		t.Errorf("told:\n%s", text)
	}
}

// lockedBuffer takes what a log writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestShutdown (go-smtp defect 17): idle clients are told, a transaction may end, and then its client is told.
func TestShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		fresh, idle, busy, half := w.dial(stranger), w.dial(stranger), w.dial(stranger), w.dial(stranger)
		fresh.heard()
		for _, c := range []*client{idle, busy, half} {
			c.say("EHLO client.example")
		}
		busy.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		half.say("MAIL FROM:<a@sender.example>")
		stopped := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			stopped <- w.srv.Shutdown(ctx)
		}()
		for _, c := range []*client{fresh, idle} {
			if got := c.heard(); !strings.HasPrefix(got, "421 4.3.2 ") || !c.gone() {
				t.Errorf("an idle client hears %q", got)
			}
		}
		if got := half.say("RCPT TO:<b@example.org>"); !strings.HasPrefix(got, "250 2.1.5 ") || half.gone() {
			t.Errorf("a client in its transaction hears %q", got)
		}
		if got := half.say("RSET"); !strings.HasPrefix(got, "250 2.0.0 OK\r\n421 4.3.2 ") || !half.gone() {
			t.Errorf("a client behind its transaction hears %q", got)
		}
		time.Sleep(10 * time.Second)
		if got := busy.say("Subject: x", "", "."); !strings.HasPrefix(got, "250 2.0.0 Accepted\r\n421 4.3.2 ") || !busy.gone() {
			t.Errorf("a client that ends its transaction hears %q", got)
		}
		if err := <-stopped; err != nil {
			t.Errorf("shutdown: %v", err)
		}
		ends := map[string]int{}
		for _, e := range w.journal.events {
			if e.Kind == gateway.ConnectionEvent {
				ends[e.Session.End]++
			}
		}
		if ends[gateway.EndShutdown] != 4 {
			t.Errorf("ends: %v", ends)
		}
	})
}

// TestShutdownCloses: when the time is over, what is left is closed.
func TestShutdownCloses(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := w.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if !c.gone() || w.srv.Sessions() != 0 || len(w.deliver.messages()) != 0 {
			t.Errorf("gone is %v, %d sessions", c.gone(), w.srv.Sessions())
		}
		if got := w.journal.all(); len(got) != 2 || !strings.HasPrefix(got[1], "connection end=shutdown") {
			t.Errorf("journal: %q", got)
		}
	})
}

// stuck is a listener whose Accept nothing ends, as where another process has made its socket block.
type stuck struct {
	net.Listener
	held chan struct{}
}

func (l *stuck) Accept() (net.Conn, error) {
	<-l.held
	return nil, net.ErrClosed
}

func (l *stuck) Close() error {
	<-l.held
	return nil
}

// TestShutdownWithStuckListener: a listener that does not close holds no session back, and not the stop for ever.
func TestShutdownWithStuckListener(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		l := &stuck{held: make(chan struct{})}
		ended := make(chan error)
		go func() { ended <- w.srv.Serve(t.Context(), l, "stuck") }()
		c := w.dial(stranger)
		c.heard()
		began := time.Now()
		stopped := make(chan error)
		go func() { stopped <- w.srv.Shutdown(t.Context()) }()
		if got := c.heard(); !strings.HasPrefix(got, "421 4.3.2 ") || !c.gone() {
			t.Errorf("the client hears %q", got)
		}
		if w.srv.Sessions() != 0 {
			t.Error("its session has not ended")
		}
		if err := <-stopped; err != nil || time.Since(began) > time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		close(l.held)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestShutdownLetsNothingIn: checks that the end of the daemon cuts short could not tell, and the message that they were
// about is not let in for that. Its client, who hears nothing, has it still.
func TestShutdownLetsNothingIn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		slow := gateway.Check{Name: "slow", Stage: gateway.Data, Run: func(ctx context.Context, _ *gateway.Input) gateway.Finding {
			<-ctx.Done()
			return gateway.CouldNotTell(gateway.DNSFailed, "bank.example")
		}}
		w.snap.Policy.Checks["slow"] = gateway.CheckPolicy{Action: gateway.ActionReject, Unknown: gateway.ActionPass}
		w.snap.Pipeline.Rows[gateway.Data] = []gateway.Row{{Checks: []gateway.Check{slow}}}
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		c.send("Subject: x\r\n\r\n.\r\n")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := w.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if !c.gone() || w.srv.Sessions() != 0 || len(w.deliver.messages()) != 0 {
			t.Errorf("gone is %v, %d sessions, %d messages let in", c.gone(), w.srv.Sessions(), len(w.deliver.messages()))
		}
		if got := strings.Join(w.journal.all(), "\n"); !strings.Contains(got, string(gateway.ShuttingDown)) {
			t.Errorf("journal: %s", got)
		}
	})
}

// TestPanic: a fault of ours ends one session, with its event, and no other.
func TestPanic(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		other := w.dial(stranger)
		other.say("EHLO client.example")
		w.deliver.do = func(context.Context, *gateway.Envelope) { panic("fault") }
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA")
		if got := c.say("Subject: x", "", "."); !strings.HasPrefix(got, "421 4.3.0 This host has a fault") || !c.gone() {
			t.Errorf("%q", got)
		}
		if got := w.journal.all(); len(got) != 2 || !strings.HasPrefix(got[0], "transaction stage=data outcome=accept reason= reply=421") ||
			!strings.HasPrefix(got[1], "connection end=fault") {
			t.Errorf("journal: %q", got)
		}
		w.deliver.do = nil
		if got := other.say("NOOP"); !strings.HasPrefix(got, "250 ") {
			t.Errorf("the other session: %q", got)
		}
	})
}

// TestPanicEverywhere: no port that panics takes the process with it.
func TestPanicEverywhere(t *testing.T) {
	tests := map[string]func(w *world){
		"current": func(w *world) { w.srv.Current = func() *gateway.Snapshot { panic("fault") } },
		"body":    func(w *world) { w.newBody = func() gateway.BodyWriter { panic("fault") } },
		"journal": func(w *world) { w.srv.Journal = nil },
	}
	for name, broken := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				broken(w)
				c := w.dial(stranger)
				c.say("EHLO client.example")
				c.say("MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA", ".")
				c.say("QUIT")
				if !c.gone() {
					t.Error("the connection is open")
				}
			})
		})
	}
}

// TestNoSnapshot: without a configuration nobody is let in.
func TestNoSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.srv.Current = func() *gateway.Snapshot { return nil }
		if c := w.dial(stranger); !strings.HasPrefix(c.heard(), "421 4.3.2 ") || !c.gone() {
			t.Error("a client was let in")
		}
	})
}

// TestNotSetUp: where no domain is served everybody hears in place of the banner what the administrator has to do, a trusted client and a
// proxy's health check too; and whoever comes after the first domain is let in.
func TestNotSetUp(t *testing.T) {
	const says = "421 4.3.2 This host is not set up yet and serves no domain: its administrator opens its web console"
	bubble(t, func(t *testing.T, w *world) {
		whole := w.snap
		bare := *whole
		bare.Policy = &gateway.Policy{Version: "none", Trusted: whole.Policy.Trusted}
		w.snap = &bare
		for _, from := range []string{stranger, "127.0.0.1:1"} {
			if c := w.dial(from); !strings.HasPrefix(c.heard(), says) || !c.gone() {
				t.Errorf("%s was let in", from)
			}
		}
		w.proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		c := w.dial("10.0.0.1:1")
		if got := c.say("PROXY UNKNOWN"); !strings.HasPrefix(got, says) || !c.gone() {
			t.Errorf("a health check: %q", got)
		}
		w.proxies = nil
		if got := w.journal.all(); len(got) != 2 || !strings.Contains(got[0], string(gateway.NotSetUp)) {
			t.Errorf("journal %q", got)
		}
		w.snap = whole
		if got := w.dial(stranger).heard(); !strings.HasPrefix(got, "220 ") {
			t.Errorf("%q", got)
		}
	})
}

// TestSnapshotIsKept: a session ends under the configuration under which it began.
func TestSnapshotIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		c := w.dial(stranger)
		c.say("EHLO client.example")
		c.say("MAIL FROM:<a@sender.example>")
		w.snap = &gateway.Snapshot{Policy: &gateway.Policy{Version: "other", Domains: map[string]*gateway.Domain{"new.example": {Name: "new.example"}}}, Pipeline: testPipeline(), Limits: testLimits(), Hostname: "new"}
		if got := c.say("RCPT TO:<b@example.org>"); !strings.HasPrefix(got, "250 ") {
			t.Errorf("%q", got)
		}
		if got := w.dial(stranger).heard(); !strings.HasPrefix(got, "220 new ") {
			t.Errorf("%q", got)
		}
		c.say("QUIT")
		synctest.Wait()
		if e := w.journal.events[0]; e.Policy != "test" {
			t.Errorf("policy %q", e.Policy)
		}
	})
}

// TestSessionsWhileItStarts: how many sessions there are can be asked at any time, also while the first Serve begins.
// The race detector is the judge.
func TestSessionsWhileItStarts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l, "smtp") }()
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
