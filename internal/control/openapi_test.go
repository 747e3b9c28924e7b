package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
)

// conforms holds a value of JSON against a schema, as far as the generator uses it.
func conforms(root, schema map[string]any, v any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		parts := root["components"].(map[string]any)["schemas"].(map[string]any)
		to, ok := parts[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %s is not there", at, ref)
		}
		return conforms(root, to, v, at)
	}
	if all, ok := schema["anyOf"].([]any); ok {
		for _, s := range all {
			if conforms(root, s.(map[string]any), v, at) == nil {
				return nil
			}
		}
		return fmt.Errorf("%s: %v is none of %v", at, v, all)
	}
	kind := "null"
	switch x := v.(type) {
	case bool:
		kind = "boolean"
	case string:
		kind = "string"
	case float64:
		if kind = "number"; x == float64(int64(x)) {
			kind = "integer"
		}
	case []any:
		kind = "array"
	case map[string]any:
		kind = "object"
	}
	var may []string
	switch t := schema["type"].(type) {
	case string:
		may = []string{t}
	case []any:
		for _, x := range t {
			may = append(may, x.(string))
		}
	}
	if may != nil && !slices.Contains(may, kind) && (kind != "integer" || !slices.Contains(may, "number")) {
		return fmt.Errorf("%s: %s is not %v", at, kind, may)
	}
	if list, ok := v.([]any); ok {
		for i := range list {
			if items, ok := schema["items"].(map[string]any); ok {
				if err := conforms(root, items, list[i], fmt.Sprintf("%s[%d]", at, i)); err != nil {
					return err
				}
			}
		}
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range asList(schema["required"]) {
		if _, ok := object[name.(string)]; !ok {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
	}
	for name, x := range object {
		sub, ok := properties[name].(map[string]any)
		if more, is := schema["additionalProperties"].(map[string]any); !ok && is {
			sub, ok = more, true
		}
		if !ok && (properties != nil || schema["additionalProperties"] == false) {
			return fmt.Errorf("%s: %s is not described", at, name)
		}
		if err := conforms(root, sub, x, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func asList(v any) []any { l, _ := v.([]any); return l }

type leaf struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took"`
	Next *leaf         `json:"next"`
}

type tree struct {
	leaf
	At    time.Time         `json:"at"`
	List  []leaf            `json:"list"`
	Named map[string]int    `json:"named"`
	Data  []byte            `json:"data,omitempty"`
	Score float64           `json:"score"`
	Any   any               `json:"any"`
	Maybe *float64          `json:"maybe,omitempty"`
	Of    map[string][]leaf `json:"of,omitempty"`
}

// TestOpenAPI shows that replies of operations are what the document says of them, that a request it allows is taken, that what it does
// not describe is refused, and that each operation stands in it with its place, right and fields.
func TestOpenAPI(t *testing.T) {
	half := 0.5
	out := tree{leaf: leaf{"a", time.Second, &leaf{Name: "b"}}, At: time.Now(), List: []leaf{{Name: "c"}}, Named: map[string]int{"x": 1}, Data: []byte("d"), Score: 1.5, Any: "z",
		Maybe: &half, Of: map[string][]leaf{"y": nil}}
	s := &Surface{Who: func(*http.Request) (access.Actor, error) { return access.Actor{Name: "a", Role: access.Owner}, nil }}
	s.Operations = []Operation{
		Define(Operation{Name: "tree", Method: "GET", Path: "/tree/{id}", Doc: "Show it", Right: access.LogRead}, func(_ context.Context, in *struct {
			ID    string `path:"id" json:"-" doc:"Which"`
			Limit int    `json:"limit" doc:"How many" min:"1" max:"9" default:"3"`
			Kind  string `json:"kind" doc:"Of what" enum:"a|b"`
		}) (*tree, error) {
			return &out, nil
		}),
		Define(Operation{Name: "tree plant", Method: "POST", Path: "/tree", Doc: "Plant it", Right: access.SystemChange}, func(_ context.Context, in *leafIn) (tree, error) {
			return tree{leaf: leaf{Name: in.Name}}, nil
		}),
		Define(Operation{Name: "tree file", Method: "GET", Path: "/file", Doc: "Get it", Right: access.LogRead}, func(context.Context, *struct{}) (*File, error) {
			return &File{Name: "x", Type: "text/plain"}, nil
		}),
	}
	s.Operations = append(s.Operations, s.OpenAPI("/api/v1", func() string { return "1" }))
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string) (int, map[string]any) {
		w := httptest.NewRecorder()
		s.Handler("/api/v1").ServeHTTP(w, httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body)))
		var v map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return w.Code, v
	}
	_, doc := ask("GET", "/openapi.json", "")
	paths := doc["paths"].(map[string]any)
	schemaOf := func(path, method string, where ...string) map[string]any {
		t.Helper()
		at := paths[path].(map[string]any)[method].(map[string]any)
		for _, w := range where {
			at = at[w].(map[string]any)
		}
		return at
	}
	answer := []string{"responses", "200", "content", "application/json", "schema"}
	for _, x := range []struct{ method, path, place, body string }{{"get", "/tree/7?limit=9&kind=a", "/tree/{id}", ""}, {"post", "/tree", "/tree", `{"name":"oak","age":3}`}} {
		code, reply := ask(strings.ToUpper(x.method), x.path, x.body)
		if code != 200 {
			t.Errorf("%s %s: %d %v", x.method, x.path, code, reply)
		}
		if err := conforms(doc, schemaOf(x.place, x.method, answer...), reply, "reply"); err != nil {
			t.Errorf("%s %s: %v", x.method, x.path, err)
		}
	}
	body := schemaOf("/tree", "post", "requestBody", "content", "application/json", "schema")
	for text, want := range map[string]bool{`{"name":"oak","age":3}`: true, `{"name":"oak","leaves":1}`: false, `{"age":3}`: false, `{"name":7}`: false, `{"name":"x","age":1.5}`: false} {
		var v any
		json.Unmarshal([]byte(text), &v)
		code, reply := ask("POST", "/tree", text)
		if err := conforms(doc, body, v, "body"); (err == nil) != want || (code == 200) != want {
			t.Errorf("%s: document %v, daemon %d %v", text, err, code, reply)
		}
		if !want {
			problem := doc["components"].(map[string]any)["responses"].(map[string]any)["Problem"].(map[string]any)["content"].(map[string]any)["application/problem+json"].(map[string]any)["schema"].(map[string]any)
			if err := conforms(doc, problem, reply, "problem"); err != nil {
				t.Error(err)
			}
		}
	}
	parameters := asList(schemaOf("/tree/{id}", "get")["parameters"])
	if len(parameters) != 3 || parameters[0].(map[string]any)["required"] != true || parameters[1].(map[string]any)["schema"].(map[string]any)["maximum"] != 9.0 {
		t.Errorf("%v", parameters)
	}
	if schemaOf("/tree", "post")["x-right"] != "system.change" || schemaOf("/tree", "post")["operationId"] != "tree-plant" {
		t.Error("right or name")
	}
}

type leafIn struct {
	Name string `json:"name" doc:"Its name" required:"true"`
	Age  int    `json:"age" doc:"Its age" min:"0"`
}
