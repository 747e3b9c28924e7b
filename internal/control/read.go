package control

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Field is one field of an In, as its tags describe it.
type Field struct {
	Name     string // in the path, the query, the body, or of the header field
	From     string // "path", "header", "query", "body"
	Doc      string
	Default  string
	Min, Max string
	Enum     []string
	Required bool
	Secret   bool
	Type     reflect.Type
	index    []int
}

// Fields describes what the operation takes, in the order of the struct.
func (o *Operation) Fields() []Field { return o.fields }

// takes notes what an In is made of: requests only follow it.
func (o *Operation) takes(t reflect.Type) {
	o.In = t
	if t.Kind() == reflect.Struct { // else Validate says so
		o.fields = fieldsOf(t, o.Changes() && o.Method != http.MethodDelete && !o.Upload)
	}
}

func fieldsOf(t reflect.Type, body bool) (out []Field) {
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		d := Field{Name: name, From: "query", Doc: f.Tag.Get("doc"), Default: f.Tag.Get("default"), Min: f.Tag.Get("min"), Max: f.Tag.Get("max"),
			Required: f.Tag.Get("required") == "true", Secret: f.Tag.Get("secret") == "true", Type: f.Type, index: f.Index}
		if words := f.Tag.Get("enum"); words != "" {
			d.Enum = strings.Split(words, "|")
		}
		if body {
			d.From = "body"
		}
		for _, from := range []string{"path", "header"} {
			if n := f.Tag.Get(from); n != "" {
				d.Name, d.From = n, from
			}
		}
		if d.Name != "-" && d.Name != "" {
			out = append(out, d)
		}
	}
	return out
}

// read makes an In of a request. What cannot be read is a Fault that names the field.
func (o *Operation) read(r *http.Request) (any, error) {
	in := reflect.New(o.In)
	query := r.URL.Query()
	if err := o.defaults(in.Elem()); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(o.fields, func(f Field) bool { return f.From == "body" }) {
		if err := readBody(r.Body, in.Interface()); err != nil {
			return nil, err
		}
	}
	for _, f := range o.fields {
		var texts []string
		switch f.From {
		case "path":
			texts = []string{r.PathValue(f.Name)}
		case "header":
			if text := r.Header.Get(f.Name); text != "" {
				texts = []string{strings.Trim(text, `"`)}
			}
		case "query":
			texts = query[f.Name]
		}
		if len(texts) == 0 {
			continue
		}
		if err := setText(in.Elem().FieldByIndex(f.index), texts); err != nil {
			return nil, &Fault{Status: http.StatusBadRequest, Message: f.Name + ": " + err.Error(), Field: f.Name}
		}
	}
	if err := unknownKey(query, o.fields); err != nil {
		return nil, err
	}
	if err := o.check(in.Elem()); err != nil {
		return nil, err
	}
	return in.Interface(), nil
}

// readBody reads exactly one JSON value.
func readBody(body io.Reader, in any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(in)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more behind the JSON")
		}
	}
	if errors.Is(err, io.EOF) {
		return nil // none: every field has its default
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Fault{Status: http.StatusRequestEntityTooLarge, Message: "the body is too large"}
	}
	if err != nil {
		return &Fault{Status: http.StatusBadRequest, Message: "the body: " + strings.TrimPrefix(err.Error(), "json: ")}
	}
	return nil
}

// unknownKey refuses a query with a key that nothing reads: a filter with a wrong name would pick everything.
func unknownKey(query url.Values, fields []Field) error {
	var known []string
	for _, f := range fields {
		if f.From == "query" {
			known = append(known, f.Name)
		}
	}
	for key := range query {
		if !slices.Contains(known, key) {
			return &Fault{Status: http.StatusBadRequest, Message: "unknown field " + strconv.Quote(clip(key, 40)), Hint: "known are: " + strings.Join(known, ", "), Field: clip(key, 40)}
		}
	}
	return nil
}

// check holds an In against the bounds of its tags, and asks it.
func (o *Operation) check(in reflect.Value) error {
	for _, f := range o.fields {
		if err := f.bounds(in.FieldByIndex(f.index)); err != nil {
			return &Fault{Status: http.StatusBadRequest, Message: f.Name + ": " + err.Error(), Field: f.Name}
		}
	}
	if c, ok := in.Addr().Interface().(checkedIn); ok {
		if err := c.Check(); err != nil {
			if _, is := errors.AsType[*Fault](err); is {
				return err
			}
			return &Fault{Status: http.StatusBadRequest, Message: err.Error()}
		}
	}
	return nil
}

// bounds holds one value against its tags.
func (f *Field) bounds(v reflect.Value) error {
	if f.Required && v.IsZero() {
		return errors.New("is needed")
	}
	if len(f.Enum) > 0 && !v.IsZero() && !slices.Contains(f.Enum, fmt.Sprint(v.Interface())) {
		return errors.New("is one of " + strings.Join(f.Enum, ", "))
	}
	var n float64
	switch {
	case v.CanInt():
		n = float64(v.Int())
	case v.CanFloat():
		n = v.Float()
	default:
		return nil
	}
	least, err := strconv.ParseFloat(f.Min, 64)
	if err == nil && n < least {
		return errors.New("is at least " + f.Min)
	}
	most, err := strconv.ParseFloat(f.Max, 64)
	if err == nil && n > most {
		return errors.New("is at most " + f.Max)
	}
	return nil
}

// setText sets a value by how it stands in a query.
func setText(v reflect.Value, texts []string) error {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 {
		out := reflect.MakeSlice(v.Type(), len(texts), len(texts))
		for i := range texts {
			if err := setText(out.Index(i), texts[i:i+1]); err != nil {
				return err
			}
		}
		v.Set(out)
		return nil
	}
	if len(texts) != 1 {
		return errors.New("stands more than once")
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	text := texts[0]
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	return setPlain(v, text)
}

// setPlain sets a value of a plain kind.
func setPlain(v reflect.Value, text string) error {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("is a time such as 90s, 15m or 2h")
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("is true or false")
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("is a whole number")
		}
		v.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n != n {
			return errors.New("is a number")
		}
		v.SetFloat(n)
	default:
		return fmt.Errorf("cannot be read from text (%s)", v.Type())
	}
	return nil
}

// public is an In without what is secret, as names and values.
func (o *Operation) public(in any) map[string]any {
	out := map[string]any{}
	v := reflect.ValueOf(in).Elem()
	for _, f := range o.fields {
		if x := v.FieldByIndex(f.index); f.Secret && !x.IsZero() {
			out[f.Name] = "(secret)"
		} else if !x.IsZero() {
			out[f.Name] = x.Interface()
		}
	}
	return out
}
