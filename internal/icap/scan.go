package icap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Kind of a verdict. The zero value is none.
type Kind uint8

// The verdicts.
const (
	NoVerdict Kind = iota
	Clean
	Infected // the service names what it found
	Blocked  // it shows another page, or other content, and names nothing
)

func (k Kind) String() string { return [...]string{"no verdict", "clean", "infected", "blocked"}[k] }

// Content is one file to look at.
type Content struct {
	Name string // shown to the service as the path of a URL; made printable
	Type string // media type
	Data io.ReaderAt
	Size int64
}

// Result of a scan.
type Result struct {
	Kind     Kind
	Found    string // the name of what was found; printable; "" where the service names none
	How      string // how it said so: "204", "unchanged", "X-Infection-Found", "X-Virus-ID", "X-Violations-Found", "status 403", "changed"
	ISTag    string // the state of the service
	Service  string // what it calls itself
	Duration time.Duration
}

// Scan has a service look at content. The errors are ErrTooBig, ErrSource, ErrUnreachable, ErrReply, ErrStatus, the
// context's, or a network error.
func (c *Client) Scan(ctx context.Context, content Content) (Result, error) {
	start := time.Now()
	if content.Size > c.cfg.MaxSize {
		return Result{}, fmt.Errorf("icap: scan at %s: %w of %d octets: %d", c.cfg.Address, ErrTooBig, c.cfg.MaxSize, content.Size)
	}
	o, err := c.Options(ctx)
	if err != nil {
		return Result{}, err
	}
	var r Result
	err = c.with(ctx, func(_ context.Context, k *conn) (keep bool, err error) {
		x := exchange{c: c, k: k, content: &content, preview: o.Preview}
		r, keep, err = x.run()
		return keep, err
	})
	if err != nil {
		return Result{}, fmt.Errorf("icap: scan at %s: %w", c.cfg.Address, err)
	}
	r.Service, r.Duration = o.Service, time.Since(start)
	if r.ISTag == "" {
		r.ISTag = o.ISTag
	}
	return r, nil
}

// exchange is one request and its reply.
type exchange struct {
	c       *Client
	k       *conn
	content *Content
	preview int // octets; -1 for none
	sent    int64
}

// request writes the heads: ours, and those of the HTTP message that the content pretends to be the body of.
func (x *exchange) request(w *bufio.Writer) {
	c := x.c
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r) {
			return r
		}
		return '_'
	}, x.content.Name[:min(len(x.content.Name), 100)])
	kind := x.content.Type
	if kind == "" || len(kind) > 100 || strings.ContainsFunc(kind, func(r rune) bool { return r < ' ' || r > '~' }) {
		kind = "application/octet-stream"
	}
	length := strconv.FormatInt(x.content.Size, 10)
	request, response := "GET http://mail.invalid/"+name+" HTTP/1.1\r\nHost: mail.invalid\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: "+kind+"\r\nContent-Length: "+length+"\r\n\r\n"
	method, places := "RESPMOD", "req-hdr=0, res-hdr="+strconv.Itoa(len(request))+", res-body="+strconv.Itoa(len(request)+len(response))
	if c.cfg.Request {
		request, response = "POST http://mail.invalid/"+name+" HTTP/1.1\r\nHost: mail.invalid\r\nContent-Type: "+kind+"\r\nContent-Length: "+length+"\r\n\r\n", ""
		method, places = "REQMOD", "req-hdr=0, req-body="+strconv.Itoa(len(request))
	}
	fmt.Fprintf(w, "%s icap://%s/%s ICAP/1.0\r\nHost: %s\r\nUser-Agent: gatepost\r\nAllow: 204\r\n", method, c.cfg.Address, c.cfg.Service, c.cfg.Address)
	if x.preview >= 0 {
		fmt.Fprintf(w, "Preview: %d\r\n", x.preview)
	}
	fmt.Fprintf(w, "Encapsulated: %s\r\n\r\n%s%s", places, request, response)
}

// body writes content up to an offset, in chunks.
func (x *exchange) body(w *bufio.Writer, to int64) error {
	buffer := make([]byte, min(to-x.sent, 32<<10))
	for x.sent < to {
		piece := buffer[:min(to-x.sent, int64(len(buffer)))]
		if n, err := x.content.Data.ReadAt(piece, x.sent); n < len(piece) {
			return fmt.Errorf("%w: %w", ErrSource, errors.Join(err, io.ErrUnexpectedEOF))
		}
		fmt.Fprintf(w, "%x\r\n", len(piece))
		_, _ = w.Write(piece)
		if _, err := w.WriteString("\r\n"); err != nil {
			return fmt.Errorf("icap: write: %w", err)
		}
		x.sent += int64(len(piece))
	}
	return nil
}

