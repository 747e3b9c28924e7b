package nodes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/store/admin"
)

// How often a node says how it is, and for how long it may not until it is stale: three times missed.
const (
	Every = 10 * time.Second
	Stale = 3*Every + Every/2
)

// Store keeps what nodes say.
type Store interface {
	Beat(ctx context.Context, name, body string) (ahead time.Duration, err error)
	List(ctx context.Context) ([]admin.Node, error)
	Remove(ctx context.Context, name string, silent time.Duration) error
}

// Desk is what the operations are about.
type Desk struct {
	// Here is how this node is now.
	Here func() api.Node
	// Store returns where nodes tell each other; nil: nowhere.
	Store func() Store
	// Shared reports whether other nodes may have the same store.
	Shared func() bool
	Log    *slog.Logger
	// Removed is told of a node that was taken out, so that what others were told by it goes as well; nil: nobody.
	Removed func(ctx context.Context, name string) error

	ahead atomic.Pointer[int64] // microseconds of our clock before the store's, at the last beat
}

func listQuestion() control.Operation {
	return control.Operation{Name: "node list", Method: http.MethodGet, Path: "/nodes", Right: access.SystemRead,
		Doc: "List the nodes that share their control data, and how each is"}
}

func removeQuestion() control.Operation {
	return control.Operation{Name: "node remove", Method: http.MethodDelete, Path: "/nodes/{name}", Right: access.SystemChange,
		Doc: "Forget a node that is gone for good, with its alarms and what it counted"}
}

// Operations are what can be asked about nodes.
func (d *Desk) Operations() []control.Operation {
	return []control.Operation{control.Define(listQuestion(), d.list), control.Define(removeQuestion(), d.remove)}
}

// Run says how this node is, until ctx is done. What the store does not take is not said again: the next time comes soon.
func (d *Desk) Run(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		if err := d.beat(ctx); err != nil && ctx.Err() == nil {
			d.Log.Debug("this node could not say how it is", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Desk) beat(ctx context.Context) error {
	here := d.here()
	body, err := json.Marshal(&here)
	if err != nil {
		return err
	}
	ahead, err := d.Store().Beat(ctx, here.Name, string(body))
	if err != nil {
		return err
	}
	if d.Shared() {
		micros := ahead.Microseconds()
		d.ahead.Store(&micros)
	}
	return nil
}

// here is this node, with its clock.
func (d *Desk) here() api.Node {
	n := d.Here()
	n.Here, n.Clock = true, d.ahead.Load()
	return n
}

func (d *Desk) list(ctx context.Context, _ *struct{}) (*api.Nodes, error) {
	here := d.here()
	out := &api.Nodes{Nodes: []api.Node{here}}
	all, err := d.Store().List(ctx)
	if err != nil {
		out.Trouble = "the store of the control data does not answer: this node only is known"
		d.Log.Warn("nodes", "error", err)
		return out, nil
	}
	for _, row := range all {
		if row.Name != here.Name {
			out.Nodes = append(out.Nodes, nodeOf(row))
		}
	}
	slices.SortFunc(out.Nodes, func(a, b api.Node) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// nodeOf is what another node said, made so that it can be shown: it may be of another version, or not ours.
func nodeOf(row admin.Node) api.Node {
	var n api.Node
	if err := json.Unmarshal([]byte(row.Body), &n); err != nil {
		n = api.Node{}
	}
	n.Name, n.Here, n.Age, n.Stale = gateway.CleanText(row.Name, 255), false, int64(row.Age/time.Second), row.Age > Stale
	for _, text := range []*string{&n.Version, &n.Policy, &n.Mode} {
		*text = gateway.CleanText(*text, 100)
	}
	listeners := map[string]string{}
	for name, at := range n.Listeners {
		listeners[gateway.CleanText(name, 100)] = gateway.CleanText(at, 100)
	}
	n.Listeners = listeners
	n.Console = n.Console[:min(len(n.Console), 20)]
	for i := range n.Console {
		n.Console[i] = gateway.CleanText(n.Console[i], 100)
	}
	n.Parts = n.Parts[:min(len(n.Parts), 100)]
	for i := range n.Parts {
		p := &n.Parts[i]
		p.Part, p.Detail = gateway.CleanText(p.Part, 100), gateway.CleanText(p.Detail, 300)
	}
	return n
}

func (d *Desk) remove(ctx context.Context, in *api.NodeName) (*api.Nodes, error) {
	if in.Name == d.Here().Name {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "this is the node that answers", Hint: "a node is removed at another one, once it is stopped"}
	}
	err := d.Store().Remove(ctx, in.Name, Stale)
	if errors.Is(err, admin.ErrNone) {
		return nil, &control.Fault{Status: http.StatusConflict, Message: "there is no node " + gateway.CleanText(in.Name, 255) + " that is stale", Hint: "gatepost node list shows them; one that still says how it is would come again: stop it first"}
	}
	if err != nil {
		return nil, err
	}
	control.Changed(ctx, control.Change{Object: "node " + in.Name, Before: map[string]string{"name": in.Name}})
	out, err := d.list(ctx, nil)
	if err == nil && d.Removed != nil {
		if bad := d.Removed(ctx, in.Name); bad != nil {
			d.Log.Warn("nodes: what a node that was removed kept is still listed", "node", in.Name, "error", bad)
			out.Trouble = "it was removed, but what it kept in quarantine is still listed: PostgreSQL did not take that out"
		}
	}
	return out, err
}

// Consoles are the addresses at which another node said that its console listens; none where nobody knows.
func (d *Desk) Consoles(ctx context.Context, name string) []string {
	all, err := d.Store().List(ctx)
	if err != nil {
		return nil
	}
	for _, row := range all {
		if row.Name == name {
			return nodeOf(row).Console
		}
	}
	return nil
}
