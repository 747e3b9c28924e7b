package control

import (
	"context"
	"encoding"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/access"
)

// OpenAPI is the operation that describes the others, as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0). Whoever is
// logged in may read it: it holds no secret, and says what each operation asks for.
func (s *Surface) OpenAPI(root string, version func() string) Operation {
	all := slices.Clone(s.Operations)
	self := Operation{Name: "openapi", Method: http.MethodGet, Path: "/openapi.json", Doc: "Describe the API", Right: access.Own}
	return Define(self, func(context.Context, *struct{}) (Document, error) { return describe(all, root, version()), nil })
}

// Document is a description of an API, or a schema in it.
type Document map[string]any

// describe makes the document.
func describe(all []Operation, root, version string) Document {
	x := &schemas{parts: Document{}, names: map[reflect.Type]string{}}
	problem := x.of(reflect.TypeFor[Fault]())
	paths := Document{}
	for i := range all {
		o := &all[i]
		at, _ := paths[o.Path].(Document)
		if at == nil {
			at = Document{}
			paths[o.Path] = at
		}
		at[strings.ToLower(o.Method)] = x.operation(o)
	}
	fails := Document{"description": "What went wrong (RFC 9457)", "content": Document{"application/problem+json": Document{"schema": problem}}}
	return Document{"openapi": "3.1.0", "info": Document{"title": "Gatepost", "version": version},
		"servers": []Document{{"url": root}}, "paths": paths,
		"security": []Document{{"token": []string{}}, {"session": []string{}}},
		"components": Document{"schemas": x.parts, "responses": Document{"Problem": fails},
			"securitySchemes": Document{"token": Document{"type": "http", "scheme": "bearer"},
				"session": Document{"type": "apiKey", "in": "cookie", "name": "__Host-gatepost"}}}}
}

// schemas gathers the named types of a document.
type schemas struct {
	parts Document
	names map[reflect.Type]string
}

// operation describes one.
func (x *schemas) operation(o *Operation) Document {
	var parameters []Document
	body, needed := Document{}, []string{}
	for _, f := range o.Fields() {
		schema := x.of(f.Type)
		f.narrow(schema)
		if f.From == "body" {
			schema["description"] = f.Doc
			body[f.Name] = schema
			if f.Required {
				needed = append(needed, f.Name)
			}
			continue
		}
		p := Document{"name": f.Name, "in": f.From, "description": f.Doc, "schema": schema}
		if f.Required || f.From == "path" {
			p["required"] = true
		}
		parameters = append(parameters, p)
	}
	answer := Document{"description": "Done"}
	switch {
	case o.Streams():
		answer["content"] = Document{"text/event-stream": Document{"schema": Document{"type": "string"}}}
	case o.Out == reflect.TypeFor[*File]():
		answer["content"] = Document{"*/*": Document{"schema": Document{}}}
	default:
		answer["content"] = Document{"application/json": Document{"schema": x.of(o.Out)}}
	}
	d := Document{"operationId": strings.ReplaceAll(o.Name, " ", "-"), "summary": o.Doc, "x-right": o.Right,
		"responses": Document{"200": answer, "default": Document{"$ref": "#/components/responses/Problem"}}}
	if parameters != nil {
		d["parameters"] = parameters
	}
	if len(body) > 0 {
		schema := Document{"type": "object", "properties": body, "additionalProperties": false}
		if len(needed) > 0 {
			schema["required"] = needed
		}
		d["requestBody"] = Document{"content": Document{"application/json": Document{"schema": schema}}}
	}
	if o.Upload {
		d["requestBody"] = Document{"required": true, "content": Document{"application/octet-stream": Document{"schema": Document{}}}}
	}
	return d
}

// narrow adds the bounds of the tags.
func (f *Field) narrow(schema Document) {
	if schema["$ref"] != nil {
		return
	}
	for key, text := range map[string]string{"minimum": f.Min, "maximum": f.Max} {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			schema[key] = n
		}
	}
	if len(f.Enum) > 0 {
		schema["enum"] = f.Enum
		if !f.Required { // the zero value stands for none
			schema["enum"] = append(slices.Clone(f.Enum), "")
		}
	}
	if f.Default == "" {
		return
	}
	schema["default"] = f.Default
	var v any
	if kind := schema["type"]; (kind == "integer" || kind == "number" || kind == "boolean") && json.Unmarshal([]byte(f.Default), &v) == nil {
		schema["default"] = v
	}
}

// of is the schema of what encoding/json makes of a type.
func (x *schemas) of(t reflect.Type) Document {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil || t.Kind() == reflect.Interface || t == reflect.TypeFor[json.RawMessage]():
		return Document{}
	case t == reflect.TypeFor[time.Time]():
		return Document{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[time.Duration]():
		return Document{"type": "integer", "description": "nanoseconds"}
	case has[json.Marshaler](t):
		return Document{}
	case has[encoding.TextMarshaler](t):
		return Document{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return Document{"type": "boolean"}
	case reflect.String:
		return Document{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return Document{"type": "number"}
	case reflect.Map:
		return Document{"type": []string{"object", "null"}, "additionalProperties": x.of(t.Elem())}
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			return Document{"type": []string{"string", "null"}, "contentEncoding": "base64"}
		}
		return Document{"type": []string{"array", "null"}, "items": x.of(t.Elem())}
	case reflect.Struct:
		return x.object(t)
	}
	return Document{"type": "integer"}
}

// has reports whether a type, or a pointer to it, is of an interface.
func has[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

// object is the schema of a struct: a part of its own where it has a name.
func (x *schemas) object(t reflect.Type) Document {
	name, known := x.names[t]
	if known {
		return Document{"$ref": "#/components/schemas/" + name}
	}
	if t.Name() != "" {
		name = strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
		if name = strings.Map(func(c rune) rune {
			if strings.ContainsRune("[]*/, ", c) {
				return '_'
			}
			return c
		}, name); x.parts[name] != nil {
			name = strings.ReplaceAll(strings.TrimPrefix(t.PkgPath(), "gatepost/"), "/", ".") + "." + name
		}
		x.names[t] = name
		x.parts[name] = Document{} // a type may hold itself
	}
	properties, needed := Document{}, []string{}
	x.fields(t, properties, &needed)
	schema := Document{"type": "object", "properties": properties}
	if len(needed) > 0 {
		schema["required"] = needed
	}
	if name == "" {
		return schema
	}
	x.parts[name] = schema
	return Document{"$ref": "#/components/schemas/" + name}
}

// fields adds those of a struct, with those of what it embeds, as encoding/json does.
func (x *schemas) fields(t reflect.Type, properties Document, needed *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		for inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if f.Anonymous && name == "" && inner.Kind() == reflect.Struct {
			x.fields(inner, properties, needed)
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		schema := x.of(f.Type)
		if f.Type.Kind() == reflect.Pointer && !strings.Contains(options, "omit") {
			schema = Document{"anyOf": []Document{schema, {"type": "null"}}}
		}
		if strings.Contains(options, "string") {
			schema = Document{"type": "string"}
		}
		if doc := f.Tag.Get("doc"); doc != "" {
			schema["description"] = doc
		}
		properties[name] = schema
		if !strings.Contains(options, "omit") {
			*needed = append(*needed, name)
		}
	}
}
