package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// watched is a route of which is kept how each connection came out.
type watched struct {
	*Relay
	mu  sync.Mutex
	all []Negotiation
}

func (w *watched) told() []Negotiation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Negotiation(nil), w.all...)
}

// watchedRoute is a route to mx.example, by its name or as a mail host of dom.example, which leads to the fake.
func watchedRoute(t *testing.T, f *fake, p Published, route Route) *watched {
	t.Helper()
	w := &watched{}
	pools := NewPools(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", f.ln.Addr().String())
	}, nil)
	pools.Find(&zone{ttl: time.Hour, mx: map[string][]Hop{"dom.example": {{Host: "mx.example", Secure: true}}}, a: map[string][]netip.Addr{"mx.example": ips("192.0.2.1")}})
	pools.Consult(p)
	pools.Watch(func(n Negotiation) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = append(w.all, n)
	})
	route.Name, route.Hostname, route.Timeouts = "inner", "gate.example", long()
	var err error
	if w.Relay, err = New(pools, []Route{route}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// TestNegotiations: how connections of all kinds came out, in the words of RFC 8460 section 4.3, each once.
func TestNegotiations(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	later := time.Now().Add(time.Hour)
	good, other := ca.issue("mx.example", later, ca), ca.issue("other.example", later, ca)
	expired, foreign := ca.issue("mx.example", time.Now().Add(-time.Hour), ca), stranger.issue("mx.example", later, stranger)
	broken := tls.Certificate{} // the handshake fails
	policy := func(mode mtasts.Mode, mx string) *mtasts.Policy {
		return &mtasts.Policy{ID: "1", Mode: mode, MX: []string{mx}, MaxAge: time.Hour}
	}
	byMX, byName := Hop{MX: "dom.example"}, Hop{Host: "mx.example"}
	for name, c := range map[string]struct {
		hop  Hop
		mode Mode
		cert *tls.Certificate // nil: STARTTLS is not offered
		sts  *mtasts.Policy
		tlsa []dane.Record
		err  error
		want string // domain, basis, result, detail, whether it is used; "" for nothing told
	}{
		"opportunistic":                {byMX, Opportunistic, &foreign, nil, nil, nil, "dom.example 0 - used"},
		"opportunistic, by name":       {byName, Opportunistic, &foreign, nil, nil, nil, "mx.example 0 - used"},
		"opportunistic, none":          {byMX, Opportunistic, nil, nil, nil, nil, "dom.example 0 starttls-not-supported used"},
		"opportunistic, broken":        {byMX, Opportunistic, &broken, nil, nil, nil, "dom.example 0 validation-failure tls: unrecognized name"},
		"in clear":                     {byName, None, &good, nil, nil, nil, ""},
		"required":                     {byName, Required, &good, nil, nil, nil, "mx.example 0 - used"},
		"required, another name":       {byName, Required, &other, nil, nil, nil, "mx.example 0 certificate-host-mismatch x509: certificate is valid for other.example, not mx.example"},
		"required, expired":            {byName, Required, &expired, nil, nil, nil, "mx.example 0 certificate-expired *"},
		"required, stranger":           {byName, Required, &foreign, nil, nil, nil, "mx.example 0 certificate-not-trusted *"},
		"required, none":               {byName, Required, nil, nil, nil, nil, "mx.example 0 starttls-not-supported"},
		"pinned, another":              {byName, Fingerprint, &good, nil, nil, nil, "mx.example 0 validation-failure"},
		"dane":                         {byMX, DANE, &foreign, nil, []dane.Record{keyOf(foreign)}, nil, "dom.example 1 - used"},
		"dane, wrong key":              {byMX, DANE, &good, nil, []dane.Record{keyOf(other)}, nil, "dom.example 1 certificate-not-trusted no TLSA record matches the certificate"},
		"dane, another name":           {byName, DANE, &other, nil, []dane.Record{anchorOf(tls.Certificate{Leaf: ca.cert})}, nil, "mx.example 1 certificate-host-mismatch *"},
		"dane, expired":                {byName, DANE, &expired, nil, []dane.Record{anchorOf(tls.Certificate{Leaf: ca.cert})}, nil, "mx.example 1 certificate-expired *"},
		"dane, none":                   {byMX, DANE, nil, nil, []dane.Record{keyOf(good)}, nil, "dom.example 1 starttls-not-supported"},
		"dane, unusable":               {byMX, DANE, &other, nil, []dane.Record{{Usage: 1, Selector: 1, Matching: 1, Data: make([]byte, 32)}}, nil, "dom.example 1 tlsa-invalid no TLSA record can be used used"},
		"dane, bogus":                  {byMX, DANE, &good, nil, nil, fmt.Errorf("TLSA lookup: %w (why)", dane.ErrBogus), "dom.example 1 dnssec-invalid"},
		"dane, no answer":              {byMX, DANE, &good, nil, nil, errors.New("TLSA lookup: timed out"), ""},
		"dane, nothing published":      {byMX, DANE, &other, nil, nil, nil, "dom.example 0 - used"},
		"dane-only, nothing published": {byMX, DANEOnly, &good, nil, nil, nil, "dom.example 1 dane-required"},
		"enforce":                      {byMX, Opportunistic, &good, policy(mtasts.Enforce, "mx.example"), nil, nil, "dom.example 2 - used"},
		"enforce, another name":        {byMX, Opportunistic, &other, policy(mtasts.Enforce, "mx.example"), nil, nil, "dom.example 2 certificate-host-mismatch *"},
		"enforce, not named":           {byMX, Opportunistic, &good, policy(mtasts.Enforce, "a.example"), nil, nil, "dom.example 2 validation-failure the MTA-STS policy does not name this host"},
		"enforce, none":                {byMX, Opportunistic, nil, policy(mtasts.Enforce, "mx.example"), nil, nil, "dom.example 2 starttls-not-supported"},
		"testing":                      {byMX, Opportunistic, &good, policy(mtasts.Testing, "mx.example"), nil, nil, "dom.example 2 - used"},
		"testing, expired":             {byMX, Opportunistic, &expired, policy(mtasts.Testing, "mx.example"), nil, nil, "dom.example 2 certificate-expired * used"},
		"testing, stranger":            {byMX, Opportunistic, &foreign, policy(mtasts.Testing, "mx.example"), nil, nil, "dom.example 2 certificate-not-trusted * used"},
		"testing, not named":           {byMX, Opportunistic, &good, policy(mtasts.Testing, "a.example"), nil, nil, "dom.example 2 validation-failure the MTA-STS policy does not name this host used"},
		"testing, none":                {byMX, Opportunistic, nil, policy(mtasts.Testing, "mx.example"), nil, nil, "dom.example 2 starttls-not-supported used"},
		"testing, broken":              {byMX, Opportunistic, &broken, policy(mtasts.Testing, "mx.example"), nil, nil, "dom.example 2 validation-failure tls: unrecognized name"},
		"by address":                   {Hop{Host: "192.0.2.1"}, Opportunistic, &good, nil, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offers := everything
			if c.cert != nil {
				offers = append([]string{"STARTTLS"}, everything...)
			}
			f := newFake(t, offers...)
			switch {
			case c.cert == &broken:
				f.tls = &tls.Config{}
			case c.cert != nil:
				f.tls = &tls.Config{Certificates: []tls.Certificate{*c.cert}}
			}
			p := &publisher{tlsa: map[string]dane.Published{"mx.example": {Base: "mx.example", Records: c.tlsa, Keep: time.Hour}}, err: map[string]error{"mx.example": c.err}, sts: map[string]*mtasts.Policy{"dom.example": c.sts}}
			if c.tlsa == nil {
				p.tlsa["mx.example"] = dane.Published{Why: "there are none", Keep: time.Hour}
			}
			w := watchedRoute(t, f, p, Route{Hops: []Hop{c.hop}, TLS: c.mode, MTASTS: true, RootCAs: ca.pool, Fingerprints: []Digest{{}}})
			w.Relay.Relay(t.Context(), delivery(small))
			all := w.told()
			if c.want == "" {
				if len(all) > 0 {
					t.Errorf("told %+v", all)
				}
				return
			}
			if len(all) != 1 {
				t.Fatalf("%d told: %+v", len(all), all)
			}
			if got := shownAs(&all[0], c.want); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			n := &all[0]
			if n.Host != "mx.example" || time.Since(n.At) > time.Minute || (n.STS == nil) != (n.Basis != BySTS) || len(n.TLSA) != len(c.tlsa) || n.Established && n.Remote.String() != "127.0.0.1" {
				t.Errorf("%+v", n)
			}
			w.Relay.Relay(t.Context(), delivery(small)) // over the same connection, where there is one
			if again := w.told(); n.Established && len(again) > 1 || !n.Established && c.want == shownAs(&again[len(again)-1], c.want) && len(again) > 2 {
				t.Errorf("then told %+v", again)
			}
		})
	}
}

