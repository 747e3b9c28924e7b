package journal

import (
	"io"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway"
)

func BenchmarkLine(b *testing.B) {
	e := mailEvent()
	var m lineMaker
	b.ReportAllocs()
	for b.Loop() {
		m.line(e)
	}
}

func BenchmarkObserve(b *testing.B) {
	e, m := mailEvent(), newMetrics()
	b.ReportAllocs()
	for b.Loop() {
		m.observe(e)
	}
}

// pipe is what stdout is: a call of the kernel for each write.
func pipe(b *testing.B) io.Writer {
	b.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, r) // ends with w
	}()
	b.Cleanup(func() {
		if err := w.Close(); err != nil {
			b.Error(err)
		}
		<-done
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	})
	return w
}

// BenchmarkJournal tells what an event costs, of processor time of all goroutines, at some thousands a second: told in a line
// on a pipe, counted, and handed to a store that does nothing. The reader of the pipe is in it.
func BenchmarkJournal(b *testing.B) {
	j := New(Options{Sinks: []Sink{NewWriter("stdout", pipe(b), 0)}, Store: nowhere{}})
	e := mailEvent()
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ReportAllocs()
	began, i := cpu(), 0
	for ; b.Loop(); i++ {
		j.Write(e)
		if i%10 == 9 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	b.ReportMetric(float64((cpu()-began).Nanoseconds())/1000/float64(i), "CPU-µs/event")
	ctx := b.Context()
	if err := j.Close(ctx); err != nil {
		b.Error(err)
	}
	if n := j.lost.Load(); n > 0 {
		b.Errorf("%d lost", n)
	}
}

type nowhere struct{ Store }

func (nowhere) Write(*gateway.Event) bool { return true }
func (nowhere) Fate(*gateway.Fate) bool   { return true }

func BenchmarkEarly(b *testing.B) {
	j := New(Options{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Early(flooder(i), gateway.TooManyConnections)
	}
	if err := j.Close(b.Context()); err != nil {
		b.Error(err)
	}
}

// flooder is the address of the i-th client of a flood from everywhere.
func flooder(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 1})
}
