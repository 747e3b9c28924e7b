package control_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

type askIn struct {
	Name    string        `path:"name" json:"-" doc:"Of it"`
	Match   string        `header:"If-Match" json:"-" doc:"Its version"`
	Words   []string      `json:"words" doc:"Several"`
	Note    *string       `json:"note" doc:"A text, or none"`
	For     time.Duration `json:"for" doc:"How long" default:"2h"`
	Many    int           `json:"many" doc:"How many" min:"1" max:"9" default:"3"`
	Sure    bool          `json:"sure" doc:"Whether"`
	Until   time.Time     `json:"until" doc:"When it ends"`
	Private string        `json:"private" doc:"A secret" secret:"true"`
}

// TestAsk shows that a form fills an In by names, wherever a field comes from over HTTP, with the same bounds, right and audit.
func TestAsk(t *testing.T) {
	var got *askIn
	var told []control.Entry
	s := &control.Surface{Audit: func(_ context.Context, e control.Entry) { told = append(told, e) }, Operations: []control.Operation{
		control.Define(control.Operation{Name: "thing change", Method: http.MethodPut, Path: "/things/{name}", Doc: "Change it", Right: access.QueueChange},
			func(_ context.Context, in *askIn) (string, error) { got = in; return "done", nil })}}
	operator := access.With(t.Context(), access.Actor{Name: "anna", Role: access.Operator})
	note, empty := "x", ""
	for _, x := range []struct {
		name   string
		fields url.Values
		want   *askIn
		field  string // of the fault
	}{
		{name: "defaults", fields: url.Values{"name": {"a"}}, want: &askIn{Name: "a", For: 2 * time.Hour, Many: 3}},
		{name: "all", fields: url.Values{"name": {"a"}, "If-Match": {`"7"`}, "words": {"b", "c"}, "note": {"x"}, "for": {"5m"}, "many": {"9"}, "sure": {"true"}, "until": {"2026-01-02T03:04:05Z"}, "private": {"p"}},
			want: &askIn{Name: "a", Match: "7", Words: []string{"b", "c"}, Note: &note, For: 5 * time.Minute, Many: 9, Sure: true, Until: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Private: "p"}},
		{name: "empty fields of a form", fields: url.Values{"name": {"a"}, "many": {""}, "until": {""}, "note": {""}, "words": {""}}, want: &askIn{Name: "a", Many: 3, For: 2 * time.Hour, Note: &empty}},
		{name: "over a bound", fields: url.Values{"name": {"a"}, "many": {"10"}}, field: "many"},
		{name: "no number", fields: url.Values{"name": {"a"}, "many": {"some"}}, field: "many"},
		{name: "twice", fields: url.Values{"name": {"a", "b"}}, field: "name"},
	} {
		got = nil
		out, err := s.Ask(operator, "thing change", x.fields)
		fault, _ := errors.AsType[*control.Fault](err)
		switch {
		case x.want != nil && (err != nil || out != "done" || !reflect.DeepEqual(got, x.want)):
			t.Errorf("%s: %+v, %v; want %+v", x.name, got, err, x.want)
		case x.want == nil && (fault == nil || fault.Field != x.field || got != nil):
			t.Errorf("%s: %v, called with %+v; want a fault of %s", x.name, err, got, x.field)
		}
	}
	if len(told) != 3 || told[1].In.(map[string]any)["private"] != "(secret)" {
		t.Errorf("audited: %+v", told)
	}
	if _, err := s.Ask(access.With(t.Context(), access.Actor{Name: "b", Role: access.Auditor}), "thing change", url.Values{"name": {"a"}}); err == nil || err.(*control.Fault).Status != http.StatusForbidden {
		t.Errorf("an auditor changes it: %v", err)
	}
	for name, fields := range map[string]url.Values{"thing change": {"nmae": {"a"}}, "nothing": nil} {
		if _, err := s.Ask(operator, name, fields); err == nil {
			t.Errorf("%s with %v: no error", name, fields)
		} else if f, is := errors.AsType[*control.Fault](err); is {
			t.Errorf("%s with %v: a fault of whoever asks: %v", name, fields, f)
		}
	}
	if !s.Offers("thing change") || s.Offers("thing") {
		t.Error("Offers")
	}
}
