package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRender tells what becomes of an entry, of whatever kind.
func TestRender(t *testing.T) {
	for _, c := range []struct{ name, line, want, cursor string }{
		{"of a service", `{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000123456","PRIORITY":"4","SYSLOG_FACILITY":"2","SYSLOG_IDENTIFIER":"gatepost","_PID":"42","MESSAGE":"a word"}`,
			"<20>1 2023-11-14T22:13:20.123456Z mx.example.org gatepost 42 - - a word", "s=1;i=2"},
		{"of the kernel", `{"__CURSOR":"c","_TRANSPORT":"kernel","PRIORITY":"3","MESSAGE":"oops"}`, "<3>1 - mx.example.org - - - - oops", "c"},
		{"the name of the program", `{"__CURSOR":"c","_COMM":"clamd","MESSAGE":"x"}`, "<30>1 - mx.example.org clamd - - - x", "c"},
		{"no text", `{"__CURSOR":"c","MESSAGE":[104,255,105]}`, "<30>1 - mx.example.org - - - - h\uFFFDi", "c"},
		{"several", `{"__CURSOR":"c","MESSAGE":["one","two"]}`, "<30>1 - mx.example.org - - - - one", "c"},
		{"a second line that somebody wrote", `{"__CURSOR":"c","MESSAGE":"one\n<0>1 - forged\u0000"}`, "<30>1 - mx.example.org - - - - one <0>1 - forged ", "c"},
		{"a name with spaces", `{"__CURSOR":"c","SYSLOG_IDENTIFIER":"a b\nc","MESSAGE":"x"}`, "<30>1 - mx.example.org abc - - - x", "c"},
		{"numbers that are none", `{"__CURSOR":"c","PRIORITY":"9","SYSLOG_FACILITY":"x","MESSAGE":"x"}`, "<30>1 - mx.example.org - - - - x", "c"},
		{"no message", `{"__CURSOR":"c","MESSAGE":null}`, "", "c"},
		{"a cursor that is none", `{"__CURSOR":"c\nd","MESSAGE":"x"}`, "<30>1 - mx.example.org - - - - x", ""},
		{"no JSON", `Hint: you are not seeing messages from other users`, "", ""},
		{"nothing", ``, "", ""},
	} {
		message, cursor := render([]byte(c.line), "mx.example.org")
		if string(message) != c.want || cursor != c.cursor {
			t.Errorf("%s: %q, cursor %q; want %q, %q", c.name, message, cursor, c.want, c.cursor)
		}
	}
	long, _ := render([]byte(`{"MESSAGE":"`+strings.Repeat("ä", maxMessage)+`"}`), "mx")
	if len(long) > maxMessage || len(long) < maxMessage-1 || !strings.HasSuffix(string(long), "ä") {
		t.Errorf("a long one has %d octets", len(long))
	}
}

// journal is one that a test writes; it remembers from which cursor it was opened.
type journal struct {
	w      *io.PipeWriter
	cursor chan string
}

func line(n int) string { return fmt.Sprintf(`{"__CURSOR":"c%d","MESSAGE":"m%d"}`+"\n", n, n) }

// started begins to send to address, and gives back the journal and the end of Run.
func started(t *testing.T, ctx context.Context, network, address, place string) (*journal, <-chan error) {
	t.Helper()
	r, w := io.Pipe()
	j := &journal{w: w, cursor: make(chan string, 1)}
	end := make(chan error, 1)
	go func() {
		end <- Run(ctx, Options{Network: network, Address: address, Hostname: "mx", Place: place, Open: func(ctx context.Context, cursor string) (io.ReadCloser, error) {
			j.cursor <- cursor
			context.AfterFunc(ctx, func() { r.CloseWithError(context.Canceled) })
			return r, nil
		}})
	}()
	return j, end
}

// receive reads a message with its count of octets.
func receive(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	count, err := r.ReadString(' ')
	n, bad := strconv.Atoi(strings.TrimSpace(count))
	if err != nil || bad != nil {
		t.Fatalf("no count: %q, %v", count, err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func accept(t *testing.T, l net.Listener) (net.Conn, *bufio.Reader) {
	t.Helper()
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	return conn, bufio.NewReader(conn)
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestForward: the server is away at the beginning, comes, goes and comes again; then the sender is ended and goes on where it was.
func TestForward(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	address, place := l.Addr().String(), filepath.Join(t.TempDir(), "place")
	l.Close()
	ctx, stop := context.WithCancel(t.Context())
	j, end := started(t, ctx, "tcp", address, place)
	if cursor := <-j.cursor; cursor != "" {
		t.Errorf("without a place it begins at %q", cursor)
	}
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		io.WriteString(j.w, line(1)+"no JSON\n"+strings.Repeat("x", maxEntry+10)+"\n"+line(2))
	}()

	l = listen(t, address)
	conn, r := accept(t, l)
	for _, want := range []string{"m1", "m2"} {
		if got := receive(t, r); !strings.HasSuffix(got, "- - "+want) {
			t.Errorf("%q came, want %s", got, want)
		}
	}
	<-fed
	l.Close()
	conn.Close()
	l = listen(t, address)
	again := make(chan string, 1)
	go func() {
		conn, r := accept(t, l)
		defer conn.Close()
		again <- receive(t, r)
	}()
	// What is written into a connection that broke just now is lost, and nobody can know: so one after the other, until one comes.
	n := 3
	for arrived := ""; arrived == ""; n++ {
		io.WriteString(j.w, line(n))
		select {
		case arrived = <-again:
		case <-time.After(100 * time.Millisecond):
		}
	}
	stop()
	if err := <-end; err != nil {
		t.Errorf("the end is an error: %v", err)
	}
	kept, err := os.ReadFile(place)
	if err != nil || !strings.HasPrefix(string(kept), "c") {
		t.Fatalf("the place is %q, %v", kept, err)
	}
	ctx, stop = context.WithCancel(t.Context())
	j, end = started(t, ctx, "tcp", address, place)
	if cursor := <-j.cursor; cursor != strings.TrimSpace(string(kept)) {
		t.Errorf("it goes on at %q, and was at %q", cursor, kept)
	}
	stop()
	<-end
}

// TestForwardUDP: a message a datagram.
func TestForwardUDP(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	j, end := started(t, ctx, "udp", server.LocalAddr().String(), filepath.Join(t.TempDir(), "place"))
	go io.WriteString(j.w, line(1))
	b := make([]byte, 1000)
	_ = server.SetReadDeadline(time.Now().Add(time.Minute))
	n, _, err := server.ReadFrom(b)
	if err != nil || string(b[:n]) != "<30>1 - mx - - - - m1" {
		t.Errorf("%q, %v", b[:n], err)
	}
	stop()
	<-end
}

// TestJournalEnds: that is an error; and a place from which nothing can be read is given up.
func TestJournalEnds(t *testing.T) {
	for name, text := range map[string]string{"known": line(8), "unknown": ""} {
		l := listen(t, "127.0.0.1:0")
		place := filepath.Join(t.TempDir(), "place")
		if err := os.WriteFile(place, []byte("c7\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		j, end := started(t, t.Context(), "tcp", l.Addr().String(), place)
		io.WriteString(j.w, text)
		j.w.Close()
		if err := <-end; err == nil || !strings.Contains(err.Error(), "the journal ended") {
			t.Errorf("%s: %v", name, err)
		}
		kept, err := os.ReadFile(place)
		if want := map[string]string{"known": "c8\n", "unknown": ""}[name]; string(kept) != want {
			t.Errorf("%s: the place is %q, %v", name, kept, err)
		}
	}
}
