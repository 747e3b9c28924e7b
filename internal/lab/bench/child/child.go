// Package child runs a part of a measurement in a process of its own, so that its
// CPU time, memory and descriptors are its own, and talks to it in lines of JSON
// over its stdin and stdout.
//
// A child ends when its input does, and so never outlives who started it.
package child

import (
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

// said is a child's answer to one question.
type said struct {
	Error  string          `json:"error,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

// Serve is the child: it tells its address (empty: it has none) and answers each
// question until the input ends. An error of answer goes to who asked.
func Serve(in io.Reader, out io.Writer, addr string, answer func(question json.RawMessage) (any, error)) error {
	enc, dec := json.NewEncoder(out), json.NewDecoder(in)
	if err := enc.Encode(hello{addr}); err != nil {
		return fmt.Errorf("child: %w", err)
	}
	for {
		var question json.RawMessage
		if err := dec.Decode(&question); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("child: question: %w", err)
		}
		var s said
		a, err := answer(question)
		if err == nil {
			s.Answer, err = json.Marshal(a)
		}
		if err != nil {
			s = said{Error: err.Error()}
		}
		if err := enc.Encode(s); err != nil {
			return fmt.Errorf("child: %w", err)
		}
	}
}

// Child is such a process, seen from its parent. It is for one goroutine.
type Child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	addr string
}

// Start starts cmd, a program that calls Serve with its stdin and stdout.
func Start(cmd *exec.Cmd) (*Child, error) {
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	c := &Child{cmd: cmd, in: in, out: json.NewDecoder(out)}
	var h hello
	if err := c.out.Decode(&h); err != nil {
		return nil, errors.Join(fmt.Errorf("child: start: %w", err), c.Close())
	}
	c.addr = h.Addr
	return c, nil
}

// Addr is where the child listens.
func (c *Child) Addr() string { return c.addr }

// PID is its process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Ask waits for the answer to a question and reads it into a pointer.
func (c *Child) Ask(question, answer any) error {
	b, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("child: %w", err)
	}
	if _, err := c.in.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("child: ask: %w", err)
	}
	var s said
	if err := c.out.Decode(&s); err != nil {
		return fmt.Errorf("child: answer: %w", err)
	}
	if s.Error != "" {
		return errors.New(s.Error)
	}
	if err := json.Unmarshal(s.Answer, answer); err != nil {
		return fmt.Errorf("child: answer: %w", err)
	}
	return nil
}

// Close ends it.
func (c *Child) Close() error {
	_ = c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("child: end: %w", err)
	}
	return nil
}
