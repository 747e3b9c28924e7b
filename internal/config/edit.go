package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Change is one thing to do to a document.
type Change struct {
	// Key is a path as problems show it: "thresholds.reject", "domain[example.org].thresholds.tag". An element of a list is named
	// by its name or by its number from 1. Behind a list, [] stands for an element that is not there yet: "domain[]".
	Key string
	// Value is what the key gets: a bool, a number, a string, a list or a map[string]any of these, or a Literal.
	Value any
	// Remove takes the key away, so that its default holds; or a whole table, or an element of a list.
	Remove bool
}

// Literal is a value as it stands in a document.
type Literal string

// MaxChanges bounds one Edit.
const MaxChanges = 1000

// Edit changes a document and keeps everything else as it is, octet for octet: comments, blank lines, order, the way values
// are written. Comments inside a table that is removed go with it, and those behind a key that is removed; those above stay.
// A key that is not there is added in its table, below the comment that shows its default if there is one; a table that is
// not there behind the last that belongs to the same.
//
// Edit knows no schema: whoever uses the result has it decoded, which may refuse it. Its error is Problems, each with a key.
func Edit(text []byte, changes []Change) ([]byte, error) {
	if len(changes) > MaxChanges {
		return nil, Problems{{Message: fmt.Sprintf("are %d changes, at most %d", len(changes), MaxChanges), Instead: "make them in several steps"}}
	}
	d, err := outline(text)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		words, bad := splitKey(c.Key)
		if bad == nil {
			bad = d.apply(words, c)
		}
		if bad != nil {
			return nil, Problems{{File: PolicyFile, Key: c.Key, Message: bad.Message, Instead: bad.Instead}}
		}
		if len(d.text) > MaxFile {
			return nil, Problems{{File: PolicyFile, Key: c.Key, Message: "makes the document larger than " + Size(MaxFile).String(), Instead: "take something away first"}}
		}
		if d, err = outline(d.text); err != nil { // cannot happen, and would be no document
			return nil, fmt.Errorf("%s: the change makes no document: %w", c.Key, err)
		}
	}
	return d.text, nil
}

// outlined is a document with the places of what it is made of.
type outlined struct {
	text  []byte // with its byte order mark
	data  []byte // without; offsets are of it
	root  *node
	exprs []expression
	eol   string
}

// expression is a header, or a key with its value.
type expression struct {
	n       *node // the table, or the value
	at, end int   // whole lines
	header  bool
}

// outline parses a document. What is no TOML, or has a key twice, is refused.
func outline(text []byte) (*outlined, error) {
	if len(text) > MaxFile {
		return nil, Problems{{File: PolicyFile, Message: "is larger than " + Size(MaxFile).String()}}
	}
	s := newSource(PolicyFile, text)
	d := &outlined{text: text, data: s.data, eol: "\n"}
	if i := bytes.IndexByte(s.data, '\n'); i > 0 && s.data[i-1] == '\r' {
		d.eol = "\r\n"
	}
	g := &grower{source: s, note: func(n *node, at int, header bool) {
		e := expression{n: n, at: 1 + bytes.LastIndexByte(s.data[:at], '\n'), end: at, header: header}
		if !header {
			e.end = skipValue(s.data, n.at)
		}
		e.end = lineEnd(s.data, e.end)
		d.exprs = append(d.exprs, e)
	}}
	d.root = g.grow()
	if ps := s.found(); ps.Refused() {
		return nil, ps
	}
	return d, nil
}

// lineEnd is behind the line break of the line that an offset is in.
func lineEnd(data []byte, at int) int {
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(data)
}

// splice puts text in place of a part.
func (d *outlined) splice(from, to int, with string) {
	mark := len(d.text) - len(d.data)
	d.text = slices.Concat(d.text[:mark+from], []byte(with), d.text[mark+to:])
}

// apply does one change to the text.
func (d *outlined) apply(words []keyWord, c Change) *ValueError {
	n, rest, bad := d.find(words)
	if bad != nil {
		return bad
	}
	if c.Remove {
		if len(rest) > 0 || words[len(words)-1].add {
			return &ValueError{Message: "is not in the document", Instead: "its default holds already"}
		}
		d.remove(n)
		return nil
	}
	value, bad := literal(c.Value)
	if bad != nil {
		return bad
	}
	last := words[len(words)-1]
	switch {
	case last.add:
		return d.addElement(n, rest, c.Value, value)
	case len(rest) > 0:
		d.add(n, rest, value)
		return nil
	case n.tables, n.kind == kindTable && n.origin != inline:
		return &ValueError{Message: "is a table", Instead: "name a key of it"}
	}
	if end := skipValue(d.data, n.at); string(d.data[n.at:end]) != value {
		d.splice(n.at, end, value)
	}
	return nil
}

