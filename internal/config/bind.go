package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// MaxFile is the largest document that is read, in octets.
const MaxFile = 1 << 20

// Options is what Decode must know beside the document.
type Options struct {
	Sections Sections           // the checks, for a field of type Checks
	Where    Where              // filled with the place of every key of the document, unless nil
	Others   map[string]Pointer // the other documents by file name, to say where a misplaced key belongs
}

// Where tells where the keys of a document stand: "policy.toml:12" by the key's path, all words joined by dots and
// none quoted: "checks.spf.action", "domain.example.org.thresholds.reject". Tables have no entry of their own.
type Where map[string]string

// Pointer is a pointer to a document's struct; only its type is looked at.
type Pointer any

// Decode binds one document to the struct that into points to, whose fields are first set to their defaults. It
// returns everything that is wrong, in the order of the lines; a value with a problem keeps its default. The file
// name is only for the problems. Decode panics when a tag is wrong, which VerifyTags finds in a test.
func Decode(file string, data []byte, into any, opts Options) Problems {
	if len(data) > MaxFile {
		return Problems{{File: file, Message: "the file is larger than 1 MiB", Instead: "check that it is the right file"}}
	}
	s := newSource(file, data)
	b := &binder{source: s, opts: opts, top: into, shapes: map[reflect.Type]*shape{}}
	v := reflect.ValueOf(into).Elem()
	setDefaults(v)
	root := s.grow()
	b.table(v, root)
	if opts.Where != nil {
		s.where(opts.Where, root, "")
	}
	return s.found()
}

type binder struct {
	*source
	opts   Options
	top    Pointer
	shapes map[reflect.Type]*shape
}

// shape is what reflection says about a struct, kept for the time of one decode: a list may have very many elements.
type shape struct {
	fields []field
	byName map[string]field
	start  reflect.Value // the struct with its defaults
	paths  []string      // every key below it; filled when first asked for
}

func (b *binder) shape(t reflect.Type) *shape {
	if s := b.shapes[t]; s != nil {
		return s
	}
	s := &shape{fields: fieldsOf(t), byName: map[string]field{}, start: fresh(t)}
	for _, f := range s.fields {
		s.byName[f.name] = f
	}
	b.shapes[t] = s
	return s
}

// setDefaults lays the default tags over the fields of a struct that are zero, tables included.
func setDefaults(v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		switch {
		case f.form == formTable && !f.pointer:
			setDefaults(fv)
		case f.hasDef && f.def != "" && !f.pointer && fv.IsZero():
			if bad := f.setDefault(fv, f.def); bad != nil {
				panic(fmt.Sprintf("config: default of %s: %q %s", f.name, f.def, bad.Message))
			}
		}
	}
}

// table binds the keys of n to the struct v; then come the struct's own rules.
func (b *binder) table(v reflect.Value, n *node) {
	s := b.shape(v.Type())
	b.keys(v, n, s)
	b.missing(n, s.fields)
	b.rules(v, n)
}

func (b *binder) keys(v reflect.Value, n *node, s *shape) {
	for _, f := range s.fields {
		if n.index[f.name] != nil {
			continue
		}
		switch fv := v.FieldByIndex(f.index); {
		case f.form == formChecks:
			fv.Set(reflect.ValueOf(b.checks(nil)))
		case f.form == formTable && !f.pointer:
			b.table(fv, newTable(n, f.name, n.at, implicit)) // its rules hold without it too
		}
	}
	for _, e := range n.keys {
		f, known := s.byName[e.name]
		if !known {
			b.unknownKey(n, e, s.fields)
			continue
		}
		b.bind(v.FieldByIndex(f.index), f, e.value, e.at)
	}
}

func (b *binder) missing(n *node, fields []field) {
	if b.cut || b.full() {
		return
	}
	for _, f := range fields {
		if f.required && n.index[f.name] == nil && !slices.ContainsFunc(strings.Split(f.unless, ","), func(o string) bool { return n.index[o] != nil }) {
			b.report(Problem{Key: join(n.path(), f.name), Message: "is missing", Instead: "write " + f.line()}, n.at)
		}
	}
}

// rules calls the methods that a struct may have.
func (b *binder) rules(v reflect.Value, n *node) {
	if !v.CanAddr() {
		return
	}
	p := v.Addr().Interface()
	if f, ok := p.(interface{ Fill() }); ok {
		f.Fill()
	}
	policy, top := p.(*Policy)
	if top {
		policy.applyLevel(b.opts.Sections, n.written)
	}
	if b.cut {
		return
	}
	if top {
		policy.named(b.opts.Sections, b.reporter(n, false))
	}
	if r, ok := p.(interface {
		Validate(report func(key, message, instead string))
	}); ok {
		r.Validate(b.reporter(n, false))
	}
	if r, ok := p.(interface {
		Warn(report func(key, message, instead string))
	}); ok {
		r.Warn(b.reporter(n, true))
	}
	if top {
		policy.unreached(b.opts.Sections, b.reporter(n, true))
	}
}

