package config

import (
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

// DefaultBootstrap is the commented gatepost.toml in which every key has its default.
func DefaultBootstrap() string {
	var b Bootstrap
	setDefaults(reflect.ValueOf(&b).Elem())
	b.Fill()
	w := &printer{}
	w.comment("", BootstrapFile+": what Gatepost needs to start. Every key is shown with its default; remove the # before a key to change it. "+
		"Domains, routes, limits and checks are in "+PolicyFile+". After a change: gatepost check, then restart the daemon.")
	w.table("", "", reflect.ValueOf(b), nil)
	return w.String()
}

// DefaultPolicy is the commented policy.toml in which every key has its default, with the sections of these checks.
func DefaultPolicy(sections Sections) string {
	var p Policy
	setDefaults(reflect.ValueOf(&p).Elem())
	w := &printer{}
	w.comment("", PolicyFile+": what is done with mail. Every key is shown with its default; remove the # before a key to change it. "+
		"Without this file no domain is served. After a change: gatepost check, then send SIGHUP to the daemon.")
	w.table("", "", reflect.ValueOf(p), sections)
	return w.String()
}

// printer writes a commented document: prose as "# text", a value that is the default as "#key = value", an example
// indented by four blanks behind the "# ".
type printer struct {
	strings.Builder
}

// example stands before each line of an example.
const example = "#     "

func (w *printer) comment(indent, text string) {
	for _, line := range wrap(text, 110-len(indent)) {
		w.WriteString(indent + "# " + line + "\n")
	}
}

func (w *printer) blank(indent string) {
	w.WriteString(strings.TrimRight(indent, " ") + "\n")
}

// table writes the keys of a struct, then its tables: TOML wants this order.
func (w *printer) table(indent, path string, v reflect.Value, sections Sections) {
	fields := fieldsOf(v.Type())
	for _, f := range fields {
		if f.form < formTable {
			w.blank(indent)
			w.key(indent, f, v.FieldByIndex(f.index))
		}
	}
	for _, f := range fields {
		if f.form < formTable {
			continue
		}
		w.blank(indent)
		w.comment(indent, f.doc)
		name, fv := join(path, f.name), v.FieldByIndex(f.index)
		switch {
		case f.form == formChecks:
			w.sections(sections)
		case f.form == formTables && fv.Len() > 0:
			w.elements(name, fv)
		case f.form == formTables:
			w.element(indent, name, f)
		case f.pointer:
			w.WriteString(indent + "#[" + name + "]\n")
			w.table(indent, name, reflect.New(f.typ).Elem(), nil)
		default:
			w.WriteString(indent + "[" + name + "]\n")
			w.table(indent, name, fv, nil)
		}
	}
}

// key writes one key behind a #. A required one, which only examples have, is written live.
func (w *printer) key(indent string, f field, v reflect.Value) {
	w.comment(indent, f.prose())
	switch {
	case f.required:
		w.WriteString(indent + f.line() + "\n")
	case f.pointer:
		w.WriteString(indent + "#" + f.line() + "\n")
	default:
		w.WriteString(indent + "#" + f.name + " = " + f.valueLiteral(v) + "\n")
	}
}

// elements writes a list of tables that has a default.
func (w *printer) elements(name string, list reflect.Value) {
	for i := range list.Len() {
		w.WriteString("#[[" + name + "]]\n")
		for _, f := range fieldsOf(list.Index(i).Type()) {
			w.blank("")
			w.comment("", f.prose())
			w.WriteString("#" + f.name + " = " + f.valueLiteral(list.Index(i).FieldByIndex(f.index)) + "\n")
		}
	}
}

// element writes an example of a table in a list.
func (w *printer) element(indent, name string, f field) {
	if indent == "" {
		w.WriteString("# Example:\n")
		indent = example
		w.blank(indent)
	}
	w.WriteString(indent + "[[" + name + "]]\n")
	e := reflect.New(f.typ.Elem()).Elem()
	setDefaults(e)
	w.table(indent, name, e, nil)
}

func (w *printer) sections(sections Sections) {
	for _, name := range sections.names() {
		s := sections[name]
		w.blank("")
		w.comment("", s.prose())
		w.WriteString("[checks." + name + "]\n")
		for _, v := range s.structs() {
			w.table("", "checks."+name, v, nil)
		}
	}
}

func (s Section) prose() string {
	text := s.Doc
	if s.RFC != "" {
		text += " (" + s.RFC + ")"
	}
	if len(s.Measures) > 0 {
		text += " Measures:"
		for i, m := range s.Measures {
			if i > 0 {
				text += ","
			}
			text += " " + m.Name
		}
		text += "."
	}
	return text
}

// prose is what a comment says about a key.
func (f field) prose() string {
	text := f.doc
	if r := f.ranged(); r != "" && f.form != formString {
		text += " Values" + r + f.suffix() + "."
	}
	if f.form == formString && f.max != "" {
		text += " At most " + f.literal(f.max) + "."
	}
	if len(f.enum) > 0 {
		text += " Values: " + strings.Join(f.enum, ", ") + "."
	}
	if f.rfc != "" {
		text += " (" + f.rfc + ")"
	}
	if f.example != "" && !f.required && !f.pointer {
		text += " Example: " + f.literal(f.example)
	}
	return text
}

func (f field) suffix() string {
	if f.unit == "" || f.unit == "bytes" {
		return ""
	}
	return " " + f.unit
}

// valueLiteral is a bound value as the document would have it.
func (f field) valueLiteral(v reflect.Value) string {
	switch f.form {
	case formList:
		e := f.element()
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = e.valueLiteral(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case formMap:
		return f.mapLiteral(v)
	case formBool, formInt, formFloat:
		return f.text(v)
	}
	return strconv.Quote(f.text(v))
}

func (f field) mapLiteral(v reflect.Value) string {
	if v.Len() == 0 {
		return "{}"
	}
	e := f.element()
	var parts []string
	for it := v.MapRange(); it.Next(); {
		key := it.Key().String()
		if !plainKey(key) {
			key = strconv.Quote(key)
		}
		parts = append(parts, fmt.Sprintf("%s = %s", key, e.valueLiteral(it.Value())))
	}
	sort.Strings(parts)
	return "{ " + strings.Join(parts, ", ") + " }"
}

// wrap breaks a text into lines of at most width octets where it has blanks.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
