package dialog

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"time"
)

// Hooks are what a script needs from the test that runs it.
type Hooks struct {
	// Dial connects to the server.
	Dial func(ctx context.Context) (net.Conn, error)
	// TLS is the client's configuration for "-- tls".
	TLS *tls.Config
	// Send has the octets of each "-- send NAME".
	Send map[string][]byte
	// Arrived compares what arrived behind the server with the lines of one run of N:
	// steps. An error fails the script at the first of them.
	Arrived func(ctx context.Context, lines []string) error
	// Do has a function for each name of the test's own: "-- NAME ARGUMENT...". An
	// error fails the script at that line.
	Do map[string]func(ctx context.Context, args []string) error
}

// Error is a script that failed, with all that was said until then.
type Error struct {
	Script     string
	Line       int
	Step       string // the line of the script
	Err        error
	Transcript string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d: %s\n\t%v\n%s", e.Script, e.Line, e.Step, e.Err, e.Transcript)
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// stepTime bounds a step that waits for the server.
const stepTime = 10 * time.Second

// maxLine bounds a line of the server.
const maxLine = 64 << 10

// Run plays the script: it connects, takes the steps one by one, and closes the
// connection. A failure is an *Error.
func (s *Script) Run(ctx context.Context, h Hooks) error {
	r := &runner{hooks: h, limit: stepTime, values: make(map[string]string)}
	defer r.close()
	fail := func(st step, err error) error {
		return &Error{Script: s.Name, Line: st.line, Step: st.text, Err: err, Transcript: r.transcript.String()}
	}
	for i, st := range s.steps {
		if err := ctx.Err(); err != nil {
			return fail(st, err)
		}
		if i == 0 && !(st.kind == directive && st.args[0] == "connect") {
			if err := r.connect(ctx); err != nil {
				return fail(st, err)
			}
		}
		if err := r.step(ctx, st); err != nil {
			return fail(st, err)
		}
	}
	// What came and nobody expected is an error also at the end.
	if err := r.end(); err != nil {
		return fail(s.steps[len(s.steps)-1], err)
	}
	return nil
}

// runner is a script that runs.
type runner struct {
	hooks      Hooks
	conn       net.Conn
	in         *bufio.Reader
	limit      time.Duration
	skipping   bool              // after "S: ...": lines may pass until one matches
	values     map[string]string // named groups
	transcript strings.Builder
}

func (r *runner) connect(ctx context.Context) error {
	r.close()
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	conn, err := r.hooks.Dial(ctx)
	if err != nil {
		return err
	}
	r.conn, r.in = conn, bufio.NewReaderSize(conn, maxLine)
	return nil
}

func (r *runner) close() {
	if r.conn != nil {
		r.conn.Close()
	}
	r.conn, r.in = nil, nil
}

func (r *runner) step(ctx context.Context, st step) error {
	if st.kind == expect {
		return r.expect(st.re)
	}
	if err := r.end(); err != nil {
		return err
	}
	if st.kind == send {
		return r.send([]byte(r.fill(st.data)), st.text)
	}
	args := make([]string, len(st.args))
	for i, arg := range st.args {
		args[i] = r.fill(arg)
	}
	fmt.Fprintf(&r.transcript, "    %s\n", st.text)
	if st.kind == arrived {
		if r.hooks.Arrived == nil {
			return errors.New("the test does not look at what arrived, as N: asks")
		}
		return r.hooks.Arrived(ctx, args)
	}
	return r.directive(ctx, args)
}

// end takes the rest of a reply that "S: ..." stands for, and refuses lines that
// are here already and that no step expects.
func (r *runner) end() error {
	for r.skipping {
		line, err := r.read()
		if err != nil {
			return err
		}
		r.skipping = continues(line)
	}
	if r.in == nil {
		return nil
	}
	if n := r.in.Buffered(); n > 0 {
		extra, _ := r.in.Peek(n)
		return fmt.Errorf("the server says more than the script expects: %q", extra)
	}
	return nil
}

// continues says whether more lines of the same reply follow (RFC 5321 section 4.2.1).
func continues(line string) bool { return len(line) > 3 && line[3] == '-' }

// fill puts values in the place of $name, and $ in the place of the $$ that an
// escape made; an unknown name stays as it is.
func (r *runner) fill(s string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	name := regexp.MustCompile(`\$(\$|[a-z]+)`)
	return name.ReplaceAllStringFunc(s, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, ok := r.values[found[1:]]; ok {
			return value
		}
		return found
	})
}

func (r *runner) send(data []byte, text string) error {
	if r.conn == nil {
		return errors.New("the connection is closed")
	}
	fmt.Fprintf(&r.transcript, "    %s\n", text)
	if err := r.conn.SetWriteDeadline(time.Now().Add(r.limit)); err != nil {
		return err
	}
	if _, err := r.conn.Write(data); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

func (r *runner) expect(re *regexp.Regexp) error {
	if re == nil {
		// After a final line the next reply begins, and all of it may be skipped.
		r.skipping = true
		return nil
	}
	for {
		line, err := r.read()
		if err != nil {
			return err
		}
		if found := re.FindStringSubmatch(line); found != nil {
			for i, group := range re.SubexpNames() {
				if group != "" {
					r.values[group] = found[i]
				}
			}
			r.skipping = false
			return nil
		}
		if !r.skipping || !continues(line) {
			return fmt.Errorf("the server said %q", line)
		}
	}
}

// read reads one line and notes it. Its end must be CRLF.
func (r *runner) read() (string, error) {
	if r.conn == nil {
		return "", errors.New("the connection is closed")
	}
	if err := r.conn.SetReadDeadline(time.Now().Add(r.limit)); err != nil {
		return "", err
	}
	b, err := r.in.ReadSlice('\n')
	line := string(b)
	if err != nil {
		fmt.Fprintf(&r.transcript, "    S< %q, then %v\n", line, err)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "", fmt.Errorf("the server said %q and nothing more for %v", line, r.limit)
		case errors.Is(err, io.EOF):
			return "", fmt.Errorf("the server said %q and closed the connection", line)
		}
		return "", fmt.Errorf("read: %w", err)
	}
	fmt.Fprintf(&r.transcript, "    S< %s\n", strings.TrimRight(line, "\r\n"))
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return "", fmt.Errorf("the server's line %q does not end in CRLF", line)
	}
	return text, nil
}
