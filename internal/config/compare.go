package config

import (
	"slices"
	"strings"
)

// Difference is a key of which two documents do not say the same.
type Difference struct {
	// Key is a path as Change has it. An element of a list that has no name is "list[]".
	Key           string
	Before, After string // as it is written, in one line; "" where the document has it not
}

// maxValue is how much of a value a Difference shows.
const maxValue = 200

// Compare tells what differs between two documents, key by key, whatever is written around it: those that are new or another in
// the order of the second, then those that are gone. The error is Problems of one that is no document.
func Compare(before, after []byte) (out []Difference, err error) {
	was, err := outline(before)
	if err != nil {
		return nil, err
	}
	is, err := outline(after)
	if err != nil {
		return nil, err
	}
	old, now := &said{values: map[string][]string{}}, &said{values: map[string][]string{}}
	old.table(was, was.root, "")
	now.table(is, is.root, "")
	for _, key := range now.keys {
		b, a := old.values[key], now.values[key]
		if !strings.HasSuffix(key, "[]") {
			if len(b) == 0 {
				b = []string{""}
			}
			if b[0] != a[0] {
				out = append(out, Difference{key, shortValue(b[0]), shortValue(a[0])})
			}
			continue
		}
		for _, v := range without(a, b) {
			out = append(out, Difference{Key: key, After: shortValue(v)})
		}
	}
	for _, key := range old.keys {
		switch a := now.values[key]; {
		case strings.HasSuffix(key, "[]"):
			for _, v := range without(old.values[key], a) {
				out = append(out, Difference{Key: key, Before: shortValue(v)})
			}
		case len(a) == 0:
			out = append(out, Difference{Key: key, Before: shortValue(old.values[key][0])})
		}
	}
	return out, nil
}

// said is what a document says: the values of its keys, of elements without a name all that the list has.
type said struct {
	keys   []string
	values map[string][]string
}

func (s *said) add(key, value string) {
	if s.values[key] == nil {
		s.keys = append(s.keys, key)
	}
	s.values[key] = append(s.values[key], value)
}

// table adds what stands in a table.
func (s *said) table(d *outlined, n *node, path string) {
	for _, e := range n.keys {
		key := strings.TrimPrefix(path+"."+bareOrQuoted(e.name), ".")
		v := e.value
		switch {
		case v.kind == kindTable:
			s.table(d, v, key)
		case v.tables:
			for _, item := range v.items {
				if name := nameOf(item); name != "" && alone(v, name) {
					s.table(d, item, key+"["+name+"]")
				} else {
					s.add(key+"[]", d.inLine(item))
				}
			}
		default:
			s.add(key, d.inLine(v))
		}
	}
}

// nameOf is the name of an element, where a path can have it; "" else.
func nameOf(item *node) string {
	if e := item.index["name"]; e != nil && e.value.kind == kindString && plainName(e.value.text) {
		return e.value.text
	}
	return ""
}

// alone reports whether one element only has a name.
func alone(list *node, name string) bool {
	n := 0
	for _, item := range list.items {
		if nameOf(item) == name {
			n++
		}
	}
	return n == 1
}

// inLine writes a value in one line: of a table its keys, of all else what stands there without its comments and line breaks.
func (d *outlined) inLine(n *node) string {
	var parts []string
	switch {
	case n.kind == kindTable:
		for _, e := range n.keys {
			parts = append(parts, bareOrQuoted(e.name)+" = "+d.inLine(e.value))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case n.kind == kindList:
		for _, item := range n.items {
			parts = append(parts, d.inLine(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case n.kind == kindString:
		return quoted(n.text)
	}
	return n.text
}

// shortValue cuts a value for people.
func shortValue(v string) string {
	if r := []rune(v); len(r) > maxValue {
		return string(r[:maxValue]) + "..."
	}
	return v
}

// without is what of a is not in b, each as often as it is more often there.
func without(a, b []string) (out []string) {
	b = slices.Clone(b)
	for _, v := range a {
		if i := slices.Index(b, v); i >= 0 {
			b = slices.Delete(b, i, i+1)
		} else {
			out = append(out, v)
		}
	}
	return out
}
