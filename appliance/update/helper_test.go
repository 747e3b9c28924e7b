package update

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// helper serves a machine of real files on a socket, one connection after the other.
func helper(t *testing.T, find func() *Machine) (socket string, restarted *int) {
	t.Helper()
	restarted = new(int)
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	h := &Helper{Find: func() (*Machine, error) { return find(), nil }, Restart: func() error { *restarted++; return nil }, Log: t.Logf}
	go func() {
		defer close(over)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if err := h.Serve(conn); err != nil {
				t.Logf("served: %v", err)
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-over })
	return socket, restarted
}

// TestHelper asks for all that there is by the socket; a large bundle that is refused is answered with the reason, and not with a reset.
func TestHelper(t *testing.T) {
	root, find := system(t)
	socket, restarted := helper(t, find)
	ask := func(do string, body io.Reader) (*Answer, []string, error) {
		var steps []string
		a, err := Ask(t.Context(), socket, do, body, func(s string) { steps = append(steps, s) })
		return a, steps, err
	}
	if a, _, err := ask(DoStatus, nil); err != nil || a.Status.Running != "1.0" || a.Status.Next != "1.0" {
		t.Fatalf("%+v, %v", a, err)
	}
	forged := made(t, "1.1", "1.0", nil)
	forged[30] ^= 1
	if _, _, err := ask(DoApply, io.MultiReader(bytes.NewReader(forged), bytes.NewReader(make([]byte, 32<<20)))); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("a forged one: %v", err)
	}
	if _, _, err := ask(DoRollback, nil); err == nil || !strings.Contains(err.Error(), "no version to return to") {
		t.Errorf("a rollback to nothing: %v", err)
	}
	broken := errors.New("the file cannot be read")
	if _, _, err := ask(DoApply, io.MultiReader(bytes.NewReader(forged[:20]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a file that cannot be read: %v", err)
	}
	a, steps, err := ask(DoApply, bytes.NewReader(made(t, "1.1", "1.0", nil)))
	if err != nil || a.Version != "1.1" || a.Status.Next != "1.1" || !slices.Equal(steps, []string{"receives", "writes", "verifies"}) {
		t.Fatalf("%+v, %q, %v", a, steps, err)
	}
	if get(t, root, "efi/EFI/Linux/gatepost_1.1+3.efi") != uki("1.1") {
		t.Error("it was not applied")
	}
	if _, _, err := ask(DoRestart, nil); err != nil {
		t.Error(err)
	}
	if _, _, err := ask("everything", nil); err == nil || !strings.Contains(err.Error(), "nothing that can be asked for") {
		t.Errorf("%v", err)
	}
	if *restarted != 1 {
		t.Errorf("restarted %d times", *restarted)
	}
}

// TestHelperIsRude sends what is no question.
func TestHelperIsRude(t *testing.T) {
	_, find := system(t)
	socket, _ := helper(t, find)
	for _, text := range []string{"\n", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", maxQuestion+1), "{\"do\":1}\n", ""} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := hear(conn, nil); err == nil || !strings.HasPrefix(err.Error(), "the question: ") && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: %v", text, err)
		}
		conn.Close()
	}
}

// TestNoHelper tells what is said on a machine that is no appliance, and that an end is an end.
func TestNoHelper(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	if _, err := Ask(t.Context(), none, DoStatus, nil, nil); !errors.Is(err, ErrNoAppliance) {
		t.Error(err)
	}
	silent, err := net.Listen("unix", none)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Ask(ctx, none, DoStatus, nil, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
