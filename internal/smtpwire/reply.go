package smtpwire

import (
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxReplyLine is a reply line with its CRLF, RFC 5321 section 4.5.3.1.5.
const maxReplyLine = 512

// EnhancedCode is class, subject and detail of RFC 3463; the zero value is
// none.
type EnhancedCode [3]int

// IsZero tells whether there is no enhanced code.
func (e EnhancedCode) IsZero() bool { return e == EnhancedCode{} }

func (e EnhancedCode) String() string { return string(e.append(nil)) }

func (e EnhancedCode) append(b []byte) []byte {
	for i, n := range e {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return b
}

// Reply is one SMTP reply.
type Reply struct {
	Code     int          // 200 to 599
	Enhanced EnhancedCode // its class is always that of Code
	Lines    []string     // the text, without codes and line ends
}

// NewReply returns a reply of one line. The class of the enhanced code is
// taken from code: NewReply(550, 7, 1, ...) is 550 5.7.1.
func NewReply(code, subject, detail int, text string) Reply {
	return Reply{code, EnhancedCode{code / 100, subject, detail}, []string{text}}
}

// Is tells whether the reply is exactly this code: what a step expects, and
// nothing near it.
func (r Reply) Is(code int) bool { return r.Code == code }

// Temporary tells whether the same command may succeed later (4yz).
func (r Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent tells whether the reply is a lasting refusal (5yz).
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// Text is all lines as one, cleaned and at most limit octets: safe in a log
// and in another reply.
func (r Reply) Text(limit int) string { return Clean(strings.Join(r.Lines, " "), limit) }

// String is the reply as one line for logs, at most 512 octets.
func (r Reply) String() string {
	s := strconv.Itoa(r.Code)
	if !r.Enhanced.IsZero() {
		s += " " + r.Enhanced.String()
	}
	return Clean(s+" "+strings.Join(r.Lines, " "), maxReplyLine)
}

// Append appends the reply as it goes over the wire: the enhanced code on
// every line (RFC 2034 section 4), each line at most 512 octets, text cleaned
// so that no line can be forged. The enhanced code is left out of 3yz replies,
// and its class is that of Code. A Code outside 200 to 599 is written as 451.
func (r Reply) Append(b []byte) []byte {
	code := r.Code
	if code < 200 || code > 599 {
		code = 451
	}
	e := r.Enhanced
	enhanced := !e.IsZero() && code/100 != 3
	e[0] = code / 100
	lines := r.Lines
	if len(lines) == 0 {
		lines = []string{""}
	}
	for i, text := range lines {
		start := len(b)
		b = strconv.AppendInt(b, int64(code), 10)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if enhanced {
			b = append(e.append(b), ' ')
		}
		b = append(b, Clean(text, maxReplyLine-len("\r\n")-(len(b)-start))...)
		b = append(b, "\r\n"...)
	}
	return b
}

// WriteTo writes the reply as Append makes it, in one Write.
func (r Reply) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(r.Append(nil))
	return int64(n), err
}

// Clean makes s printable ASCII of at most limit octets: every other
// character, control octet and broken UTF-8 sequence becomes one question
// mark, a tab a space. Nothing it returns can end a line, start a terminal
// sequence or be taken for another octet.
func Clean(s string, limit int) string {
	limit = max(limit, 0)
	clean := len(s) <= limit
	for i := 0; clean && i < len(s); i++ {
		clean = ' ' <= s[i] && s[i] <= '~'
	}
	if clean {
		return s
	}
	b := make([]byte, 0, min(limit, len(s)))
	for len(s) > 0 && len(b) < limit {
		c, n := utf8.DecodeRuneInString(s)
		switch {
		case c == '\t':
			b = append(b, ' ')
		case ' ' <= c && c <= '~':
			b = append(b, byte(c))
		default:
			b = append(b, '?')
		}
		s = s[n:]
	}
	return string(b)
}
