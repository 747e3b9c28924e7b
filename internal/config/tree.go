package config

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// maxDepth bounds keys and values inside each other; no document of ours needs half of it.
const maxDepth = 12

type kind int

const (
	kindTable kind = iota
	kindList
	kindString
	kindInteger
	kindFloat
	kindBool
	kindTime
)

// origin is how a table came into being; it decides what may be added to it (TOML 1.1, "Table").
type origin int

const (
	implicit origin = iota // on the way to a longer header
	headed                 // by its own [header], or as an element of [[header]]
	dotted                 // by a dotted key
	inline                 // by { }
)

// node is a value of the document with its place.
type node struct {
	kind   kind
	at     int    // offset of the value; of a table with a header, of the header's key
	text   string // scalars: decoded strings, other kinds as written
	items  []*node
	keys   []*entry
	index  map[string]*entry
	origin origin
	tables bool // a list made by [[header]]
	parent *node
	name   string // the key in the parent, if that is a table
	number int    // from 1, if the parent is a list
}

// entry is a key of a table, in the order of the document.
type entry struct {
	name  string
	at    int // offset of the key
	value *node
}

func newTable(parent *node, name string, at int, how origin) *node {
	return &node{kind: kindTable, at: at, origin: how, parent: parent, name: name, index: map[string]*entry{}}
}

func (n *node) add(name string, at int, value *node) {
	value.parent, value.name = n, name
	e := &entry{name: name, at: at, value: value}
	n.keys = append(n.keys, e)
	n.index[name] = e
}

func (n *node) addItem(item *node) {
	n.items = append(n.items, item)
	item.parent, item.number = n, len(n.items)
}

// path is the dotted path of a node for people: elements of lists by their name, else by their number.
func (n *node) path() string {
	switch {
	case n.parent == nil:
		return ""
	case n.number > 0 && n.kind != kindTable:
		return n.parent.path() // a value of a list goes by the list's name; its column tells which
	case n.number > 0:
		return n.parent.path() + "[" + n.label() + "]"
	}
	return join(n.parent.path(), n.name)
}

// label is the name of an element, or its number where it has none.
func (n *node) label() string {
	if n.kind == kindTable && n.parent.tables {
		if e := n.index["name"]; e != nil && e.value.kind == kindString && plainName(e.value.text) {
			return e.value.text
		}
	}
	return strconv.Itoa(n.number)
}

