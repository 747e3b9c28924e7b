package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// reporter lets a struct's rules name a key; the place is found in the tree.
func (b *binder) reporter(n *node, warning bool) func(key, message, instead string) {
	return func(key, message, instead string) {
		if b.full() {
			return
		}
		at, path := locate(n, key)
		if b.taken[place{at, path, false}] {
			return
		}
		b.report(Problem{Key: path, Message: message, Instead: instead, Warning: warning}, at)
	}
}

// locate walks a key like "next_hop[0].port" below a table. What is not in the document is placed at the nearest
// table above it that is.
func locate(n *node, key string) (at int, path string) {
	at, path = n.at, n.path()
	for _, word := range strings.Split(key, ".") {
		name, index, indexed := strings.Cut(word, "[")
		var e *entry
		if n != nil && n.kind == kindTable {
			e = n.index[name]
		}
		if e == nil {
			n = nil
			path = join(path, name)
		} else {
			n, at, path = e.value, e.at, e.value.path()
		}
		if !indexed {
			continue
		}
		i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err == nil && n != nil && i >= 0 && i < len(n.items) {
			n = n.items[i]
			at, path = n.at, n.path()
			continue
		}
		n = nil
		path += "[" + strconv.Itoa(i+1) + "]"
	}
	return at, path
}

// unknownKey reports a key that its table does not have, with the best advice that can be found.
func (b *binder) unknownKey(n *node, e *entry, fields []field) {
	if b.full() {
		return
	}
	p := Problem{Key: e.value.path(), Message: "unknown key"}
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	if file := b.otherDocument(schemaPath(e.value)); file != "" {
		p.Message, p.Instead = "belongs in "+file, "move it there"
	} else {
		p.Instead = b.advice(e, names)
	}
	b.report(p, e.at)
}

func (b *binder) advice(e *entry, names []string) string {
	if near := nearest(e.name, names); near != "" {
		return "did you mean " + near + "?"
	}
	if tables := b.elsewhere(e.name, schemaPath(e.value)); tables != "" {
		return tables
	}
	if near := resembling(e.name, names); near != "" {
		return "did you mean " + near + "?"
	}
	return b.lastAdvice(e, names)
}

// schemaPath is the path of a node without the numbers of elements: domain.route.
func schemaPath(n *node) string {
	var words []string
	for ; n.parent != nil; n = n.parent {
		if n.number == 0 {
			words = append(words, n.name)
		}
	}
	slices.Reverse(words)
	return strings.Join(words, ".")
}

func (b *binder) otherDocument(path string) string {
	for file, doc := range b.opts.Others {
		if slices.Contains(b.pathsOf(doc), path) {
			return file
		}
	}
	return ""
}

// elsewhere looks for the same key in other tables of this document.
func (b *binder) elsewhere(name, path string) string {
	var tables []string
	for _, p := range b.pathsOf(b.top) {
		table, found := strings.CutSuffix("."+p, "."+name)
		switch table = strings.TrimPrefix(table, "."); {
		case !found || p == path:
		case table == "":
			return "it stands at the top of the file, before the first [table]"
		default:
			tables = append(tables, table)
		}
	}
	const most = 4
	if len(tables) == 0 || len(tables) > most {
		return ""
	}
	return "it is a key of " + strings.Join(tables, ", ")
}

// lastAdvice names the keys that are right here, if there are not too many. A key that stands in no table may be one of the
// other document, wherever that has it.
func (b *binder) lastAdvice(e *entry, names []string) string {
	table := schemaPath(e.value.parent)
	for file, doc := range b.opts.Others {
		for _, p := range b.pathsOf(doc) {
			if p == e.name {
				return "it stands at the top of " + file
			}
			if table == "" && strings.HasSuffix(p, "."+e.name) {
				return p + " belongs in " + file
			}
		}
	}
	const most = 13
	switch {
	case len(names) <= most:
		return "the keys here are " + strings.Join(names, ", ")
	case table == "":
		return "gatepost explain lists the keys of a table"
	}
	return "gatepost explain " + table + " lists the keys of this table"
}

func (b *binder) pathsOf(doc Pointer) []string {
	s := b.shape(reflect.TypeOf(doc).Elem())
	if s.paths == nil {
		s.paths = paths(reflect.TypeOf(doc).Elem(), "")
	}
	return s.paths
}

// paths lists every key of a document, tables before their keys.
func paths(t reflect.Type, prefix string) []string {
	var all []string
	for _, f := range fieldsOf(t) {
		all = append(all, prefix+f.name)
		switch f.form {
		case formTable:
			all = append(all, paths(f.typ, prefix+f.name+".")...)
		case formTables:
			all = append(all, paths(f.typ.Elem(), prefix+f.name+".")...)
		}
	}
	return all
}
