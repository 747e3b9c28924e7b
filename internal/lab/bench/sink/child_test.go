package sink

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"net"
)

// TestMain is the child too.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_SINK_CHILD") != "" {
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// TestChild shows that a sink in a process of its own counts, and ends with its input.
func TestChild(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BENCH_SINK_CHILD=1")
	c, err := StartChild(cmd)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", c.Addr(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 3)); err != nil { // the banner: the session was counted
		t.Fatal(err)
	}
	n, err := c.Count()
	if err != nil {
		t.Fatal(err)
	}
	if want := (Count{Sessions: 1}); n != want {
		t.Errorf("counted %+v, want %+v", n, want)
	}
	if c.PID() == os.Getpid() {
		t.Error("the child is this process")
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := c.Count(); err == nil {
		t.Error("a sink that has ended still counts")
	}
}

// TestChildThatIsNone shows that another program is an error, not a hang.
func TestChildThatIsNone(t *testing.T) {
	if _, err := StartChild(exec.Command("/bin/echo", "hello")); err == nil {
		t.Error("echo was taken for a sink")
	}
}
