package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Document is a TOML document that is made piece by piece: each key has its origin behind it.
type Document struct {
	title  string
	root   table
	tables []*table
}

// table is a table or an element of a list of tables.
type table struct {
	header string // "[limits]", "[[route]]"; "" for the root
	above  []string
	lines  []keyLine
	subs   []*table // elements of lists in it
}

type keyLine struct {
	key, value, origin string
	off                bool // commented out
}

func (t *table) set(key, value, origin string) {
	t.lines = append(t.lines, keyLine{key, value, origin, false})
}

// off writes a key as a comment: one that the operator has to decide on.
func (t *table) off(key, value, why string) {
	t.lines = append(t.lines, keyLine{key, value, why, true})
}

// table returns [name], made when it is first asked for.
func (d *Document) table(name string) *table {
	header := "[" + name + "]"
	for _, t := range d.tables {
		if t.header == header {
			return t
		}
	}
	t := &table{header: header}
	d.tables = append(d.tables, t)
	return t
}

// each adds an element [[name]].
func (d *Document) each(name string) *table {
	t := &table{header: "[[" + name + "]]"}
	d.tables = append(d.tables, t)
	return t
}

// sub adds an element [[name]] of a list within.
func (t *table) sub(name string) *table {
	s := &table{header: "[[" + name + "]]"}
	t.subs = append(t.subs, s)
	return s
}

// order is where the tables of a document stand: as config default and policy default have them.
func order(header string) int {
	word := strings.Trim(header, "# []")
	word, _, _ = strings.Cut(word, ".")
	i := slices.Index([]string{"listener", "tls", "dns", "clamav", "spamassassin", "thresholds", "trusted", "trusted_relay", "limits", "rate", "smtp",
		"directory", "route", "domain", "domain_map", "alias", "recipient", "rbl", "checks"}, word)
	if i < 0 {
		return 1000
	}
	return i
}

// Text is the document.
func (d *Document) Text() string {
	var b strings.Builder
	for l := range strings.Lines(d.title) {
		b.WriteString("# " + l)
	}
	b.WriteString("\n")
	d.root.write(&b)
	slices.SortStableFunc(d.tables, func(a, b *table) int { return order(a.header) - order(b.header) })
	for _, t := range d.tables {
		t.write(&b)
	}
	return b.String()
}

func (t *table) write(b *strings.Builder) {
	if t.header != "" {
		b.WriteString("\n")
	}
	for _, l := range t.above {
		b.WriteString("# " + bounded(l, 300) + "\n")
	}
	if t.header != "" {
		b.WriteString(t.header + "\n")
	}
	for _, l := range t.lines {
		if l.off {
			b.WriteString("# ")
		}
		fmt.Fprintf(b, "%s = %s", l.key, l.value)
		if l.origin != "" {
			b.WriteString("  # " + bounded(l.origin, 200))
		}
		b.WriteString("\n")
	}
	for _, s := range t.subs {
		s.write(b)
	}
}

// text writes a TOML basic string.
func text(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "?") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func texts(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = text(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func number(n int) string { return strconv.Itoa(n) }
