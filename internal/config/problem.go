package config

import (
	"fmt"
	"sort"
	"strings"
)

// maxProblems bounds how many problems one document reports: a file of another kind must not flood a terminal.
const maxProblems = 200

// Problem is one thing that is wrong in a document.
type Problem struct {
	File    string // as the caller named it
	Line    int    // from 1; 0 when the file itself is the problem
	Column  int    // from 1, in characters; 0 when the file itself is the problem
	Key     string // dotted path, elements of lists by their name or their number from 1: domain[example.org].route; may be empty
	Message string // what is wrong
	Instead string // what to write instead; may be empty
	Warning bool   // worth saying, but the document is usable
}

// String is the one printed form, one line: file:line:column: key: message; instead.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	if p.Instead != "" {
		b.WriteString("; " + p.Instead)
	}
	return b.String()
}

// Problems is what was found in one or more documents, in the order of the files and of the lines.
type Problems []Problem

// Refused says whether the documents must not be used: at least one problem is more than a warning.
func (ps Problems) Refused() bool {
	for _, p := range ps {
		if !p.Warning {
			return true
		}
	}
	return false
}

// Err is nil when nothing was refused, else an error whose text is all problems, a line each.
func (ps Problems) Err() error {
	if !ps.Refused() {
		return nil
	}
	return ps
}

// Error lists all problems, a line each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	sort.SliceStable(ps, func(i, j int) bool {
		if ps[i].Line != ps[j].Line {
			return ps[i].Line < ps[j].Line
		}
		return ps[i].Column < ps[j].Column
	})
}

// ValueError says what is wrong with one value and what to write instead. UnmarshalText may return one; any other
// error's text is shown as it is.
type ValueError struct {
	Message string // continues the shown value: "is not a size"
	Instead string // "write a number with K, M or G"; empty: derived from the tags
}

// Error joins both parts.
func (e *ValueError) Error() string {
	if e.Instead == "" {
		return e.Message
	}
	return e.Message + "; " + e.Instead
}
