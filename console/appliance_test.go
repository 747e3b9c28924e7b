package console

import (
	"context"
	"testing"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// TestAppliancePage: a machine that is none, one with a version that waits, one that goes back; owners change it and others look; what
// was read from names of files stays text.
func TestAppliancePage(t *testing.T) {
	s := newSite(t)
	has(t, s.ask("anna", "GET", "/appliance", nil), 404)
	answer, done := &api.Appliance{None: "this machine is no appliance <b>"}, ""
	op := func(name, method, path string, right access.Right) control.Operation {
		return control.Define(control.Operation{Name: name, Method: method, Path: path, Doc: "Do it", Right: right},
			func(context.Context, *struct{}) (*api.Appliance, error) {
				if method == "POST" {
					done = name
				}
				return answer, nil
			})
	}
	s.Surface.Operations = append(s.Surface.Operations, op("appliance status", "GET", "/appliance", access.SystemRead),
		op("appliance rollback", "POST", "/appliance/rollback", access.ApplianceChange), op("appliance restart", "POST", "/appliance/restart", access.ApplianceChange))
	var erased *api.ApplianceReset
	s.Surface.Operations = append(s.Surface.Operations, control.Define(control.Do("appliance reset", "/appliance/reset", "Erase it", access.ApplianceChange),
		func(_ context.Context, in *api.ApplianceReset) (*api.ApplianceErasing, error) {
			if in.Words != "erase everything" {
				return nil, &control.Fault{Status: 400, Field: "words", Message: "words: type them"}
			}
			erased = in
			return &api.ApplianceErasing{}, nil
		}))
	s.handler = s.Console.Handler()
	has(t, s.ask("anna", "GET", "/appliance", nil), 200, "this machine is no appliance &lt;b&gt;", "!Restart", "!<b>")
	answer = &api.Appliance{Running: "1.0", Slot: "a", Next: "1.1", All: []api.ApplianceVersion{{Version: "1.1<i>", State: "waits", Left: 3}, {Version: "1.0", State: "good"}}}
	has(t, s.ask("anna", "GET", "/appliance", nil), 200, "slot a", "waits for its first boot", ">runs<", "no version to go back to", "Restart…", `enctype="multipart/form-data"`, "Apply the update", "Erase and restart", "!Go back to", "!on trial", "!<i>")
	answer = &api.Appliance{Running: "1.1", Slot: "b", Next: "1.1", Back: "1.0", Trial: true, All: []api.ApplianceVersion{{Version: "1.1", State: "trial", Left: 2, Done: 1}, {Version: "1.0", State: "good"}}}
	has(t, s.ask("anna", "GET", "/appliance", nil), 200, "on trial, boot 1 of 3", "No update is taken meanwhile", "Go back to 1.0…", "!Apply the update", "!Erase and restart")
	has(t, s.ask("code", "GET", "/appliance", nil), 200, ">runs<", "!Go back to", "!Restart", "!Apply the update", "!Erase")
	has(t, s.ask("helper", "GET", "/appliance", nil), 403)
	for path, name := range map[string]string{"/appliance/rollback": "appliance rollback", "/appliance/restart": "appliance restart"} {
		has(t, s.ask("code", "POST", path, formOf("code")), 403)
		done = ""
		if has(t, s.ask("anna", "POST", path, formOf("anna")), 200, "?"); done != "" {
			t.Error("it was done before it was confirmed")
		}
		if w := s.ask("anna", "POST", path, formOf("anna", "confirm", "yes")); w.Code != 303 || done != name {
			t.Errorf("%s: %d, %q", path, w.Code, done)
		}
	}
	has(t, s.ask("code", "POST", "/appliance/reset", formOf("code", "words", "erase everything")), 403)
	has(t, s.ask("anna", "POST", "/appliance/reset", formOf("anna", "keep", "log", "words", "yes")), 400, "ype them")
	if erased != nil {
		t.Errorf("erased: %+v", erased)
	}
	if w := s.ask("anna", "POST", "/appliance/reset", formOf("anna", "keep", "log", "words", "erase everything")); w.Code != 303 || erased == nil || len(erased.Keep) != 1 || erased.Keep[0] != "log" {
		t.Errorf("%d, %+v", w.Code, erased)
	}
}
