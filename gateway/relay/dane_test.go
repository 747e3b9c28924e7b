package relay

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/tls/dane"
	"gatepost/tls/mtasts"
)

// publisher is a Published that a test writes.
type publisher struct {
	mu    sync.Mutex
	tlsa  map[string]dane.Published // by host
	err   map[string]error
	asked []string

	sts     map[string]*mtasts.Policy // by domain
	doubted []string
}

func (p *publisher) TLSA(_ context.Context, host string, _ int) (dane.Published, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, host)
	return p.tlsa[host], p.err[host]
}

func (p *publisher) MTASTS(_ context.Context, domain string) *mtasts.Policy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sts[domain]
}

func (p *publisher) Doubt(domain string) {
	p.change(func() { p.doubted = append(p.doubted, domain) })
}

func (p *publisher) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// keyOf is the record 3 1 1 of a certificate.
func keyOf(c tls.Certificate) dane.Record {
	sum := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
	return dane.Record{Usage: 3, Selector: 1, Matching: 1, Data: sum[:]}
}

// anchorOf is the record 2 0 0 of a certificate.
func anchorOf(c tls.Certificate) dane.Record {
	return dane.Record{Usage: 2, Data: c.Leaf.Raw}
}

// daneRoute is a route to mx.example whose name leads to the fake.
func daneRoute(t *testing.T, f *fake, p Published, mode Mode) (*Relay, *Pools) {
	t.Helper()
	dial := f.pipe
	if f.ln != nil {
		dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, f.ln.Addr().String())
		}
	}
	pools := NewPools(dial, nil)
	pools.Consult(p)
	r, err := New(pools, []Route{{Name: "inner", Hostname: "gate.example", Hops: []Hop{{Host: "mx.example"}}, TLS: mode, Timeouts: long()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, pools
}

func TestDANE(t *testing.T) {
	ca := newAuthority(t)
	cert, other := ca.issue("mx.example", time.Now().Add(time.Hour), ca), ca.issue("other.example", time.Now().Add(time.Hour), ca)
	expired := ca.issue("mx.example", time.Now().Add(-time.Hour), nil)
	authority := tls.Certificate{Leaf: ca.cert}
	unusable := dane.Record{Usage: 1, Selector: 1, Matching: 1, Data: make([]byte, 32)}
	none := []dane.Record(nil)
	const ok, no = gateway.Delivered, gateway.NotDelivered
	for _, tt := range []struct {
		name    string
		cert    *tls.Certificate // nil: STARTTLS is not offered
		records []dane.Record
		err     error
		mode    Mode
		want    gateway.RelayResult
		how     string // at the end of Relayed.TLS, or part of why
	}{
		{"right key", &cert, []dane.Record{keyOf(other), keyOf(cert)}, nil, DANE, ok, ", DANE 3 1 1 verified"},
		{"right key of an expired one", &expired, []dane.Record{keyOf(expired)}, nil, DANEOnly, ok, ", DANE 3 1 1 verified"},
		{"right authority", &cert, []dane.Record{anchorOf(authority)}, nil, DANE, ok, ", DANE 2 0 0 verified"},
		{"right authority, wrong name", &other, []dane.Record{anchorOf(authority)}, nil, DANE, no, "it is of other.example, and should be of base.example, mx.example"},
		{"wrong key", &cert, []dane.Record{keyOf(other)}, nil, DANE, no, "no TLSA record matches the certificate (3 1 1)"},
		{"no STARTTLS", nil, []dane.Record{keyOf(cert)}, nil, DANE, no, "does not offer STARTTLS, which its TLSA records require"},
		{"unusable", &other, []dane.Record{unusable}, nil, DANE, ok, "not verified, since no TLSA record can be used"},
		{"unusable, no STARTTLS", nil, []dane.Record{unusable}, nil, DANE, no, "which its TLSA records require"},
		{"unusable, dane-only", &other, []dane.Record{unusable}, nil, DANEOnly, no, "the route requires DANE, and none of the TLSA records of base.example can be used"},
		{"none", &other, none, nil, DANE, ok, ", not verified"},
		{"none, no STARTTLS", nil, none, nil, DANE, ok, ""},
		{"none, dane-only", &cert, none, nil, DANEOnly, no, "the route requires DANE, and there are none"},
		{"cannot be told", &cert, none, errors.New("TLSA lookup of _25._tcp.mx.example failed: bogus"), DANE, no, "TLSA lookup of _25._tcp.mx.example failed: bogus"},
		{"cannot be told, dane-only", &cert, none, errors.New("TLSA lookup failed"), DANEOnly, no, "TLSA lookup failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			offers := everything
			if tt.cert != nil {
				offers = append([]string{"STARTTLS"}, everything...)
			}
			f := newFake(t, offers...)
			asked := make(chan string, 10)
			if tt.cert != nil {
				f.tls = &tls.Config{Certificates: []tls.Certificate{*tt.cert}, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
					asked <- h.ServerName
					return nil, nil
				}}
			}
			p := &publisher{tlsa: map[string]dane.Published{"mx.example": {Base: "base.example", Records: tt.records, Keep: time.Hour}}, err: map[string]error{"mx.example": tt.err}}
			if len(tt.records) == 0 {
				p.tlsa["mx.example"] = dane.Published{Why: "there are none", Keep: time.Hour}
			}
			r, _ := daneRoute(t, f, p, tt.mode)
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
				if !strings.HasSuffix(got.TLS, tt.how) || (got.TLS == "") != (tt.cert == nil) {
					t.Errorf("got %q, want %q", got.TLS, tt.how)
				}
			}
			messages, commands, conns := f.seen()
			if len(messages) > 0 != (tt.want == ok) || slices.ContainsFunc(commands, func(c string) bool { return tt.want == no && strings.HasPrefix(c, "MAIL") }) {
				t.Errorf("%d messages after %q", len(messages), commands)
			}
			if tt.want == ok && (conns != 1 || len(p.asked) != 1) {
				t.Errorf("%d connections and %d lookups for two messages", conns, len(p.asked))
			}
			if conns > 0 && tt.cert != nil {
				if name, want := <-asked, map[bool]string{true: "base.example", false: "mx.example"}[len(tt.records) > 0]; name != want {
					t.Errorf("asked for %q", name)
				}
			}
		})
	}
}

