package config

import (
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
	at := secretsIn(nil, d.root, reflect.TypeFor[Policy]())
	slices.Sort(at)
	out := d.data
	for _, from := range slices.Backward(at) { // so that what is in front stays where it is
		out = slices.Concat(out[:from], []byte(quoted(Hidden)), out[skipValue(d.data, from):])
	}
	return slices.Concat(d.text[:len(d.text)-len(d.data)], out)
}

// secretsIn adds where the values of secret keys begin, in a table of a type and in those below it.
func secretsIn(at []int, table *node, t reflect.Type) []int {
	for _, f := range fieldsOf(t) {
		e := table.index[f.name]
		switch {
		case e == nil:
		case f.secret:
			at = append(at, e.value.at)
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
