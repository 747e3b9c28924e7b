// Package dialog reads and runs dialog scripts: text files in which a mail admin
// sees what a client says and what a server must answer.
//
//	# HELO is enough for a plain client.
//	S: 220 ...
//	C: HELO client.example
//	S: 250 ...
//	C: MAIL FROM:<a@example.org>
//	S: /250 2\.1\.0 .+/
//	-- close
//
// A line is empty, a comment (#), or a step:
//
//	C: TEXT      the client sends TEXT and CRLF
//	R: TEXT      the client sends exactly TEXT (the line's own end is not sent)
//	S: PATTERN   the server's next line must match and end in CRLF
//	N: TEXT      the next line of what arrived behind the server, see below
//	-- NAME ...  what else happens, see below
//
// TEXT may have \r \n \t \0 \\ \$ \xNN, and \*N{TEXT} for TEXT N times. In a PATTERN
// "..." stands for any text; a PATTERN between slashes is a regular expression for
// the whole line, whose named groups may be used as $name in later steps. "S: ..."
// alone stands for any lines of one reply (none, too). What the server says is
// never skipped otherwise: a line that no step expects is an error.
//
//	-- connect              a new connection; the first one is made by itself
//	-- close                the client closes the connection
//	-- half-close           the client ends its sending side
//	-- reset                the client resets the connection
//	-- wait 200ms           nothing happens for that time
//	-- silent 200ms         the server must say nothing for that time
//	-- tls                  the client begins TLS
//	-- send NAME            the client sends octets that the test names so
//	-- timeout 5s           how long each further step may take (10s)
//	-- expect-closed        the server closes the connection and says no more
//
// N: lines that follow one another are one step. The test looks at them: it knows
// where to look and what may differ.
//
// Any other name, such as "-- nexthop got 1 message", is one that the test gives.
// Words there are split at blanks; "quotes" keep a word together.
//
// The package never judges a reply by its own knowledge of SMTP.
package dialog

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Script is a dialog script that was read.
type Script struct {
	Name  string // for messages: the file's name
	steps []step
}

type kind int

const (
	send kind = iota // C: and R:
	expect
	arrived // N:
	directive
)

type step struct {
	line int
	kind kind
	text string         // as in the file
	data string         // send: octets, with $names not yet put in
	re   *regexp.Regexp // expect; nil: any lines of one reply
	args []string       // directive: its name first; arrived: octets of each line
}

// Parse reads a script. Its errors name the script and the line.
func Parse(name, text string) (*Script, error) {
	s := &Script{Name: name}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		st, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		st.line, st.text = i+1, line
		if n := len(s.steps); st.kind == arrived && n > 0 && s.steps[n-1].kind == arrived {
			s.steps[n-1].args = append(s.steps[n-1].args, st.args...)
			continue
		}
		s.steps = append(s.steps, st)
	}
	if len(s.steps) == 0 {
		return nil, fmt.Errorf("%s: no steps", name)
	}
	return s, nil
}

func parseStep(line string) (step, error) {
	if len(line) == 2 {
		line += " " // an editor took the blank away
	}
	if len(line) < 3 {
		return step{}, fmt.Errorf("step %q: want C:, R:, S:, N: or --", line)
	}
	rest := line[3:]
	switch line[:3] {
	case "C: ":
		data, err := unescape(rest)
		return step{kind: send, data: data + "\r\n"}, err
	case "R: ":
		data, err := unescape(rest)
		return step{kind: send, data: data}, err
	case "S: ":
		re, err := pattern(rest)
		return step{kind: expect, re: re}, err
	case "N: ":
		data, err := unescape(rest)
		return step{kind: arrived, args: []string{data}}, err
	case "-- ":
		args, err := words(rest)
		if err == nil && len(args) == 0 {
			err = fmt.Errorf("step --: want a name")
		}
		return step{kind: directive, args: args}, err
	}
	return step{}, fmt.Errorf("step %q: want C:, R:, S:, N: or -- and a blank", line)
}

// pattern compiles what follows S:; nil means any lines.
func pattern(p string) (*regexp.Regexp, error) {
	if p == "..." {
		return nil, nil
	}
	expression := ""
	if len(p) > 1 && p[0] == '/' && p[len(p)-1] == '/' {
		expression = p[1 : len(p)-1]
	} else {
		parts := strings.Split(p, "...")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		expression = strings.Join(parts, ".*")
	}
	re, err := regexp.Compile(`(?s)\A(?:` + expression + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	return re, nil
}

// maxRepeat bounds \*N{TEXT}, so that a typing mistake does not fill the memory.
const maxRepeat = 100 << 20

// unescape puts octets in the place of escapes.
func unescape(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		octets, rest, err := escape(s[i+1:])
		if err != nil {
			return "", err
		}
		b.WriteString(octets)
		s = rest
	}
	return b.String(), nil
}

// escape reads what follows a backslash.
func escape(s string) (octets, rest string, err error) {
	if s == "" {
		return "", "", fmt.Errorf("escape: nothing follows the backslash")
	}
	simple := map[byte]string{'r': "\r", 'n': "\n", 't': "\t", '0': "\x00", '\\': `\`, '$': "$$"}
	if octet, ok := simple[s[0]]; ok {
		return octet, s[1:], nil
	}
	switch {
	case s[0] == 'x' && len(s) >= 3:
		n, err := strconv.ParseUint(s[1:3], 16, 8)
		if err != nil {
			return "", "", fmt.Errorf(`escape \%s: want two hexadecimal digits`, s[:3])
		}
		return string([]byte{byte(n)}), s[3:], nil
	case s[0] == '*':
		return repeat(s[1:])
	}
	return "", "", fmt.Errorf(`escape \%c: want \r \n \t \0 \\ \$ \xNN or \*N{TEXT}`, s[0])
}

// repeat reads N{TEXT}; TEXT may have escapes, repeats too, but no brace of its own.
func repeat(s string) (octets, rest string, err error) {
	number, after, ok1 := strings.Cut(s, "{")
	text, rest, ok2 := closed(after)
	n, err := strconv.Atoi(number)
	if !ok1 || !ok2 || err != nil || n < 0 {
		return "", "", fmt.Errorf(`escape \*%s: want \*N{TEXT}`, s)
	}
	if text, err = unescape(text); err != nil {
		return "", "", err
	}
	if n*len(text) > maxRepeat || n > maxRepeat {
		return "", "", fmt.Errorf(`escape \*%d: over %d octets`, n, maxRepeat)
	}
	return strings.Repeat(text, n), rest, nil
}

// closed cuts at the brace that closes the one before s.
func closed(s string) (text, rest string, ok bool) {
	open := 1
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return s[:i], s[i+1:], true
			}
		}
	}
	return "", "", false
}

// words splits at blanks; a part in double quotes is kept together.
func words(s string) ([]string, error) {
	var out []string
	var word strings.Builder
	inWord, quoted := false, false
	for _, r := range s {
		switch {
		case r == '"':
			quoted, inWord = !quoted, true
		case r == ' ' && !quoted:
			if inWord {
				out = append(out, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("step --: a quote is not closed")
	}
	if inWord {
		out = append(out, word.String())
	}
	return out, nil
}
