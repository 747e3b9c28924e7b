package spamd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// conn is a fake spamd's side of a connection.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func (c conn) say(text string) { _, _ = io.WriteString(c.Conn, text) }

// hang keeps a connection until the other side closes it.
func (c conn) hang() { _, _ = io.Copy(io.Discard, c.r) }

// head reads the lines of a request up to the empty one.
func (c conn) head() (lines []string) {
	for {
		line, err := c.r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if err != nil || line == "" {
			return lines
		}
		lines = append(lines, line)
	}
}

// request reads a whole request and says whether it was as long as announced and
// ended there.
func (c conn) request() (lines []string, body string, whole bool) {
	lines = c.head()
	for _, line := range lines {
		if n, ok := strings.CutPrefix(line, "Content-length: "); ok {
			size, _ := strconv.Atoi(n)
			rest, err := io.ReadAll(c.r)
			return lines, string(rest), err == nil && len(rest) == size
		}
	}
	return lines, "", false
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
				serve(conn{c, bufio.NewReader(c)})
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); close(stop); <-ended })
	return network + ":" + l.Addr().String()
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

// table is a report as spamd writes it; good is the whole reply with it.
const table = "Content preview:  hello\n\n pts rule name              description\n" +
	"---- ---------------------- --------------------------------------------------\n" +
	"-0.0 NO_RECEIVED            Informational: message has no Received headers\n" +
	" 6.3 SOME_RULE              BODY: What it means, in\n                            two lines\n\n"

func reply(status, spam, body string) string {
	return fmt.Sprintf("SPAMD/1.1 %s\r\nContent-length: %d\r\nSpam: %s\r\n\r\n%s", status, len(body), spam, body)
}

func good() string { return reply("0 EX_OK", "True ; 6.3 / 5.0", table) }

// after makes a fake that reads the whole request and then says text.
func after(text string) func(conn) {
	return func(c conn) { c.request(); c.say(text) }
}

func TestGoodFake(t *testing.T) {
	c := client(t, fake(t, "tcp", after(good())))
	r, err := c.Check(t.Context(), request("hello\r\n"))
	if err != nil || !r.Spam || r.Score != 6.3 || r.Threshold != 5 || !r.Complete || len(r.Rules) != 2 ||
		r.Rules[1] != (Rule{"SOME_RULE", 6.3, true}) {
		t.Errorf("got %+v, %v", r, err)
	}
}

