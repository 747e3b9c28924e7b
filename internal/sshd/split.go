package sshd

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxLine is how long a command may be, in octets.
const MaxLine = 64 << 10

// Split makes words of a line as POSIX shells do (IEEE 1003.1, 2.2 Quoting): spaces and tabs separate, ' keeps all up to the next ',
// " keeps all but \ before " and \, and \ keeps the next character. Nothing is expanded. What would mean something else to a shell
// is refused outside of quotes, so that nobody takes this for one.
func Split(line string) (words []string, err error) {
	switch {
	case len(line) > MaxLine:
		return nil, fmt.Errorf("the command is longer than %d octets", MaxLine)
	case !utf8.ValidString(line) || strings.ContainsRune(line, 0):
		return nil, errors.New("the command is no text (UTF-8)")
	}
	var word strings.Builder
	begun, quote := false, rune(0)
	escaped := false
	for _, c := range line {
		switch {
		case escaped:
			if quote == '"' && c != '"' && c != '\\' {
				word.WriteByte('\\')
			}
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			begun, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			begun, quote = true, c
		case c == ' ' || c == '\t':
			if begun {
				words, begun = append(words, word.String()), false
				word.Reset()
			}
		case strings.ContainsRune("\r\n;|&<>()$`", c):
			return nil, fmt.Errorf("%q stands outside of quotes: there is no shell here, one line is one command", c)
		default:
			begun = true
			word.WriteRune(c)
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