// bind sets one field from one value.
func (b *binder) bind(v reflect.Value, f field, n *node, keyAt int) {
	if f.pointer {
		p := reflect.New(f.typ)
		if f.form == formTable {
			p.Elem().Set(b.shape(f.typ).start)
		}
		v.Set(p)
		v = p.Elem()
	}
	switch f.form {
	case formTable:
		if b.want(n, kindTable, f, keyAt) {
			b.table(v, n)
		}
	case formChecks:
		if b.want(n, kindTable, f, keyAt) {
			v.Set(reflect.ValueOf(b.checks(n)))
		} else {
			v.Set(reflect.ValueOf(b.checks(nil)))
		}
	case formTables:
		b.bindTables(v, f, n, keyAt)
	case formList:
		b.bindList(v, f, n, keyAt)
	case formMap:
		if b.want(n, kindTable, f, keyAt) {
			b.bindMap(v, f, n)
		}
	default:
		b.scalar(v, f, n, keyAt)
	}
}

func (b *binder) bindTables(v reflect.Value, f field, n *node, keyAt int) {
	if !b.want(n, kindList, f, keyAt) {
		return
	}
	list := reflect.MakeSlice(f.typ, 0, len(n.items))
	for _, item := range n.items {
		if b.full() {
			break
		}
		if item.kind != kindTable {
			b.report(Problem{Key: item.path(), Message: describe(item) + ", not a table", Instead: "write [[" + schemaPath(n) + "]] and its keys below it"}, item.at)
			continue
		}
		e := reflect.New(f.typ.Elem()).Elem()
		e.Set(b.shape(e.Type()).start)
		b.table(e, item)
		list = reflect.Append(list, e)
	}
	v.Set(list)
}

func (b *binder) bindList(v reflect.Value, f field, n *node, keyAt int) {
	if !b.want(n, kindList, f, keyAt) {
		return
	}
	e := f.element()
	list := reflect.MakeSlice(f.typ, 0, len(n.items))
	seen := map[string]bool{}
	for _, item := range n.items {
		if b.full() {
			break
		}
		x := reflect.New(e.typ).Elem()
		if !b.scalar(x, e, item, item.at) {
			b.taken[place{keyAt, n.path(), false}] = true // no rule needs to say that the list is too short
			continue
		}
		text := e.text(x)
		if seen[text] {
			b.report(Problem{Key: n.path(), Message: shown(text) + " is in the list twice", Instead: "remove one of them"}, item.at)
			continue
		}
		seen[text] = true
		list = reflect.Append(list, x)
	}
	v.Set(list)
}

func (b *binder) bindMap(v reflect.Value, f field, n *node) {
	e := f.element()
	m := reflect.MakeMap(f.typ)
	for it := v.MapRange(); v.Len() > 0 && it.Next(); {
		m.SetMapIndex(it.Key(), it.Value())
	}
	for _, k := range n.keys {
		x := reflect.New(e.typ).Elem()
		if b.scalar(x, e, k.value, k.at) {
			m.SetMapIndex(reflect.ValueOf(k.name).Convert(f.typ.Key()), x)
		}
	}
	v.Set(m)
}

// scalar sets a value that is no table and no list, and says whether it could.
func (b *binder) scalar(v reflect.Value, f field, n *node, at int) bool {
	key := n.path()
	if f.secret != "" {
		return b.secret(v, f, n, at)
	}
	if !f.accepts(n.kind) {
		b.report(Problem{Key: key, Message: describe(n) + ", not " + f.noun(), Instead: f.insteadOf(n)}, at)
		return false
	}
	text := n.text
	if f.form == formSize && n.kind == kindInteger {
		text = strings.ReplaceAll(text, "_", "") // TOML's digits may have them, a size's may not
	}
	if bad := f.setText(v, text); bad != nil {
		p := Problem{Key: key, Message: literalOf(n) + " " + bad.Message, Instead: bad.Instead}
		if p.Instead == "" {
			p.Instead = f.instead()
		}
		b.report(p, at)
		return false
	}
	if e, ok := v.Addr().Interface().(*Expression); ok {
		e.line, e.column = b.position(n.at)
		e.raw = string(b.data[n.at:skipString(b.data, n.at)])
	}
	return true
}

// secret is scalar for a value that no message shows.
func (b *binder) secret(v reflect.Value, f field, n *node, at int) bool {
	if f.accepts(n.kind) && f.setText(v, n.text) == nil {
		return true
	}
	b.report(Problem{Key: n.path(), Message: "is not what can stand here (it is not shown)", Instead: "write it in double quotes, as it was given to you"}, at)
	return false
}

// want checks the shape of a value that is no scalar.
func (b *binder) want(n *node, k kind, f field, keyAt int) bool {
	if n.kind == k && !(f.form == formList && n.tables) {
		return true
	}
	p := Problem{Key: n.path(), Message: describe(n) + ", not " + f.noun(), Instead: f.instead()}
	switch {
	case f.form == formTables && n.kind == kindTable:
		p.Message, p.Instead = "is a list of tables, but this is one table", "write [["+schemaPath(n)+"]]"
	case f.form == formTables:
		p.Instead = "write [[" + schemaPath(n) + "]] and its keys below it"
	case f.form != formList:
		p.Instead = "write [" + schemaPath(n) + "] and its keys below it"
	}
	b.report(p, keyAt)
	return false
}
