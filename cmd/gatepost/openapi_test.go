package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/config"
	"gatepost/internal/control"
)

// TestOpenAPIAgrees holds the document that programs read against the operations that there are: each is in it once, with its right
// and all that it takes, nothing else is, and every part that is pointed at is there.
func TestOpenAPIAgrees(t *testing.T) {
	d := &daemon{bootstrap: new(config.Bootstrap)}
	s := &control.Surface{Operations: d.operations(), Who: func(*http.Request) (access.Actor, error) { return access.Actor{Name: "a", Role: access.Auditor}, nil }}
	s.Operations = append(s.Operations, s.OpenAPI("/api/v1", func() string { return version }))
	w := httptest.NewRecorder()
	s.Handler("/api/v1").ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/openapi.json", nil))
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			ID         string `json:"operationId"`
			Right      string `json:"x-right"`
			Parameters []struct {
				Name, In string
				Required bool
			}
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Properties map[string]any
						Required   []string
					}
				}
			}
			Responses map[string]any
		}
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != http.StatusOK || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%d, %v", w.Code, err)
	}
	var want, got []string
	ids := map[string]bool{}
	for i := range s.Operations {
		o := &s.Operations[i]
		if o.Name == "openapi" {
			continue
		}
		want = append(want, o.Method+" "+o.Path)
		of, ok := doc.Paths[o.Path][strings.ToLower(o.Method)]
		if !ok || of.Right != string(o.Right) || ids[of.ID] || of.Responses["200"] == nil || of.Responses["default"] == nil {
			t.Errorf("%s: there %v, right %s, id %s", o.Name, ok, of.Right, of.ID)
		}
		ids[of.ID] = true
		var takes, told []string
		for _, f := range o.Fields() {
			needed := ""
			if f.Required || f.From == "path" {
				needed = " needed"
			}
			takes = append(takes, f.From+" "+f.Name+needed)
		}
		for _, p := range of.Parameters {
			needed := ""
			if p.Required {
				needed = " needed"
			}
			told = append(told, p.In+" "+p.Name+needed)
		}
		body := of.RequestBody.Content["application/json"].Schema
		for name := range body.Properties {
			needed := ""
			if slices.Contains(body.Required, name) {
				needed = " needed"
			}
			told = append(told, "body "+name+needed)
		}
		slices.Sort(takes)
		if slices.Sort(told); !slices.Equal(takes, told) {
			t.Errorf("%s takes %q, the document says %q", o.Name, takes, told)
		}
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			got = append(got, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(want)
	got = slices.DeleteFunc(got, func(s string) bool { return s == "GET /openapi.json" })
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("operations %q\nin the document %q", want, got)
	}
	for _, part := range strings.Split(w.Body.String(), `"$ref":"#/components/schemas/`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); doc.Components.Schemas[name] == nil {
			t.Errorf("%s is pointed at, and is nowhere", name)
		}
	}
}
