package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// walked is a Probe in a line for each next hop: its steps, each with its fault, and ~ where mail goes on.
func walked(all []Probed) string {
	var out []string
	for _, p := range all {
		var steps []string
		for _, s := range p.Steps {
			text := s.At
			if s.Fault != NoFault {
				text += "=" + string(s.Fault)
			}
			if s.Goes {
				text += "~"
			}
			steps = append(steps, text)
		}
		out = append(out, strings.Join(steps, " "))
	}
	return strings.Join(out, "; ")
}

func question() *Question {
	return &Question{From: address("postmaster@mx.example.org"), Takes: address("postmaster@example.org"), Never: address("never@example.org")}
}

func probe(t *testing.T, pools *Pools, r Route) []Probed {
	t.Helper()
	r.Name, r.Hostname = "inner", "mx.example.org"
	got, err := pools.Probe(t.Context(), r, question())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestProbe goes through the steps with next hops that do each something wrong.
func TestProbe(t *testing.T) {
	ca := newAuthority(t)
	good, late := ca.issue("inner.example", time.Now().Add(time.Hour), ca), ca.issue("inner.example", time.Now().Add(-time.Hour), ca)
	other, self := ca.issue("other.example", time.Now().Add(time.Hour), ca), ca.issue("inner.example", time.Now().Add(time.Hour), nil)
	const all = "connect banner ehlo tls takes refuses"
	stranger := func(f *fake) { f.rcpt["never@example.org"] = say("550 5.1.1 no such user") }
	for name, tt := range map[string]struct {
		cert  *tls.Certificate
		route Route
		set   func(*fake)
		want  string
		peer  string // a name of the certificate that was seen
	}{
		"all well":                   {&good, Route{TLS: Required}, stranger, all, "inner.example"},
		"lmtp":                       {&good, Route{TLS: Required, LMTP: true}, func(f *fake) { f.lmtp = true; stranger(f) }, all, "inner.example"},
		"takes everybody":            {&good, Route{TLS: Required}, func(*fake) {}, "connect banner ehlo tls takes refuses=everybody~", "inner.example"},
		"in clear by the route":      {&good, Route{TLS: None}, stranger, all, ""},
		"no STARTTLS, opportunistic": {nil, Route{}, stranger, "connect banner ehlo tls=no-starttls~ takes refuses", ""},
		"no STARTTLS, required":      {nil, Route{TLS: Required}, stranger, "connect banner ehlo tls=no-starttls", ""},
		"STARTTLS refused":           {&good, Route{TLS: Required}, func(f *fake) { f.on["STARTTLS"] = say("454 4.7.0 not now") }, "connect banner ehlo tls=no-starttls", ""},
		"expired":                    {&late, Route{TLS: Required}, stranger, "connect banner ehlo tls=expired", "inner.example"},
		"another name":               {&other, Route{TLS: Required}, stranger, "connect banner ehlo tls=wrong-name", "other.example"},
		"unknown authority":          {&self, Route{TLS: Required}, stranger, "connect banner ehlo tls=unknown-authority", "inner.example"},
		"another certificate":        {&good, Route{TLS: Fingerprint, Fingerprints: []Digest{{1}}}, stranger, "connect banner ehlo tls=not-pinned", ""},
		"any certificate":            {&self, Route{}, stranger, all, "inner.example"},
		"no handshake": {&good, Route{}, func(f *fake) { f.on["HANDSHAKE"] = closes; stranger(f) },
			"connect banner ehlo tls=handshake~ connect banner ehlo takes refuses", ""},
		"no handshake, required": {&good, Route{TLS: Required}, func(f *fake) { f.on["HANDSHAKE"] = closes }, "connect banner ehlo tls=handshake", ""},
		"says 554":               {&good, Route{}, func(f *fake) { f.on["banner"] = say("554 no") }, "connect banner=said-no", ""},
		"closes at once":         {&good, Route{}, func(f *fake) { f.on["banner"] = closes }, "connect banner=closed", ""},
		"speaks something else":  {&good, Route{}, func(f *fake) { f.on["banner"] = say("HTTP/1.1 400 Bad Request") }, "connect banner=not-smtp", ""},
		"refuses EHLO":           {&good, Route{}, func(f *fake) { f.on["EHLO"] = say("550 5.7.1 no") }, "connect banner ehlo=said-no", ""},
		"takes no mail of us":    {&good, Route{TLS: Required}, func(f *fake) { f.on["MAIL"] = say("550 5.7.1 who are you") }, "connect banner ehlo tls takes=sender-refused", "inner.example"},
		"knows nobody":           {&good, Route{TLS: Required}, func(f *fake) { f.on["RCPT"] = say("550 5.1.1 who is that") }, "connect banner ehlo tls takes=recipient-refused refuses", "inner.example"},
		"has no time":            {&good, Route{TLS: Required}, func(f *fake) { f.on["RCPT"] = say("450 4.2.1 later") }, "connect banner ehlo tls takes=postponed", "inner.example"},
		"offers no login":        {&good, Route{TLS: Required, Auth: &Auth{User: "u", Password: "p", Key: "auth"}}, stranger, "connect banner ehlo tls login=login", "inner.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offers := everything
			if tt.cert != nil {
				offers = append([]string{"starttls"}, everything...)
			}
			f := newFake(t, offers...)
			if tt.cert != nil {
				f.tls = &tls.Config{Certificates: []tls.Certificate{*tt.cert}}
			}
			f.mu.Lock() // somebody may have come by the port of another test that is over
			tt.set(f)
			f.mu.Unlock()
			tt.route.Hops, tt.route.RootCAs, tt.route.ServerName = []Hop{f.hop()}, ca.pool, "inner.example"
			got := probe(t, NewPools(nil, nil), tt.route)
			if walked(got) != tt.want {
				t.Fatalf("%s, want %s: %+v", walked(got), tt.want, got)
			}
			seen := ""
			for _, s := range got[0].Steps {
				if s.Said == "" {
					t.Errorf("%s says nothing", s.At)
				}
				if s.Peer != nil {
					seen = s.Peer.DNSNames[0]
				}
			}
			if seen != tt.peer {
				t.Errorf("saw a certificate of %q, want %q", seen, tt.peer)
			}
			if messages, commands, _ := f.seen(); len(messages) > 0 || slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(c, "DATA") || strings.HasPrefix(c, "BDAT") }) {
				t.Errorf("a message was sent: %q", commands)
			}
		})
	}
}