// run shows the beginning first where the service wants it so (RFC 3507 section 4.5), and reads the verdict beside writing
// the rest: a service may send what it has seen back before it has seen all.
func (x *exchange) run() (r Result, keep bool, err error) {
	w := bufio.NewWriterSize(x.k, 64<<10)
	x.request(w)
	first := x.content.Size
	if x.preview >= 0 {
		first = min(first, int64(x.preview))
	}
	rest := first < x.content.Size
	if x.preview >= 0 {
		err = x.body(w, first)
		end := "0; ieof\r\n\r\n"
		if rest {
			end = "0\r\n\r\n"
		}
		_, _ = w.WriteString(end)
		if ferr := w.Flush(); err == nil && ferr != nil {
			err = fmt.Errorf("icap: write: %w", ferr)
		}
		if err != nil {
			return r, false, err
		}
		h, err := x.k.head()
		if err != nil {
			return r, false, err
		}
		if h.code != 100 {
			return x.verdict(h, true) // it needs no more to know
		}
		if !rest {
			return r, false, fmt.Errorf("%w: it wants more than there is", ErrReply)
		}
	}
	wrote := make(chan error, 1)
	go func() {
		err := x.body(w, x.content.Size)
		if err == nil {
			_, _ = w.WriteString("0\r\n\r\n")
			if err = w.Flush(); err != nil {
				err = fmt.Errorf("icap: write: %w", err)
			}
		} else {
			x.k.Close() // the server must not take it for whole
		}
		wrote <- err
	}()
	h, err := x.k.head()
	if err == nil {
		r, keep, err = x.verdict(h, false)
	}
	if err != nil || r.Kind != Clean {
		x.k.Close() // ends the writing; the connection is not kept
		if werr := <-wrote; errors.Is(werr, ErrSource) || err == nil && werr != nil && r.Kind == NoVerdict {
			return Result{}, false, werr
		}
		return r, false, err
	}
	if err := <-wrote; err != nil {
		return Result{}, false, err // clean is only what was sent whole
	}
	return r, keep, nil
}

// verdict reads the rest of a reply.
func (x *exchange) verdict(h head, early bool) (r Result, keep bool, err error) {
	headers, body, err := h.parts()
	if err != nil {
		return r, false, err
	}
	r.ISTag = printable(strings.Trim(h.fields["istag"], `"`))
	keep = !strings.EqualFold(h.fields["connection"], "close")
	found, how := h.finds()
	switch {
	case h.code == 204:
		if body || headers > 0 {
			return r, false, fmt.Errorf("%w: 204 with content", ErrReply)
		}
		if how != "" {
			r.Kind, r.Found, r.How = Infected, found, how
			return r, keep, nil
		}
		r.Kind, r.How = Clean, "204"
		if early && x.sent < x.content.Size {
			r.How = "204 to the first " + strconv.FormatInt(x.sent, 10) + " octets" // it says that it needs no more of this kind
		}
		return r, keep, nil
	case h.code != 200 && h.code != 206:
		return r, false, fmt.Errorf("%w with %d", ErrStatus, h.code)
	}
	if how != "" {
		r.Kind, r.Found, r.How = Infected, found, how
		return r, false, nil // what it would show in its place is nobody's concern
	}
	status, err := x.encapsulated(headers)
	if err != nil {
		return r, false, err
	}
	same := body && h.code == 200
	at := int64(0)
	buffer := make([]byte, 0, 16<<10)
	if body {
		err = x.k.chunks(2*x.c.cfg.MaxSize+(1<<20), func(b []byte) error {
			if same && at+int64(len(b)) <= x.content.Size {
				buffer = buffer[:len(b)]
				if n, err := x.content.Data.ReadAt(buffer, at); n < len(b) {
					return fmt.Errorf("%w: %w", ErrSource, errors.Join(err, io.ErrUnexpectedEOF))
				}
				same = bytes.Equal(b, buffer)
			} else {
				same = false
			}
			at += int64(len(b))
			return nil
		})
	}
	switch {
	case err != nil:
		return Result{}, false, err
	case status != 0 && status != 200:
		r.Kind, r.How = Blocked, "status "+strconv.Itoa(status)
	case same && at == x.content.Size:
		r.Kind, r.How = Clean, "unchanged"
	default:
		r.Kind, r.How = Blocked, "changed"
	}
	return r, keep && err == nil, nil
}

// encapsulated reads header sections and returns the HTTP status of the last; 0 for none, as of a request.
func (x *exchange) encapsulated(size int64) (status int, err error) {
	raw := make([]byte, size)
	if _, err := io.ReadFull(x.k.r, raw); err != nil {
		return 0, fmt.Errorf("%w: cut off within a header section: %w", ErrReply, err)
	}
	for section := range bytes.SplitSeq(raw, []byte("\r\n\r\n")) {
		line, _, _ := bytes.Cut(section, []byte("\r\n"))
		version, rest, _ := strings.Cut(string(line), " ")
		if !strings.HasPrefix(version, "HTTP/") {
			continue
		}
		number, _, _ := strings.Cut(rest, " ")
		if status, err = strconv.Atoi(number); err != nil || status < 100 || status > 999 {
			return 0, fmt.Errorf("%w: HTTP status %.40q", ErrReply, line)
		}
	}
	return status, nil
}

// finds tells what the fields of a reply name as found, and which of them.
func (h *head) finds() (name, how string) {
	if v, ok := h.fields["x-infection-found"]; ok {
		for item := range strings.SplitSeq(v, ";") {
			if k, threat, _ := strings.Cut(strings.TrimSpace(item), "="); strings.EqualFold(k, "Threat") {
				name = threat
			}
		}
		return printable(name), "X-Infection-Found"
	}
	if v, ok := h.fields["x-virus-id"]; ok {
		return printable(v), "X-Virus-ID"
	}
	if v, ok := h.fields["x-violations-found"]; ok {
		// A number, and of each find its file, its name, and two more lines.
		lines := strings.Split(v, "\n")
		if strings.TrimSpace(lines[0]) == "0" {
			return "", ""
		}
		if len(lines) > 2 {
			name = strings.TrimSpace(lines[2])
		}
		return printable(name), "X-Violations-Found"
	}
	return "", ""
}
