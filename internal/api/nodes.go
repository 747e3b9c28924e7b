package api

import "time"

// Nodes are the daemons that share their control data, by name; a single one is alone among them.
type Nodes struct {
	Nodes []Node `json:"nodes"`
	// Trouble is why others than this one are not known; "" where they are.
	Trouble string `json:"trouble,omitempty"`
}

// Node is how one is, as it said itself.
type Node struct {
	Name      string            `json:"name"`
	Here      bool              `json:"here,omitempty"`  // the one that answers
	Stale     bool              `json:"stale,omitempty"` // it missed three times to say how it is
	Age       int64             `json:"age"`             // seconds since it said so
	Version   string            `json:"version"`
	Since     time.Time         `json:"since"`          // it runs since
	Policy    string            `json:"policy"`         // in force
	Number    int64             `json:"policy_version"` // 0: a file
	Mode      string            `json:"mode"`
	Listeners map[string]string `json:"listeners,omitempty"`
	Console   []string          `json:"console,omitempty"` // where its console listens
	Sessions  int               `json:"sessions"`
	Stressed  bool              `json:"stressed,omitempty"` // it sheds load
	Memory    float64           `json:"memory_pressure"`    // share of the memory in use, 0 to 1
	Load      float64           `json:"load"`               // of the machine, over a minute
	Queue     int               `json:"queue"`              // messages in the spool
	Drain     *Drain            `json:"drain,omitempty"`
	Parts     []Part            `json:"parts"`                 // how its parts are
	Clock     *int64            `json:"clock_ahead,omitempty"` // microseconds of its clock before the store's; nil: not known, or there is one clock
	Free      int64             `json:"disk_free,omitempty"`   // octets for the state folder; 0: not known
	Disk      int64             `json:"disk_octets,omitempty"` // all that the disk has
}

// Part returns one of its parts by name; nil where it has none.
func (n *Node) Part(name string) *Part {
	for i := range n.Parts {
		if n.Parts[i].Part == name {
			return &n.Parts[i]
		}
	}
	return nil
}

// Unwell are the names of its parts that are not well.
func (n *Node) Unwell() (out []string) {
	for _, p := range n.Parts {
		if !p.OK {
			out = append(out, p.Part)
		}
	}
	return out
}

// NodeName names a node.
type NodeName struct {
	Name string `json:"-" path:"name" doc:"The name of the node, as the list has it."`
}
