package relay

import (
	"testing"
)

// What a next hop was learned to carry under one protection says nothing of another: verified TLS that was there under the
// mode required is not offered to senders under none.
func TestRequireTLSIsNotLearnedOfOtherSettings(t *testing.T) {
	p := NewPools(nil, nil)
	at := func(mode Mode) settings {
		return newSettings(&Route{Name: "in", Hostname: "gate.test", TLS: mode}, Hop{Host: "mx.test", Port: 25})
	}
	first := p.use(at(Required))
	first.facts.Store(&learned{offer: offer{extended: true, size: 1000, requireTLS: true}, tls: "TLS1.3", keeps: true})
	for _, mode := range []Mode{None, Opportunistic, DANE} {
		second := p.use(at(mode))
		if c := second.carries(); c.RequireTLS || c.Size != 1000 {
			t.Errorf("%s: %+v", mode, c)
		}
	}
	if c := p.use(at(Required)).carries(); !c.RequireTLS {
		t.Errorf("the same settings: %+v", c)
	}
}
