package filters

import (
	"context"
	"sync"
	"testing"

	"gatepost/gateway"
	"gatepost/internal/reputation"
)

// farPast is what came of mail as a store tells it that others share: who asks waits.
type farPast struct {
	mu     sync.Mutex
	asked  [][]reputation.Subject
	panics bool
	err    error
}

func (f *farPast) Look(_ context.Context, subjects []reputation.Subject) ([]reputation.History, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, subjects)
	if f.panics {
		panic("broken")
	}
	if f.err != nil {
		return nil, f.err
	}
	return make([]reputation.History, len(subjects)), nil
}
func (f *farPast) Own(reputation.Subject) reputation.History { return reputation.History{} }
func (f *farPast) Waits() bool                               { return true }

// TestReputationAhead shows when a shared store is asked: once with the connection, and once a transaction as soon as the names
// are known, beside what else there is to wait for; and that the check itself then waits for nothing.
func TestReputationAhead(t *testing.T) {
	past := &farPast{}
	d := &Deps{Resolver: patient(t, village(t)), Reputation: past}
	pl := build(t, rcptOff, d)
	s := from("192.0.2.1", "mail.good.example")
	s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
	ahead := func(s *gateway.Session) {
		for _, f := range pl.Ahead {
			if rest := f(t.Context(), s); rest != nil {
				rest()
			}
		}
	}
	ahead(s)
	if len(past.asked) != 1 || len(past.asked[0]) != 2 {
		t.Fatalf("with the connection: %v", past.asked)
	}
	for i, sender := range []string{"<a@good.example>", "<b@good.example>", "<>"} {
		e := &gateway.Envelope{From: mailFrom(t, sender)}
		in := input(s, e)
		for _, f := range pl.AheadMail {
			f(t.Context(), in)
		}
		names := past.asked[len(past.asked)-1]
		want := 2
		if sender == "<>" {
			want = 1
		}
		if len(past.asked) != 2+i || len(names) != want || names[0].Kind != reputation.Organisation {
			t.Errorf("%s: %v", sender, past.asked)
		}
		if !d.reputationReady(in) {
			t.Errorf("%s: the check waits", sender)
		}
		pl.Run(t.Context(), gateway.Helo, in)
		pl.Run(t.Context(), gateway.Mail, in)
		if len(past.asked) != 2+i {
			t.Errorf("%s: asked again: %v", sender, past.asked)
		}
	}
	for _, client := range []string{"10.1.2.3", "192.0.2.1"} {
		s := from(client, "inside.example")
		s.Trusted = client == "192.0.2.1"
		s.Snapshot = &gateway.Snapshot{Policy: d.Policy, Pipeline: pl, Hostname: d.Hostname}
		in := input(s, &gateway.Envelope{From: mailFrom(t, "<a@good.example>")})
		before := len(past.asked)
		ahead(s)
		for _, f := range pl.AheadMail {
			f(t.Context(), in)
		}
		pl.Run(t.Context(), gateway.Helo, in)
		pl.Run(t.Context(), gateway.Mail, in)
		if len(past.asked) != before {
			t.Errorf("%s: asked for one who has no past: %v", client, past.asked[before:])
		}
	}
}

// TestReputationUnknown shows that a past that cannot be told costs nobody anything by default, and what policy may make of
// it.
func TestReputationUnknown(t *testing.T) {
	mail := visit{client: "192.0.2.1", helo: "mail.good.example", from: "<a@good.example>", to: []string{"anna@served.example"}}
	for name, c := range map[string]struct {
		policy string
		past   *farPast
		code   int
		why    gateway.Reason
	}{
		"no answer":            {"", &farPast{err: context.DeadlineExceeded}, 250, gateway.ReputationAway},
		"it breaks":            {"", &farPast{panics: true}, 250, gateway.CheckPanicked},
		"no answer, and defer": {"[checks.reputation]\nunknown = \"defer\"\n", &farPast{err: context.DeadlineExceeded}, 451, gateway.ReputationAway},
		"it breaks, and defer": {"[checks.reputation]\nunknown = \"defer\"\n", &farPast{panics: true}, 451, gateway.CheckPanicked},
	} {
		d := &Deps{Resolver: patient(t, village(t)), Reputation: c.past}
		pl := build(t, rcptOff+c.policy, d)
		f, reply, e := mail.arrive(t, d, pl, "reputation")
		if f.Result != gateway.Unknown || f.Reason != c.why || reply.Code != c.code || d.Policy.Suspicion(e.Session, e) != 0 {
			t.Errorf("%s: %s %s, %s", name, f.Result, f.Reason, reply)
		}
	}
}
