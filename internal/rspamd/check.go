package rspamd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Request is one message to check, with what the connection said of it. What is empty is not told.
type Request struct {
	Message io.Reader // of which exactly Size octets are read
	Size    int64
	IP      string   // of the client
	Helo    string   // what it called itself
	Name    string   // its verified reverse name
	From    string   // the reverse-path in angle brackets: "<>" for the null one
	Rcpts   []string // without angle brackets; at most MaxRcpts are told
	ID      string   // of the transaction
	Host    string   // our own name
	Cipher  string   // of the TLS session
	Version string   // of TLS: "TLSv1.3"
}

// MaxRcpts is how many recipients rspamd is told of: each is a field of its own.
const MaxRcpts = 100

// maxField is the longest value that is told; longer ones are left out.
const maxField = 1000

// Result of a check.
type Result struct {
	Report
	Duration time.Duration // of the whole call
}

// Check asks rspamd for the score of a message. The errors are ErrTooBig, ErrSource, ErrRequest, ErrUnreachable, ErrReply,
// the context's, or a network error.
func (c *Client) Check(ctx context.Context, req Request) (Result, error) {
	start := time.Now()
	text, server, err := c.post(ctx, "/checkv2", req.Message, req.Size, req.fields(), http.StatusOK)
	var r Report
	if err == nil {
		r, err = parseReport(text)
	}
	if err != nil {
		return Result{}, fmt.Errorf("rspamd: check at %s: %w", c.cfg.Address, err)
	}
	r.Version = version(server)
	return Result{Report: r, Duration: time.Since(start)}, nil
}

// fields are the header fields that tell the envelope.
func (r *Request) fields() http.Header {
	h := http.Header{}
	for _, f := range [...][2]string{{"IP", r.IP}, {"Helo", r.Helo}, {"Hostname", r.Name}, {"From", r.From}, {"Queue-Id", r.ID},
		{"MTA-Name", r.Host}, {"TLS-Cipher", r.Cipher}, {"TLS-Version", r.Version}} {
		add(h, f[0], f[1])
	}
	for _, rcpt := range r.Rcpts[:min(len(r.Rcpts), MaxRcpts)] {
		add(h, "Rcpt", rcpt)
	}
	return h
}

// add adds a field whose value can stand in one.
func add(h http.Header, name, value string) {
	if value != "" && len(value) <= maxField && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		h.Add(name, value)
	}
}

// source reads a message, and keeps what was wrong with it: of an error of a call it tells whose fault it is. The HTTP client
// reads it beside us and may do so after it answered; behind shut it touches the message no more.
type source struct {
	mu   sync.Mutex
	r    io.Reader
	left int64
	err  error
	over bool
}

func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, io.ErrClosedPipe
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.r.Read(b[:min(int64(len(b)), s.left)])
	s.left -= int64(n)
	if err != nil && s.left > 0 {
		s.err = fmt.Errorf("%w: %d octets missing: %w", ErrSource, s.left, err)
		return n, s.err
	}
	return n, nil
}

// shut ends the reading and returns how much was not read, and what was wrong with it.
func (s *source) shut() (left int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	return s.left, s.err
}

// post sends one message and returns the body of the reply, which must have the wanted status, and who says that it answers.
func (c *Client) post(ctx context.Context, path string, message io.Reader, size int64, fields http.Header, want int) (body []byte, server string, err error) {
	if size < 0 || message == nil {
		return nil, "", fmt.Errorf("%w: no message", ErrRequest)
	}
	if size > c.cfg.MaxSize {
		return nil, "", fmt.Errorf("%w of %d octets: %d", ErrTooBig, c.cfg.MaxSize, size)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	src := &source{r: message, left: size}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://rspamd"+path, src)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrRequest, err)
	}
	req.ContentLength, req.Header = size, fields
	req.Header.Set("User-Agent", "gatepost")
	resp, err := c.http.Do(req)
	if err != nil {
		_, fault := src.shut()
		return nil, "", blamed(ctx, fault, err)
	}
	defer resp.Body.Close()
	body, err = readBody(resp)
	left, fault := src.shut()
	switch {
	case err != nil || fault != nil:
		return nil, "", blamed(ctx, fault, err)
	case resp.StatusCode != want:
		return nil, "", &statusError{resp.StatusCode, printable(said(body, resp.Status))}
	case left > 0:
		// A result for a message that it did not read whole is none.
		return nil, "", fmt.Errorf("%w: it answered before it had read the message", ErrReply)
	}
	return body, resp.Header.Get("Server"), nil
}

// blamed words an error: that of the message first, then the end of the call. The URL, which is none, is kept out of it.
func blamed(ctx context.Context, source, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case source != nil:
		return source
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return err
}
