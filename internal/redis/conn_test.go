package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/greylist"
)

// TestHostile plays a server that answers a row as no Redis does. Nothing but an error comes of it, and no memory is taken
// for what was only announced.
func TestHostile(t *testing.T) {
	tests := []struct {
		name, answer string
		kind         Kind
	}{
		{"closes", "", Away},
		{"huge list", "*2000000000\r\n", Away},
		{"huge text", "$2000000000\r\n", Away},
		{"huge text in a list", "*3\r\n$2000000000\r\n", Away},
		{"a length of many digits", "*" + strings.Repeat("9", 1<<16) + "\r\n", Away},
		{"a line without end", "+" + strings.Repeat("x", 1<<20), Slow},
		{"nested without end", strings.Repeat("*1\r\n", 1<<16), Slow},
		{"a text", "+OK\r\n", Odd},
		{"nothing", "$-1\r\n", Fine},
		{"a short list", "*4\r\n:1\r\n:1\r\n:1\r\n:-1\r\n", Odd},
		{"a long list", "*6\r\n:1\r\n:1\r\n:1\r\n:-1\r\n:-1\r\n:1\r\n", Odd},
		{"a list of texts", "*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n", Odd},
		{"an error", "-ERR no\r\n", Odd},
		{"an error in a list", "*5\r\n:1\r\n-ERR no\r\n:1\r\n:-1\r\n:-1\r\n", Odd},
		{"always without the script", "-NOSCRIPT No matching script.\r\n", Odd},
		{"no such outcome", "*5\r\n:9\r\n:0\r\n:0\r\n:-1\r\n:-1\r\n", Odd},
		{"waits for ever", "*5\r\n:1\r\n:9223372036854775807\r\n:0\r\n:-1\r\n:-1\r\n", Odd},
		{"forgotten in times to come", "*5\r\n:1\r\n:1\r\n:0\r\n:-2\r\n:-1\r\n", Odd},
		{"forgotten before all time", "*5\r\n:1\r\n:1\r\n:0\r\n:-1\r\n:9223372036854775807\r\n", Odd},
		{"garbage", "HTTP/1.1 400 Bad Request\r\n\r\n", Away},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := open(t, Settings{Addrs: []string{fake(t, test.answer)}, Secret: make([]byte, 16), Timeout: 100 * time.Millisecond, Wait: time.Hour})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			row := c.Row()
			tried := row.Try(pair, greylist.Settings{}, time.Time{})
			err := row.Do(context.Background())
			runtime.ReadMemStats(&after)
			if err == nil || tried.Err == nil || tried.Answer != (greylist.Answer{}) {
				t.Errorf("%+v, %v", tried, err)
			}
			if test.kind != Fine && KindOf(err) != test.kind {
				t.Errorf("%v, want %v", err, test.kind)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
				t.Errorf("%d MB were taken", took>>20)
			}
		})
	}
}

// TestHostileLimits is that for limits: of two charges, numbers that no counting can give.
func TestHostileLimits(t *testing.T) {
	for answer, ok := range map[string]bool{
		"*5\r\n:0\r\n:1\r\n:3\r\n:0\r\n:5\r\n":                    true,
		"*5\r\n:-1\r\n:0\r\n:0\r\n:86400000000\r\n:0\r\n":         true,
		"*5\r\n:2\r\n:1\r\n:3\r\n:0\r\n:5\r\n":                    false, // a third denies
		"*5\r\n:-2\r\n:1\r\n:3\r\n:0\r\n:5\r\n":                   false,
		"*5\r\n:0\r\n:-1\r\n:3\r\n:0\r\n:5\r\n":                   false,
		"*5\r\n:0\r\n:1\r\n:4\r\n:0\r\n:5\r\n":                    false, // a third is over
		"*5\r\n:0\r\n:1\r\n:3\r\n:0\r\n:86400000001\r\n":          false,
		"*5\r\n:0\r\n:9223372036854775807\r\n:3\r\n:0\r\n:0\r\n":  false,
		"*5\r\n:0\r\n:99999999999999999999\r\n:3\r\n:0\r\n:0\r\n": false,
		"*3\r\n:-1\r\n:0\r\n:0\r\n":                               false,
	} {
		c := open(t, Settings{Addrs: []string{fake(t, answer)}, Secret: make([]byte, 16), Timeout: time.Second})
		both := charges("a", "b")
		a, err := c.Limits().Take(context.Background(), both)
		if (err == nil) != ok || !ok && (both[0].Ahead != 0 || both[1].Ahead != 0 || a.Denied != -1 || a.Wait != 0 || a.Over != 0) {
			t.Errorf("%q: %+v, %v", answer, a, err)
		}
	}
}

