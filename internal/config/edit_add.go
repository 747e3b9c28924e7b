package config

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// add writes a key that is not there. n is the nearest table that is.
func (d *outlined) add(n *node, rest []keyWord, value string) {
	for ; n.origin == dotted; n = n.parent { // only where it was begun may it go on
		rest = append([]keyWord{{name: n.name}}, rest...)
	}
	switch {
	case n.origin == inline:
		d.addInside(n.at, joinWords(rest)+" = "+value)
	case len(rest) == 1 && n.origin == headed, d.begun(n, rest):
		d.addLine(n, joinWords(rest), value)
	default:
		table := append([]keyWord{}, rest[:len(rest)-1]...)
		name := headerPath(n)
		if len(table) > 0 {
			name = strings.TrimPrefix(name+"."+joinWords(table), ".")
		}
		d.addTable(n, "["+name+"]", joinWords(rest[len(rest)-1:])+" = "+value)
	}
}

// begun reports whether the first word is a table that was begun by a dotted key, so that no header may name it.
func (d *outlined) begun(n *node, rest []keyWord) bool {
	e := n.index[rest[0].name]
	return e != nil && e.value.origin == dotted
}

// addInside writes a member into { } or [ ].
func (d *outlined) addInside(at int, text string) {
	members := membersOf(d.data, at)
	switch {
	case len(members) > 0:
		end := members[len(members)-1].end
		d.splice(end, end, ", "+text)
	case d.data[at] == '{':
		d.splice(at+1, at+1, " "+text+" ")
	default:
		d.splice(at+1, at+1, text)
	}
}

// addLine writes a key into a table that has lines of its own.
func (d *outlined) addLine(n *node, key, value string) {
	at, indent := d.placeIn(n, key)
	line := indent + key + " = " + value + d.eol
	switch {
	case at > 0 && d.data[at-1] != '\n':
		line = d.eol + line
	case n == d.root && at < len(d.data) && len(n.keys) > 0 && !slices.ContainsFunc(d.exprs, func(e expression) bool { return !e.header && sectionOf(e.n) == n }):
		line += d.eol // a header follows
	}
	d.splice(at, at, line)
}

// sectionOf is the table whose header a key stands below.
func sectionOf(n *node) *node {
	for n = n.parent; n != nil && n.origin == dotted; n = n.parent {
	}
	return n
}

// placeIn finds where a new key of a table goes: below the comment that shows its default, else below the last key, else
// below the header; of the document itself above the first header and its comment.
func (d *outlined) placeIn(n *node, key string) (at int, indent string) {
	from, to := 0, len(d.data)
	var last, first *expression
	for i := range d.exprs {
		e := &d.exprs[i]
		switch {
		case e.header && e.n == n:
			from, at = e.end, e.end
		case e.header && e.at >= from && first == nil && (n == d.root || at > 0):
			first, to = e, e.at
		case !e.header && sectionOf(e.n) == n:
			last = e
		}
	}
	if shown := d.commented(from, to, key); shown > 0 {
		return shown, ""
	}
	switch {
	case last != nil:
		line := d.data[last.at:last.end]
		return last.end, string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
	case n != d.root:
		return at, ""
	case first == nil:
		return len(d.data), ""
	}
	for at = first.at; at > 0; { // up over the comment of the first header
		above := 1 + bytes.LastIndexByte(d.data[:at-1], '\n')
		if !bytes.HasPrefix(bytes.TrimLeft(d.data[above:at], " \t"), []byte("#")) {
			break
		}
		at = above
	}
	return at, ""
}

// commented finds the line "#key = ..." between two offsets, and returns what is behind it; 0 where there is none.
func (d *outlined) commented(from, to int, key string) int {
	for at := from; at < to; {
		end := lineEnd(d.data, at)
		if i := slices.IndexFunc(d.exprs, func(e expression) bool { return at >= e.at && at < e.end }); i >= 0 {
			at = d.exprs[i].end // a # in a text of several lines is none of ours
			continue
		}
		text, isComment := bytes.CutPrefix(d.data[at:end], []byte("#"))
		name, _, isKey := bytes.Cut(text, []byte("="))
		if isComment && isKey && string(bytes.TrimRight(name, " \t")) == key {
			return end
		}
		at = end
	}
	return 0
}

