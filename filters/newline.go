package filters

import (
	"context"

	"gatepost/gateway"
)

// newline looks at what the commands of a client end in.
func newline() Definition {
	return Definition{
		Name: "newline", Stage: gateway.Connect,
		Doc:    "Did a command end in a bare LF? A milder action than drop lets a session go on only where every command since the first ended so: then the client itself ends lines with LF. One that mixes line ends may be passing on what somebody smuggled, and is always closed. Of messages bare LF is refused whatever stands here.",
		RFC:    "RFC 5321 section 2.3.8",
		Action: gateway.ActionDrop, Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{"bare", "a command ended in a bare LF", 3},
			{"mixed", "some commands ended in CRLF and some in a bare LF", 3},
		},
		Build: func(any, *Deps) (Built, error) { return Built{Run: runNewline}, nil },
	}
}

func runNewline(_ context.Context, in *gateway.Input) gateway.Finding {
	c := &in.Session.Conduct
	var f gateway.Finding
	switch {
	case c.Mixed:
		f = gateway.Failed(gateway.NewlineMixed).With(gateway.Yes("mixed"))
	case c.BareLF != "":
		f = gateway.Failed(gateway.NewlineBare).With(gateway.Yes("bare"))
	default:
		return gateway.Passed()
	}
	return f.Show("line", c.BareLF)
}
