package config

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// source is the text of one document while it is read, and what was found wrong with it.
type source struct {
	file     string
	data     []byte
	lines    []int // offset of each line
	problems Problems
	taken    map[place]bool // one problem for one key in one place is enough
	cut      bool           // a syntax error: what follows is not known, so nothing can be called missing
}

type place struct {
	at   int
	key  string
	warn bool
}

func newSource(file string, data []byte) *source {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	s := &source{file: file, data: data, lines: []int{0}, taken: map[place]bool{}}
	for i, c := range data {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// position turns an offset into line and column, both from 1, the column in characters.
func (s *source) position(at int) (line, column int) {
	at = max(0, min(at, len(s.data)))
	line = sort.SearchInts(s.lines, at+1)
	return line, 1 + utf8.RuneCount(s.data[s.lines[line-1]:at])
}

// full says that no further problem is kept.
func (s *source) full() bool { return len(s.problems) > maxProblems }

// report keeps a problem with its place.
func (s *source) report(p Problem, at int) {
	where := place{at, p.Key, p.Warning}
	if s.full() || s.taken[where] {
		return
	}
	s.taken[where] = true
	p.File = s.file
	p.Line, p.Column = s.position(at)
	if len(s.problems) == maxProblems {
		p.Key, p.Message, p.Instead = "", "there are more problems", "mend the first ones and check again"
	}
	s.problems = append(s.problems, p)
}

// found gives the problems in the order of the lines. Warnings are left out where something is refused: they judge
// what the document says, and that is not known yet.
func (s *source) found() Problems {
	ps := s.problems
	if ps.Refused() {
		ps = slices.DeleteFunc(ps, func(p Problem) bool { return p.Warning })
	}
	ps.sort()
	return ps
}

// where notes the place of every key below a table.
func (s *source) where(w Where, n *node, prefix string) {
	for _, e := range n.keys {
		path := prefix + e.name
		switch {
		case e.value.kind == kindTable:
			s.where(w, e.value, path+".")
		case e.value.tables:
			for _, item := range e.value.items {
				name := item.label()
				s.where(w, item, path+"."+name+".")
				if canonical, bad := checkPattern(name); bad == nil && canonical != name {
					s.where(w, item, path+"."+canonical+".") // a domain is known by this form of its name
				}
			}
		default:
			line, _ := s.position(e.at)
			w[path] = filepath.Base(s.file) + ":" + strconv.Itoa(line)
		}
	}
}

// syntax reports the error at which the parser stopped.
func (s *source) syntax(err error, p *unstable.Parser) {
	s.cut = true
	message, at := err.Error(), len(s.data)
	if e, ok := errors.AsType[*unstable.ParserError](err); ok {
		message, at = e.Message, int(p.Range(e.Highlight).Offset)
	}
	if bytes.HasPrefix(s.data, []byte("\xff\xfe")) || bytes.HasPrefix(s.data, []byte("\xfe\xff")) {
		s.report(Problem{Message: "the file is UTF-16", Instead: "save it as UTF-8"}, 0)
		return
	}
	if r, size := utf8.DecodeRune(s.data[min(at, len(s.data)):]); r == utf8.RuneError && size == 1 {
		s.report(Problem{Message: "this is not UTF-8", Instead: "save the file as UTF-8"}, at)
		return
	}
	line, _ := s.position(at)
	s.report(Problem{Message: "syntax error: " + message, Instead: syntaxHint(s.line(line), message)}, at)
}

// line is the text of a line without its end.
func (s *source) line(n int) string {
	text := s.data[s.lines[n-1]:]
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSpace(string(text[:min(len(text), 200)]))
}

// syntaxHint guesses from the broken line what its writer meant.
func syntaxHint(line, message string) string {
	if strings.HasPrefix(message, "unterminated") || strings.Contains(message, "cannot have new lines") || strings.Contains(message, "not terminated") {
		return "close the text with the same quotes that opened it, in the same line"
	}
	if strings.Contains(message, "array") {
		return "close the list with ] and put commas between its values"
	}
	if strings.HasPrefix(line, "[") {
		return "write a table as [name] and an element of a list of tables as [[name]], alone in its line"
	}
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		if key, value, ok = strings.Cut(line, ":"); ok && plainKey(strings.TrimSpace(key)) {
			return "write " + strings.TrimSpace(key) + " = " + literalGuess(strings.TrimSpace(value))
		}
		return "a line is a table [name] or key = value, text in double quotes"
	}
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if i := strings.IndexByte(value, '#'); i >= 0 {
		value = strings.TrimSpace(value[:i])
	}
	switch {
	case value == "":
		return "write a value behind the equals sign, text in double quotes"
	case key == "key" || strings.HasSuffix(key, ".key"): // it may be a secret
		return "write " + key + ` = "..." with the value in double quotes`
	case plainKey(strings.ReplaceAll(key, ".", "")) && !strings.ContainsAny(value, "\"'[]{}\\"):
		return "write " + key + " = " + literalGuess(value)
	case strings.HasPrefix(value, "["):
		return `write a list as ["a", "b"]`
	}
	return "write text in double quotes, a double quote or backslash inside it behind a backslash"
}

// literalGuess writes a bare word as TOML would have it.
func literalGuess(word string) string {
	switch strings.ToLower(word) {
	case "true", "yes", "on":
		return "true"
	case "false", "no", "off":
		return "false"
	}
	if allDigits(word) {
		return word
	}
	return shown(strings.Trim(word, `"'`))
}
