package config

import (
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// Setting is a key of a document as it is in force.
type Setting struct {
	Key     string // whole, as in Where
	Value   string // as documents have it; Hidden of a secret; "" where it is not set
	Default string // likewise; "" where there is none
	Where   string // "gatepost.toml:12"; "" where the document does not say it
}

// Settings are the keys of both documents in their order, without the tables of checks: what each has, and where that is written.
// What is secret is hidden, and so are passwords in addresses.
func Settings(c *Config) (bootstrap, policy []Setting) {
	var b Bootstrap
	setDefaults(reflect.ValueOf(&b).Elem())
	b.Fill()
	var p Policy
	setDefaults(reflect.ValueOf(&p).Elem())
	return settingsOf("", reflect.ValueOf(*c.Bootstrap), reflect.ValueOf(b), c.BootstrapAt), settingsOf("", reflect.ValueOf(*c.Policy), reflect.ValueOf(p), c.Where)
}

// settingsOf are those of a table and of those below it; usual is the table with its defaults.
func settingsOf(path string, v, usual reflect.Value, where Where) (out []Setting) {
	for _, f := range fieldsOf(v.Type()) {
		key, is, was := strings.TrimPrefix(path+"."+f.name, "."), v.FieldByIndex(f.index), usual.FieldByIndex(f.index)
		switch {
		case f.form == formChecks:
		case f.form == formTables:
			for i := range is.Len() {
				e := reflect.New(f.typ.Elem()).Elem()
				setDefaults(e)
				out = append(out, settingsOf(elementPath(key, is.Index(i), i), is.Index(i), e, where)...)
			}
		case f.form == formTable && f.pointer:
			if !is.IsNil() {
				e := reflect.New(f.typ).Elem()
				setDefaults(e)
				out = append(out, settingsOf(key, is.Elem(), e, where)...)
			}
		case f.form == formTable:
			out = append(out, settingsOf(key, is, was, where)...)
		default:
			out = append(out, Setting{Key: key, Value: f.shownValue(is), Default: f.shownValue(was), Where: where[key]})
		}
	}
	return out
}

// elementPath is how Where names an element of a list: by its name where it has one, else by its number.
func elementPath(key string, e reflect.Value, i int) string {
	for _, f := range fieldsOf(e.Type()) {
		if f.name == "name" && e.FieldByIndex(f.index).Kind() == reflect.String {
			if name := e.FieldByIndex(f.index).String(); name != "" {
				return key + "." + name
			}
		}
	}
	return key + "." + strconv.Itoa(i+1)
}

// shownValue is a value as a document has it; "" of none.
func (f field) shownValue(v reflect.Value) string {
	if f.pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	text := f.valueLiteral(v)
	switch {
	case text == `""`:
		return ""
	case f.secret != "":
		return Hidden
	case strings.Contains(text, "://"):
		if u, err := url.Parse(strings.Trim(text, `"`)); err == nil && u.User != nil {
			return strconv.Quote(u.Redacted())
		} else if err != nil && strings.Contains(text, "@") {
			return Hidden
		}
	}
	return text
}
