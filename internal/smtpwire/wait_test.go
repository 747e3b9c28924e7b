package smtpwire

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// socket returns both ends of a TCP connection.
func socket(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

// TestWait reads from a socket and from what is none: both wait without a buffer, and lose no octet.
func TestWait(t *testing.T) {
	for _, kind := range []string{"socket", "wrapped"} {
		t.Run(kind, func(t *testing.T) {
			server, client := socket(t)
			var src io.Reader = server
			if kind == "wrapped" {
				src = struct{ io.Reader }{server}
			}
			var pool Pool
			r := pool.Get(src)
			// A timeout while it waits does not stay.
			_ = server.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := r.Peek(8); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("no timeout: %v", err)
			}
			var timeout net.Error
			if _, err := r.Peek(8); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatalf("no timeout: %v", err)
			}
			if r.buf != nil || r.small != nil {
				t.Fatal("it waited with a buffer")
			}
			_ = server.SetReadDeadline(time.Time{})
			long := strings.Repeat("x", 2*firstOctets)
			for _, sent := range []string{"A", "EHLO a", long} {
				if _, err := io.WriteString(client, sent+"\r\n"); err != nil {
					t.Fatal(err)
				}
				first, err := r.Peek(8)
				if err != nil || len(first) == 0 || !strings.HasPrefix(sent+"\r\n", string(first)) {
					t.Fatalf("%q, %v", first, err)
				}
				line, err := r.ReadLine(LineBuffer)
				if err != nil || string(line.Text) != sent {
					t.Fatalf("%q, %v", line.Text, err)
				}
			}
			if r.Consumed() != int64(len("A\r\nEHLO a\r\n\r\n")+len(long)) {
				t.Errorf("%d octets consumed", r.Consumed())
			}
			client.Close()
			for range 2 {
				if _, err := r.Peek(8); err != io.EOF {
					t.Fatalf("at the end: %v", err)
				}
			}
			pool.Put(r)
		})
	}
}

// TestWaitReset ends a wait by closing the socket, as Shutdown does, and by an error of the hook.
func TestWaitReset(t *testing.T) {
	server, _ := socket(t)
	r := NewReader(server)
	stop := errors.New("stop")
	r.BeforeRead(func() error { return stop })
	if _, err := r.Peek(1); err != stop {
		t.Fatal(err)
	}
	r.Reset(server)
	r.BeforeRead(nil)
	server.Close()
	if _, err := r.Peek(1); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

// TestWaitingTakesNoMemory counts what a thousand Readers take that wait.
func TestWaitingTakesNoMemory(t *testing.T) {
	const all = 1000
	var pool Pool
	readers := make([]*Reader, all)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range readers {
		readers[i] = pool.Get(strings.NewReader("QUIT\r\n"))
		if _, err := readers[i].ReadLine(512); err != nil {
			t.Fatal(err)
		}
		readers[i].raw = deaf{}
		if _, err := readers[i].Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := int64(after.HeapAlloc-before.HeapAlloc) / all; each > 1<<10 {
		t.Errorf("%d octets each", each)
	}
	runtime.KeepAlive(readers)
}

// deaf is a socket at which nothing comes.
type deaf struct{}

func (deaf) Control(func(uintptr)) error    { return nil }
func (deaf) Write(func(uintptr) bool) error { return nil }
func (deaf) Read(func(uintptr) bool) error  { return os.ErrDeadlineExceeded }
