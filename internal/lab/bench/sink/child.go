package sink

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// hello is the first line that a child writes.
type hello struct {
	Addr string `json:"addr"`
}

// Serve runs a sink until its input ends, which is when the parent ends it or
// ends itself. It writes its address, and then one count for each line it reads;
// both are lines of JSON.
func Serve(in io.Reader, out io.Writer) error {
	s, err := Start()
	if err != nil {
		return err
	}
	defer s.Close()
	enc := json.NewEncoder(out)
	if err := enc.Encode(hello{s.Addr()}); err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := enc.Encode(s.Count()); err != nil {
			return fmt.Errorf("sink: %w", err)
		}
	}
	return nil
}

// Child is a sink in a process of its own, so that its CPU time is its own.
// It is for one goroutine.
type Child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	addr string
}

// StartChild starts cmd, a program that calls Serve with its stdin and stdout.
func StartChild(cmd *exec.Cmd) (*Child, error) {
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	c := &Child{cmd: cmd, in: in, out: json.NewDecoder(out)}
	var h hello
	if err := c.out.Decode(&h); err != nil {
		return nil, errors.Join(fmt.Errorf("sink: start: %w", err), c.Close())
	}
	c.addr = h.Addr
	return c, nil
}

// Addr is where the sink listens.
func (c *Child) Addr() string { return c.addr }

// PID is its process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Count asks it what it got so far.
func (c *Child) Count() (n Count, err error) {
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		return n, fmt.Errorf("sink: count: %w", err)
	}
	if err := c.out.Decode(&n); err != nil {
		return n, fmt.Errorf("sink: count: %w", err)
	}
	return n, nil
}

// Close ends it.
func (c *Child) Close() error {
	_ = c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("sink: end: %w", err)
	}
	return nil
}
