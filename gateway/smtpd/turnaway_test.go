package smtpd

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway"
)

// serveTCP serves a world on a port of its own, in real time, until the test ends.
func serveTCP(t testing.TB, w *world) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- w.srv.Serve(t.Context(), l, "one") }()
	t.Cleanup(func() {
		_ = w.srv.Shutdown(t.Context())
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// crowdedWorld is a world in which nobody is let in.
func crowdedWorld(t testing.TB) *world {
	w := newWorld(t)
	p := *w.snap.Policy
	p.Trusted = nil
	w.snap.Policy, w.snap.Limits.Connections = &p, 0
	return w
}

func dialTCP(t testing.TB, addr string) *net.TCPConn {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn.(*net.TCPConn)
}

// TestTurnAwayHoldsNobody: clients that do not read what they are refused with hold neither the accept loop nor anything
// else; one that talks already hears it all the same.
func TestTurnAwayHoldsNobody(t *testing.T) {
	w := crowdedWorld(t)
	addr := serveTCP(t, w)
	var deaf []*net.TCPConn
	for range 200 {
		c := dialTCP(t, addr)
		_ = c.SetReadBuffer(1)
		deaf = append(deaf, c)
	}
	for i := range 100 {
		c := dialTCP(t, addr)
		if i%2 == 1 {
			if _, err := io.WriteString(c, "EHLO client.example\r\n"+strings.Repeat("NOOP\r\n", 100)); err != nil {
				// Refused already: reset while it was written.
				_ = c.Close()
				continue
			}
		}
		got := make([]byte, 200)
		n, err := c.Read(got)
		if !strings.HasPrefix(string(got[:n]), "421 4.7.0 Too many connections") && !isReset(err) {
			t.Fatalf("connection %d: %q, %v", i, got[:n], err)
		}
		if i%2 == 0 && n == 0 {
			t.Fatalf("connection %d, which was silent, heard nothing: %v", i, err)
		}
		_ = c.Close()
	}
	for _, c := range deaf {
		_ = c.Close()
	}
	for end := time.Now().Add(20 * time.Second); w.srv.lingering.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d are still listened to", w.srv.lingering.Load())
		}
	}
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	if n := len(w.journal.early); n != 300 || w.journal.early[0] != gateway.TooManyConnections {
		t.Errorf("%d were counted", n)
	}
}

func isReset(err error) bool {
	op, ok := err.(*net.OpError)
	return ok && (strings.Contains(op.Err.Error(), syscall.ECONNRESET.Error()) || strings.Contains(op.Err.Error(), syscall.EPIPE.Error()))
}

// BenchmarkTurnAway is one connection that is too many, BenchmarkRefuseAtConnect one that a list refuses in place of the
// banner, each with the client's side of it.
func BenchmarkTurnAway(b *testing.B) { benchmarkRefusal(b, crowdedWorld(b)) }

func BenchmarkRefuseAtConnect(b *testing.B) {
	w := newWorld(b)
	p := *w.snap.Policy
	p.Trusted = nil
	w.snap.Policy, w.snap.Gate = &p, gateway.Gate{Wait: time.Minute, RefuseAtConnect: true}
	w.snap.Pipeline.Rows[gateway.Connect] = []gateway.Row{{Deadline: time.Second, Checks: []gateway.Check{{Name: "connect", Stage: gateway.Connect,
		Run: func(context.Context, *gateway.Input) gateway.Finding {
			return gateway.Failed(gateway.AccessBlocked, "your network").With(gateway.Yes("block")).Show("entry", "block 127.0.0.0/8")
		}}}}}
	benchmarkRefusal(b, w)
}

func benchmarkRefusal(b *testing.B, w *world) {
	addr := serveTCP(b, w)
	b.ReportAllocs()
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for b.Loop() {
		c := dialTCP(b, addr)
		if _, err := io.ReadAll(c); err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	spent := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-µs/op")
}
