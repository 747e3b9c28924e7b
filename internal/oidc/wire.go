package oidc

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
)

// bounded asks over https only, or where clear is set over http too, and reads no more than maxAnswer of an answer.
type bounded struct {
	next  http.RoundTripper
	clear bool
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !b.clear {
		return nil, errors.New("it is not https")
	}
	answer, err := b.next.RoundTrip(r)
	if err == nil {
		answer.Body = &capped{answer.Body, maxAnswer}
	}
	return answer, err
}

// capped is a body that fails where it goes on beyond what is left.
type capped struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (c *capped) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.left -= n; c.left < 0 {
		return 0, fmt.Errorf("its answer has more than %d octets", maxAnswer)
	}
	return n, err
}

// away and refused word an error, which may have what the issuer sent, for a line of a log.
func away(err error) error { return fmt.Errorf("%w: %s", ErrAway, line(err.Error())) }

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, line(fmt.Sprintf(format, args...)))
}

// line cuts a text to what a line can show.
func line(text string) string {
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, ""))
	if r := []rune(text); len(r) > 300 {
		return string(r[:300]) + "..."
	}
	return text
}
