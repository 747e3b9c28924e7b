package icap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Bounds of what a server sends.
const (
	maxLine    = 8 << 10
	maxLines   = 128
	maxHeader  = 64 << 10 // octets of an encapsulated header section
	maxText    = 200      // octets of what it says that are kept
	maxTrailer = 16       // lines behind the last chunk
)

// reader reads lines and chunks, strictly.
type reader struct {
	r     *bufio.Reader
	heard bool // an octet came
}

func newReader(c net.Conn) reader { return reader{r: bufio.NewReaderSize(c, maxLine)} }

// line reads one line that ends with CRLF and returns it without.
func (r *reader) line() (string, error) {
	raw, err := r.r.ReadSlice('\n')
	r.heard = r.heard || len(raw) > 0
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("%w: line longer than %d octets", ErrReply, maxLine)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("%w: connection closed behind %.100q", ErrReply, raw)
	case err != nil:
		return "", fmt.Errorf("icap: read: %w", err)
	}
	line, ok := strings.CutSuffix(string(raw), "\r\n")
	if !ok {
		return "", fmt.Errorf("%w: %.100q does not end with CRLF", ErrReply, raw)
	}
	return line, nil
}

// head is the status line and the header section of a reply.
type head struct {
	code   int
	fields map[string]string // names in lower case; lines of one value stand behind each other, parted by LF
}

// head reads a head.
func (r *reader) head() (head, error) {
	status, err := r.line()
	if err != nil {
		return head{}, err
	}
	version, rest, _ := strings.Cut(status, " ")
	number, _, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(number)
	if version != "ICAP/1.0" || err != nil || len(number) != 3 || code < 100 {
		return head{}, fmt.Errorf("%w: %.100q", ErrReply, status)
	}
	h := head{code: code, fields: map[string]string{}}
	last := ""
	for range maxLines {
		line, err := r.line()
		if err != nil {
			return head{}, err
		}
		if line == "" {
			return h, nil
		}
		if line[0] == ' ' || line[0] == '\t' {
			if last == "" {
				return head{}, fmt.Errorf("%w: begins with a folded line", ErrReply)
			}
			h.fields[last] += "\n" + strings.TrimSpace(line)
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		last = strings.ToLower(strings.TrimSpace(name))
		if !ok || last == "" {
			return head{}, fmt.Errorf("%w: %.100q is no field", ErrReply, line)
		}
		if before, twice := h.fields[last]; twice && (last == "encapsulated" || last == "preview") && before != strings.TrimSpace(value) {
			return head{}, fmt.Errorf("%w: two fields %s", ErrReply, last)
		}
		h.fields[last] = strings.TrimSpace(value)
	}
	return head{}, fmt.Errorf("%w: more than %d lines", ErrReply, maxLines)
}

// parts reads the field Encapsulated (RFC 3507 section 4.4.1): how long the header sections are that come before the body,
// and whether there is one.
func (h *head) parts() (headers int64, body bool, err error) {
	value, ok := h.fields["encapsulated"]
	if !ok {
		return 0, false, nil
	}
	bad := fmt.Errorf("%w: Encapsulated: %.100q", ErrReply, value)
	names := map[string]bool{}
	last, ended := int64(-1), false
	for item := range strings.SplitSeq(value, ",") {
		name, number, ok := strings.Cut(strings.TrimSpace(item), "=")
		at, err := strconv.ParseInt(number, 10, 32)
		if !ok || err != nil || number[0] < '0' || number[0] > '9' || at < last || last < 0 && at != 0 || ended || names[name] || at > maxHeader {
			return 0, false, bad
		}
		names[name], last = true, at
		switch name {
		case "req-hdr", "res-hdr":
		case "req-body", "res-body", "opt-body":
			body, ended = true, true
		case "null-body":
			ended = true
		default:
			return 0, false, bad
		}
	}
	if !ended {
		return 0, false, bad
	}
	return last, body, nil
}

// chunks reads a body in chunks to its end and hands each piece to take. most bounds it.
func (r *reader) chunks(most int64, take func(b []byte) error) error {
	buffer := make([]byte, 16<<10)
	for {
		line, err := r.line()
		if err != nil {
			return err
		}
		digits, _, _ := strings.Cut(line, ";")
		digits = strings.TrimRight(digits, " ")
		n, err := strconv.ParseUint(digits, 16, 31)
		if err != nil || digits == "" || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
			return fmt.Errorf("%w: chunk of %.40q octets", ErrReply, line)
		}
		if n == 0 {
			return r.trailer()
		}
		if most -= int64(n); most < 0 {
			return fmt.Errorf("%w: its content is too long", ErrReply)
		}
		for left := int(n); left > 0; {
			m, err := io.ReadFull(r.r, buffer[:min(left, len(buffer))])
			if err != nil {
				return fmt.Errorf("%w: cut off within a chunk: %w", ErrReply, err)
			}
			left -= m
			if err := take(buffer[:m]); err != nil {
				return err
			}
		}
		if end, err := r.line(); err != nil || end != "" {
			return errors.Join(err, fmt.Errorf("%w: a chunk that does not end", ErrReply))
		}
	}
}

func (r *reader) trailer() error {
	for range maxTrailer {
		line, err := r.line()
		if err != nil || line == "" {
			return err
		}
	}
	return fmt.Errorf("%w: a trailer of more than %d lines", ErrReply, maxTrailer)
}

// printable makes a short text out of what a server said.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), maxText)])
}
