package spamd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	maxLine    = 1024      // octets of a line of the reply's head
	maxLines   = 32        // lines of it
	maxBody    = 64 << 10  // octets of a report that are looked at
	maxDiscard = 16 << 20  // octets of a report that are read to see that it is whole
	maxNumber  = 1_000_000 // of a score, either way
)

// CodeError is a reply of spamd with a code other than EX_OK (sysexits.h).
type CodeError struct {
	Code int    // 64 to 79
	Text string // what spamd said, printable
}

// Codes that callers tell apart.
const (
	CodeUnavailable = 69 // EX_UNAVAILABLE
	CodeTempFail    = 75 // EX_TEMPFAIL
	CodeProtocol    = 76 // EX_PROTOCOL: spamd did not understand the request
	CodeTimeout     = 79 // EX_TIMEOUT: spamd gave up
)

// Error tells the code and spamd's words.
func (e *CodeError) Error() string { return fmt.Sprintf("spamd: refused with %d: %s", e.Code, e.Text) }

// Temporary says that spamd itself calls the failure temporary.
func (e *CodeError) Temporary() bool {
	return e.Code == CodeUnavailable || e.Code == CodeTempFail || e.Code == CodeTimeout
}

// answer is a whole reply with EX_OK.
type answer struct {
	spam             bool
	score, threshold float64
	body             []byte // nil when it was longer than maxBody
}

// readAnswer reads a reply to the end of the connection. Nothing may be missing
// from it and nothing may follow it.
func readAnswer(conn io.Reader) (answer, error) {
	r := bufio.NewReaderSize(conn, maxLine)
	if err := readStatus(r, "EX_OK"); err != nil {
		return answer{}, err
	}
	var a answer
	length := int64(-1)
	scored := false
	for range maxLines {
		line, err := readLine(r)
		if err != nil {
			return answer{}, err
		}
		if line == "" {
			if length < 0 || !scored {
				return answer{}, fmt.Errorf("%w: without a score or a length", ErrReply)
			}
			a.body, err = readBody(r, length)
			if err != nil {
				return answer{}, err
			}
			return a, nil
		}
		name, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "spam":
			if scored {
				return answer{}, fmt.Errorf("%w: two scores", ErrReply)
			}
			scored = true
			if err := a.parseSpam(value); err != nil {
				return answer{}, err
			}
		case "content-length":
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
			if err != nil || length >= 0 || n > maxDiscard {
				return answer{}, fmt.Errorf("%w: length %.40q", ErrReply, value)
			}
			length = int64(n)
		}
	}
	return answer{}, fmt.Errorf("%w: more than %d lines", ErrReply, maxLines)
}

// readStatus reads "SPAMD/1.x 0 TEXT" and wants exactly text.
func readStatus(r *bufio.Reader, text string) error {
	line, err := readLine(r)
	if err != nil {
		return err
	}
	version, rest, _ := strings.Cut(line, " ")
	number, said, _ := strings.Cut(rest, " ")
	minor, ok := strings.CutPrefix(version, "SPAMD/1.")
	if !ok || !digits(minor, 3) || !digits(number, 3) {
		return fmt.Errorf("%w: %.200q", ErrReply, line)
	}
	code, _ := strconv.Atoi(number)
	if code != 0 {
		return &CodeError{Code: code, Text: printable(said)}
	}
	if number != "0" || said != text {
		return fmt.Errorf("%w: %.200q", ErrReply, line)
	}
	return nil
}

// parseSpam reads " True ; 6.3 / 5.0". SpamAssassin rounds the score so that it
// is below the threshold exactly when the flag says so; a reply that disagrees
// with itself is not one of spamd's.
func (a *answer) parseSpam(value string) error {
	f := strings.Fields(value)
	if len(f) != 5 || f[1] != ";" || f[3] != "/" || f[0] != "True" && f[0] != "False" {
		return fmt.Errorf("%w: score %.80q", ErrReply, value)
	}
	var ok1, ok2 bool
	a.spam = f[0] == "True"
	a.score, ok1 = number(f[2])
	a.threshold, ok2 = number(f[4])
	if !ok1 || !ok2 || a.spam != (a.score >= a.threshold) {
		return fmt.Errorf("%w: score %.80q", ErrReply, value)
	}
	return nil
}

// readBody reads exactly length octets and the end. A body over maxBody is read
// through but not kept.
func readBody(r *bufio.Reader, length int64) ([]byte, error) {
	var body bytes.Buffer
	var keep io.Writer = &body
	if length > maxBody {
		keep = io.Discard
	}
	n, err := io.CopyN(keep, r, length)
	if err != nil {
		return nil, fmt.Errorf("%w: report cut off after %d of %d octets: %w", ErrReply, n, length, err)
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			return nil, fmt.Errorf("%w: octets after the report", ErrReply)
		}
		return nil, fmt.Errorf("%w: after the report: %w", ErrReply, err)
	}
	if length > maxBody {
		return nil, nil
	}
	return body.Bytes(), nil
}

// readLine reads one line that ends with CRLF and returns it without.
func readLine(r *bufio.Reader) (string, error) {
	raw, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("%w: line longer than %d octets", ErrReply, maxLine)
	case errors.Is(err, io.EOF) && len(raw) == 0:
		return "", fmt.Errorf("%w: connection closed", ErrReply)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("%w: cut off after %.200q", ErrReply, raw)
	case err != nil:
		return "", fmt.Errorf("spamd: read reply: %w", err)
	}
	line, ok := strings.CutSuffix(string(raw), "\r\n")
	if !ok {
		return "", fmt.Errorf("%w: %.200q does not end with CRLF", ErrReply, raw)
	}
	return line, nil
}

// digits says that s is one to most decimal digits.
func digits(s string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, "0123456789") == ""
}

// number reads [-]DIGITS[.DIGITS], and nothing else that strconv knows.
func number(s string) (float64, bool) {
	whole, frac, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if !digits(whole, 7) || point && !digits(frac, 15) {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	if n == 0 {
		n = 0 // spamd writes "-0.0"; nobody wants to read it
	}
	return n, err == nil && n <= maxNumber && n >= -maxNumber
}

// printable makes a short text out of what a server said.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 200)])
}
