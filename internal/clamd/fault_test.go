package clamd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// conn is a fake clamd's side of a connection.
type conn struct {
	net.Conn
	r *bufio.Reader
	t testing.TB
}

func (c conn) say(text string) { _, _ = io.WriteString(c.Conn, text) }

// command reads up to the NUL or LF that ends a command.
func (c conn) command() string {
	var b strings.Builder
	for {
		x, err := c.r.ReadByte()
		if err != nil || x == 0 || x == '\n' {
			return b.String()
		}
		b.WriteByte(x)
	}
}

// chunk reads one chunk and returns its size, 0 at the end mark, -1 at the end of
// the connection.
func (c conn) chunk() int {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return -1
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if m, err := io.CopyN(io.Discard, c.r, int64(n)); err != nil || int(m) != n {
		return -1
	}
	return n
}

// drain reads the command and the whole stream, and says whether it was complete.
func (c conn) drain() bool {
	c.command()
	for {
		switch c.chunk() {
		case 0:
			return true
		case -1:
			return false
		}
	}
}

// fake starts a server that gives each connection to serve and closes it then. It
// returns the address.
func fake(t testing.TB, network string, serve func(conn)) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				served := make(chan struct{})
				defer close(served)
				go func() {
					select {
					case <-stop:
						c.Close()
					case <-served:
					}
				}()
				serve(conn{c, bufio.NewReaderSize(c, 1<<16), t})
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); close(stop); <-ended })
	return network + ":" + l.Addr().String()
}

func goroutines() int {
	runtime.GC()
	return runtime.NumGoroutine()
}

// settle fails the test when more goroutines than before stay.
func settle(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// after makes a fake that reads the whole stream and then says text.
func after(text string) func(conn) {
	return func(c conn) { c.drain(); c.say(text) }
}

// hang keeps a connection until the other side closes it.
func (c conn) hang() { _, _ = io.Copy(io.Discard, c.r) }

// No fault of the server may become a verdict.
func TestFaultsAreErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		serve func(conn)
		want  error // nil: any
	}{
		"closes at once":            {func(conn) {}, nil},
		"closes after the command":  {func(c conn) { c.command() }, nil},
		"closes in the stream":      {func(c conn) { c.command(); c.chunk() }, nil},
		"closes after the stream":   {func(c conn) { c.drain() }, ErrReply},
		"hangs at once":             {func(c conn) { time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"hangs after the stream":    {func(c conn) { c.drain(); c.hang() }, context.DeadlineExceeded},
		"half a reply, closes":      {after("stream: O"), ErrReply},
		"half a reply, hangs":       {func(c conn) { c.drain(); c.say("stream: O"); c.hang() }, context.DeadlineExceeded},
		"no NUL":                    {after("stream: OK"), ErrReply},
		"LF instead of NUL":         {after("stream: OK\n"), ErrReply},
		"LF and NUL":                {after("stream: OK\n\x00"), ErrReply},
		"empty reply":               {after("\x00"), ErrReply},
		"empty, then OK":            {after("\x00stream: OK\x00"), ErrReply},
		"two replies":               {after("stream: OK\x00stream: OK\x00"), ErrReply},
		"clean, then found":         {after("stream: OK\x00stream: X FOUND\x00"), ErrReply},
		"clean, then an octet":      {after("stream: OK\x00\x00"), ErrReply},
		"clean, never closes":       {func(c conn) { c.drain(); c.say("stream: OK\x00"); c.hang() }, context.DeadlineExceeded},
		"lower case":                {after("stream: ok\x00"), ErrReply},
		"only OK":                   {after("OK\x00"), ErrReply},
		"session number":            {after("1: stream: OK\x00"), ErrReply},
		"trailing space":            {after("stream: OK \x00"), ErrReply},
		"leading space":             {after(" stream: OK\x00"), ErrReply},
		"found without name":        {after("stream:  FOUND\x00"), ErrReply},
		"found without a space":     {after("stream: FOUND\x00"), ErrReply},
		"control octets in a name":  {after("stream: a\x1bb FOUND\x00"), ErrReply},
		"garbage":                   {after("\xff\xfe\x80HTTP/1.1 200 OK\r\n\r\n"), ErrReply},
		"overlong":                  {after(strings.Repeat("a", maxReply+1) + "\x00"), ErrReply},
		"endless":                   {func(c conn) { c.drain(); c.endless() }, nil},
		"endless, stream not read":  {func(c conn) { c.endless() }, nil},
		"an error of clamd":         {after("stream: Can't allocate memory ERROR\x00"), ErrRefused},
		"unknown command":           {func(c conn) { c.command(); c.say("UNKNOWN COMMAND\x00"); c.hang() }, nil},
		"limit after the stream":    {after(limitReply + "\x00"), ErrTooBig},
		"limit, and hangs":          {func(c conn) { c.command(); c.chunk(); c.say(limitReply + "\x00"); c.hang() }, ErrTooBig},
		"limit, and closes":         {func(c conn) { c.command(); c.chunk(); c.say(limitReply + "\x00") }, ErrTooBig},
		"limit, not read, closes":   {func(c conn) { c.command(); c.say(limitReply + "\x00") }, ErrTooBig},
		"error in the stream":       {func(c conn) { c.command(); c.chunk(); c.say("INSTREAM: Can't write ERROR\x00") }, ErrRefused},
		"limit without its end":     {func(c conn) { c.drain(); c.say(limitReply) }, ErrReply},
		"clean before the stream":   {func(c conn) { c.command(); c.say("stream: OK\x00"); time.Sleep(2 * time.Second) }, nil},
		"clean, stream not read":    {func(c conn) { c.command(); c.say("stream: OK\x00") }, nil},
		"infected before its end":   {func(c conn) { c.command(); c.say("stream: X FOUND\x00"); time.Sleep(2 * time.Second) }, nil},
		"answers another command":   {after("PONG\x00"), ErrReply},
		"reply with NUL in between": {after("stream\x00: OK\x00"), ErrReply},
	} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(name+" "+network, func(t *testing.T) {
				t.Parallel()
				c := client(t, fake(t, network, tc.serve))
				limit := 30 * time.Second
				if tc.want == context.DeadlineExceeded {
					limit = time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				const size = 20 << 20 // more than any socket takes in
				r, err := c.Scan(ctx, io.LimitReader(zeros{}, size), size)
				if err == nil || r != (Result{}) {
					t.Fatalf("got a verdict: %+v, %v", r, err)
				}
				if tc.want != nil && !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
				if Blames(err) == errors.Is(err, ErrTooBig) || Repeatable(err) || Distrusts(err) {
					t.Errorf("%v is taken for something else", err)
				}
			})
		}
	}
}