// join adds a key to a path; a key that is not plain is quoted, so that a path stays on one line.
func join(path, key string) string {
	if !plainKey(key) {
		key = shown(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// plainName says whether a name can stand in a path: letters of any script, because domains may have them, and the * of
// all that are below one.
func plainName(s string) bool {
	const longest = 128
	return s != "" && len(s) <= longest && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.*", r)
	})
}

func plainKey(s string) bool {
	const longest = 64
	return s != "" && len(s) <= longest &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// part is one word of a dotted key.
type part struct {
	name string
	at   int
}

// grower builds the tree from the parser's expressions.
type grower struct {
	*source
	parser unstable.Parser
	root   *node
	table  *node // where keys go: the table of the last header

	// note, if not nil, is told of each expression: of a header its table, of a key its value, and where the key begins.
	note func(n *node, at int, header bool)
}

// grow parses the whole source, or up to the first syntax error, which sets cut.
func (s *source) grow() *node { return (&grower{source: s}).grow() }

func (g *grower) grow() *node {
	g.root = newTable(nil, "", 0, headed)
	g.table = g.root
	s := g.source
	g.parser.Reset(s.data)
	for g.parser.NextExpression() {
		switch e := g.parser.Expression(); e.Kind {
		case unstable.Table:
			g.table = g.header(g.parts(e.Key()), false)
		case unstable.ArrayTable:
			g.table = g.header(g.parts(e.Key()), true)
		case unstable.KeyValue:
			g.keyValue(g.table, e, 0)
		}
		g.tell()
	}
	if err := g.parser.Error(); err != nil {
		s.syntax(err, &g.parser)
	}
	return g.root
}

// tell notes the expression that was just read, unless it could not be where it is.
func (g *grower) tell() {
	e := g.parser.Expression()
	if g.note == nil || len(g.problems) > 0 {
		return
	}
	parts := g.parts(e.Key())
	if e.Kind != unstable.KeyValue {
		g.note(g.table, parts[0].at, true)
		return
	}
	n := g.table
	for _, p := range parts {
		n = n.index[p.name].value
	}
	g.note(n, parts[0].at, false)
}

func (g *grower) parts(keys unstable.Iterator) []part {
	var parts []part
	for keys.Next() {
		k := keys.Node()
		parts = append(parts, part{string(k.Data), int(k.Raw.Offset)})
	}
	return parts
}

// header finds or makes the table of a header. One that cannot be there gets a table nobody reads, so that its keys
// cause no further problems.
func (g *grower) header(parts []part, list bool) *node {
	last := parts[len(parts)-1]
	if len(parts) > maxDepth {
		g.tooDeep(last.at)
		return newTable(nil, "", last.at, headed)
	}
	t := g.root
	for _, p := range parts[:len(parts)-1] {
		e := t.index[p.name]
		if e == nil {
			t.add(p.name, p.at, newTable(t, p.name, p.at, implicit))
			e = t.index[p.name]
		}
		if t = e.value; t.tables {
			t = t.items[len(t.items)-1]
		}
		if t.kind != kindTable || t.origin == inline {
			g.twice(p.at, e)
			return newTable(nil, "", p.at, headed)
		}
	}
	if list {
		return g.element(t, last)
	}
	e := t.index[last.name]
	if e == nil {
		t.add(last.name, last.at, newTable(t, last.name, last.at, headed))
		return t.index[last.name].value
	}
	if n := e.value; n.kind == kindTable && n.origin == implicit {
		n.origin, n.at, e.at = headed, last.at, last.at
		return n
	}
	g.twice(last.at, e)
	if e.value.kind == kindTable && e.value.origin == headed {
		return e.value // its keys are still worth reading
	}
	return newTable(nil, "", last.at, headed)
}

// element adds a table to the list of a [[header]].
func (g *grower) element(t *node, last part) *node {
	e := t.index[last.name]
	if e == nil {
		t.add(last.name, last.at, &node{kind: kindList, at: last.at, tables: true})
		e = t.index[last.name]
	}
	if !e.value.tables {
		g.twice(last.at, e)
		return newTable(nil, "", last.at, headed)
	}
	item := newTable(nil, "", last.at, headed)
	e.value.addItem(item)
	return item
}

// keyValue adds one "a.b = value" to a table.
func (g *grower) keyValue(t *node, kv *unstable.Node, depth int) {
	parts := g.parts(kv.Key())
	last := parts[len(parts)-1]
	if depth+len(parts) > maxDepth {
		g.tooDeep(last.at)
		return
	}
	for _, p := range parts[:len(parts)-1] {
		e := t.index[p.name]
		if e == nil {
			t.add(p.name, p.at, newTable(t, p.name, p.at, dotted))
			e = t.index[p.name]
		}
		if t = e.value; t.kind != kindTable || t.origin != dotted {
			g.twice(p.at, e)
			return
		}
	}
	if e := t.index[last.name]; e != nil {
		g.twice(last.at, e)
		return
	}
	v := kv.Value()
	t.add(last.name, last.at, &node{at: g.valueAt(kv, v)})
	g.value(t.index[last.name].value, v, depth+len(parts))
}

// valueAt finds where a value begins; the parser does not say it for lists.
func (g *grower) valueAt(kv, v *unstable.Node) int {
	if v.Kind != unstable.Array {
		return int(v.Raw.Offset)
	}
	at := 0
	for keys := kv.Key(); keys.Next(); {
		raw := keys.Node().Raw
		at = int(raw.Offset + raw.Length)
	}
	for at < len(g.data)-1 && strings.IndexByte(" \t=", g.data[at]) >= 0 {
		at++
	}
	return at
}

// value fills a node that already has its place.
func (g *grower) value(n *node, v *unstable.Node, depth int) {
	if depth >= maxDepth {
		n.kind = kindList
		g.tooDeep(n.at)
		return
	}
	switch v.Kind {
	case unstable.InlineTable:
		n.kind, n.origin, n.index = kindTable, inline, map[string]*entry{}
		for it := v.Children(); it.Next(); {
			g.keyValue(n, it.Node(), depth)
		}
	case unstable.Array:
		n.kind = kindList
		for it := v.Children(); it.Next(); {
			item := &node{at: n.at}
			if c := it.Node(); c.Kind != unstable.Array {
				item.at = int(c.Raw.Offset)
			}
			n.addItem(item)
			g.value(item, it.Node(), depth+1)
		}
	default:
		n.kind, n.text = scalarKind(v.Kind), string(v.Data)
	}
}

func scalarKind(k unstable.Kind) kind {
	switch k {
	case unstable.String:
		return kindString
	case unstable.Integer:
		return kindInteger
	case unstable.Float:
		return kindFloat
	case unstable.Bool:
		return kindBool
	}
	return kindTime
}

func (g *grower) tooDeep(at int) {
	g.report(Problem{Message: "is nested deeper than " + strconv.Itoa(maxDepth) + " levels"}, at)
}

func (g *grower) twice(at int, first *entry) {
	line, _ := g.position(first.at)
	g.report(Problem{
		Key: join(first.value.parent.path(), first.name), Message: "is here for the second time",
		Instead: "the first is in line " + strconv.Itoa(line) + ", remove one of them",
	}, at)
}

// written says whether a document states a key: its path, with dots in the names of checks.
func (n *node) written(path string) bool {
	if e := n.index[path]; e != nil {
		return e.value.kind != kindTable
	}
	for i := range path {
		if path[i] != '.' {
			continue
		}
		if e := n.index[path[:i]]; e != nil && e.value.kind == kindTable && e.value.written(path[i+1:]) {
			return true
		}
	}
	return false
}
