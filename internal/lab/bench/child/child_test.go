package child

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"
)

// TestMain is the child too: it doubles numbers.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_CHILD") == "" {
		m.Run()
		return
	}
	err := Serve(os.Stdin, os.Stdout, "127.0.0.1:7", func(q json.RawMessage) (any, error) {
		var n int
		if err := json.Unmarshal(q, &n); err != nil {
			return nil, errors.New("no number")
		}
		return 2 * n, nil
	})
	if err != nil {
		panic(err)
	}
}

// TestChild shows that questions are answered, in a process of its own, that an error is one for the asker and not the
// end, and that the child ends with its input.
func TestChild(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BENCH_CHILD=1")
	c, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := c.Ask(21, &n); err != nil || n != 42 {
		t.Errorf("%d, %v; want 42", n, err)
	}
	if err := c.Ask("x", &n); err == nil || err.Error() != "no number" {
		t.Errorf("error %v", err)
	}
	if err := c.Ask(1, &n); err != nil || n != 2 {
		t.Errorf("after an error: %d, %v; want 2", n, err)
	}
	if c.PID() == os.Getpid() || c.Addr() != "127.0.0.1:7" {
		t.Errorf("process %d at %q", c.PID(), c.Addr())
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := c.Ask(1, &n); err == nil {
		t.Error("a child that has ended still answers")
	}
}

// TestChildThatIsNone shows that another program is an error, not a hang.
func TestChildThatIsNone(t *testing.T) {
	if _, err := Start(exec.Command("/bin/echo", "hello")); err == nil {
		t.Error("echo was taken for a child")
	}
	if _, err := Start(exec.Command("/nowhere/bench")); err == nil {
		t.Error("nothing was taken for a child")
	}
}
