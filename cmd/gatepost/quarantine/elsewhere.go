package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/access"
	"gatepost/internal/control"
)

// Others tells of the messages that other nodes keep, each with its node.
type Others interface {
	Others(ctx context.Context, f *quarantine.Filter) ([]quarantine.Row, error)
}

// onlyHere is said where others are not known.
const onlyHere = "the index that nodes share does not answer: only what this node keeps is listed"

// others is where others are asked for; nil where each node shows its own only.
func (d *Desk) others() Others {
	if d.Shared == nil {
		return nil
	}
	return d.Shared()
}

// withOthers adds what other nodes keep to a list of what this one keeps. trouble says why it could not.
func (d *Desk) withOthers(ctx context.Context, f *quarantine.Filter, own []quarantine.Row) (all []quarantine.Row, node, trouble string) {
	shared := d.others()
	if shared == nil {
		return own, "", ""
	}
	for i := range own {
		own[i].Node = d.Node
	}
	more, err := shared.Others(ctx, f)
	if err != nil {
		return own, d.Node, onlyHere
	}
	own = append(own, more...)
	slices.SortStableFunc(own, func(a, b quarantine.Row) int { return cmp.Compare(b.ID, a.ID) })
	return own[:min(len(own), f.Most())], d.Node, ""
}

// failed words what keeps the quarantine from doing what it was asked for with a message: it may be another node's.
func (d *Desk) failed(ctx context.Context, id gateway.ID, err error) error {
	if errors.Is(err, quarantine.ErrNone) {
		if _, none := d.row(ctx, id); none != nil { // else a copy is gone, and the message is here
			if there := d.elsewhere(ctx, id); there != nil {
				return there
			}
		}
	}
	return fault(err)
}

// elsewhere says which other node keeps a message, as far as the actor sees it, or that this cannot be told; nil where none does.
func (d *Desk) elsewhere(ctx context.Context, id gateway.ID) error {
	shared := d.others()
	if shared == nil {
		return nil
	}
	actor := access.Of(ctx)
	rows, err := shared.Others(ctx, &quarantine.Filter{IDs: []gateway.ID{id}, Domains: actor.Domains, Limit: 1})
	switch {
	case err != nil:
		return &control.Fault{Status: http.StatusServiceUnavailable, Message: fmt.Sprintf("%s is not kept by this node (%s), and whether another keeps it cannot be told now", id, d.Node),
			Hint: "the index that nodes share does not answer; gatepost trace tells which node took it"}
	case len(rows) == 0 || !boundRow(&actor, &rows[0]):
		return nil
	}
	node := gateway.CleanText(rows[0].Node, 255)
	hint := "ask there: gatepost quarantine"
	if d.Console != nil {
		if at := d.Console(ctx, rows[0].Node); at != "" {
			hint += ", or its console, " + gateway.CleanText(at, 300)
		}
	}
	return &control.Fault{Status: http.StatusConflict, Message: fmt.Sprintf("%s is kept by the node %s, and this is %s", id, node, d.Node), Hint: hint}
}