// TestProbeUnreached tells apart why there is no connection, and ends in its time where nothing comes.
func TestProbeUnreached(t *testing.T) {
	for want, err := range map[Fault]error{
		Refused: syscall.ECONNREFUSED, NoWay: syscall.ENETUNREACH, NoSuchName: &net.DNSError{Err: "no such host", Name: "inner.example", IsNotFound: true},
		NoAnswerOfDNS: &net.DNSError{Err: "server misbehaving", Name: "inner.example"}, OtherFault: errors.New("something"),
	} {
		pools := NewPools(func(context.Context, string, string) (net.Conn, error) { return nil, fmt.Errorf("dial tcp: %w", err) }, nil)
		if got := walked(probe(t, pools, Route{Hops: []Hop{{Host: "inner.example"}}})); got != "connect="+string(want) {
			t.Errorf("%v: %s", err, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		f := quietFake()
		f.on["banner"] = hang
		began := time.Now()
		got := walked(probe(t, NewPools(f.pipe, nil), Route{Hops: []Hop{{Host: "inner.example"}}}))
		if took := time.Since(began); got != "connect banner=timeout" || took != probeTime {
			t.Errorf("%s after %s", got, took)
		}
		f.hangUp()
	})
}

// TestProbeFinds goes by MX records to each host that they name, at most so many.
func TestProbeFinds(t *testing.T) {
	f := newFake(t, everything...)
	f.rcpt["never@example.org"] = say("550 5.1.1 no")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", f.ln.Addr().String())
	}
	z := &zone{mx: map[string][]Hop{"two.example": {{Host: "a.two.example", Order: 10}, {Host: "b.two.example", Order: 20}}, "own.example": {{Host: "mx.example.org"}}, "none.example": {{Host: "."}}},
		a: map[string][]netip.Addr{"a.two.example": ips("192.0.2.1"), "b.two.example": ips("192.0.2.2")}}
	for i := range 20 {
		name := fmt.Sprintf("h%d.many.example", i)
		z.mx["many.example"] = append(z.mx["many.example"], Hop{Host: name})
	}
	pools := NewPools(dial, nil)
	pools.Find(z)
	const one = "find connect banner ehlo tls=no-starttls~ takes refuses"
	for domain, want := range map[string]string{"two.example": one + "; " + one, "own.example": "find=loop", "none.example": "find=no-such-name"} {
		if got := walked(probe(t, pools, Route{Hops: []Hop{{MX: domain}}})); got != want {
			t.Errorf("%s: %s", domain, got)
		}
	}
	if got := probe(t, pools, Route{Hops: []Hop{{MX: "many.example"}}}); len(got) != probeHops {
		t.Errorf("%d of many", len(got))
	}
	z.change(func() { z.err = context.DeadlineExceeded })
	if got := walked(probe(t, pools, Route{Hops: []Hop{{MX: "two.example"}}})); got != "find=dns" {
		t.Error(got)
	}
	if _, err := pools.Probe(t.Context(), Route{Name: "inner"}, question()); err == nil {
		t.Error("a route without a next hop is looked at")
	}
}

