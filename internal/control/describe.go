package control

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Validate says what is wrong with the operations themselves: what a programmer forgot. A test asks it of all there are.
func (s *Surface) Validate() error {
	var all []error
	names, places := map[string]bool{}, map[string]bool{}
	for i := range s.Operations {
		o := &s.Operations[i]
		place := o.Method + " " + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(o.Path, "{}")
		for _, err := range append(o.problems(), taken(names, o.Name), taken(places, place)) {
			if err != nil {
				all = append(all, fmt.Errorf("%s: %w", o.Name, err))
			}
		}
	}
	return errors.Join(all...)
}

func taken(seen map[string]bool, what string) error {
	if seen[what] {
		return fmt.Errorf("%s is there twice", what)
	}
	seen[what] = true
	return nil
}

// problems are what is wrong with one operation.
func (o *Operation) problems() (all []error) {
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if o.Name == "" || o.Doc == "" || strings.HasSuffix(o.Doc, ".") {
		bad("a name and a sentence without a full stop are needed")
	}
	if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, o.Method) {
		bad("method %q", o.Method)
	}
	if !o.Right.Known() {
		bad("right %q", o.Right)
	}
	if o.In == nil || o.In.Kind() != reflect.Struct || o.call == nil && o.stream == nil {
		bad("it was not made by Define with a struct")
		return all
	}
	for _, f := range reflect.VisibleFields(o.In) {
		if (f.Tag.Get("path") != "" || f.Tag.Get("header") != "") && f.Tag.Get("json") != "-" {
			bad(`field %s is not of the body, and wants json:"-"`, f.Name)
		}
	}
	var holes []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(o.Path, -1) {
		holes = append(holes, m[1])
	}
	for _, f := range o.fields {
		if f.Doc == "" {
			bad("field %s says not what it means", f.Name)
		}
		if f.From == "path" {
			if !slices.Contains(holes, f.Name) {
				bad("field %s is not in the path", f.Name)
			}
			holes = slices.DeleteFunc(holes, func(h string) bool { return h == f.Name })
		}
		if f.Default != "" {
			if err := setText(reflect.New(f.Type).Elem(), []string{f.Default}); err != nil {
				bad("default of %s: %w", f.Name, err)
			}
		}
	}
	if len(holes) > 0 {
		bad("the path has %v, which no field reads", holes)
	}
	return all
}
