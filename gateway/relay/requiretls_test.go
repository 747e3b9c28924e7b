package relay

import (
	"crypto/sha256"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/tls/dane"
)

// TestRequireTLS: a message of REQUIRETLS goes only over a session whose other end was proved, and only to who asks the same
// of the next; with the parameter, or not at all. A bounce goes as well as it can.
func TestRequireTLS(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("inner.example", time.Now().Add(time.Hour), ca)
	for _, mode := range []Mode{None, Opportunistic, Required, Fingerprint} {
		for _, offers := range []bool{true, false} {
			for _, asked := range []bool{true, false} {
				for _, null := range []bool{true, false} {
					for _, lmtp := range []bool{true, false} {
						name := strings.Join([]string{mode.String(), yes(offers, "offered"), yes(asked, "asked"), yes(null, "bounce"), yes(lmtp, "LMTP")}, " ")
						t.Run(name, func(t *testing.T) {
							t.Parallel()
							f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
							if offers {
								f.offers = append(f.offers, "requiretls")
							}
							f.tls, f.lmtp = &tls.Config{Certificates: []tls.Certificate{cert}}, lmtp
							route := Route{Hops: []Hop{f.hop()}, TLS: mode, RootCAs: ca.pool, ServerName: "inner.example", Timeouts: long(), LMTP: lmtp}
							if mode == Fingerprint {
								route.Fingerprints = []Digest{sha256.Sum256(cert.Leaf.Raw)}
							}
							r := newRelay(t, route)
							can := offers && mode >= Required
							for range 2 { // on a new connection, and on the one that was kept
								d := delivery(small)
								d.Options.RequireTLS = asked
								if null {
									d.From = gateway.Address{}
								}
								got := r.Relay(t.Context(), d)
								if taken := got.Result == gateway.Delivered; taken != (!asked || can || null) {
									t.Fatalf("got %+v", got)
								} else if !taken && (got.Result != gateway.RefusedByHop || got.Reply.Code != 550 || got.Reply.Enhanced != "5.7.30") {
									t.Errorf("got %+v", got)
								}
							}
							messages, commands, _ := f.seen()
							mails, said := 0, 0
							for _, c := range commands {
								if strings.HasPrefix(c, "MAIL") {
									mails++
									said += strings.Count(c+" ", " REQUIRETLS ")
								}
							}
							if mails != len(messages) || said != map[bool]int{true: mails}[asked && can] {
								t.Errorf("%d messages: %q", len(messages), commands)
							}
							if c := r.Carries("inner"); c.RequireTLS != can {
								t.Errorf("carries %+v", c)
							}
						})
					}
				}
			}
		}
	}
}

func yes(is bool, word string) string {
	if is {
		return word
	}
	return "not " + word
}

// TestRequireTLSOfRoutes: a route carries it where each of its next hops does, and a next hop that was never reached does not.
func TestRequireTLSOfRoutes(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("inner.example", time.Now().Add(time.Hour), ca)
	start := func(offers ...string) *fake {
		f := newFake(t, append(append([]string{"STARTTLS"}, everything...), offers...)...)
		f.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
		return f
	}
	can, other, cannot := start("REQUIRETLS"), start("REQUIRETLS"), start()
	for name, c := range map[string]struct {
		hops []*fake
		want bool
	}{"one": {[]*fake{can}, true}, "both": {[]*fake{can, other}, true}, "one of two": {[]*fake{can, cannot}, false}} {
		route := Route{TLS: Required, RootCAs: ca.pool, ServerName: "inner.example", Timeouts: long()}
		for _, f := range c.hops {
			route.Hops = append(route.Hops, f.hop())
		}
		r := newRelay(t, route)
		if r.Carries("inner").RequireTLS {
			t.Errorf("%s: before any was reached", name)
		}
		r.Learn(t.Context())
		if got := r.Carries("inner"); got.RequireTLS != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestRequireTLSByDANE: TLSA records prove who a next hop is, where one matched; unusable ones do not.
func TestRequireTLSByDANE(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("mx.example", time.Now().Add(time.Hour), ca)
	f := newFake(t, append([]string{"STARTTLS", "REQUIRETLS"}, everything...)...)
	f.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
	unusable := dane.Record{Usage: 1, Selector: 1, Matching: 1, Data: make([]byte, 32)}
	for name, c := range map[string]struct {
		records []dane.Record
		want    bool
	}{"matches": {[]dane.Record{keyOf(cert)}, true}, "unusable": {[]dane.Record{unusable}, false}, "none": {nil, false}} {
		p := &publisher{tlsa: map[string]dane.Published{"mx.example": {Base: "mx.example", Records: c.records, Keep: time.Hour}}}
		r, _ := daneRoute(t, f, p, DANE)
		d := delivery(small)
		d.Options.RequireTLS = true
		if got := r.Relay(t.Context(), d); (got.Result == gateway.Delivered) != c.want || r.Carries("inner").RequireTLS != c.want {
			t.Errorf("%s: %+v, carries %+v", name, got, r.Carries("inner"))
		}
	}
}