// TestProbePublished goes by TLSA records and MTA-STS as mail does.
func TestProbePublished(t *testing.T) {
	ca := newAuthority(t)
	mine := ca.issue("a.inner.example", time.Now().Add(time.Hour), nil)
	for name, tt := range map[string]struct {
		mode Mode
		mx   bool
		p    *publisher
		want string
	}{
		"dane":                    {DANE, false, &publisher{tlsa: map[string]dane.Published{"a.inner.example": {Base: "a.inner.example", Records: []dane.Record{keyOf(mine)}}}}, "policy connect banner ehlo tls takes refuses"},
		"another certificate":     {DANE, false, &publisher{tlsa: map[string]dane.Published{"a.inner.example": {Base: "a.inner.example", Records: []dane.Record{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}}}}, "policy connect banner ehlo tls=wrong-tlsa"},
		"no records":              {DANE, false, &publisher{tlsa: map[string]dane.Published{"a.inner.example": {Why: "a.inner.example has no TLSA records"}}}, "policy=no-tlsa~ connect banner ehlo tls takes refuses"},
		"no records, needed":      {DANEOnly, false, &publisher{tlsa: map[string]dane.Published{"a.inner.example": {Why: "a.inner.example has no TLSA records"}}}, "policy=no-tlsa"},
		"bogus":                   {DANE, false, &publisher{err: map[string]error{"a.inner.example": dane.ErrBogus}}, "policy=wrong-tlsa"},
		"MTA-STS of another host": {Opportunistic, true, &publisher{sts: map[string]*mtasts.Policy{"inner.example": {Mode: mtasts.Enforce, MX: []string{"b.inner.example"}}}}, "find policy=not-in-policy"},
		"MTA-STS":                 {Opportunistic, true, &publisher{sts: map[string]*mtasts.Policy{"inner.example": {Mode: mtasts.Enforce, MX: []string{"a.inner.example"}}}}, "find policy connect banner ehlo tls=unknown-authority"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, append([]string{"starttls"}, everything...)...)
			f.tls = &tls.Config{Certificates: []tls.Certificate{mine}}
			f.rcpt["never@example.org"] = say("550 5.1.1 no")
			pools := NewPools(func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", f.ln.Addr().String())
			}, nil)
			pools.Find(&zone{mx: map[string][]Hop{"inner.example": {{Host: "a.inner.example"}}}, a: map[string][]netip.Addr{"a.inner.example": ips("192.0.2.1")}})
			pools.Consult(tt.p)
			r := Route{TLS: tt.mode, MTASTS: true, Hops: []Hop{{Host: "a.inner.example"}}}
			if tt.mx {
				r.Hops = []Hop{{MX: "inner.example"}}
			}
			if got := probe(t, pools, r); walked(got) != tt.want {
				t.Errorf("%s, want %s: %+v", walked(got), tt.want, got)
			}
			if len(tt.p.doubted) > 0 && tt.want != "find policy=not-in-policy" && !strings.Contains(tt.want, "tls=") {
				t.Error("the policy is doubted")
			}
		})
	}
}

// TestProbeTeachesNobody shows that mail goes on as before, whatever a Probe met.
func TestProbeTeachesNobody(t *testing.T) {
	f := newFake(t, append([]string{"starttls"}, everything...)...)
	ca := newAuthority(t)
	cert := ca.issue("inner.example", time.Now().Add(time.Hour), ca)
	f.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
	route := Route{Hops: []Hop{f.hop()}, Timeouts: long()}
	r := newRelay(t, route)
	f.set("HANDSHAKE", closes)
	for range 10 {
		if got := walked(probe(t, r.pools, route)); !strings.HasPrefix(got, "connect banner ehlo tls=handshake~ connect") {
			t.Fatal(got)
		}
	}
	f.mu.Lock()
	delete(f.on, "HANDSHAKE")
	f.mu.Unlock()
	if h := r.Health(); len(h) != 1 || h[0].Dials != 0 || h[0].Failures != 0 || !h[0].LearnedAt.IsZero() {
		t.Errorf("%+v", h)
	}
	if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered || got.TLS == "" {
		t.Errorf("%+v", got)
	}
}
