package console

import (
	"context"
	"net/http"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// TestShadowPages: a draft is let run, what it counts is shown with its end, where it stands on the page of the policy too, and it is
// stopped; who may read only sees it, and a time that makes no sense keeps what was typed.
func TestShadowPages(t *testing.T) {
	s, _ := policySite(t)
	has(t, s.ask("anna", "GET", "/policy/shadow", nil), 404)
	now, asked := &api.Shadow{}, api.ShadowStart{}
	op := func(name, method string, right access.Right) control.Operation {
		return control.Operation{Name: name, Method: method, Path: "/policy/shadow", Doc: "Do it", Right: right}
	}
	s.Surface.Operations = append(s.Surface.Operations,
		control.Define(op("policy shadow show", "GET", access.PolicyRead), func(context.Context, *struct{}) (*api.Shadow, error) { return now, nil }),
		control.Define(op("policy shadow start", "POST", access.PolicyDraft), func(_ context.Context, in *api.ShadowStart) (*api.Shadow, error) {
			if in.For != "6h" {
				return nil, &control.Fault{Status: http.StatusBadRequest, Field: "for", Message: "for: is no time"}
			}
			asked = *in
			now = &api.Shadow{Running: true, Since: time.Now(), Until: time.Now().Add(time.Hour), By: "<b>anna", Policy: "0123", Comment: in.Comment, Skipped: 7, Result: simulation()}
			return now, nil
		}),
		control.Define(op("policy shadow stop", "DELETE", access.PolicyDraft), func(context.Context, *struct{}) (*api.Shadow, error) {
			now.Running, now.Ended, now.Trouble = false, time.Now(), "a message could not be judged"
			return now, nil
		}))
	has(t, s.ask("anna", "GET", "/policy/shadow", nil), 200, "There is no draft that could run", "!Let it run")
	has(t, s.ask("anna", "POST", "/policy/shadow", formOf("anna", "for", "6h")), 409, "You have no draft that could run")
	if w := s.ask("anna", "POST", "/policy/edit", formOf("anna", "k:thresholds.reject", "9")); w.Code != 303 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	has(t, s.ask("anna", "POST", "/policy/shadow", formOf("anna", "for", "1h", "comment", "why & how")), 400, "is no time", `value="why &amp; how"`, `<option value="1h" selected>`)
	if w := s.ask("anna", "POST", "/policy/shadow", formOf("anna", "for", "6h", "comment", "<i>")); w.Code != 303 || asked.Comment != "<i>" {
		t.Fatalf("%d %+v", w.Code, asked)
	}
	if p := s.decoded(asked.Text); p == nil || p.Thresholds.Reject != 9 {
		t.Errorf("what runs is not the draft: %s", asked.Text)
	}
	has(t, s.ask("anna", "GET", "/policy/shadow", nil), 200, "It runs", "&lt;b&gt;anna", "&lt;i&gt;", "7 messages came faster", "What it would have done to the mail that came", `<td class="stricter">2</td>`, "Stop it now", `data-refresh="15"`, "!Let it run", "!for 0 days")
	has(t, s.ask("anna", "GET", "/policy", nil), 200, "<b>3</b> of 10 messages since", "Look, or stop it")
	has(t, s.ask("code", "GET", "/policy/shadow", nil), 200, "It runs", "!Stop it now")
	has(t, s.ask("code", "POST", "/policy/shadow/stop", formOf("code")), 403)
	has(t, s.ask("helper", "GET", "/policy/shadow", nil), 403)
	if w := s.ask("anna", "POST", "/policy/shadow/stop", formOf("anna")); w.Code != 303 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	has(t, s.ask("anna", "GET", "/policy/shadow", nil), 200, "The last one", "It ended before its time: a message could not be judged", "Let it run", "!data-refresh")
}
