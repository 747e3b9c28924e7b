package sink

import (
	"encoding/json"
	"io"
	"os/exec"

	"gatepost/internal/lab/bench/child"
)

// Serve runs a sink on a free port until its input ends, which is when the parent ends it or
// ends itself.
func Serve(in io.Reader, out io.Writer) error { return ServeAt("127.0.0.1:0", in, out) }

// ServeAt is Serve at a host:port.
func ServeAt(addr string, in io.Reader, out io.Writer) error {
	s, err := StartAt(addr)
	if err != nil {
		return err
	}
	defer s.Close()
	return child.Serve(in, out, s.Addr(), func(json.RawMessage) (any, error) { return s.Count(), nil })
}

// Child is a sink in a process of its own, so that its CPU time is its own.
// It is for one goroutine.
type Child struct{ *child.Child }

// StartChild starts cmd, a program that calls Serve with its stdin and stdout.
func StartChild(cmd *exec.Cmd) (*Child, error) {
	c, err := child.Start(cmd)
	if err != nil {
		return nil, err
	}
	return &Child{c}, nil
}

// Count asks it what it got so far.
func (c *Child) Count() (n Count, err error) {
	err = c.Ask("count", &n)
	return n, err
}