// TestHostileMark is that for the mark, and for what Redis says that it was taught.
func TestHostileMark(t *testing.T) {
	for answer, ok := range map[string]bool{
		"*2\r\n:1\r\n:1\r\n":                   true,
		"*2\r\n:5\r\n:1\r\n":                   true, // its clock went back
		"*2\r\n:0\r\n:1\r\n":                   false,
		"*2\r\n:-1\r\n:1\r\n":                  false,
		"*2\r\n:1\r\n:-1\r\n":                  false,
		"*2\r\n:9007199254740992\r\n:1\r\n":    false,
		"*2\r\n:1\r\n:9223372036854775807\r\n": false,
		"*1\r\n:1\r\n":                         false,
		"$1\r\n1\r\n":                          false,
	} {
		c := open(t, Settings{Addrs: []string{fake(t, answer)}, Secret: make([]byte, 16), Timeout: time.Second})
		m, err := c.Probe(context.Background())
		if (err == nil) != ok || (m != Mark{}) != ok || m.Age < 0 {
			t.Errorf("%q: %+v, %v", answer, m, err)
		}
	}
	for answer, ok := range map[string]bool{
		"*1\r\n:0\r\n": true, "*1\r\n:2\r\n": true, "*1\r\n:3\r\n": false, "*1\r\n:-1\r\n": false, ":1\r\n": false, "*0\r\n": false,
	} {
		c := open(t, Settings{Addrs: []string{fake(t, answer)}, Secret: make([]byte, 16), Timeout: time.Second})
		row := c.Row()
		told := row.Teach(pair, greylist.Record(greylist.Millis(time.Now())), 0, greylist.Settings{}, time.Time{})
		if err := row.Do(context.Background()); (err == nil) != ok || (told.Err == nil) != ok || !ok && told.Changed != 0 {
			t.Errorf("%q: %+v, %v", answer, told, err)
		}
	}
}

// TestClear shows that a server beyond this machine is not even dialled without TLS, whoever names it.
func TestClear(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:6379", "[2001:db8::1]:6379", "redis.example.org:6379"} {
		s := Settings{Addrs: []string{addr}, Secret: make([]byte, 16), Timeout: time.Second}
		s.dial = func(context.Context, string, string) (net.Conn, error) {
			t.Errorf("%s was dialled", addr)
			return nil, io.EOF
		}
		if _, err := open(t, s).Probe(context.Background()); KindOf(err) != Away || !errors.Is(err, errClear) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "127.9.9.9:1": true, "10.0.0.1:1": false, "x": false,
		"localhost.example.org:1": false, "[::ffff:127.0.0.1]:1": true, "[::ffff:192.0.2.1]:1": false} {
		if here("tcp", addr) != want {
			t.Errorf("%s is here: %v", addr, !want)
		}
	}
}

// fake is the address of a server that answers the first words of a connection like Redis, and each script with the answer.
func fake(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				in := bufio.NewReader(conn)
				for {
					words, err := command(in)
					if err != nil {
						return
					}
					reply := "-ERR unknown command\r\n"
					if strings.HasPrefix(strings.ToUpper(words), "EVAL") {
						reply = answer
					}
					if reply == "" {
						return
					}
					if _, err := io.WriteString(conn, reply); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// command reads one command and returns its first word.
func command(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	first := ""
	for i := 0; i < n && err == nil; i++ {
		if line, err = in.ReadString('\n'); err != nil {
			break
		}
		size, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		word := make([]byte, size+2)
		if _, err = io.ReadFull(in, word); i == 0 {
			first = string(word[:size])
		}
	}
	return first, err
}

// FuzzBounded cuts any octets in two reads: what passes has no line of a length of seven digits, what does not has one, and
// nothing else is changed.
func FuzzBounded(f *testing.F) {
	for _, seed := range []string{"*3\r\n:1\r\n:2\r\n$-1\r\n", "$999999\r\n", "$1000000\r\n", "*00000001\r\n", "+*9999999\r\n", "$5\r\n*9999999999\r\n", "\n\n*\n$", "*1234567"} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, cut uint8) {
		n := min(int(cut), len(text))
		b := &bounded{Conn: &pieces{[][]byte{text[:n], text[n:]}}, age: new(atomic.Int64)}
		got, err := io.ReadAll(b)
		long := false
		for _, line := range bytes.Split(text, []byte("\n")) {
			long = long || len(line) > mostDigits+2 && (line[0] == '*' || line[0] == '$')
		}
		if errors.Is(err, errHuge) != long || !long && (err != nil || !bytes.Equal(got, text)) {
			t.Fatalf("%q: %q, %v", text, got, err)
		}
	})
}

// pieces is a connection that brings a piece at a time.
type pieces struct{ left [][]byte }

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.left) > 0 && len(p.left[0]) == 0 {
		p.left = p.left[1:]
	}
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[0])
	p.left[0] = p.left[0][n:]
	return n, nil
}

func (p *pieces) Write([]byte) (int, error)        { return 0, io.ErrClosedPipe }
func (p *pieces) Close() error                     { return nil }
func (p *pieces) LocalAddr() net.Addr              { return nil }
func (p *pieces) RemoteAddr() net.Addr             { return nil }
func (p *pieces) SetDeadline(time.Time) error      { return nil }
func (p *pieces) SetReadDeadline(time.Time) error  { return nil }
func (p *pieces) SetWriteDeadline(time.Time) error { return nil }