// A handshake that fails is no reason to send in clear where there are TLSA records, however often it fails, and what was
// learned before there were any is forgotten.
func TestDANENeverInClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake(append([]string{"STARTTLS"}, everything...)...)
		f.set("STARTTLS", then(say("220 Go on"), closes))
		p := &publisher{tlsa: map[string]dane.Published{"mx.example": {Why: "there are none", Keep: time.Minute}}}
		r, _ := daneRoute(t, f, p, DANE)
		if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered || got.TLS != "" {
			t.Fatalf("before: %+v", got)
		}
		p.change(func() {
			p.tlsa["mx.example"] = dane.Published{Base: "mx.example", Records: []dane.Record{{Usage: 1}}, Keep: time.Minute}
		})
		time.Sleep(30 * time.Second)
		if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
			t.Fatalf("while what was published is kept: %+v", got)
		}
		time.Sleep(31 * time.Second)
		for range 3 {
			if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.NotDelivered || got.Reply.Enhanced != "4.7.5" {
				t.Fatalf("after: %+v", got)
			}
		}
		if messages, _, _ := f.seen(); len(messages) != 2 {
			t.Errorf("%d messages", len(messages))
		}
	})
}

// An idle connection is used again as long as it is what would be made now, and not a moment longer than what was published is
// kept.
func TestDANEIdle(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("mx.example", time.Now().Add(1000*time.Hour), ca)
	found := dane.Published{Base: "mx.example", Records: []dane.Record{keyOf(cert)}, Keep: 20 * time.Second}
	more := dane.Published{Base: "mx.example", Records: []dane.Record{keyOf(cert), {Usage: 3, Data: []byte{1}}}, Keep: 20 * time.Second}
	for _, tt := range []struct {
		name  string
		next  dane.Published
		err   error
		after time.Duration
		conns int
		want  gateway.RelayResult
	}{
		{"same, at once", found, nil, time.Second, 1, gateway.Delivered},
		{"same, later", found, nil, 30 * time.Second, 1, gateway.Delivered},
		{"other records, at once", more, nil, time.Second, 1, gateway.Delivered},
		{"other records, later", more, nil, 30 * time.Second, 2, gateway.Delivered},
		{"none any more", dane.Published{}, nil, 30 * time.Second, 2, gateway.Delivered},
		{"cannot be told", dane.Published{}, errors.New("bogus"), 30 * time.Second, 1, gateway.NotDelivered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := quietFake(append([]string{"STARTTLS"}, everything...)...)
				f.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
				p := &publisher{tlsa: map[string]dane.Published{"mx.example": found}, err: map[string]error{}}
				r, _ := daneRoute(t, f, p, DANE)
				if got := r.Relay(t.Context(), delivery(small)); got.Result != gateway.Delivered {
					t.Fatalf("first: %+v", got)
				}
				p.change(func() { p.tlsa["mx.example"], p.err["mx.example"] = tt.next, tt.err })
				time.Sleep(tt.after)
				if got := r.Relay(t.Context(), delivery(small)); got.Result != tt.want {
					t.Fatalf("second: %+v", got)
				}
				if _, _, conns := f.seen(); conns != tt.conns {
					t.Errorf("%d connections, want %d", conns, tt.conns)
				}
				synctest.Wait()
			})
		})
	}
}