// find walks to what the words name, or to the nearest table that is there; rest are the words that are missing then. Of
// "list[]" it finds the list.
func (d *outlined) find(words []keyWord) (n *node, rest []keyWord, bad *ValueError) {
	n = d.root
	for i, w := range words {
		if n.kind != kindTable {
			return nil, nil, &ValueError{Message: "is below a value that is no table", Instead: "name a key of a table"}
		}
		e := n.index[w.name]
		if e == nil {
			if slices.ContainsFunc(words[i:], func(w keyWord) bool { return w.element != "" }) {
				return nil, nil, &ValueError{Message: "names an element of a list that is not there", Instead: "add it first, as " + w.name + "[]"}
			}
			return n, words[i:], nil
		}
		n = e.value
		switch {
		case w.add && n.kind != kindList:
			return nil, nil, &ValueError{Message: w.name + " is no list", Instead: "write " + w.name + " without []"}
		case w.element != "":
			if n, bad = pick(n, w); bad != nil {
				return nil, nil, bad
			}
		case n.kind == kindList && i < len(words)-1:
			return nil, nil, &ValueError{Message: w.name + " is a list", Instead: "say which element, as " + w.name + "[1]"}
		}
	}
	return n, nil, nil
}

// pick finds the element of a list by its name, or by its number.
func pick(list *node, w keyWord) (*node, *ValueError) {
	if list.kind != kindList {
		return nil, &ValueError{Message: w.name + " is no list", Instead: "write " + w.name + " without [" + w.element + "]"}
	}
	var found []*node
	for _, item := range list.items {
		if e := item.index["name"]; item.kind == kindTable && e != nil && e.value.kind == kindString && sameName(e.value.text, w.element) {
			found = append(found, item)
		}
	}
	if len(found) == 0 {
		for i, item := range list.items {
			if fmt.Sprint(i+1) == w.element && item.kind == kindTable {
				found = append(found, item)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, &ValueError{Message: w.name + " has no element " + shown(w.element), Instead: "name one that is there, or add it, as " + w.name + "[]"}
	case 1:
		return found[0], nil
	}
	return nil, &ValueError{Message: fmt.Sprintf("%d elements of %s have this name", len(found), w.name), Instead: "say which by its number, as " + w.name + "[1]"}
}

// sameName reports whether two names mean the same: domains are known by more than one form.
func sameName(a, b string) bool {
	if a == b {
		return true
	}
	x, bad := checkPattern(a)
	y, also := checkPattern(b)
	return bad == nil && also == nil && x == y
}

// within reports whether n is or is in a table, list or value.
func (n *node) within(outer *node) bool {
	for ; n != nil; n = n.parent {
		if n == outer {
			return true
		}
	}
	return false
}

// lastOf is behind the last line that belongs to a table or a list.
func (d *outlined) lastOf(n *node) int {
	if n == d.root {
		return len(d.data)
	}
	end := 0
	for _, e := range d.exprs {
		if e.n.within(n) {
			end = max(end, e.end)
		}
	}
	return end
}

// headerPath is how a header names a table.
func headerPath(n *node) string {
	switch {
	case n.parent == nil:
		return ""
	case n.number > 0:
		return headerPath(n.parent)
	}
	path := headerPath(n.parent)
	if path != "" {
		path += "."
	}
	return path + bareOrQuoted(n.name)
}

// inlineHolder is the nearest { } or [ ] that holds a value; nil where it stands in lines of its own.
func inlineHolder(n *node) *node {
	for p := n.parent; p != nil; p = p.parent {
		if p.kind == kindList && !p.tables || p.kind == kindTable && p.origin == inline {
			return p
		}
	}
	return nil
}

// joinWords writes a dotted key.
func joinWords(words []keyWord) string {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = bareOrQuoted(w.name)
	}
	return strings.Join(names, ".")
}
