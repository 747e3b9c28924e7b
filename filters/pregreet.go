package filters

import (
	"context"
	"time"

	"gatepost/gateway"
)

// pregreet looks for clients that talk before they are greeted.
func pregreet() Definition {
	return Definition{
		Name: "pregreet", Stage: gateway.Connect,
		Doc:    "Did the client send something before the banner? A mail server waits for it. An unknown client waits a little; one that kept silent is remembered. Trusted and allowed clients never wait. Held until RCPT; drop ends the connection in place of the banner, as do TLS and HTTP there whatever the action.",
		RFC:    "RFC 5321 sections 3.1 and 4.3.1",
		Action: gateway.ActionReject, Unknown: gateway.ActionObserve,
		Measures: []Measure{{"early", "something was sent before the banner", 3}},
		Options:  &Pregreet{},
		Build:    func(any, *Deps) (Built, error) { return Built{Run: runPregreet}, nil },
	}
}

// Pregreet are the options of checks.pregreet.
type Pregreet struct {
	Wait           time.Duration `toml:"wait" default:"6s" max:"1m" doc:"How long the banner waits for a client that is not known. 0s: nobody waits, and nobody becomes known."`
	StressWait     time.Duration `toml:"stress_wait" default:"2s" max:"1m" doc:"The same under stress."`
	Remember       time.Duration `toml:"remember" default:"1d" min:"1m" max:"365d" doc:"How long a client that kept silent does not wait again."`
	RememberPassed time.Duration `toml:"remember_passed" default:"30d" min:"1m" max:"365d" doc:"How long a client is remembered that passed the tests inside a session and had a message accepted."`
	RememberBad    time.Duration `toml:"remember_bad" default:"1h" min:"1m" max:"30d" doc:"How long a client is remembered that failed one of these tests. It may have limits.connections_per_client_bad connections, and is not known meanwhile."`
}

// Validate keeps the wait under stress the shorter one.
func (o *Pregreet) Validate(report func(key, message, instead string)) {
	if o.StressWait > o.Wait {
		report("stress_wait", "is longer than wait", "write a shorter one")
	}
}

func runPregreet(_ context.Context, in *gateway.Input) gateway.Finding {
	c := &in.Session.Conduct
	if c.Early == "" {
		return gateway.Passed()
	}
	return gateway.Failed(gateway.EarlyTalk).With(gateway.Yes("early")).
		Show("sent", c.Early).Show("after", c.EarlyAfter.Round(time.Millisecond).String())
}

// PregreetOf returns the options of checks.pregreet, with no wait where the check is off.
func PregreetOf(configured map[string]Configured) Pregreet {
	c := configured["pregreet"]
	o, ok := c.Options.(*Pregreet)
	if !ok {
		return Pregreet{}
	}
	out := *o
	if c.Action == gateway.ActionOff {
		out.Wait, out.StressWait = 0, 0
	}
	return out
}

// Lesson is what a connection that ended teaches about its client: that it kept silent before the banner, that it passed
// the tests inside the session, or that it failed one that the policy acts upon. A test that is only observed teaches
// nothing bad.
func (o *Pregreet) Lesson(e *gateway.Event, p *gateway.Policy) gateway.Remembered {
	var out gateway.Remembered
	if e.Kind != gateway.ConnectionEvent || e.Record.Trusted {
		return out
	}
	now := e.Record.Time.Add(e.Took)
	for i := range e.Record.Findings {
		f := &e.Record.Findings[i]
		if f.Result == gateway.Fail && isBotTest(f.Check) && p.Checks[f.Check].Action > gateway.ActionObserve && p.Mode != gateway.ObserveOnly {
			out.Bad = now.Add(o.RememberBad)
		}
	}
	if e.Session.Waited > 0 {
		out.Pregreet = now.Add(o.Remember)
	}
	if e.Session.Passed {
		out.Protocol = now.Add(o.RememberPassed)
	}
	return out
}

// isBotTest reports whether a check is one of what a client does, not of who it is or what it brings: those that the plan
// calls conduct.
func isBotTest(check string) bool {
	switch check {
	case "pregreet", "pipelining", "newline", "verb":
		return true
	}
	return false
}
