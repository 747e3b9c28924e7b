package config

import (
	"cmp"
	"reflect"
	"slices"
)

// Hidden is what stands in place of a secret.
const Hidden = "(secret)"

// Redacted is a policy document without the secrets in it, for those who may read a policy and not write one: what the tag secret
// says of keys counts. What is no document is hidden whole.
func Redacted(text []byte) []byte {
	d, err := outline(text)
	if err != nil {
		return []byte("# This is no document that can be read: " + Hidden + "\n")
	}
	return d.replaced(func(placed) string { return Hidden })
}

// DecodeRedacted decodes a document as DecodePolicy does, and one that Redacted made as what it was made of: where a secret is hidden
// there is one, though not which.
func DecodeRedacted(file string, text []byte, sections Sections) (*Policy, Problems) {
	if d, err := outline(text); err == nil {
		text = d.replaced(func(p placed) string {
			if p.text == Hidden {
				return p.standIn
			}
			return ""
		})
	}
	return DecodePolicy(file, text, sections)
}

// placed is a secret of a document.
type placed struct {
	at            int // where its value begins
	text, standIn string
}

// replaced is the document with other texts for its secrets; "" leaves one as it is.
func (d *outlined) replaced(other func(placed) string) []byte {
	all := secretsIn(nil, d.root, reflect.TypeFor[Policy]())
	slices.SortFunc(all, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	out := d.data
	for _, p := range slices.Backward(all) { // so that what is in front stays where it is
		if text := other(p); text != "" {
			out = slices.Concat(out[:p.at], []byte(quoted(text)), out[skipValue(d.data, p.at):])
		}
	}
	return slices.Concat(d.text[:len(d.text)-len(d.data)], out)
}

// secretsIn adds the secrets in a table of a type and in those below it.
func secretsIn(at []placed, table *node, t reflect.Type) []placed {
	for _, f := range fieldsOf(t) {
		e := table.index[f.name]
		switch {
		case e == nil:
		case f.secret != "":
			at = append(at, placed{e.value.at, e.value.text, f.secret})
		case f.form == formTable && e.value.kind == kindTable:
			at = secretsIn(at, e.value, f.typ)
		case f.form == formTables:
			for _, item := range e.value.items {
				if item.kind == kindTable {
					at = secretsIn(at, item, f.typ.Elem())
				}
			}
		}
	}
	return at
}
