package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// wireFault is what goes wrong between the daemon and an engine. The zero value is nothing.
type wireFault struct {
	name    string
	told    string        // what the trace tells of it
	away    bool          // nobody listens
	reset   bool          // a connection is reset at once
	closes  bool          // a connection is closed at once
	silent  bool          // a connection is taken, and nothing is said
	say     string        // what is said in place of the engine, once the client said something
	endless bool          // and again and again
	keep    int           // octets of each answer of the engine that come through; then nothing does
	gap     time.Duration // after each octet of the engine
}

// wire is the way to an engine that works. What goes wrong on it is chosen as a test goes on.
type wire struct {
	tb     testing.TB
	port   *lab.Port
	behind string
	wg     sync.WaitGroup
	over   chan struct{}

	mu       sync.Mutex
	fault    wireFault
	listener net.Listener // nil while away
	open     map[net.Conn]bool
}

// startWire makes the way to a host:port.
func startWire(tb testing.TB, behind string) *wire {
	tb.Helper()
	port, err := lab.ReservePort()
	if err != nil {
		tb.Fatal(err)
	}
	w := &wire{tb: tb, port: port, behind: behind, over: make(chan struct{}), open: map[net.Conn]bool{}}
	w.set(wireFault{})
	tb.Cleanup(func() {
		close(w.over)
		w.set(wireFault{away: true})
		w.wg.Wait()
		port.Release()
	})
	return w
}

// set lets something go wrong from now on. What is connected is cut off.
func (w *wire) set(f wireFault) {
	w.tb.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
	if f.away && w.listener != nil {
		w.listener.Close()
		w.listener = nil
	}
	for c := range w.open {
		c.Close()
	}
	if f.away || w.listener != nil {
		return
	}
	l, err := net.Listen("tcp4", w.port.Addr())
	if err != nil {
		w.tb.Error(err)
		return
	}
	w.listener = l
	w.wg.Go(func() { w.accept(l) })
}

func (w *wire) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		f := w.fault
		w.mu.Unlock()
		if !w.hold(c) {
			return
		}
		w.wg.Go(func() {
			w.carry(c, &f)
			w.drop(c)
		})
	}
}

// hold notes a connection, so that it ends with the wire; false where that is over.
func (w *wire) hold(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.over:
		c.Close()
		return false
	default:
	}
	w.open[c] = true
	return true
}

func (w *wire) drop(c net.Conn) {
	c.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, c)
}

// carry serves one connection.
func (w *wire) carry(c net.Conn, f *wireFault) {
	switch {
	case f.reset:
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return
	case f.closes:
		return
	case f.silent:
		_, _ = io.Copy(io.Discard, c)
		return
	case f.say != "":
		w.wg.Go(func() { _, _ = io.Copy(io.Discard, c) }) // the client is never held up
		for {
			if _, err := io.WriteString(c, f.say); err != nil {
				return
			}
			if !f.endless {
				break
			}
		}
		w.rest(2 * time.Second)
		return
	}
	engine, err := net.Dial("tcp4", w.behind)
	if err != nil || !w.hold(engine) {
		return
	}
	defer w.drop(engine)
	w.wg.Go(func() {
		_, _ = io.Copy(engine, c)
		if tcp, ok := engine.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	})
	w.back(c, engine, f)
}

// back carries what the engine says.
func (w *wire) back(c, engine net.Conn, f *wireFault) {
	if f.keep > 0 {
		_, _ = io.CopyN(c, engine, int64(f.keep))
		_, _ = io.Copy(io.Discard, engine)
		w.rest(4 * time.Second) // longer than its client waits, which is to be who gives up
		return
	}
	if f.gap == 0 {
		_, _ = io.Copy(c, engine)
		return
	}
	var one [1]byte
	for {
		if _, err := engine.Read(one[:]); err != nil {
			return
		}
		if _, err := c.Write(one[:]); err != nil || !w.rest(f.gap) {
			return
		}
	}
}

// rest waits; false when the wire is over.
func (w *wire) rest(d time.Duration) bool {
	select {
	case <-w.over:
		return false
	case <-time.After(d):
		return true
	}
}
