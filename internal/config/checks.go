package config

import (
	"reflect"
	"sort"
	"strings"
)

// checks binds the table [checks]; nil stands for none. Every known check gets an entry.
func (b *binder) checks(n *node) Checks {
	all := Checks{}
	if n != nil {
		b.sections(all, n, "")
	}
	for _, name := range b.opts.Sections.names() {
		if all[name] == nil {
			all[name] = b.section(b.opts.Sections[name], unwritten(name), nil)
		}
	}
	return all
}

// unwritten is the empty table of a check that the document does not mention.
func unwritten(name string) *node {
	n := newTable(newTable(nil, "", 0, implicit), "checks", 0, implicit)
	for _, word := range strings.Split(name, ".") {
		n = newTable(n, word, 0, implicit)
	}
	return n
}

// sections walks the tables below [checks]: a check's name may have dots, and "rbl" and "rbl.client" may both be checks.
func (b *binder) sections(all Checks, n *node, prefix string) {
	for _, e := range n.keys {
		name := prefix + e.name
		s, known := b.opts.Sections[name]
		deeper := b.family(name + ".")
		switch {
		case !known && !deeper:
			b.unknownCheck(e, name)
		case e.value.kind != kindTable:
			b.report(Problem{Key: e.value.path(), Message: describe(e.value) + ", not a table", Instead: "write [checks." + name + "] and its keys below it"}, e.at)
		case known:
			below := newTable(nil, "", 0, implicit)
			for _, sub := range e.value.keys {
				if _, check := b.opts.Sections[name+"."+sub.name]; check || deeper && b.family(name+"."+sub.name+".") {
					below.keys = append(below.keys, sub)
				}
			}
			all[name] = b.section(s, e.value, below.keys)
			b.sections(all, below, name+".")
		default:
			b.sections(all, e.value, name+".")
		}
	}
}

func (b *binder) family(prefix string) bool {
	for name := range b.opts.Sections {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (b *binder) unknownCheck(e *entry, name string) {
	p := Problem{Key: e.value.path(), Message: "there is no such check"}
	names := b.opts.Sections.names()
	if near := nearest(name, names); near != "" {
		p.Instead = "did you mean checks." + near + "?"
	} else if len(names) > 0 {
		p.Instead = "the checks are " + strings.Join(names, ", ")
	} else {
		p.Instead = "remove it"
	}
	b.report(p, e.at)
}

// section binds one check's table: the generic keys and the check's own, side by side. The keys in others are tables
// of other checks.
func (b *binder) section(s Section, n *node, others []*entry) *Check {
	g, own := s.generic(), s.options()
	gv := reflect.ValueOf(&g).Elem()
	fields := fieldsOf(gv.Type())
	generics := len(fields)
	if own.IsValid() {
		setDefaults(own.Elem())
		fields = append(fields, fieldsOf(own.Elem().Type())...)
	}
	skip := map[string]bool{}
	for _, e := range others {
		skip[e.name] = true
	}
	for _, e := range n.keys {
		if skip[e.name] {
			continue
		}
		i := 0
		for i < len(fields) && fields[i].name != e.name {
			i++
		}
		switch {
		case i == len(fields):
			b.unknownKey(n, e, append(fields, b.below(s.Name)...))
		case e.name == "prices" && i < generics:
			b.prices(&g, s, e)
		case i < generics:
			b.bind(gv.FieldByIndex(fields[i].index), fields[i], e.value, e.at)
		default:
			b.bind(own.Elem().FieldByIndex(fields[i].index), fields[i], e.value, e.at)
		}
	}
	check := &Check{Name: s.Name, Action: g.Action, Unknown: g.Unknown, Prices: g.Prices}
	if own.IsValid() {
		if len(n.keys) > 0 {
			b.missing(n, fields)
		}
		b.rules(own.Elem(), n)
		check.Options = own.Interface()
	}
	return check
}

// below are the checks whose names begin with this one's, as if they were keys: they are as right in its table.
func (b *binder) below(name string) []field {
	var fields []field
	for _, other := range b.opts.Sections.names() {
		if rest, ok := strings.CutPrefix(other, name+"."); ok {
			fields = append(fields, field{name: rest})
		}
	}
	return fields
}

// prices lays the operator's prices over the defaults; only measures that the check declares have one.
func (b *binder) prices(g *generic, s Section, e *entry) {
	var f field
	for _, f = range fieldsOf(reflect.TypeFor[generic]()) {
		if f.name == "prices" {
			break
		}
	}
	if !b.want(e.value, kindTable, f, e.at) {
		return
	}
	right := *e.value
	right.keys = nil
	for _, m := range e.value.keys {
		if s.measures(m.name) {
			right.keys = append(right.keys, m)
			continue
		}
		p := Problem{Key: m.value.path(), Message: "check " + s.Name + " has no such measure", Instead: "it has none, remove the key"}
		if names := s.measureNames(); len(names) > 0 {
			sort.Strings(names)
			p.Instead = "its measures are " + strings.Join(names, ", ")
		}
		b.report(p, m.at)
	}
	b.bindMap(reflect.ValueOf(&g.Prices).Elem(), f, &right)
}
