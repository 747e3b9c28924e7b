package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Swaks is what the swaks program shall send: the way a mail admin tests.
type Swaks struct {
	Server string // host:port
	Hello  string // its name; empty: client.lab.test
	From   string // may be empty: the null reverse-path
	To     []string
	Data   []byte   // the message, lines ended by CRLF; nil: swaks' own
	TLS    bool     // STARTTLS, without a look at the certificate
	Args   []string // more arguments, such as --quit-after RCPT
}

// SwaksResult is what came of it.
type SwaksResult struct {
	Code       int    // swaks' exit code: 0 when the server took the message
	Reply      string // the first refusal, else the reply after the dot
	Transcript string // all that was said, as swaks shows it
}

// Send runs swaks. A refusal by the server, or a connection that it closes, is no
// error; no connection and a swaks that does not run or does not end are.
func (s Swaks) Send(ctx context.Context) (SwaksResult, error) {
	path, err := program("swaks", "swaks")
	if err != nil {
		return SwaksResult{}, err
	}
	if s.Hello == "" {
		s.Hello = "client.lab.test"
	}
	from := s.From
	if from == "" {
		from = "<>"
	}
	args := []string{"--server", s.Server, "--ehlo", s.Hello, "--to", strings.Join(s.To, ","), "--from", from, "--timeout", "120s"}
	if s.TLS {
		args = append(args, "--tls")
	}
	if s.Data != nil {
		name, err := messageFile(s.Data)
		if err != nil {
			return SwaksResult{}, err
		}
		defer os.Remove(name)
		// Without its fixing, which would change octets; so the dots are our work.
		args = append(args, "--data", "@"+name, "--no-data-fixup", "--suppress-data")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append(args, s.Args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return SwaksResult{}, fmt.Errorf("swaks: %w\n%s", err, out)
	}
	r := SwaksResult{Code: cmd.ProcessState.ExitCode(), Transcript: string(out)}
	// Below 20 are troubles of its own; 6 is a connection that was lost in the session.
	if r.Code > 0 && r.Code < 20 && r.Code != 6 {
		return r, fmt.Errorf("swaks: exit code %d\n%s", r.Code, out)
	}
	r.Reply = swaksReply(r.Transcript)
	return r, nil
}

// messageFile writes a message to a file as swaks shall send it: with dots doubled
// (RFC 5321 section 4.5.2) and the ending dot, whose CRLF swaks adds.
func messageFile(data []byte) (string, error) {
	f, err := os.CreateTemp("", "swaks-*.eml")
	if err != nil {
		return "", fmt.Errorf("swaks: %w", err)
	}
	if bytes.HasPrefix(data, []byte(".")) {
		data = append([]byte("."), data...)
	}
	stuffed := bytes.ReplaceAll(data, []byte("\r\n."), []byte("\r\n.."))
	if !bytes.HasSuffix(stuffed, []byte("\r\n")) {
		stuffed = append(stuffed, "\r\n"...)
	}
	_, err = f.Write(append(stuffed, '.'))
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("swaks: %w", err)
	}
	return f.Name(), nil
}

// swaksReply finds the decisive reply: swaks marks a refusal with two asterisks;
// without one it is the first after the 354.
func swaksReply(transcript string) string {
	last, body := "", false
	for line := range strings.Lines(transcript) {
		line = strings.TrimRight(line, "\r\n")
		// In clear "<-  " and "<** ", inside TLS "<~  " and "<~* ".
		if len(line) < 4 {
			continue
		}
		switch line[:4] {
		case "<** ", "<~* ":
			return line[4:]
		case "<-  ", "<~  ":
			if body && last == "" {
				last = line[4:]
			}
			body = body || strings.HasPrefix(line[4:], "354")
		}
	}
	return last
}
