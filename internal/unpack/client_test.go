package unpack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asChild makes the test's own program the process of a Client, which does as it says.
const asChild = "UNPACK_TEST_CHILD"

func TestMain(m *testing.M) {
	mode := os.Getenv(asChild)
	if mode == "" {
		os.Exit(m.Run())
	}
	s := Server{Formats: []Format{boxes{}, trap{}}, TypeOf: func([]byte) string { return "x/y" }, Confine: func() (Hello, error) { return Hello{Confined: true, How: "test"}, nil }}
	hello := func() { _ = writeJSON(os.Stdout, Hello{How: "test"}) }
	switch mode {
	case "serve":
		if err := s.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "refuse":
		s.Confine = func() (Hello, error) { return Hello{}, errors.New("no lock") }
		fmt.Fprintln(os.Stderr, s.Serve(os.Stdin, os.Stdout))
		os.Exit(1)
	case "silent":
		os.Exit(0)
	case "hang":
		hello()
		time.Sleep(time.Minute)
	case "noise":
		_, _ = os.Stdout.Write(bytes.Repeat([]byte("noise"), 1000))
	case "much":
		hello()
		_, _ = os.Stdout.Write([]byte{0x7f, 0, 0, 0})
		_, _ = io.Copy(os.Stdout, zero{})
	case "more":
		hello()
		_ = writeFrame(os.Stdout, []byte("{}"))
		_ = writeFrame(os.Stdout, []byte("{}"))
	case "no JSON":
		hello()
		_ = writeFrame(os.Stdout, []byte("[}"))
	case "circle":
		hello()
		_ = writeFrame(os.Stdout, []byte(`{"objects":[{"parent":0}]}`))
	case "stderr":
		for range 1000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("\x1b[31mE", 200))
		}
		os.Exit(3)
	case "half":
		hello()
		_, _ = os.Stdout.Write([]byte{0, 0, 1, 0, '{'})
	case "late":
		hello()
		_ = writeFrame(os.Stdout, []byte("{}"))
		os.Exit(1)
	}
	os.Exit(0)
}

// trap is a format of the test that does what it holds.
type trap struct{}

func (trap) Name() string                      { return "trap" }
func (trap) Match(head []byte, _ Content) bool { return bytes.HasPrefix(head, []byte("TRAP")) }
func (trap) Open(w *Walk, _ int, c Content) error {
	switch string(c.Bytes()[4:]) {
	case "panic":
		panic("trapped")
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "hang":
		time.Sleep(time.Minute)
	case "long":
		for w.Check() == nil {
			time.Sleep(time.Millisecond)
		}
		return ErrLimit
	}
	return nil
}

func client(t *testing.T, mode string) *Client {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(Config{Program: self, Env: []string{asChild + "=" + mode, "GORACE=atexit_sleep_ms=0"}, Memory: 1 << 30, Processes: 2, Time: 20 * time.Second,
		Limits: Limits{Entries: 100, Depth: 4, Octets: 1 << 20, Object: 1 << 19}})
	return c
}

func pieces(texts ...string) (out []Piece) {
	for i, text := range texts {
		out = append(out, Piece{Item: Item{Part: i + 1, Name: fmt.Sprintf("n%d", i), Size: int64(len(text))}, Content: strings.NewReader(text)})
	}
	return out
}

// TestUnpack: what a process finds comes back, for all items.
func TestUnpack(t *testing.T) {
	c := client(t, "serve")
	big := "BOXa:" + strings.Repeat("x", 400_000)
	r, err := c.Unpack(context.Background(), pieces("BOXa:BOXb:hello", "", big))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range r.Objects {
		got = append(got, fmt.Sprintf("%d %d %s %d", o.Part, o.Parent, o.Name, o.Size))
	}
	if want := "1 -1 n0 15|1 0 a 10|1 1 b 5|2 -1 n1 0|3 -1 n2 400005|3 4 a 400000"; strings.Join(got, "|") != want || r.Limit != "" {
		t.Errorf("%s, limit %q", strings.Join(got, "|"), r.Limit)
	}
	if h, ok := c.Hello(); !ok || !h.Confined || h.How != "test" {
		t.Errorf("%+v %v", h, ok)
	}
	if s := c.Stats(); s.Started != 1 || len(s.Failed) != 0 || s.Running != 0 || s.Took <= 0 {
		t.Errorf("%+v", s)
	}
}

