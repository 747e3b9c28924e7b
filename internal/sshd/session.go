package sshd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

// usage is the exit code of what is no command; failed that of one that broke.
const (
	failed = 1
	usage  = 2
)

// session is one channel.
type session struct {
	v  *visit
	g  Guest
	ch ssh.Channel

	mu            sync.Mutex
	terminal      bool // the client has one
	width, height int
	edits         *term.Terminal // while lines are typed at one
}

// serve answers what a client asks in a channel: one exec or shell.
func (s *session) serve(ctx context.Context, reqs <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	var run sync.WaitGroup
	defer run.Wait()
	defer cancel()
	defer s.ch.Close()
	defer s.broke(io.Discard, new(int)) // of a terminal that gets another size
	started := false
	for r := range reqs {
		ok, begin := false, func() {}
		switch r.Type {
		case "pty-req":
			ok = !started && s.pty(r.Payload)
		case "window-change":
			ok = s.resize(r.Payload)
		case "exec", "shell":
			var line struct{ Text string }
			if ok = !started && (r.Type == "shell" || ssh.Unmarshal(r.Payload, &line) == nil); ok {
				started = true
				shell := r.Type == "shell"
				begin = func() { run.Go(func() { s.end(s.work(ctx, shell, line.Text)) }) }
			}
		}
		if r.WantReply {
			_ = r.Reply(ok, nil) // a client that is gone needs no answer
		}
		begin() // behind the answer, which a channel that ended has none of
	}
}

// pty reads a request for a terminal (RFC 4254 section 6.2). Its modes are the client's own affair.
func (s *session) pty(payload []byte) bool {
	var p struct {
		Term                      string
		Columns, Rows, Wide, Tall uint32
		Modes                     string
	}
	if ssh.Unmarshal(payload, &p) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terminal = true
	s.size(p.Columns, p.Rows)
	return true
}

// resize reads that a terminal has another size (RFC 4254 section 6.7).
func (s *session) resize(payload []byte) bool {
	var p struct{ Columns, Rows, Wide, Tall uint32 }
	if ssh.Unmarshal(payload, &p) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size(p.Columns, p.Rows)
	if s.edits != nil {
		_ = s.edits.SetSize(s.width, s.height)
	}
	return true
}

// size keeps a size that a terminal may have.
func (s *session) size(columns, rows uint32) {
	s.width, s.height = int(min(max(columns, 20), 500)), int(min(max(rows, 5), 500))
}

// end tells the exit code, and closes the channel.
func (s *session) end(code int) {
	_ = s.ch.CloseWrite()
	_, _ = s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
	_ = s.ch.Close()
}

// work runs one command, or those that are typed, and returns the exit code of the last.
func (s *session) work(ctx context.Context, shell bool, line string) (code int) {
	s.mu.Lock()
	terminal := s.terminal
	s.mu.Unlock()
	in := &reader{s.ch, s.v}
	out, complaints := io.Writer(&writer{s.ch, s.v}), io.Writer(&writer{s.ch.Stderr(), s.v})
	defer s.broke(complaints, &code) // of what edits lines, for example
	switch {
	case shell && terminal:
		return s.typed(ctx, in, out)
	case shell:
		return s.lines(ctx, in, out, complaints)
	case terminal:
		out = &crlf{out}
		complaints = out
	}
	return s.run(ctx, line, in, out, complaints)
}

// run runs one command.
func (s *session) run(ctx context.Context, line string, in io.Reader, out, complaints io.Writer) (code int) {
	s.v.active()
	defer s.v.active()
	words, err := Split(line)
	if err != nil {
		fmt.Fprintf(complaints, "gatepost: %v\n", err)
		return usage
	}
	if len(words) > 0 && words[0] == "gatepost" { // as it is written elsewhere
		words = words[1:]
	}
	defer s.broke(complaints, &code)
	return s.g.Run(ctx, &Command{Words: words, In: in, Out: out, Err: complaints})
}

// broke is deferred: what panics ends a command, or a session where it is no command, and never the daemon.
func (s *session) broke(complaints io.Writer, code *int) {
	if p := recover(); p != nil {
		s.v.s.Log.Error("ssh: a command broke", "panic", p, "stack", string(debug.Stack()))
		fmt.Fprintln(complaints, "gatepost: it failed; the log tells why")
		*code = failed
	}
}

// leaves reports whether a line ends a session.
func leaves(line string) bool {
	switch strings.TrimSpace(line) {
	case "exit", "quit", "logout":
		return true
	}
	return false
}

// lines runs what a program sends, a line each.
func (s *session) lines(ctx context.Context, in io.Reader, out, complaints io.Writer) (code int) {
	r := bufio.NewReaderSize(in, MaxLine+2)
	for ctx.Err() == nil {
		text, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			fmt.Fprintf(complaints, "gatepost: the command is longer than %d octets\n", MaxLine)
			return usage
		}
		line := strings.TrimRight(string(text), "\r\n")
		switch {
		case leaves(line):
			return code
		case strings.TrimSpace(line) != "":
			code = s.run(ctx, line, strings.NewReader(""), out, complaints)
		}
		if err != nil {
			return code
		}
	}
	return code
}

// typed runs what a person types at a terminal.
func (s *session) typed(ctx context.Context, in io.Reader, out io.Writer) (code int) {
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, s.v.s.Prompt)
	s.mu.Lock()
	s.edits = t
	_ = t.SetSize(s.width, s.height)
	s.mu.Unlock()
	fmt.Fprintln(t, s.v.s.Greeting)
	for ctx.Err() == nil {
		line, err := t.ReadLine()
		switch {
		case err != nil && !errors.Is(err, term.ErrPasteIndicator), leaves(line):
			return code
		case strings.TrimSpace(line) != "":
			code = s.run(ctx, line, strings.NewReader(""), t, t)
		}
	}
	return code
}

// reader notes that a client sends something.
type reader struct {
	io.Reader
	v *visit
}

func (r *reader) Read(b []byte) (int, error) {
	if len(b) == 0 { // term.Terminal has no room left for a key that has no end, and would ask again for ever, whoever is gone
		return 0, io.ErrShortBuffer
	}
	n, err := r.Reader.Read(b)
	if n > 0 {
		r.v.active()
	}
	return n, err
}

// writer gives a client so long for each piece; one that reads nothing has its connection closed, since nothing else ends a write
// that waits for a window (RFC 4254 section 5.2).
type writer struct {
	io.Writer
	v *visit
}

func (w *writer) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		part := b[:min(len(b), piece)]
		late := time.AfterFunc(orElse(w.v.s.Times.Write, writeTime), func() { _ = w.v.conn.Close() })
		var m int
		m, err = w.Writer.Write(part)
		late.Stop()
		w.v.active()
		n, b = n+m, b[m:]
	}
	return n, err
}

// crlf ends lines as a terminal wants them whose client shows octets as they come.
type crlf struct{ io.Writer }

func (c *crlf) Write(b []byte) (int, error) {
	if _, err := c.Writer.Write(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(b), nil
}
