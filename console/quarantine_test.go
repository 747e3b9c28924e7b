package console

import (
	"context"
	"testing"

	"gatepost/gateway/quarantine"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
)

// TestQuarantineNodes: a node that shows only its own has no column of nodes; where nodes show each other what they keep, each message
// has its node, only those that are here can be ticked, and what is missing while others are not known is said.
func TestQuarantineNodes(t *testing.T) {
	s := newSite(t)
	answer := &api.KeptList{Messages: []quarantine.Row{{ID: 5, Subject: "here"}, {ID: 4, Subject: "there"}}}
	s.Surface.Operations = append(s.Surface.Operations, control.Define(control.Operation{Name: "quarantine list", Method: "GET", Path: "/quarantine", Doc: "List it", Right: access.QuarantineRead},
		func(context.Context, *api.KeptAsk) (*api.KeptList, error) { return answer, nil }))
	s.handler = s.Console.Handler()
	here, there := "Tick "+answer.Messages[0].ID.String(), "Tick "+answer.Messages[1].ID.String()
	has(t, s.ask("anna", "GET", "/quarantine", nil), 200, here, there, "!>Node<", "!are not shown")
	answer.Node, answer.Messages[0].Node, answer.Messages[1].Node = "mx1", "mx1", "<b>mx2"
	has(t, s.ask("anna", "GET", "/quarantine", nil), 200, here, "!"+there, ">Node<", "mx1", "&lt;b&gt;mx2", "!<b>mx2", "!are not shown")
	answer.Messages, answer.Trouble = answer.Messages[:1], "the index <u> does not answer"
	has(t, s.ask("anna", "GET", "/quarantine", nil), 200, here, "Other nodes are not shown: the index &lt;u&gt; does not answer.")
}
