package config

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// form is how a Go type is written in TOML.
type form int

const (
	formNone form = iota
	formString
	formBool
	formInt
	formSize
	formFloat
	formDuration
	formText // text that the type itself or a library reads
	formList
	formMap
	formTable
	formTables
	formChecks
)

// field is one key of a table: a struct field with its tags read.
type field struct {
	name                    string
	index                   []int
	typ                     reflect.Type // what is bound; a pointer's element
	pointer                 bool
	form                    form
	doc, unit, rfc, example string
	def                     string
	unless                  string // keys that stand in for a required one, with commas
	hasDef, required        bool
	secret                  string // no message shows what was written; a value that can stand in its place; "": it is no secret
	min, max, format        string
	enum                    []string
}

// fieldsOf lists the keys of a struct in the order of its fields, embedded structs flattened.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("toml")
		if sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				fields = append(fields, f)
			}
			continue
		}
		if name == "" || name == "-" || !sf.IsExported() {
			continue
		}
		fields = append(fields, newField(name, i, sf))
	}
	return fields
}

func newField(name string, i int, sf reflect.StructField) field {
	f := field{
		name: name, index: []int{i}, typ: sf.Type, doc: sf.Tag.Get("doc"), unit: sf.Tag.Get("unit"), rfc: sf.Tag.Get("rfc"),
		example: sf.Tag.Get("example"), min: sf.Tag.Get("min"), max: sf.Tag.Get("max"), format: sf.Tag.Get("format"),
		required: sf.Tag.Get("required") == "true", unless: sf.Tag.Get("unless"), secret: sf.Tag.Get("secret"),
	}
	f.def, f.hasDef = sf.Tag.Lookup("default")
	if e := sf.Tag.Get("enum"); e != "" {
		f.enum = strings.Split(e, ",")
	}
	if f.typ.Kind() == reflect.Pointer && formOf(f.typ, "") == formNone {
		f.typ, f.pointer = f.typ.Elem(), true
	}
	f.form = formOf(f.typ, f.unit)
	return f
}

// element is the field of one element of a list or map.
func (f field) element() field {
	e := f
	e.typ, e.pointer, e.hasDef, e.required = f.typ.Elem(), false, false, true
	e.form = formOf(e.typ, f.unit)
	return e
}

func formOf(t reflect.Type, unit string) form {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return formDuration
	case reflect.TypeFor[Size]():
		return formSize
	case reflect.TypeFor[Checks]():
		return formChecks
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[netip.AddrPort]():
		return formText
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) && t.Kind() != reflect.Pointer {
		return formText
	}
	switch t.Kind() {
	case reflect.String:
		return formString
	case reflect.Bool:
		return formBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if unit == "bytes" {
			return formSize
		}
		return formInt
	case reflect.Float32, reflect.Float64:
		return formFloat
	case reflect.Struct:
		return formTable
	case reflect.Slice:
		return formOfList(t, unit)
	case reflect.Map:
		if e := formOf(t.Elem(), unit); t.Key().Kind() == reflect.String && e != formNone && e < formList {
			return formMap
		}
	}
	return formNone
}

func formOfList(t reflect.Type, unit string) form {
	switch e := formOf(t.Elem(), unit); {
	case e == formTable:
		return formTables
	case e != formNone && e < formList:
		return formList
	}
	return formNone
}

// VerifyTags finds mistakes in the tags of a document or of a check's options: v is a pointer to a struct. It is for
// tests; what it would find makes Decode panic, because it is a mistake of the program and never of the operator.
func VerifyTags(v any) error {
	return verifyStruct(reflect.TypeOf(v).Elem(), "")
}

func verifyStruct(t reflect.Type, path string) error {
	var errs []error
	seen := map[string]bool{}
	for _, f := range fieldsOf(t) {
		at := path + f.name
		if seen[f.name] {
			errs = append(errs, fmt.Errorf("%s: two fields have this key", at))
		}
		seen[f.name] = true
		if f.doc == "" {
			errs = append(errs, fmt.Errorf("%s: no doc tag", at))
		}
		switch f.form {
		case formNone:
			errs = append(errs, fmt.Errorf("%s: type %s cannot be written in a document", at, f.typ))
		case formTable:
			errs = append(errs, verifyStruct(f.typ, at+"."))
		case formTables:
			errs = append(errs, verifyStruct(f.typ.Elem(), at+"."))
		case formChecks:
		default:
			errs = append(errs, f.verify(at))
		}
	}
	return errors.Join(errs...)
}

// verify tries the default, the example and the range on the field's own reader.
func (f field) verify(at string) error {
	var errs []error
	texts := []string{f.def, f.example}
	if f.form == formMap {
		texts = nil
	}
	for _, text := range texts {
		if text == "" {
			continue
		}
		if err := f.setDefault(reflect.New(f.typ).Elem(), text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q %s", at, text, err.Error()))
		}
	}
	for _, bound := range []string{f.min, f.max} {
		if _, err := f.bound(bound); err != nil {
			errs = append(errs, fmt.Errorf("%s: range: %w", at, err))
		}
	}
	return errors.Join(errs...)
}
