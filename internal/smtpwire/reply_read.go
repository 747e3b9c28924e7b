package smtpwire

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of one reply of the next hop.
const (
	maxReplyIn    = LineBuffer // octets of a line; RFC 5321 says 512
	maxReplyLines = 100
	maxReplyBytes = 64 << 10
)

// What can be wrong with a reply. After each the connection must be closed.
var (
	// ErrReplySyntax: no three-digit code from 200 to 599, or no space or
	// hyphen after it.
	ErrReplySyntax = errors.New("reply: bad syntax")
	// ErrReplyCodes: the lines of one reply have different codes.
	ErrReplyCodes = errors.New("reply: lines with different codes")
	// ErrReplyLength: a line, the lines or all of it over the limit.
	ErrReplyLength = errors.New("reply: too long")
)

// ReadReply reads one reply of the next hop (RFC 5321 section 4.2). Lines has
// the text as it came, which may hold any octet but CR, LF and NUL: pass it
// through Clean before it is shown. The enhanced code is taken from the first
// line, and only when its class is that of the code; it is removed from each
// line that has the same.
//
// On an error, no matter which, the connection must be closed. io.EOF means
// that it ended before the first octet of the reply.
func (r *Reader) ReadReply() (Reply, error) {
	var rep Reply
	total := 0
	for {
		line, err := r.ReadLine(maxReplyIn)
		if errors.Is(err, ErrLineTooLong) || errors.Is(err, ErrFlood) {
			return Reply{}, fmt.Errorf("%w: line", ErrReplyLength)
		}
		if err != nil && InStep(err) {
			return Reply{}, fmt.Errorf("%w: %v", ErrReplySyntax, err)
		}
		if err == io.EOF && len(rep.Lines) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Reply{}, fmt.Errorf("reply: %w", err)
		}
		code, text, last, ok := splitReply(line.Text)
		if !ok {
			return Reply{}, fmt.Errorf("%w: %q", ErrReplySyntax, Clean(string(line.Text), 80))
		}
		if len(rep.Lines) > 0 && code != rep.Code {
			return Reply{}, fmt.Errorf("%w: %d, then %d", ErrReplyCodes, rep.Code, code)
		}
		rep.Code = code
		rep.Lines = append(rep.Lines, text)
		total += len(line.Text)
		if last {
			rep.takeEnhanced()
			return rep, nil
		}
		if len(rep.Lines) >= maxReplyLines || total > maxReplyBytes {
			return Reply{}, fmt.Errorf("%w: %d lines, %d octets", ErrReplyLength, len(rep.Lines), total)
		}
	}
}

func splitReply(b []byte) (code int, text string, last, ok bool) {
	if len(b) < 3 || b[0] < '2' || b[0] > '5' || !isDigit(b[1]) || !isDigit(b[2]) {
		return 0, "", false, false
	}
	code = int(b[0]-'0')*100 + int(b[1]-'0')*10 + int(b[2]-'0')
	if len(b) == 3 {
		return code, "", true, true
	}
	if b[3] != ' ' && b[3] != '-' {
		return 0, "", false, false
	}
	return code, string(b[4:]), b[3] == ' ', true
}

// takeEnhanced moves the enhanced code out of the text.
func (r *Reply) takeEnhanced() {
	code, n := enhancedPrefix(r.Lines[0])
	if n == 0 || code[0] != r.Code/100 {
		return
	}
	r.Enhanced = code
	for i, text := range r.Lines {
		if same, n := enhancedPrefix(text); n > 0 && same == code {
			r.Lines[i] = strings.TrimPrefix(text[n:], " ")
		}
	}
}

// enhancedPrefix reads class.subject.detail at the start of s, followed by a
// space or the end (RFC 3463 section 2), and returns its length, 0 if none.
func enhancedPrefix(s string) (code EnhancedCode, n int) {
	if len(s) < 5 || strings.IndexByte("245", s[0]) < 0 || s[1] != '.' {
		return code, 0
	}
	code[0] = int(s[0] - '0')
	n = 2
	for part := 1; part <= 2; part++ {
		start := n
		for n < len(s) && n-start < 3 && isDigit(s[n]) {
			code[part] = code[part]*10 + int(s[n]-'0')
			n++
		}
		if n == start || (n-start > 1 && s[start] == '0') {
			return EnhancedCode{}, 0
		}
		if part == 1 {
			if n == len(s) || s[n] != '.' {
				return EnhancedCode{}, 0
			}
			n++
		}
	}
	if n < len(s) && s[n] != ' ' {
		return EnhancedCode{}, 0
	}
	return code, n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