// endless talks until it is closed.
func (c conn) endless() {
	junk := []byte(strings.Repeat("stream: OK ", 1000))
	for {
		if _, err := c.Write(junk); err != nil {
			return
		}
	}
}

// A reply before the end of a slow source is no verdict on all of it.
func TestEarlyReplyToSlowSource(t *testing.T) {
	for _, text := range []string{"stream: OK\x00", "stream: X FOUND\x00"} {
		c := client(t, fake(t, "tcp", func(c conn) { c.command(); c.say(text); c.hang() }))
		r, err := c.Scan(t.Context(), slow{}, AnySize)
		if !errors.Is(err, ErrReply) || r != (Result{}) {
			t.Errorf("after %q: got %+v, %v", text, r, err)
		}
	}
}

// slow is a source that never ends and takes its time.
type slow struct{}

func (slow) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	clear(p)
	return len(p), nil
}

// What a source that fails leaves behind must not look like a whole stream.
func TestNoEndMarkAfterSourceFails(t *testing.T) {
	for _, good := range []int64{0, 1, 1000, chunkSize, chunkSize + 1, 10 * chunkSize} {
		for name, source := range map[string]struct {
			r    io.Reader
			size int64
		}{
			"fails":     {brokenSource(good, errors.New("gone")), AnySize},
			"too short": {io.LimitReader(zeros{}, good), good + 1},
			"too long":  {io.LimitReader(zeros{}, good+1), good},
		} {
			complete := make(chan bool, 1)
			c := client(t, fake(t, "unix", func(c conn) { complete <- c.drain(); c.say("stream: OK\x00") }))
			if _, err := c.Scan(t.Context(), source.r, source.size); !errors.Is(err, ErrSource) {
				t.Errorf("%s after %d: got %v", name, good, err)
			}
			if <-complete {
				t.Errorf("%s after %d: the server saw a complete stream", name, good)
			}
		}
	}
}

func TestExactFindings(t *testing.T) {
	for text, want := range map[string]Finding{
		"stream: OK\x00":                             {Kind: Clean},
		"stream: Win.Test.EICAR_HDB-1 FOUND\x00":     {Kind: Infected, Signature: "Win.Test.EICAR_HDB-1", Official: true},
		"stream: a:b: c FOUND FOUND\x00":             {Kind: Infected, Signature: "a:b: c FOUND", Official: true},
		"stream: YARA.x:y.UNOFFICIAL FOUND\x00":      {Kind: Infected, Signature: "YARA.x:y.UNOFFICIAL"},
		"stream: Heuristics.Encrypted.Zip FOUND\x00": {Kind: Infected, Signature: "Heuristics.Encrypted.Zip", Official: true, Heuristic: true},
	} {
		c := client(t, fake(t, "tcp", after(text)))
		r, err := c.Scan(t.Context(), strings.NewReader("hello"), 5)
		if err != nil || r.Finding != want {
			t.Errorf("%q: got %+v, %v; want %+v", text, r.Finding, err, want)
		}
	}
}

func TestNoGoroutineStays(t *testing.T) {
	c := client(t, fake(t, "tcp", func(c conn) { c.hang() }))
	before := goroutines()
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := c.Scan(ctx, strings.NewReader("x"), 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("scan: %v", err)
		}
		if _, err := c.Scan(ctx, slow{}, AnySize); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("scan of a slow source: %v", err)
		}
		if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ping: %v", err)
		}
		if _, err := c.Stats(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stats: %v", err)
		}
		cancel()
	}
	settle(t, before)
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, address := range []string{l.Addr().String(), "unix:" + filepath.Join(t.TempDir(), "none")} {
		_, err := client(t, address).Scan(t.Context(), strings.NewReader("x"), 1)
		if !errors.Is(err, ErrUnreachable) || !Repeatable(err) || !Blames(err) {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

// late is a context whose deadline has passed and that has not noticed yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

// A call whose time is up is not a server that cannot be reached.
func TestLateContext(t *testing.T) {
	c := client(t, fake(t, "tcp", func(c conn) { c.hang() }))
	if err := c.Ping(late{t.Context()}); !errors.Is(err, context.DeadlineExceeded) || Repeatable(err) {
		t.Errorf("got %v", err)
	}
}