// shownAs is a negotiation as the table has it; a * there stands for any reason.
func shownAs(n *Negotiation, want string) string {
	out := fmt.Sprint(n.Domain, " ", n.Basis)
	switch {
	case n.Failed == "":
		out += " -"
	case n.Detail != "" && len(want) > len(out)+len(n.Failed)+2 && want[len(out)+len(n.Failed)+2] == '*':
		out += " " + n.Failed + " *"
	case n.Detail != "":
		out += " " + n.Failed + " " + n.Detail
	default:
		out += " " + n.Failed
	}
	if n.Established {
		out += " used"
	}
	return out
}

// TestNegotiationRefused: a next hop that offers STARTTLS and then refuses it, or ends the connection, supports it not, or is
// told with how it ended.
func TestNegotiationRefused(t *testing.T) {
	for name, c := range map[string]struct {
		does act
		mode Mode
		want string
	}{
		"454, opportunistic": {say("454 TLS is not available"), Opportunistic, "mx.example 0 starttls-not-supported used"},
		"454, required":      {say("454 TLS is not available"), Required, "mx.example 0 starttls-not-supported STARTTLS is answered by 454"},
		"closes":             {closes, Required, "mx.example 0 validation-failure connection closed"},
		"closes behind":      {then(say("220 go on"), closes), Required, "mx.example 0 validation-failure *"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
			f.set("STARTTLS", c.does)
			w := watchedRoute(t, f, nil, Route{Hops: []Hop{{Host: "mx.example"}}, TLS: c.mode})
			w.Relay.Relay(t.Context(), delivery(small))
			if all := w.told(); len(all) != 1 || shownAs(&all[0], c.want) != c.want {
				t.Errorf("%+v, want %s", all, c.want)
			}
		})
	}
}
