package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
)

// start serves verbs at a socket until the test ends.
func start(t *testing.T) *Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "gp") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	type named struct {
		Name string `json:"name"`
	}
	type text struct {
		X string `json:"x"`
	}
	s := &Surface{Inner: true, Who: func(*http.Request) (access.Actor, error) { return access.Actor{Name: "root", Role: access.Owner}, nil }, Operations: []Operation{
		Define(Operation{Name: "hello", Method: "GET", Path: "/hello", Right: access.Own}, func(_ context.Context, in *named) (map[string]string, error) {
			return map[string]string{"name": in.Name}, nil
		}),
		Define(Operation{Name: "echo", Method: "POST", Path: "/echo", Right: access.Own}, func(_ context.Context, in *text) (*text, error) { return in, nil }),
		Define(Operation{Name: "fault", Method: "GET", Path: "/fault", Right: access.Own}, func(context.Context, *struct{}) (any, error) {
			return nil, &Fault{Status: 404, Message: "there is no such thing", Hint: "look elsewhere"}
		})}}
	mux := http.NewServeMux()
	for _, o := range s.Operations {
		mux.Handle(o.Path, s.Handler(""))
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, mux) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v", info.Mode())
	}
	return NewClient(path)
}

func TestAskAndBeTold(t *testing.T) {
	c := start(t)
	var out map[string]string
	if err := c.send(t.Context(), &Request{Method: "GET", Path: "/hello?name=x"}, &out); err != nil || out["name"] != "x" {
		t.Errorf("%v, %v", out, err)
	}
	err := c.send(t.Context(), &Request{Method: "GET", Path: "/fault"}, nil)
	if f, ok := errors.AsType[*Fault](err); !ok || f.Status != 404 || f.Error() != "there is no such thing; look elsewhere" {
		t.Errorf("fault: %v", err)
	}
	if err := c.send(t.Context(), &Request{Method: "GET", Path: "/nowhere"}, nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("unknown verb: %v", err)
	}
	big := map[string]string{"x": strings.Repeat("y", 2*maxBody)}
	if err := c.send(t.Context(), &Request{Method: "POST", Path: "/echo", Body: big}, nil); err == nil {
		t.Error("a request without bound was read")
	}
}

func TestNobodyThere(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "dead")} {
		if strings.HasSuffix(path, "dead") {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		}
		if err := NewClient(path).send(t.Context(), &Request{Method: "GET", Path: "/"}, nil); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if l, err := Listen(filepath.Join(dir, "dead")); err != nil {
		t.Errorf("the socket of a dead process: %v", err)
	} else {
		l.Close()
	}
	os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
	if _, err := Listen(filepath.Join(dir, "file")); err == nil {
		t.Error("a file was replaced by a socket")
	}
}

func TestSlowAskersAreBounded(t *testing.T) {
	c := start(t)
	var conns []net.Conn
	for range maxInFlight + 5 {
		conn, err := net.DialTimeout("unix", c.path, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	last := conns[len(conns)-1]
	last.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := last.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one too many was kept: %v", err)
	}
	for _, conn := range conns {
		conn.Close()
	}
	deadline := time.Now().Add(5 * time.Second)
	for c.send(t.Context(), &Request{Method: "GET", Path: "/hello"}, nil) != nil {
		if time.Now().After(deadline) {
			t.Fatal("slots were not given back")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
