package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// stsRoute is a route to the mail hosts of dom.example, all of which lead to the fake.
func stsRoute(t *testing.T, f *fake, ca *authority, p Published, mode Mode, hosts ...string) *Relay {
	t.Helper()
	pools := NewPools(func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", f.ln.Addr().String())
	}, nil)
	z := &zone{ttl: time.Hour}
	var hops []Hop
	for i, h := range hosts {
		hops = append(hops, Hop{Host: h, Order: i, Secure: true})
	}
	z.mx = map[string][]Hop{"dom.example": hops}
	z.a = map[string][]netip.Addr{}
	for _, h := range hosts {
		z.a[h] = ips("192.0.2.1")
	}
	pools.Find(z)
	pools.Consult(p)
	r, err := New(pools, []Route{{Name: "inner", Hostname: "gate.example", Hops: []Hop{{MX: "dom.example"}}, TLS: mode, MTASTS: true, RootCAs: ca.pool, Timeouts: long()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// flaws are what idle connections of a route have been noted for.
func flaws(r *Relay) (out []string) {
	for _, h := range r.routes["inner"].hops() {
		h.idleMu.Lock()
		for _, c := range h.idle {
			if c.held.basis == BySTS && c.held.flaw != nil {
				out = append(out, c.held.flaw.Error())
			}
		}
		h.idleMu.Unlock()
	}
	return out
}

// TestMTASTS holds hosts of all kinds against policies of all kinds.
func TestMTASTS(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	later := time.Now().Add(time.Hour)
	good := ca.issue("mx.example", later, ca)
	expired := ca.issue("mx.example", time.Now().Add(-time.Hour), ca)
	other := ca.issue("other.example", later, ca)
	foreign := stranger.issue("mx.example", later, stranger)
	policy := func(mode mtasts.Mode, mx ...string) *mtasts.Policy {
		return &mtasts.Policy{ID: "1", Mode: mode, MX: mx, MaxAge: time.Hour}
	}
	enforce, mild := policy(mtasts.Enforce, "mx.example"), policy(mtasts.Testing, "mx.example")
	usable := func(c tls.Certificate) []dane.Record { return []dane.Record{keyOf(c)} }
	unusable := []dane.Record{{Usage: 1, Selector: 1, Matching: 1, Data: make([]byte, 32)}}
	const ok, no = gateway.Delivered, gateway.NotDelivered
	broken := &tls.Certificate{} // of no use: the handshake fails
	for _, tt := range []struct {
		name   string
		cert   *tls.Certificate // nil: STARTTLS is not offered
		policy *mtasts.Policy
		tlsa   []dane.Record
		want   gateway.RelayResult
		how    string // at the end of Relayed.TLS, or part of why
		flaw   string // noted beside
	}{
		{"enforce", &good, enforce, nil, ok, ", verified, MTA-STS enforce", ""},
		{"enforce, a pattern", &good, policy(mtasts.Enforce, "*.example"), nil, ok, ", verified, MTA-STS enforce", ""},
		{"enforce, expired", &expired, enforce, nil, no, "has expired", ""},
		{"enforce, another name", &other, enforce, nil, no, "not mx.example", ""},
		{"enforce, nobody's authority", &foreign, enforce, nil, no, "unknown authority", ""},
		{"enforce, no STARTTLS", nil, enforce, nil, no, "does not offer STARTTLS, which the MTA-STS policy of its domain requires", ""},
		{"enforce, handshake fails", broken, enforce, nil, no, "TLS with the next hop failed", ""},
		{"enforce, not named", &good, policy(mtasts.Enforce, "a.example", "*.mx.example"), nil, no, "mx.example is none of the mail hosts that the MTA-STS policy of the domain names (dom.example)", ""},
		{"testing", &good, mild, nil, ok, ", not verified, MTA-STS testing", ""},
		{"testing, expired", &expired, mild, nil, ok, ", not verified, MTA-STS testing", "has expired"},
		{"testing, another name", &other, mild, nil, ok, ", not verified, MTA-STS testing", "not mx.example"},
		{"testing, nobody's authority", &foreign, mild, nil, ok, ", not verified, MTA-STS testing", "unknown authority"},
		{"testing, no STARTTLS", nil, mild, nil, ok, "", "does not offer STARTTLS"},
		{"testing, handshake fails", broken, mild, nil, ok, "", "TLS with the next hop failed"},
		{"testing, not named", &good, policy(mtasts.Testing, "a.example"), nil, ok, ", not verified, MTA-STS testing", "none of the mail hosts"},
		{"none", &expired, policy(mtasts.None), nil, ok, ", not verified", ""},
		{"no policy", &expired, nil, nil, ok, ", not verified", ""},
		{"DANE wins, right", &expired, policy(mtasts.Enforce, "a.example"), usable(expired), ok, ", DANE 3 1 1 verified", ""},
		{"DANE wins, wrong", &good, enforce, usable(other), no, "no TLSA record matches", ""},
		{"DANE of no use", &good, enforce, unusable, ok, ", verified, MTA-STS enforce", ""},
		{"DANE of no use, expired", &expired, enforce, unusable, no, "has expired", ""},
		{"DANE of no use, testing", &expired, mild, unusable, ok, ", not verified, since no TLSA record can be used", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			offers := everything
			if tt.cert != nil {
				offers = append([]string{"STARTTLS"}, everything...)
			}
			f := newFake(t, offers...)
			if tt.cert != nil {
				f.tls = &tls.Config{Certificates: []tls.Certificate{*tt.cert}}
			}
			if tt.cert == broken {
				f.tls.Certificates = nil
			}
			p := &publisher{tlsa: map[string]dane.Published{"mx.example": {Base: "mx.example", Records: tt.tlsa, Why: map[bool]string{true: "there are none"}[tt.tlsa == nil], Keep: time.Hour}},
				sts: map[string]*mtasts.Policy{"dom.example": tt.policy}}
			r := stsRoute(t, f, ca, p, map[bool]Mode{true: Opportunistic, false: DANE}[tt.tlsa == nil], "mx.example")
			for range 2 {
				got := r.Relay(t.Context(), delivery(small))
				if got.Result != tt.want {
					t.Fatalf("got %+v", got)
				}
				if tt.want == no {
					if got.Reply.Code != 451 || got.Reply.Enhanced != "4.7.5" || !strings.Contains(got.Said, tt.how) {
						t.Errorf("got %+v, want %q", got, tt.how)
					}
					break
				}
				if !strings.HasSuffix(got.TLS, tt.how) || (got.TLS == "") != (tt.cert == nil || tt.cert == broken) {
					t.Errorf("got %q, want %q", got.TLS, tt.how)
				}
			}
			if noted := strings.Join(flaws(r), "; "); !strings.Contains(noted, tt.flaw) || (noted == "") != (tt.flaw == "") {
				t.Errorf("noted %q, want %q", noted, tt.flaw)
			}
			if messages, _, conns := f.seen(); tt.want == no && len(messages) > 0 || tt.want == ok && conns > 2 {
				t.Errorf("%d messages on %d connections", len(messages), conns)
			}
			p.change(func() {
				if sts := !strings.HasPrefix(tt.name, "DANE wins"); (len(p.doubted) > 0) != (sts && tt.want == no) {
					t.Errorf("%d times in doubt", len(p.doubted))
				}
			})
		})
	}
}

// TestMTASTSNext shows that hosts that a policy does not name are left out, and the next is tried.
func TestMTASTSNext(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("mx2.example", time.Now().Add(time.Hour), ca)
	f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
	f.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
	p := &publisher{sts: map[string]*mtasts.Policy{"dom.example": {Mode: mtasts.Enforce, MX: []string{"mx1.example", "mx2.example"}}}}
	r := stsRoute(t, f, ca, p, Opportunistic, "mx0.example", "mx1.example", "mx2.example")
	got := r.Relay(t.Context(), delivery(small))
	if got.Result != gateway.Delivered || got.NextHop != "mx2.example:25" {
		t.Errorf("got %+v", got)
	}
	if _, _, conns := f.seen(); conns != 2 { // mx0 is not even connected to
		t.Errorf("%d connections", conns)
	}
}

// TestMTASTSIdle shows that an idle connection is not used once a policy asks for more than it has, and is while it has it.
func TestMTASTSIdle(t *testing.T) {
	ca := newAuthority(t)
	good := ca.issue("mx.example", time.Now().Add(time.Hour), ca)
	enforce := &mtasts.Policy{ID: "1", Mode: mtasts.Enforce, MX: []string{"mx.example"}}
	again := &mtasts.Policy{ID: "2", Mode: mtasts.Enforce, MX: []string{"mx.example"}} // fetched anew
	away := &mtasts.Policy{ID: "3", Mode: mtasts.Enforce, MX: []string{"a.example"}}
	mild := &mtasts.Policy{ID: "4", Mode: mtasts.Testing, MX: []string{"mx.example"}}
	f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
	f.tls = &tls.Config{Certificates: []tls.Certificate{good}}
	p := &publisher{sts: map[string]*mtasts.Policy{}}
	r := stsRoute(t, f, ca, p, Opportunistic, "mx.example")
	for i, step := range []struct {
		policy *mtasts.Policy
		how    string // ending of Relayed.TLS; "" for not delivered
		conns  int
	}{
		{nil, ", not verified", 1}, {nil, ", not verified", 1}, {&mtasts.Policy{Mode: mtasts.None}, ", not verified", 1},
		{mild, ", MTA-STS testing", 2}, {enforce, ", verified, MTA-STS enforce", 3}, {again, ", verified, MTA-STS enforce", 3},
		{away, "", 3}, {enforce, ", verified, MTA-STS enforce", 4}, {nil, ", not verified", 5},
	} {
		p.change(func() { p.sts["dom.example"] = step.policy })
		got := r.Relay(t.Context(), delivery(small))
		if (got.Result == gateway.Delivered) != (step.how != "") || !strings.HasSuffix(got.TLS, step.how) {
			t.Errorf("step %d: %+v", i, got)
		}
		if _, _, conns := f.seen(); conns != step.conns {
			t.Errorf("step %d: %d connections, want %d", i, conns, step.conns)
		}
	}
}

// TestMTASTSWhere shows for which next hops a policy counts.
func TestMTASTSWhere(t *testing.T) {
	p := &publisher{sts: map[string]*mtasts.Policy{"dom.example": {Mode: mtasts.Enforce, MX: []string{"a.example"}}}}
	for name, c := range map[string]struct {
		route Route
		hop   Hop
		want  bool
	}{
		"by mx":         {Route{MTASTS: true}, Hop{Host: "mx.example", found: true, domain: "dom.example"}, true},
		"by mx, dane":   {Route{MTASTS: true, TLS: DANE}, Hop{Host: "mx.example", found: true, domain: "dom.example"}, true},
		"switched off":  {Route{}, Hop{Host: "mx.example", found: true, domain: "dom.example"}, false},
		"by name":       {Route{MTASTS: true}, Hop{Host: "mx.example"}, false},
		"by srv":        {Route{MTASTS: true}, Hop{Host: "mx.example", found: true}, false},
		"another":       {Route{MTASTS: true}, Hop{Host: "mx.example", found: true, domain: "dom.example.net"}, false},
		"fingerprints":  {Route{MTASTS: true, TLS: Fingerprint}, Hop{Host: "mx.example", found: true, domain: "dom.example"}, false},
		"required":      {Route{MTASTS: true, TLS: Required}, Hop{Host: "mx.example", found: true, domain: "dom.example"}, false},
		"none":          {Route{MTASTS: true, TLS: None}, Hop{Host: "mx.example", found: true, domain: "dom.example"}, false},
		"LMTP":          {Route{MTASTS: true, LMTP: true}, Hop{Host: "mx.example", found: true, domain: "dom.example"}, false},
		"DANE and LMTP": {Route{MTASTS: true, LMTP: true, TLS: DANE}, Hop{Host: "mx.example", found: true, domain: "dom.example"}, false},
	} {
		pools := NewPools(nil, nil)
		pools.Consult(p)
		h := &hop{settings: newSettings(&c.route, c.hop), pools: pools}
		if _, err := h.protect(t.Context()); errors.Is(err, errNotNamed) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		pools.Consult(nil)
		if _, err := h.protect(t.Context()); err != nil {
			t.Errorf("%s, nobody to ask: %v", name, err)
		}
	}
}