// However short or long the TTL is, DNS is asked at most every ten seconds and at least every five minutes.
func TestDANEKeep(t *testing.T) {
	for keep, want := range map[time.Duration]time.Duration{0: leastKept, time.Second: leastKept, time.Minute: time.Minute, 24 * time.Hour: mostKept} {
		p := &publisher{tlsa: map[string]dane.Published{"mx.example": {Keep: keep}}}
		pools := NewPools(nil, nil)
		pools.Consult(p)
		h := &hop{settings: settings{network: "tcp", address: "mx.example:25", tls: DANE}, pools: pools}
		before := time.Now()
		got, err := h.protect(t.Context())
		if d := got.until.Sub(before); err != nil || d < want || d > want+time.Minute {
			t.Errorf("%v: kept %v, want %v", keep, d, want)
		}
	}
}

// For whom TLSA records are asked, and for whom not.
func TestDANEAsks(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    settings
		want string
	}{
		{"named", settings{network: "tcp", address: "mx.example:25"}, "mx.example"},
		{"by signed MX", settings{network: "tcp", address: "mx.example:25", found: true, secure: true}, "mx.example"},
		{"by unsigned MX", settings{network: "tcp", address: "mx.example:25", found: true}, ""},
		{"address", settings{network: "tcp", address: "192.0.2.1:25"}, ""},
		{"address of IPv6", settings{network: "tcp", address: "[2001:db8::1]:25"}, ""},
		{"socket", settings{network: "unix", address: "unix:/run/lmtp"}, ""},
	} {
		for _, mode := range []Mode{None, Opportunistic, Required, DANE, DANEOnly} {
			p := &publisher{tlsa: map[string]dane.Published{"mx.example": {Base: "mx.example", Records: []dane.Record{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}}}}
			pools := NewPools(nil, nil)
			pools.Consult(p)
			h := &hop{settings: tt.s, pools: pools}
			h.settings.tls = mode
			got, err := h.protect(t.Context())
			asks := mode >= DANE && tt.want != ""
			if strings.Join(p.asked, " ") != map[bool]string{true: tt.want}[asks] {
				t.Errorf("%s, %s: asked for %q", tt.name, mode, p.asked)
			}
			if (err != nil) != (mode == DANEOnly && tt.want == "") || err == nil && (got.basis == ByTLSA) != asks {
				t.Errorf("%s, %s: %+v, %v", tt.name, mode, got, err)
			}
		}
	}
}

