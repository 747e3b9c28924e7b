package dialog

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// heard is what a server read.
type heard struct {
	mu sync.Mutex
	b  []byte
}

func (h *heard) add(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b = append(h.b, b...)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.b)
}

// serve answers each connection with the octets, echoes what it reads to got, and
// closes the connection when it is told QUIT.
func serve(t *testing.T, says string, got *heard) func(context.Context) (net.Conn, error) {
	t.Helper()
	return func(context.Context) (net.Conn, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		server, err := l.Accept()
		if err != nil {
			return nil, err
		}
		done := make(chan struct{})
		t.Cleanup(func() { client.Close(); <-done })
		go func() {
			defer close(done)
			defer server.Close()
			io.WriteString(server, says)
			b := make([]byte, 1<<16)
			for {
				n, err := server.Read(b)
				if got != nil {
					got.add(b[:n])
				}
				if err != nil || strings.Contains(string(b[:n]), "QUIT\r\n") {
					return
				}
			}
		}()
		return client, nil
	}
}

func TestRun(t *testing.T) {
	const ehlo = "250-a\r\n250-SIZE 5\r\n250-B\r\n250 C\r\n"
	for name, test := range map[string]struct{ says, script, want string }{
		"exact":               {"220 hello\r\n", "S: 220 hello", ""},
		"dots":                {"220 hello you\r\n", "S: 220 ...you", ""},
		"other":               {"220 hello\r\n", "S: 250 ...", `t:1: S: 250 ...`},
		"regexp":              {"220 x7\r\n", `S: /220 x[0-9]/`, ""},
		"regexp is whole":     {"220 x77\r\n", `S: /220 x[0-9]/`, `the server said "220 x77"`},
		"bare LF":             {"220 x\n", `S: 220 x`, `does not end in CRLF`},
		"any lines":           {ehlo, "S: 250-a\nS: ...\nS: 250 C", ""},
		"any, none":           {ehlo, "S: 250-a\nS: ...\nS: 250-SIZE 5\nS: ...", ""},
		"any, to the end":     {ehlo, "S: ...\nC: NOOP", ""},
		"any, not beyond":     {ehlo + "250 D\r\n", "S: ...\nS: 250 D", `the server said "250 C"`},
		"any, then one more":  {ehlo + "250 D\r\n", "S: ...\nC: NOOP", `says more than the script expects: "250 D\r\n"`},
		"more than expected":  {"220 a\r\n220 b\r\n", "S: 220 a", `says more than the script expects`},
		"says nothing":        {"", "-- timeout 50ms\nS: 220 a", `nothing more for 50ms`},
		"half a line":         {"220", "-- timeout 50ms\nS: 220 a", `the server said "220" and nothing more`},
		"silent":              {"", "-- silent 50ms", ""},
		"not silent":          {"220 a\r\n", "-- silent 5s", `the server said "220 a`},
		"closes":              {"220 a\r\n", "S: 220 a\nC: QUIT\n-- expect-closed", ""},
		"does not close":      {"220 a\r\n", "S: 220 a\n-- timeout 50ms\n-- expect-closed", `did not close`},
		"closed, then more":   {"220 a\r\n", "S: 220 a\n-- close\nC: x", `the connection is closed`},
		"again":               {"220 a\r\n", "S: 220 a\n-- connect\nS: 220 a", ""},
		"unknown name":        {"220 a\r\n", "S: 220 a\n-- dance", `neither dialog nor the test knows`},
		"own name":            {"220 ref K7Q\r\n", "S: /220 ref (?<ref>.+)/\n-- want K7Q $ref \"a b\"", ""},
		"own name fails":      {"220 ref K7Q\r\n", "S: /220 ref (?<ref>.+)/\n-- want $ref", `t:2: -- want $ref`},
		"no octets":           {"", "-- send big", `no such octets`},
		"no TLS":              {"", "-- tls", `no TLS configuration`},
		"half-close":          {"220 a\r\n", "S: 220 a\n-- half-close\n-- expect-closed", ""},
		"reset":               {"220 a\r\n", "S: 220 a\n-- reset", ""},
		"wait":                {"220 a\r\n", "S: 220 a\n-- wait 1ms", ""},
		"wait without a time": {"220 a\r\n", "S: 220 a\n-- wait", `want one time`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("t", test.script)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Run(t.Context(), Hooks{
				Dial: serve(t, test.says, nil),
				Do: map[string]func(context.Context, []string) error{"want": func(_ context.Context, args []string) error {
					if strings.Join(args, "|") != "K7Q|K7Q|a b" {
						return errors.New("other words")
					}
					return nil
				}},
			})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestSendsExactOctets(t *testing.T) {
	var got heard
	s, err := Parse("t", `C: a \\ \$x $y
R: b\r\n\0\x7f\xffé
C:
C: \*3{ab}\*2{\n}\*2{x\*3{y}}
-- send octets
C: QUIT
-- expect-closed
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), Hooks{Dial: serve(t, "", &got), Send: map[string][]byte{"octets": []byte("\x01\x02")}}); err != nil {
		t.Fatal(err)
	}
	want := "a \\ $x $y\r\nb\r\n\x00\x7f\xffé\r\nababab\n\nxyyyxyyy\r\n\x01\x02QUIT\r\n"
	if got.String() != want {
		t.Errorf("got %q\nwant %q", got.String(), want)
	}
}

func TestArrived(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   [][]string
		fail   string
	}{
		"one run":  {"N: a\nN:\n\n# comment\nN: \\x41 b", [][]string{{"a", "", "A b"}}, ""},
		"two runs": {"N: a\nS: /220 x(?<v>.)/\nN: b", [][]string{{"a"}, {"b"}}, ""},
		"too late": {"S: 220 y\nN: a", nil, `the server said "220 x7"`},
		"values":   {"S: /220 x(?<v>.)/\nN: a $v\n-- wait 1ms\nN: \\$v", [][]string{{"a 7"}, {"$v"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("t", test.script)
			if err != nil {
				t.Fatal(err)
			}
			var got [][]string
			says := ""
			if name != "one run" {
				says = "220 x7\r\n"
			}
			err = s.Run(t.Context(), Hooks{Dial: serve(t, says, nil), Arrived: func(_ context.Context, lines []string) error {
				got = append(got, lines)
				return nil
			}})
			if test.fail != "" {
				if err == nil || !strings.Contains(err.Error(), test.fail) {
					t.Fatalf("got %v, want %q", err, test.fail)
				}
				return
			}
			if err != nil || !slices.EqualFunc(got, test.want, slices.Equal[[]string]) {
				t.Errorf("got %q and %v, want %q", got, err, test.want)
			}
		})
	}
	s, err := Parse("t", "N: a")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), Hooks{Dial: serve(t, "", nil)}); err == nil || !strings.Contains(err.Error(), "does not look") {
		t.Errorf("got %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for script, want := range map[string]string{
		"":                   "no steps",
		"# only this":        "no steps",
		"S: a\nX: b":         `t:2: step "X: b"`,
		"S:a":                "and a blank",
		"S: /(/":             "t:1: pattern: ",
		`C: a\`:              "nothing follows",
		`C: \q`:              `escape \q`,
		`C: \xg1`:            "two hexadecimal",
		`C: \x1`:             `escape \x`,
		`C: \*3a`:            `want \*N{TEXT}`,
		`C: \*999999999{ab}`: "octets",
		"-- ":                "want a name",
		`-- a "b`:            "quote is not closed",
	} {
		if _, err := Parse("t", script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", script, err, want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s, err := Parse("t", "-- wait 1h")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx, Hooks{Dial: serve(t, "", nil)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"S: 220 ...\nC: \\x41\\*3{a}", "-- a \"b c\" d", `R: \0\r\n`, "S: /a(?<b>c)/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("t", text)
		if err == nil && len(s.steps) == 0 {
			t.Error("a script without steps")
		}
	})
}