// No fault of the server may become a result.
func TestFaultsAreErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		serve func(conn)
		want  error // nil: any
	}{
		"closes at once":             {func(conn) {}, nil},
		"closes after the head":      {func(c conn) { c.head() }, nil},
		"closes after the message":   {func(c conn) { c.request() }, ErrReply},
		"hangs at once":              {func(c conn) { time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"hangs after the message":    {func(c conn) { c.request(); time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"hangs in the reply":         {func(c conn) { c.request(); c.say(good()[:60]); time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"never closes":               {func(c conn) { c.request(); c.say(good()); time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"half a status":              {after("SPAMD/1.1 0 EX"), ErrReply},
		"half a head":                {after("SPAMD/1.1 0 EX_OK\r\nSpam: True ; 6.3 / 5.0\r\n"), ErrReply},
		"half a report":              {after(good()[:len(good())-1]), ErrReply},
		"more than the report":       {after(good() + "x"), ErrReply},
		"two replies":                {after(good() + good()), ErrReply},
		"garbage":                    {after("\xff\xfeHTTP/1.1 200 OK\r\n\r\n"), ErrReply},
		"LF only":                    {after(strings.ReplaceAll(good(), "\r\n", "\n")), ErrReply},
		"endless line":               {func(c conn) { c.request(); c.endless("SPAMD/1.1 0 EX_OK") }, ErrReply},
		"endless head":               {func(c conn) { c.request(); c.say("SPAMD/1.1 0 EX_OK\r\n"); c.endless("X: y\r\n") }, ErrReply},
		"endless report":             {func(c conn) { c.request(); c.say(good()); c.endless("x") }, ErrReply},
		"endless, message not read":  {func(c conn) { c.endless("SPAMD ") }, nil},
		"another status":             {after(reply("0 PONG", "True ; 6.3 / 5.0", table)), ErrReply},
		"code as text":               {after(reply("EX_OK", "True ; 6.3 / 5.0", table)), ErrReply},
		"code 00":                    {after(reply("00 EX_OK", "True ; 6.3 / 5.0", table)), ErrReply},
		"another protocol":           {after(strings.Replace(good(), "SPAMD/1.1", "SPAMD/2.0", 1)), ErrReply},
		"spamc's own words":          {after("REPORT SPAMC/1.5\r\n\r\n"), ErrReply},
		"no score":                   {after("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n"), ErrReply},
		"no length":                  {after("SPAMD/1.1 0 EX_OK\r\nSpam: True ; 6.3 / 5.0\r\n\r\n"), ErrReply},
		"two scores":                 {after("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 6.3 / 5.0\r\nSpam: False ; 0.0 / 5.0\r\n\r\n"), ErrReply},
		"two lengths":                {after("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nContent-length: 0\r\nSpam: True ; 6.3 / 5.0\r\n\r\n"), ErrReply},
		"negative length":            {after("SPAMD/1.1 0 EX_OK\r\nContent-length: -1\r\nSpam: True ; 6.3 / 5.0\r\n\r\n"), ErrReply},
		"giant length":               {after("SPAMD/1.1 0 EX_OK\r\nContent-length: 16777217\r\nSpam: True ; 6.3 / 5.0\r\n\r\n"), ErrReply},
		"large length, nothing":      {after("SPAMD/1.1 0 EX_OK\r\nContent-length: 16777216\r\nSpam: True ; 6.3 / 5.0\r\n\r\n"), ErrReply},
		"score is no number":         {after(reply("0 EX_OK", "False ; x / 5.0", table)), ErrReply},
		"score is NaN":               {after(reply("0 EX_OK", "False ; nan / 5.0", table)), ErrReply},
		"score is infinite":          {after(reply("0 EX_OK", "True ; inf / 5.0", table)), ErrReply},
		"score in hex":               {after(reply("0 EX_OK", "True ; 0x10 / 5.0", table)), ErrReply},
		"score with exponent":        {after(reply("0 EX_OK", "True ; 1e3 / 5.0", table)), ErrReply},
		"score is giant":             {after(reply("0 EX_OK", "True ; 9999999 / 5.0", table)), ErrReply},
		"no threshold":               {after(reply("0 EX_OK", "True ; 6.3", table)), ErrReply},
		"threshold is no number":     {after(reply("0 EX_OK", "True ; 6.3 / -", table)), ErrReply},
		"neither true nor false":     {after(reply("0 EX_OK", "Yes ; 6.3 / 5.0", table)), ErrReply},
		"false over the threshold":   {after(reply("0 EX_OK", "False ; 6.3 / 5.0", table)), ErrReply},
		"true under the threshold":   {after(reply("0 EX_OK", "True ; 4.9 / 5.0", table)), ErrReply},
		"temporary failure":          {after("SPAMD/1.1 75 EX_TEMPFAIL\r\n"), &CodeError{75, "EX_TEMPFAIL"}},
		"time out":                   {after("SPAMD/1.0 79 Timeout: (300 second timeout)\r\n"), &CodeError{79, "Timeout: (300 second timeout)"}},
		"refused at once":            {func(c conn) { c.head(); c.say("SPAMD/1.0 76 Bad header line: x\r\n") }, nil},
		"code with good rest":        {after(reply("69 EX_UNAVAILABLE", "False ; 0.0 / 5.0", table)), &CodeError{69, "EX_UNAVAILABLE"}},
		"unknown code":               {after(reply("1 EX_OK", "False ; 0.0 / 5.0", table)), &CodeError{1, "EX_OK"}},
		"code with control octets":   {after("SPAMD/1.0 70 a\x1bb\r\n"), &CodeError{70, "a?b"}},
		"result before the message ": {func(c conn) { c.head(); c.say(good()) }, nil},
	} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(name+" "+network, func(t *testing.T) {
				t.Parallel()
				c, err := New(Config{Address: fake(t, network, tc.serve), MaxSize: 64 << 20, IOTimeout: 2 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				limit := 30 * time.Second
				if tc.want == context.DeadlineExceeded {
					limit = time.Second
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				size := 100_000
				if tc.want == nil || name == "hangs at once" {
					size = 20 << 20 // not read: more than any socket takes in
				}
				r, err := c.Check(ctx, Request{Message: strings.NewReader(strings.Repeat("x", size)), Size: int64(size)})
				if err == nil || r.Rules != nil || r.Threshold != 0 || r.Spam || r.Complete {
					t.Fatalf("got a result: %+v, %v", r, err)
				}
				var want, got *CodeError
				if errors.As(tc.want, &want) {
					if !errors.As(err, &got) || *got != *want {
						t.Errorf("got %v, want %v", err, want)
					}
				} else if tc.want != nil && !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
				if !Blames(err) || Repeatable(err) || Distrusts(err) {
					t.Errorf("%v is taken for something else", err)
				}
			})
		}
	}
}

// endless talks until it is closed.
func (c conn) endless(text string) {
	junk := []byte(strings.Repeat(text, 1000))
	for {
		if _, err := c.Write(junk); err != nil {
			return
		}
	}
}

// What goes over the wire is exactly the protocol's.
func TestExactRequest(t *testing.T) {
	for _, size := range []int{0, 1, 100, bufferSize - 100, bufferSize, 3*bufferSize + 7} {
		for _, user := range []string{"", "m\u00fcller@example.org"} {
			type seen struct {
				lines []string
				body  string
				whole bool
			}
			got := make(chan seen, 1)
			c := client(t, fake(t, "tcp", func(c conn) {
				lines, body, whole := c.request()
				got <- seen{lines, body, whole}
				c.say(good())
			}))
			text := strings.Repeat("0123456789abcde\n", size/16+1)
			if _, err := c.Check(t.Context(), Request{Message: strings.NewReader(text), Size: int64(size), User: user}); err != nil {
				t.Fatal(err)
			}
			want := []string{"REPORT SPAMC/1.5", fmt.Sprintf("Content-length: %d", size)}
			if user != "" {
				want = append(want, "User: "+user)
			}
			s := <-got
			if fmt.Sprint(s.lines) != fmt.Sprint(want) || !s.whole || s.body != text[:size] {
				t.Errorf("%d octets for %q: got %q, %d octets, whole %v", size, user, s.lines, len(s.body), s.whole)
			}
		}
	}
}

func TestBadRequests(t *testing.T) {
	c := client(t, fake(t, "tcp", after(good())))
	for name, tc := range map[string]struct {
		req  Request
		want error
	}{
		"no message":   {Request{Size: 1}, ErrRequest},
		"no size":      {Request{Message: strings.NewReader("x"), Size: -1}, ErrRequest},
		"too big":      {Request{Message: strings.NewReader("x"), Size: DefaultMaxSize + 1}, ErrTooBig},
		"injected":     {Request{Message: strings.NewReader("x"), Size: 1, User: "a\r\nSet: local"}, ErrRequest},
		"user's NUL":   {Request{Message: strings.NewReader("x"), Size: 1, User: "a\x00"}, ErrRequest},
		"endless user": {Request{Message: strings.NewReader("x"), Size: 1, User: strings.Repeat("a", maxUser+1)}, ErrRequest},
	} {
		if _, err := c.Check(t.Context(), tc.req); !errors.Is(err, tc.want) || Blames(err) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

// A source that fails never makes a request that is whole.
func TestSourceFails(t *testing.T) {
	for _, size := range []int{0, 1, bufferSize, 2*bufferSize + 1} {
		whole := make(chan bool, 1)
		c := client(t, fake(t, "tcp", func(c conn) { _, _, ok := c.request(); whole <- ok; c.say(good()) }))
		_, err := c.Check(t.Context(), Request{Message: strings.NewReader(strings.Repeat("x", size)), Size: int64(size) + 1})
		if !errors.Is(err, ErrSource) {
			t.Errorf("%d octets: %v", size, err)
		}
		if <-whole {
			t.Errorf("%d octets: the server saw a whole request", size)
		}
	}
}

func TestPingAndVersionFaults(t *testing.T) {
	for _, text := range []string{"", "PONG\r\n", "SPAMD/1.5 0 PONG", "SPAMD/1.5 0 PONG\n", "SPAMD/1.5 0 PONG\r\nx", "SPAMD/1.5 0 EX_OK\r\n", strings.Repeat("S", 5000)} {
		c := client(t, fake(t, "unix", func(c conn) { c.head(); c.say(text) }))
		if err := c.Ping(t.Context()); !errors.Is(err, ErrReply) {
			t.Errorf("ping answered %.20q: %v", text, err)
		}
		if _, err := c.Probe(t.Context()); !errors.Is(err, ErrReply) {
			t.Errorf("probe answered %.20q: %v", text, err)
		}
	}
	blind := client(t, fake(t, "unix", after(reply("0 EX_OK", "False ; 0.0 / 5.0", "X-Spam-Checker-Version: SpamAssassin 4.0.1 on x\n\n"))))
	if _, err := blind.Version(t.Context()); !errors.Is(err, ErrBlind) || !Distrusts(err) {
		t.Errorf("a spamd without rules: %v", err)
	}
	mute := client(t, fake(t, "unix", after(reply("0 EX_OK", "True ; 1000.0 / 5.0", "X-Other: x\n\n"))))
	if v, err := mute.Version(t.Context()); err != nil || v != "" {
		t.Errorf("a spamd that does not tell its version: %q, %v", v, err)
	}
}

func TestNoGoroutineStays(t *testing.T) {
	// The sending side of a check is closed, so the fake has to be silent by itself.
	c := client(t, fake(t, "tcp", func(c conn) { c.hang(); time.Sleep(time.Second) }))
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := c.Check(ctx, request("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("check: %v", err)
		}
		if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ping: %v", err)
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
		if _, err := client(t, address).Check(t.Context(), request("x")); !errors.Is(err, ErrUnreachable) || !Repeatable(err) || !Blames(err) {
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