// The hosts of a domain are asked for TLSA records where its MX records were validated; a certificate by way of an authority
// may then have the name of the domain. One host whose records cannot be told is passed over.
func TestDANEByMX(t *testing.T) {
	ca := newAuthority(t)
	byDomain := ca.issue("example.org", time.Now().Add(time.Hour), ca)
	fakes := map[string]*fake{}
	to := &network{to: fakes}
	for _, a := range []string{"192.0.2.1:25", "192.0.2.2:25"} {
		f := newFake(t, append([]string{"STARTTLS"}, everything...)...)
		f.tls = &tls.Config{Certificates: []tls.Certificate{byDomain}}
		fakes[a] = f
	}
	z := &zone{ttl: time.Hour, mx: map[string][]Hop{"example.org": {{Host: "mx1.example", Order: 1, Secure: true}, {Host: "MX2.example.", Order: 2, Secure: true}},
		"example.net": {{Host: "mx2.example", Order: 2}}}}
	z.a = map[string][]netip.Addr{"mx1.example": ips("192.0.2.1"), "mx2.example": ips("192.0.2.2"), "alone.example": ips("192.0.2.2")}
	p := &publisher{tlsa: map[string]dane.Published{"mx2.example": {Base: "mx2.example", Records: []dane.Record{anchorOf(tls.Certificate{Leaf: ca.cert})}},
		"alone.example": {Base: "alone.example", Records: []dane.Record{keyOf(byDomain)}}},
		err: map[string]error{"mx1.example": errors.New("TLSA lookup of _25._tcp.mx1.example failed: bogus")}}
	for domain, want := range map[string]string{"example.org": "DANE 2 0 0 verified", "example.net": "not verified", "alone.example": "DANE 3 1 1 verified"} {
		pools := NewPools(to.dial, nil)
		pools.Find(z)
		pools.Consult(p)
		r, err := New(pools, []Route{{Name: "inner", Hostname: "gate.example", Hops: []Hop{{MX: domain}}, TLS: DANE, Timeouts: long()}})
		if err != nil {
			t.Fatal(err)
		}
		got := r.Relay(t.Context(), delivery(small))
		if got.Result != gateway.Delivered || !strings.HasSuffix(got.TLS, want) {
			t.Errorf("%s: %+v", domain, got)
		}
		for _, h := range r.Health() {
			if unsigned := domain == "example.net"; (h.NoDANE != "") != unsigned || h.NextHop == "mx1.example:25" && !strings.Contains(h.LastError, "bogus") {
				t.Errorf("%s: %+v", domain, h)
			}
		}
		r.Close()
	}
	if slices.Contains(p.asked, "example.net") {
		t.Errorf("asked for %q", p.asked)
	}
}

// A password is told to a next hop that DANE verified, and to no other.
func TestDANEAuth(t *testing.T) {
	for mode, want := range map[Mode]bool{DANE: false, DANEOnly: true, Opportunistic: false, Required: true} {
		if err := (&Auth{User: "u", Password: "p"}).check(mode); (err == nil) != want {
			t.Errorf("%s: %v", mode, err)
		}
	}
	proven := protection{mode: DANE, basis: ByTLSA, proof: dane.Record{Usage: 3, Data: []byte{1}}}
	unproven := protection{mode: DANE, basis: ByTLSA}
	for p, want := range map[*protection]bool{&proven: true, &unproven: false, {mode: Opportunistic}: false, {mode: None}: false, {mode: Required}: true} {
		if got := p.verified(); got != want {
			t.Errorf("%+v: %v", p, got)
		}
	}
}

// The log tells once of each change, and loudly of a protection that was lost or that nobody can give.
func TestDANETold(t *testing.T) {
	found := dane.Published{Base: "mx.example", Records: []dane.Record{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}}
	none, blind := dane.Published{Why: "there are none"}, dane.Published{Why: "nobody is believed", Blind: true}
	for _, tt := range []struct {
		mode Mode
		says []dane.Published
		want string
	}{
		{DANE, []dane.Published{found, found}, ""},
		{DANE, []dane.Published{none, none, found, found, none}, "INFO cannot INFO again WARN cannot"},
		{DANE, []dane.Published{blind, blind}, "WARN cannot"},
		{DANEOnly, []dane.Published{none, none}, "WARN cannot"},
	} {
		var log strings.Builder
		pools := NewPools(nil, slog.New(slog.NewTextHandler(&log, nil)))
		p := &publisher{tlsa: map[string]dane.Published{}}
		pools.Consult(p)
		h := &hop{settings: settings{network: "tcp", address: "mx.example:25", tls: tt.mode}, pools: pools}
		for _, says := range tt.says {
			p.tlsa["mx.example"] = says
			if _, err := h.protect(t.Context()); (err != nil) != (tt.mode == DANEOnly) {
				t.Error(err)
			}
		}
		var got []string
		for line := range strings.Lines(log.String()) {
			for _, word := range []string{"INFO", "WARN", "cannot", "again"} {
				if strings.Contains(line, word) {
					got = append(got, word)
				}
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q: %s", tt.mode, got, tt.want, log.String())
		}
	}
}
