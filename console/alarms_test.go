package console

import (
	"context"
	"net/http"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// alarmOperations are those of alarms and bypasses by the names and fields of the daemon's.
func alarmOperations(told map[string]string) []control.Operation {
	type ack struct {
		By, Note string
		Until    time.Time
	}
	type one struct {
		ID, Node, Severity, Text, Do, Owner string
		Since, Over                         time.Time
		Count                               int
		Ack                                 *ack
	}
	type alarms struct {
		Alarms        []one
		Trouble, Next string
	}
	type path struct {
		Path, To, Least       string
		Sent, Failed, Waiting int
	}
	type paths struct{ Paths []path }
	type bypass struct {
		Check, Reason, By string
		Until             time.Time
	}
	type bypasses struct{ Bypasses []bypass }
	type said struct {
		Path, Said string
		OK         bool
		Took       int
	}
	type test struct{ Paths []said }
	op := func(name, method, path string, right access.Right) control.Operation {
		return control.Operation{Name: name, Method: method, Path: path, Doc: "Do it", Right: right}
	}
	return []control.Operation{
		control.Define(op("alarm list", "GET", "/alarms", access.AlarmsRead), func(_ context.Context, in *struct {
			All    bool   `json:"all" doc:"All"`
			Cursor string `json:"cursor" doc:"Where"`
		}) (*alarms, error) {
			out := &alarms{Alarms: []one{{ID: "part:dns", Node: "mx", Severity: "critical", Text: "<b>DNS</b> fails", Do: "mend it", Since: time.Now(), Count: 2}}, Trouble: "others are away"}
			if in.All {
				out.Alarms = append(out.Alarms, one{ID: "old", Severity: "info", Over: time.Now(), Ack: &ack{By: "anna", Note: "seen"}})
			}
			return out, nil
		}),
		control.Define(op("alarm paths", "GET", "/alarm-paths", access.AlarmsRead), func(context.Context, *struct{}) (*paths, error) {
			return &paths{[]path{{Path: "mail", To: "a@b.test", Least: "warning"}}}, nil
		}),
		control.Define(op("alarm ack", "POST", "/alarms/{id}/ack", access.AlarmsChange), func(_ context.Context, in *struct {
			ID    string `path:"id" json:"-" doc:"Which"`
			Note  string `json:"note" doc:"What"`
			For   string `json:"for" doc:"How long"`
			Owner string `json:"owner" doc:"Who"`
		}) (int, error) {
			told[in.ID] = in.Note + " " + in.For
			return 1, nil
		}),
		control.Define(op("alarm test", "POST", "/alarm-paths/test", access.AlarmsChange), func(context.Context, *struct {
			Path string `json:"path" doc:"Which"`
		}) (*test, error) {
			return &test{[]said{{Path: "mail", Said: "250 taken", OK: true}}}, nil
		}),
		control.Define(op("bypass list", "GET", "/bypasses", access.StatusRead), func(context.Context, *struct{}) (*bypasses, error) {
			return &bypasses{[]bypass{{Check: "rbl.client", Reason: "list is wrong", By: "bob", Until: time.Now()}}}, nil
		}),
		control.Define(op("bypass", "POST", "/bypasses", access.BypassChange), func(_ context.Context, in *struct {
			Check  string `json:"check" required:"true" doc:"Which"`
			For    string `json:"for" required:"true" doc:"How long"`
			Reason string `json:"reason" required:"true" doc:"Why"`
		}) (*bypass, error) {
			if in.Check == "malware" {
				return nil, &control.Fault{Status: http.StatusConflict, Message: "malware cannot be left out", Field: "check"}
			}
			told[in.Check] = in.Reason
			return &bypass{Check: in.Check}, nil
		}),
	}
}

// TestAlarms shows what is wrong, who knows of it and who is told, and that leaving out a check is asked about and may be refused.
func TestAlarms(t *testing.T) {
	s, told := newSite(t), map[string]string{}
	has(t, s.ask("anna", "GET", "/alarms", nil), 404)
	s.Surface.Operations = append(s.Surface.Operations, alarmOperations(told)...)
	has(t, s.ask("anna", "GET", "/alarms", nil), 200, "&lt;b&gt;DNS", "critical", "mend it", "2 times", "others are away", "a@b.test", "rbl.client", "list is wrong", "End it now", "I know of it", "Leave out a check", "!seen")
	has(t, s.ask("anna", "GET", "/alarms?all=1", nil), 200, "seen", ">over<")
	has(t, s.ask("code", "GET", "/alarms", nil), 200, "part:dns", "rbl.client", "!End it now", "!I know of it", "!Leave out a check")
	has(t, s.ask("helper", "GET", "/alarms", nil), 403)
	if w := s.ask("anna", "POST", "/alarms/ack", formOf("anna", "id", "part:dns", "note", "seen", "for", "2h", "owner", "")); w.Code != 303 || told["part:dns"] != "seen 2h" {
		t.Errorf("%d %v", w.Code, told)
	}
	has(t, s.ask("anna", "POST", "/alarms/test", formOf("anna")), 200, "What each path answered", "250 taken")
	fields := []string{"check", "rbl.client", "for", "2h", "reason", "it lists us"}
	has(t, s.ask("anna", "POST", "/bypasses", formOf("anna", fields...)), 200, "Leave out rbl.client for 2h?", `value="it lists us"`)
	if w := s.ask("anna", "POST", "/bypasses", formOf("anna", append(fields, "confirm", "yes")...)); w.Code != 303 || told["rbl.client"] != "it lists us" {
		t.Errorf("%d %v", w.Code, told)
	}
	has(t, s.ask("anna", "POST", "/bypasses", formOf("anna", "check", "malware", "for", "2h", "reason", "x", "confirm", "yes")), 409, "malware cannot be left out", `value="malware"`)
	has(t, s.ask("code", "POST", "/bypasses", formOf("code", append(fields, "confirm", "yes")...)), 403)
}
