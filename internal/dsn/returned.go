package dsn

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// read takes the header section of the message, and all of it where it is to be returned whole and is small enough (else
// nil).
func (r *Report) read() (head, all []byte, err error) {
	if r.Message == nil {
		return nil, nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(r.Message, maxCopy+1))
	if err != nil {
		return nil, nil, err
	}
	whole := len(b) <= maxCopy
	if picks := len(r.Drop) > 0 || r.Only != nil; picks {
		if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 {
			b = append(r.picked(b[:end+2]), b[end+2:]...)
		} else {
			b = r.picked(b)
		}
	}
	if r.Full && whole && r.Only == nil {
		all = b
	}
	head = b
	if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 {
		head = b[:end+2]
	}
	if bytes.HasPrefix(b, []byte("\r\n")) {
		head = nil // there is none
	}
	if len(head) > maxCopy { // cut at the end of a line
		head = head[:maxCopy]
		if end := bytes.LastIndex(head, []byte("\r\n")); end >= 0 {
			head = head[:end+2]
		}
	}
	return head, all, nil
}

// picked is a header section without the fields of Drop, or with those of Only alone.
func (r *Report) picked(head []byte) []byte {
	out := make([]byte, 0, len(head))
	dropping := false
	for line := range bytes.SplitAfterSeq(head, []byte("\r\n")) {
		if len(line) == 0 || line[0] != ' ' && line[0] != '\t' { // else it goes on with the field before
			begins := func(start string) bool {
				return len(line) >= len(start) && strings.EqualFold(string(line[:len(start)]), start)
			}
			dropping = slices.ContainsFunc(r.Drop, begins) || r.Only != nil && !slices.ContainsFunc(r.Only, begins)
		}
		if !dropping {
			out = append(out, line...)
		}
	}
	return out
}

// returned is the third part (RFC 6522 section 2): the message, or its header section. A message whose octets could not pass
// every server as they are is not returned whole, since a message within a message may not be encoded (RFC 2046 section 5.2.1).
func (r *Report) returned(head, all []byte, global bool) []byte {
	switch {
	case all != nil && passes(all, false):
		return join("Content-Type: message/rfc822\r\n\r\n", all)
	case all != nil && global && passes(all, true):
		return join("Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", all)
	case len(head) == 0:
		return nil
	case passes(head, false):
		return join("Content-Type: text/rfc822-headers\r\n\r\n", head)
	case global && passes(head, true):
		return join("Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", head)
	}
	return join("Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", quoted(head))
}

func join(header string, content []byte) []byte { return append([]byte(header), content...) }

// passes reports whether octets can stand in a mail as they are: lines that end in CRLF, of a length that all take, of ASCII
// or, where that may be, of UTF-8, and no NUL.
func passes(b []byte, eightBit bool) bool {
	if eightBit && !utf8.Valid(b) {
		return false
	}
	width := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\r' && i+1 < len(b) && b[i+1] == '\n':
			i++
			width = 0
			continue
		case c == 0 || c == '\r' || c == '\n' || c >= 0x80 && !eightBit:
			return false
		}
		if width++; width > maxLine {
			return false
		}
	}
	return true
}
