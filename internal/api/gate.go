package api

// Gate is what a version must show of itself before it stays on an appliance: GET /appliance/health.
type Gate struct {
	Lines   []GateLine `json:"lines"`
	SMTP    []string   `json:"smtp"`    // where listeners must greet, as they are reached from this machine
	Console []string   `json:"console"` // where the console must answer
	// Refuses says that no mail is accepted yet, since no domain was named: listeners may greet with 421 then.
	Refuses bool `json:"refuses,omitempty"`
}

// GateLine is one thing that was looked at.
type GateLine struct {
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"` // false: it is told, and nothing is decided by it, since it is not on this machine
	Detail string `json:"detail"`
}

// OK reports whether all is well that is needed.
func (g *Gate) OK() bool {
	for _, l := range g.Lines {
		if l.Needed && !l.OK {
			return false
		}
	}
	return true
}
