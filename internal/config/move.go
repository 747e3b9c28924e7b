package config

import (
	"bytes"
	"fmt"
	"slices"
)

// Move gives an element of a list that is written as [[tables]] another place in it, and those between move up or down by one. An
// element goes with its keys, the comments among them, and the comment lines directly above its header; all else stays as it is,
// octet for octet. key names the element as in Change, to is its new number, from 1. The error is Problems.
func Move(text []byte, key string, to int) ([]byte, error) {
	wrong := func(bad *ValueError) error {
		return Problems{{File: PolicyFile, Key: key, Message: bad.Message, Instead: bad.Instead}}
	}
	words, bad := splitKey(key)
	if bad != nil {
		return nil, wrong(bad)
	}
	d, err := outline(text)
	if err != nil {
		return nil, err
	}
	n, rest, bad := d.find(words)
	if bad != nil {
		return nil, wrong(bad)
	}
	if len(rest) > 0 || n.parent == nil || n.parent.kind != kindList || !n.parent.tables {
		return nil, wrong(&ValueError{Message: "is no element of a list of tables", Instead: "write the list as [[tables]] first"})
	}
	if to < 1 || to > len(n.parent.items) {
		return nil, wrong(&ValueError{Message: fmt.Sprintf("cannot be number %d of %d", to, len(n.parent.items))})
	}
	words[len(words)-1].element = ""
	for at := n.number; at != to; {
		next := at + 1
		if to < at {
			next = at - 1
		}
		if d, err = d.swapped(n.parent, min(at, next)); err != nil {
			return nil, err
		}
		list, _, bad := d.find(words)
		if bad != nil {
			return nil, wrong(bad)
		}
		at, n = next, list.items[next-1]
	}
	return d.text, nil
}

// swapped is the document with an element of a list and the one behind it in each other's place.
func (d *outlined) swapped(list *node, number int) (*outlined, error) {
	a, aEnd := d.block(list.items[number-1])
	b, bEnd := d.block(list.items[number])
	second := d.data[b:bEnd]
	if !bytes.HasSuffix(second, []byte("\n")) {
		second = append(bytes.Clone(second), d.eol...)
	}
	mark := len(d.text) - len(d.data)
	return outline(slices.Concat(d.text[:mark], d.data[:a], second, d.data[aEnd:b], d.data[a:aEnd], d.data[bEnd:]))
}

// block is where an element stands: from the comment lines directly above its header to the end of its last key.
func (d *outlined) block(item *node) (from, to int) {
	i := slices.IndexFunc(d.exprs, func(e expression) bool { return e.header && e.n == item })
	from, to = d.exprs[i].at, d.exprs[i].end
	least := 0
	if i > 0 {
		least = d.exprs[i-1].end
	}
	for from > least {
		line := 1 + bytes.LastIndexByte(d.data[:from-1], '\n')
		if line < least || !bytes.HasPrefix(bytes.TrimLeft(d.data[line:from], " \t"), []byte("#")) {
			break
		}
		from = line
	}
	for _, e := range d.exprs[i+1:] {
		if e.header && !below(e.n, item) {
			break
		}
		to = e.end
	}
	return from, to
}

// below reports whether a node is in another.
func below(n, in *node) bool {
	for n = n.parent; n != nil; n = n.parent {
		if n == in {
			return true
		}
	}
	return false
}
