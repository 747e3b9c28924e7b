package config

import (
	"reflect"
	"slices"
	"strconv"
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

// cutLast cuts a name at its last dot.
func cutLast(name string) (before, after string, found bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

func (b *binder) unknownCheck(e *entry, name string) {
	p := Problem{Key: e.value.path(), Message: "there is no such check"}
	names := b.opts.Sections.names()
	if family, _, ok := cutLast(name); ok && e.value.kind != kindTable && b.family(family+".") {
		// [checks.attachments] action = ...: the beginning of several names is no check.
		of := slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, family+".") })
		b.report(Problem{Key: e.value.path(), Message: strconv.Quote(family) + " is no check, but " + strconv.Itoa(len(of)) + " of them",
			Instead: "write it below [checks." + of[0] + "], and likewise of " + strings.Join(of[1:], ", ")}, e.at)
		return
	}
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
	structs := s.structs()
	var fields []field
	places := map[string]reflect.Value{}
	for _, v := range structs {
		for _, f := range b.shape(v.Type()).fields {
			fields = append(fields, f)
			places[f.name] = v.FieldByIndex(f.index)
		}
	}
	for _, e := range n.keys {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == e.name })
		switch {
		case slices.Contains(others, e):
		case i < 0 && e.name == "when" && s.Firm:
			b.report(Problem{Key: e.value.path(), Message: "is no key of this check: what it looks for is looked for in all mail", Instead: "remove it; engines that score have it, which cost much more"}, e.at)
		case i < 0:
			b.unknownKey(n, e, append(fields, b.below(s.Name)...))
		case e.name == "prices" || e.name == "reasons":
			b.named(places[e.name], fields[i], s, e)
		default:
			b.bind(places[e.name], fields[i], e.value, e.at)
		}
	}
	g := structs[0].Addr().Interface().(*generic)
	check := &Check{Name: s.Name, Action: g.Action, Unknown: g.Unknown, Prices: g.Prices}
	if len(s.Reasons) > 0 {
		check.Reasons = structs[1].Addr().Interface().(*byReason).Reasons
	}
	for _, v := range structs {
		if c, ok := v.Addr().Interface().(*costly); ok {
			check.When = c.When
		}
	}
	if !s.Parts {
		b.noParts(check, n)
	}
	if s.Options != nil {
		if len(n.keys) > 0 {
			b.missing(n, fields)
		}
		own := structs[len(structs)-1]
		b.rules(own, n)
		check.Options = own.Addr().Interface()
	}
	return check
}

// noParts refuses to take out what is no part.
func (b *binder) noParts(check *Check, n *node) {
	keys := map[string]Action{"action": check.Action}
	for reason, action := range check.Reasons {
		keys["reasons."+reason] = action
	}
	for key, action := range keys {
		if action != Strip {
			continue
		}
		at, path := locate(n, key)
		b.report(Problem{Key: path, Message: "what " + check.Name + " finds are no parts of a message that could be taken out", Instead: `write "quarantine", or another action`}, at)
	}
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

// named lays the operator's prices or reasons over the defaults; only names that the check declares are taken.
func (b *binder) named(v reflect.Value, f field, s Section, e *entry) {
	if !b.want(e.value, kindTable, f, e.at) {
		return
	}
	names, noun := s.names(f.name), "measure"
	if f.name == "reasons" {
		noun = "reason"
	}
	right := *e.value
	right.keys = nil
	for _, m := range flat(e.value, "") {
		if among(names, m.name) {
			right.keys = append(right.keys, m)
			continue
		}
		p := Problem{Key: m.value.path(), Message: "check " + s.Name + " has no such " + noun, Instead: "it has none, remove the key"}
		if instead := s.Moved[m.name]; instead != "" {
			p.Instead = instead
		} else if near := nearest(m.name, names); near != "" {
			p.Instead = "did you mean " + near + "?"
		} else if len(names) > 0 {
			p.Instead = "its " + noun + "s are " + strings.Join(names, ", ")
		}
		b.report(p, m.at)
	}
	b.bindMap(v, f, &right)
}

// flat lists the keys of a table with those of the tables in it, whose names are joined: a name with a dot need not be
// quoted.
func flat(n *node, prefix string) []*entry {
	var all []*entry
	for _, e := range n.keys {
		if e.value.kind == kindTable {
			all = append(all, flat(e.value, prefix+e.name+".")...)
			continue
		}
		all = append(all, &entry{name: prefix + e.name, at: e.at, value: e.value})
	}
	return all
}