// TestUnpackLimit: what ends the walk ends the job, and the rest of it is not even taken.
func TestUnpackLimit(t *testing.T) {
	c := client(t, "serve")
	r, err := c.Unpack(context.Background(), pieces("BOXa:BOXb:BOXc:BOXd:BOXe:x", strings.Repeat("y", 1<<19)))
	if err != nil || r.Limit != TooDeep || len(r.Objects) != 5 {
		t.Errorf("%v, %+v", err, r)
	}
	c.c.Time = 50 * time.Millisecond
	if r, err = c.Unpack(context.Background(), pieces("TRAPlong", "BOXa:1")); err != nil || r.Limit != TooLong {
		t.Errorf("%v, %+v", err, r)
	}
	if s := c.Stats(); s.Limits[TooDeep] != 1 || s.Limits[TooLong] != 1 || s.Started != 2 {
		t.Errorf("%+v", s)
	}
}

// TestUnpackFails: whatever a process does but its work, nothing is known, it is gone, and the next one works.
func TestUnpackFails(t *testing.T) {
	for _, c := range []struct {
		mode, item string
		kind       FailureKind
		said       string
		short      bool
	}{
		{"serve", "TRAPpanic", Crashed, "panic: trapped", false},
		{"serve", "TRAPkill", Crashed, "", false},
		{"serve", "TRAPhang", Hung, "", true},
		{"refuse", "x", NotStarted, "no lock", false},
		{"silent", "x", NotStarted, "", false},
		{"hang", "x", Hung, "", true},
		{"noise", "x", Garbage, "", false},
		{"much", "x", Garbage, "", false},
		{"more", "x", Garbage, "", false},
		{"no JSON", "x", Garbage, "", false},
		{"circle", "x", Garbage, "", false},
		{"stderr", "x", NotStarted, "?[31mE", false},
		{"half", "x", Crashed, "", false},
		{"late", "x", Crashed, "", false},
	} {
		u := client(t, c.mode)
		if c.short {
			u.c.Time, u.grace = time.Second, 100*time.Millisecond
		}
		_, err := u.Unpack(context.Background(), pieces(c.item, strings.Repeat("z", 600_000)))
		f, ok := errors.AsType[*Failure](err)
		if !ok || f.Kind != c.kind || !strings.HasPrefix(f.Said, c.said) || len(f.Said) > maxText {
			t.Errorf("%s %s: %v", c.mode, c.item, err)
		}
		if s := u.Stats(); s.Failed[c.kind] != 1 || s.Running != 0 {
			t.Errorf("%s %s: %+v", c.mode, c.item, s)
		}
	}
	c := client(t, "serve")
	c.c.Program = "/nonexistent"
	if _, err := c.Unpack(context.Background(), pieces("x")); err == nil || !err.(*Failure).Ours() {
		t.Error(err)
	}
}

// unreadable is content that cannot be read.
type unreadable struct{}

func (unreadable) Read([]byte) (int, error) { return 0, errors.New("bad disk") }

// TestUnpackUnread: a message that cannot be read says nothing about what is in it, though the process is well.
func TestUnpackUnread(t *testing.T) {
	_, err := client(t, "serve").Unpack(context.Background(), []Piece{{Content: unreadable{}}})
	if f, ok := errors.AsType[*Failure](err); !ok || f.Kind != NotRead || !f.Ours() {
		t.Error(err)
	}
}

// TestUnpackWaits: more than may run at once wait, as long as their sender does.
func TestUnpackWaits(t *testing.T) {
	c := client(t, "serve")
	c.c.Time = time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	for range 2 {
		busy.Go(func() {
			if _, err := c.Unpack(ctx, pieces("TRAPhang")); err == nil {
				t.Error("a process that hangs told something")
			}
		})
	}
	for c.Stats().Running < 2 {
		time.Sleep(time.Millisecond)
	}
	short, stop := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer stop()
	if _, err := c.Unpack(short, pieces("x")); err == nil || err.(*Failure).Kind != Busy {
		t.Error(err)
	}
	cancel()
	busy.Wait()
	if r, err := c.Unpack(context.Background(), pieces("x")); err != nil || len(r.Objects) != 1 {
		t.Errorf("%v %+v", err, r)
	}
}

// FuzzServe: no job makes the process do but end or tell.
func FuzzServe(f *testing.F) {
	var b bytes.Buffer
	if err := send(&b, Job{Limits: Limits{Entries: 9, Depth: 3, Octets: 1 << 16, Object: 1 << 16}, Time: time.Second}, pieces("BOXa:1", "x")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Fuzz(func(t *testing.T, job []byte) {
		s := Server{Formats: []Format{boxes{}}, TypeOf: func([]byte) string { return "" }, Confine: func() (Hello, error) { return Hello{}, nil }}
		var out bytes.Buffer
		if err := s.Serve(bytes.NewReader(job), &out); err != nil {
			return
		}
		var talk talk
		talk.c = &Client{}
		if _, _, err := talk.hear(&out, 1<<40); err != nil {
			t.Error(err)
		}
	})
}
