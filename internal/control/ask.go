package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// Ask is Call by the names of fields, as they stand in a form: those of the path, of the header and of the body alike. What is
// not given has its default; an empty text is none, but for a string. A name that the operation does not take is an error of
// whoever wrote the page.
func (s *Surface) Ask(ctx context.Context, name string, fields url.Values) (any, error) {
	o, in, err := s.fill(name, fields)
	if err != nil {
		return nil, err
	}
	if o.Streams() {
		return nil, fmt.Errorf("control: %s sends events", name)
	}
	return s.run(ctx, o, in)
}

// Follow is Ask of an operation that sends events: until the context is done, or send fails.
func (s *Surface) Follow(ctx context.Context, name string, fields url.Values, send Send) error {
	o, in, err := s.fill(name, fields)
	if err != nil {
		return err
	}
	if !o.Streams() {
		return fmt.Errorf("control: %s sends no events", name)
	}
	ctx, note, err := s.begin(ctx, o)
	if err != nil {
		s.tell(ctx, o, in, note, err)
		return err
	}
	return o.stream(ctx, in, send)
}

// fill makes the In of an operation.
func (s *Surface) fill(name string, fields url.Values) (*Operation, any, error) {
	o := s.find(name)
	if o == nil {
		return nil, nil, fmt.Errorf("control: no operation %q", name)
	}
	in, err := o.Fill(fields)
	return o, in, err
}

// Fill makes an In of texts by the names of its fields.
func (o *Operation) Fill(fields url.Values) (any, error) {
	in := reflect.New(o.In)
	if err := o.defaults(in.Elem()); err != nil {
		return nil, err
	}
	left := len(fields)
	for _, f := range o.fields {
		texts, given := fields[f.Name]
		if !given {
			continue
		}
		left--
		if f.From == "header" && len(texts) == 1 {
			texts = []string{strings.Trim(texts[0], `"`)}
		}
		v := in.Elem().FieldByIndex(f.index)
		if len(texts) == 1 && texts[0] == "" && f.Type.Kind() != reflect.String && !(f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.String) {
			continue
		}
		if err := setText(v, texts); err != nil {
			return nil, &Fault{Status: http.StatusBadRequest, Message: f.Name + ": " + err.Error(), Field: f.Name}
		}
	}
	if left > 0 {
		return nil, fmt.Errorf("control: %s does not take all of %v", o.Name, fields)
	}
	if err := o.check(in.Elem()); err != nil {
		return nil, err
	}
	return in.Interface(), nil
}

// Offers reports whether there is an operation.
func (s *Surface) Offers(name string) bool {
	return s.find(name) != nil
}

// defaults sets what the tags say.
func (o *Operation) defaults(in reflect.Value) error {
	for _, f := range o.fields {
		if f.Default == "" {
			continue
		}
		if err := setText(in.FieldByIndex(f.index), []string{f.Default}); err != nil {
			return fmt.Errorf("control: %s: default of %s: %w", o.Name, f.Name, err)
		}
	}
	return nil
}