// addTable writes a header with lines below it behind all that belongs to a table or list.
func (d *outlined) addTable(n *node, header string, lines ...string) {
	at := d.lastOf(n)
	var b strings.Builder
	if at > 0 && d.data[at-1] != '\n' {
		b.WriteString(d.eol)
	}
	if at > 0 {
		b.WriteString(d.eol)
	}
	b.WriteString(header + d.eol)
	for _, line := range lines {
		b.WriteString(line + d.eol)
	}
	d.splice(at, at, b.String())
}

// addElement adds to a list, or begins it.
func (d *outlined) addElement(n *node, rest []keyWord, value any, text string) *ValueError {
	table, isTable := value.(map[string]any)
	switch {
	case len(rest) == 0 && !n.tables: // [ ]
		if inTables := len(n.items) > 0 && n.items[0].kind == kindTable; inTables != isTable && len(n.items) > 0 {
			return &ValueError{Message: "does not fit what is in the list", Instead: "write a value like those that are there"}
		}
		d.addInside(n.at, text)
		return nil
	case len(rest) == 0 && !isTable:
		return &ValueError{Message: "is a list of tables", Instead: "give it a table of keys and values"}
	case !isTable:
		d.add(n, rest, "["+text+"]")
		return nil
	}
	name := headerPath(n)
	if len(rest) > 0 {
		if n.origin == inline || n.origin == dotted {
			d.add(n, rest, "["+text+"]")
			return nil
		}
		name = strings.TrimPrefix(name+"."+joinWords(rest), ".")
	}
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(table)) {
		v, bad := literal(table[key])
		if bad != nil {
			return bad
		}
		lines = append(lines, bareOrQuoted(key)+" = "+v)
	}
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "name = ") }); i > 0 {
		lines = slices.Insert(slices.Delete(lines, i, i+1), 0, "name = "+mustLiteral(table["name"])) // it says what the others are of
	}
	d.addTable(n, "[["+name+"]]", lines...)
	return nil
}

// mustLiteral writes a value that was written before.
func mustLiteral(v any) string {
	text, _ := literal(v)
	return text
}

// remove takes a value, a table or an element away.
func (d *outlined) remove(n *node) {
	if holder := inlineHolder(n); holder != nil {
		d.removeInside(holder, n)
		return
	}
	type span struct{ from, to int }
	var spans []span
	joined := false // the expression before goes too
	for _, e := range d.exprs {
		switch gone := e.n.within(n); {
		case gone && joined:
			spans[len(spans)-1].to = e.end
		case gone:
			spans = append(spans, span{e.at, e.end})
			fallthrough
		default:
			joined = gone
		}
	}
	kept, at := []byte(nil), 0
	for _, s := range spans {
		kept = append(kept, d.data[at:s.from]...)
		at = s.to
	}
	kept = append(kept, d.data[at:]...)
	d.splice(0, len(d.data), string(kept))
}

// removeInside takes members out of { } or [ ], each with its comma.
func (d *outlined) removeInside(holder, n *node) {
	members := membersOf(d.data, holder.at)
	gone := func(m member) bool { return slices.ContainsFunc(leaves(n), func(at int) bool { return at == m.value }) }
	kept := slices.DeleteFunc(slices.Clone(members), gone)
	var cuts [][2]int
	for _, m := range members {
		switch {
		case !gone(m):
		case m.comma >= 0:
			cuts = append(cuts, [2]int{m.at, skipSpaces(d.data, m.comma+1)})
		default: // the last, whose blanks and comma are before it
			cuts = append(cuts, [2]int{len(bytes.TrimRight(d.data[:m.at], " \t")), m.end})
			if len(kept) > 0 {
				comma := kept[len(kept)-1].comma
				cuts = append(cuts, [2]int{comma, comma + 1})
			}
		}
	}
	slices.SortFunc(cuts, func(a, b [2]int) int { return b[0] - a[0] })
	data := d.data
	for _, c := range cuts {
		data = slices.Concat(data[:c[0]], data[c[1]:])
	}
	d.splice(0, len(d.data), string(data))
}

// leaves are the offsets of the values that a member of an inline table, perhaps with a dotted key, stands for.
func leaves(n *node) (out []int) {
	if n.kind != kindTable || n.origin != dotted {
		return []int{n.at}
	}
	for _, e := range n.keys {
		out = append(out, leaves(e.value)...)
	}
	return out
}

func skipSpaces(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}
