package console

import (
	"context"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// TestNodesPage: one node, several, one that is stale and can be forgotten by whoever may, and a store that is away; what another node
// wrote stays text.
func TestNodesPage(t *testing.T) {
	s := newSite(t)
	has(t, s.ask("anna", "GET", "/nodes", nil), 404)
	clock, forgotten := int64(-2_500_000), ""
	here := api.Node{Name: "mx1", Here: true, Version: "1.0", Since: time.Now(), Number: 7, Mode: "enforce", Listeners: map[string]string{"mx": "192.0.2.1:25"}, Load: 0.5, Memory: 0.254, Queue: 3, Free: 5e9, Disk: 2e10,
		Parts: []api.Part{{Part: "redis", OK: true, Detail: "answers"}, {Part: "tlsa", OK: true, Detail: "quiet"}}}
	stale := api.Node{Name: "<b>mx2", Version: "<i>", Stale: true, Age: 95, Clock: &clock, Parts: []api.Part{{Part: "next hops", Detail: "refused"}}}
	answer := &api.Nodes{Nodes: []api.Node{here}}
	s.Surface.Operations = append(s.Surface.Operations,
		control.Define(control.Operation{Name: "node list", Method: "GET", Path: "/nodes", Doc: "List them", Right: access.SystemRead},
			func(context.Context, *struct{}) (*api.Nodes, error) { return answer, nil }),
		control.Define(control.Operation{Name: "node remove", Method: "DELETE", Path: "/nodes/{name}", Doc: "Forget one", Right: access.SystemChange},
			func(_ context.Context, in *api.NodeName) (*api.Nodes, error) { forgotten = in.Name; return answer, nil }))
	s.handler = s.Console.Handler()
	has(t, s.ask("anna", "GET", "/nodes", nil), 200, "one node", ">here<", ">well<", "version 7", "192.0.2.1:25", "0.50, memory 25 %", "3 messages", "5.0 GB of 20.0 GB", "redis", "!quiet", "!stale", "!Forget it", "!Clock")
	answer = &api.Nodes{Nodes: []api.Node{here, stale}}
	has(t, s.ask("anna", "GET", "/nodes", nil), 200, "2 nodes", ">stale<", "for 1m35s", "2.5 s behind", ">wrong<", "&lt;b&gt;mx2", "&lt;i&gt;", "next hops", "refused", "Forget it…", "!<b>mx2", "!<i>")
	has(t, s.ask("code", "GET", "/nodes", nil), 200, ">stale<", "!Forget it")
	has(t, s.ask("helper", "GET", "/nodes", nil), 403)
	has(t, s.ask("code", "POST", "/nodes/remove", formOf("code", "name", "<b>mx2")), 403)
	has(t, s.ask("anna", "POST", "/nodes/remove", formOf("anna", "name", "<b>mx2")), 200, "Forget the node &lt;b&gt;mx2?")
	if forgotten != "" {
		t.Error("it was forgotten before it was confirmed")
	}
	if w := s.ask("anna", "POST", "/nodes/remove", formOf("anna", "name", "<b>mx2", "confirm", "yes")); w.Code != 303 || forgotten != "<b>mx2" {
		t.Errorf("%d %s, forgotten %q", w.Code, w.Body, forgotten)
	}
	answer = &api.Nodes{Nodes: []api.Node{here}, Trouble: "the store <u> does not answer"}
	has(t, s.ask("anna", "GET", "/nodes", nil), 200, "the store &lt;u&gt; does not answer")
}
