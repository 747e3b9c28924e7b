package console

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"gatepost/gateway"
	"gatepost/internal/access"
	"gatepost/internal/api"
)

// nodePages are those of the nodes that share their control data.
func (c *Console) nodePages(mux *http.ServeMux) {
	c.page(mux, "GET /nodes", access.SystemRead, c.nodesPage)
	c.page(mux, "POST /nodes/remove", access.SystemChange, c.nodeRemove)
}

// nodesBody is what the page shows.
type nodesBody struct {
	Trouble string
	Nodes   []nodeView
}

// nodeView is one of them.
type nodeView struct {
	*api.Node
}

// shownParts are the parts that have a line of their own on the page; of others only those that fail do.
func shownParts() []string {
	return []string{"redis", "clamav", "spamassassin", "dns", "lists", "control_data"}
}

// Lines are the parts that are shown.
func (n nodeView) Lines() (out []api.Part) {
	for _, name := range shownParts() {
		if p := n.Part(name); p != nil {
			out = append(out, *p)
		}
	}
	for _, p := range n.Parts {
		if !p.OK && !slices.Contains(shownParts(), p.Part) {
			out = append(out, p)
		}
	}
	return out
}

// Silent is for how long it said nothing.
func (n nodeView) Silent() string { return (time.Duration(n.Age) * time.Second).String() }

// ClockText is by how much its clock differs from the store's.
func (n nodeView) ClockText() string {
	if n.Clock == nil {
		return ""
	}
	d := time.Duration(*n.Clock) * time.Microsecond
	if d < 0 {
		return tookText(-d) + " behind"
	}
	return tookText(d) + " ahead"
}

// ClockWrong reports whether that is more than a second: what nodes tell each other of times is wrong by as much.
func (n nodeView) ClockWrong() bool {
	return n.Clock != nil && (*n.Clock > 1_000_000 || *n.Clock < -1_000_000)
}

// FreeText is how much of its disk is free.
func (n nodeView) FreeText() string {
	if n.Disk <= 0 {
		return ""
	}
	return gateway.ShowSize(n.Free) + " of " + gateway.ShowSize(n.Disk)
}

// MemoryText is how much of its memory is in use.
func (n nodeView) MemoryText() string { return strconv.Itoa(int(n.Memory*100+0.5)) + " %" }

// LoadText is the load of its machine.
func (n nodeView) LoadText() string { return strconv.FormatFloat(n.Load, 'f', 2, 64) }

func (c *Console) nodesPage(w http.ResponseWriter, r *http.Request) {
	if !c.offers("node list") {
		c.nowhere(w, r)
		return
	}
	got, err := ask[*api.Nodes](c, r, "node list", nil)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	b := &nodesBody{Trouble: got.Trouble}
	for i := range got.Nodes {
		b.Nodes = append(b.Nodes, nodeView{&got.Nodes[i]})
	}
	c.show(w, r, http.StatusOK, "nodes", "Nodes", b)
}

func (c *Console) nodeRemove(w http.ResponseWriter, r *http.Request) {
	name := r.PostFormValue("name")
	if !c.confirmed(w, r, question{Head: "Forget the node " + name + "?", Text: "Its alarms and what it counted go. If it is only away, it comes again by itself.", Button: "Forget it", Danger: true}) {
		return
	}
	if _, err := ask[*api.Nodes](c, r, "node remove", posted(r, "name")); err != nil {
		c.failed(w, r, err)
		return
	}
	c.done(w, r, "/nodes", name+" is forgotten.")
}
