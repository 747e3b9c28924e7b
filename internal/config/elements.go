package config

import "strings"

// Element is one table of a list of tables, as pages show it.
type Element struct {
	Number int               // from 1, as a path names it: list[1]
	Line   int               // in the document
	Values map[string]string // of its keys: text without its quotes, all else in one line as it is written
}

// Elements are the tables of a list in a document, such as "domain" or "checks.access.client.entry"; none where it has no such list.
// The error is Problems of what is no document.
func Elements(text []byte, path string) (out []Element, err error) {
	d, err := outline(text)
	if err != nil {
		return nil, err
	}
	words, bad := splitKey(path)
	if bad != nil {
		return nil, bad
	}
	n, rest, bad := d.find(words)
	if bad != nil || len(rest) > 0 || n.kind != kindList {
		return nil, nil
	}
	s := newSource(PolicyFile, text)
	for _, item := range n.items {
		if item.kind != kindTable {
			continue
		}
		e := Element{Number: item.number, Values: map[string]string{}}
		e.Line, _ = s.position(item.at)
		for _, k := range item.keys {
			if k.value.kind == kindString {
				e.Values[k.name] = k.value.text
			} else {
				e.Values[k.name] = d.inLine(k.value)
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// ElementOf is LiteralOf for what is added to a list: { a = 1 } becomes a table of its keys, so that it can stand below a header
// of its own.
func ElementOf(text string) any {
	v := LiteralOf(text)
	l, ok := v.(Literal)
	if !ok || !strings.HasPrefix(strings.TrimSpace(string(l)), "{") {
		return v
	}
	d, err := outline([]byte("x = " + strings.TrimSpace(string(l)) + "\n"))
	if err != nil {
		return v
	}
	table := map[string]any{}
	for _, e := range d.root.index["x"].value.keys {
		table[e.name] = Literal(d.inLine(e.value))
	}
	return table
}
