package config

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"
)

// topic is one thing that can be explained.
type topic struct {
	path string
	file string
	text func() string
}

// Explain says what a key, a table or a check does, its default and its RFC. The name is the dotted path of a key
// ("limits.message_size"), the name of a check ("spf"), or the last word of a path if only one key ends so. The error
// names what was probably meant.
func Explain(name string, sections Sections) (string, error) {
	topics := topicsOf(sections)
	var ends, names, found []string
	for _, t := range topics {
		if t.path == name || t.path == "checks."+name {
			found = append(found, t.text()) // a table and a check may have one name: clamav is both
		}
		if strings.HasSuffix(t.path, "."+name) {
			ends = append(ends, t.path)
		}
		names = append(names, t.path, strings.TrimPrefix(t.path, "checks."))
	}
	switch {
	case len(found) > 0:
		if name == "level" || strings.HasSuffix(name, ".level") {
			found = append(found, explainLevels(sections))
		}
		return strings.Join(found, "\n"), nil
	case len(ends) == 1:
		return Explain(ends[0], sections)
	case len(ends) > 1:
		sort.Strings(ends)
		return "", fmt.Errorf("explain %s: it may be any of %s", shown(name), strings.Join(ends, ", "))
	}
	if near := nearest(name, names); near != "" {
		return "", fmt.Errorf("explain %s: unknown; did you mean %s?", shown(name), near)
	}
	for _, n := range names {
		words := strings.Split(n, ".")
		if near := nearest(name, words[len(words)-1:]); near != "" {
			return "", fmt.Errorf("explain %s: unknown; did you mean %s?", shown(name), n)
		}
	}
	return "", errors.New("explain " + shown(name) + ": there is no such key or check")
}

// Names lists everything that Explain knows, for completion and documentation.
func Names(sections Sections) []string {
	var names []string
	for _, t := range topicsOf(sections) {
		names = append(names, t.path)
	}
	return names
}

func topicsOf(sections Sections) []topic {
	var p Policy
	setDefaults(reflect.ValueOf(&p).Elem())
	var b Bootstrap
	setDefaults(reflect.ValueOf(&b).Elem())
	b.Fill()
	topics := keyTopics(BootstrapFile, "", reflect.ValueOf(b))
	topics = append(topics, keyTopics(PolicyFile, "", reflect.ValueOf(p))...)
	for _, name := range sections.names() {
		s, path := sections[name], "checks."+name
		topics = append(topics, topic{path, PolicyFile, func() string { return s.explain() }})
		for _, v := range s.structs() {
			topics = append(topics, keyTopics(PolicyFile, path, v)...)
		}
	}
	return topics
}

func keyTopics(file, path string, v reflect.Value) []topic {
	var topics []topic
	for _, f := range fieldsOf(v.Type()) {
		at, fv := join2(path, f.name), v.FieldByIndex(f.index)
		topics = append(topics, topic{at, file, func() string { return f.explain(file, at, fv) }})
		switch {
		case f.form == formTable && !f.pointer:
			topics = append(topics, keyTopics(file, at, fv)...)
		case f.form == formTable:
			topics = append(topics, keyTopics(file, at, fresh(f.typ))...)
		case f.form == formTables:
			topics = append(topics, keyTopics(file, at, fresh(f.typ.Elem()))...)
		}
	}
	return topics
}

// join2 joins a path and a key that are both known to be plain.
func join2(path, key string) string {
	return strings.TrimPrefix(path+"."+key, ".")
}

func fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	setDefaults(v)
	return v
}

// explain is the text about one key.
func (f field) explain(file, path string, v reflect.Value) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n\n", path, file)
	for _, line := range wrap(f.doc, 78) {
		b.WriteString(line + "\n")
	}
	b.WriteString("\n")
	row := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-9s %s\n", label+":", text)
		}
	}
	row("Type", f.kindOf())
	if f.form < formTable {
		row("Values", strings.Join(f.enum, ", "))
		row("Range", strings.TrimSpace(f.ranged()))
		if f.form != formBool {
			row("Unit", strings.TrimSpace(f.suffix()))
		}
		row("Default", f.defaultText(v))
	}
	row("RFC", f.rfc)
	switch {
	case f.form == formMap:
		row("Example", "["+path+"]")
	case f.form < formTable:
		row("Example", f.line())
	}
	switch {
	case f.form == formTable:
		b.WriteString("\nKeys:\n")
		keyTable(&b, fresh(f.typ))
	case f.form == formTables:
		b.WriteString("\nKeys:\n")
		keyTable(&b, fresh(f.typ.Elem()))
	}
	return b.String()
}

func (f field) kindOf() string {
	switch f.form {
	case formList:
		return "list, each " + f.element().noun()
	case formMap:
		return "table of name = " + strings.TrimPrefix(f.element().noun(), "a ")
	}
	return strings.TrimPrefix(strings.TrimPrefix(f.noun(), "an "), "a ")
}

func (f field) defaultText(v reflect.Value) string {
	switch {
	case f.required && f.unless != "":
		return "none; this key, or " + strings.ReplaceAll(f.unless, ",", " or ") + ", is required"
	case f.required:
		return "none, the key is required"
	case f.pointer, f.form == formList && v.Len() == 0, f.form != formBool && f.form < formList && f.text(v) == "":
		return "not set"
	}
	return f.valueLiteral(v)
}

// keyTable lists the keys of a table with their defaults.
func keyTable(b *strings.Builder, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		def := ""
		if f.form < formTable {
			def = f.defaultText(v.FieldByIndex(f.index))
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-26s %s", f.name, def), " ") + "\n")
	}
}

// explain is the text about a check.
func (s Section) explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (check, [checks.%s] in %s)\n\n", s.Name, s.Name, PolicyFile)
	for _, line := range wrap(s.Doc, 78) {
		b.WriteString(line + "\n")
	}
	if s.RFC != "" {
		fmt.Fprintf(&b, "\nRFC: %s\n", s.RFC)
	}
	if len(s.Measures) > 0 {
		b.WriteString("\nMeasures and their points:\n")
	}
	for _, m := range s.Measures {
		price := points(m.Price)
		if strings.HasSuffix(m.Name, "*") {
			price = "-"
		}
		fmt.Fprintf(&b, "  %-26s %6s  %s\n", m.Name, price, m.Doc)
	}
	b.WriteString("\nKeys:\n")
	for _, v := range s.structs() {
		keyTable(&b, v)
	}
	return b.String()
}
