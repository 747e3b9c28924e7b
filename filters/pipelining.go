package filters

import (
	"context"

	"gatepost/gateway"
)

// pipelining looks for input that a client sent before it could know our reply.
func pipelining() Definition {
	return Definition{
		Name: "pipelining", Stage: gateway.Connect,
		Doc:    "Did the client send commands or a message before it could know the reply that it must wait for? It runs whenever that happens, up to the end of a message. Only what was there before our reply was written counts, never a fast client. Held until RCPT; drop ends the session at once.",
		RFC:    "RFC 2920 section 3.1, RFC 5321 section 4.1.1.4",
		Action: gateway.ActionScore, Unknown: gateway.ActionObserve,
		Measures: []Measure{
			{"greeting", "more behind HELO or EHLO", 3},
			{"message", "the message behind DATA, before 354", 3},
			{"unoffered", "more behind any command where PIPELINING was not offered (HELO, or smtp.without)", 3},
			{"sync", "more behind NOOP, VRFY or another command that must be the last of a group", 1},
		},
		Build: func(any, *Deps) (Built, error) { return Built{Run: runPipelining}, nil },
	}
}

func runPipelining(_ context.Context, in *gateway.Input) gateway.Finding {
	seen := in.Session.Conduct.Ahead
	if len(seen) == 0 {
		return gateway.Passed()
	}
	f := gateway.Failed(gateway.PipelinedAhead, seen[0].Behind)
	for _, a := range seen {
		switch a.Kind {
		case gateway.AheadGreeting:
			f = f.With(gateway.Yes("greeting"))
		case gateway.AheadMessage:
			f = f.With(gateway.Yes("message"))
		case gateway.AheadUnoffered:
			f = f.With(gateway.Yes("unoffered"))
		default:
			f = f.With(gateway.Yes("sync"))
		}
		f = f.Show("behind "+a.Behind, a.Sent)
	}
	return f
}
