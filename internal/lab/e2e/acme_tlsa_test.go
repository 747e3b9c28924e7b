package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/tls/dane"
)

// twoHost is a mail host with a key of each kind.
const twoHost = "two.own.gp-lab"

// ordersTime bounds the wait for a certificate.
const ordersTime = 4 * time.Minute

// pastedZone has the lines of gatepost tls tlsa as they are.
func pastedZone(lines ...string) lab.Zone {
	return lab.Zone{Name: "own", Text: fmt.Sprintf("@ MX 10 mx\n@ MX 20 two\nmx A 127.0.0.1\ntwo A 127.0.0.1\n$TTL %d\n%s", int(ownTTL.Seconds()), strings.Join(lines, "\n"))}
}

// ofLine says whether a certificate is of the key in a line.
func ofLine(host, line string) func(*x509.Certificate) bool {
	return func(c *x509.Certificate) bool {
		r, err := dane.Own(c.PublicKey)
		return err == nil && line == dane.Line(host, 25, r)
	}
}

// pick are the lines of one kind of key, of those that are shown or of the next.
func (s *ownState) pick(key string) (out []string) {
	for _, l := range s.Lines {
		if l.Key == key {
			out = append(out, l.Line)
		}
	}
	return out
}

// mayShow says whether the next key in a line may be shown by now.
func (s *ownState) mayShow(line string) bool {
	for _, l := range s.Lines {
		if l.Line == line {
			return l.Published && !l.Shown.IsZero() && time.Now().After(l.Shown)
		}
	}
	return false
}

// awaitOwn waits until gatepost tls tlsa says of a host what is wanted.
func (w *world) awaitOwn(t *testing.T, host string, wanted func(*ownState) bool) ownState {
	t.Helper()
	for end := time.Now().Add(clientTime); ; time.Sleep(200 * time.Millisecond) {
		s, code := w.ownTLSA(t, host)
		if code == 0 && wanted(&s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("exit %d: %+v", code, s)
		}
	}
}

// renew orders all certificates anew.
func (w *world) renew(t *testing.T) {
	t.Helper()
	if _, said, code, err := w.daemon.Command(t.Context(), "tls", "renew", "--force"); err != nil || code != 0 {
		t.Fatalf("renew: %v, exit %d, %s", err, code, said)
	}
}

// TestACMERollover has a daemon get its certificates from a Pebble and change their keys under DANE as a person does who pastes what gatepost tls tlsa prints: the records of the first keys before there is a certificate, and that of
// a next key when renewals have kept the first for want of it. One host has an ECDSA key, the other an RSA key too, of which
// the record alone is pasted. Senders of each kind that verify the whole time never find a certificate that does not match.
func TestACMERollover(t *testing.T) {
	t.Parallel()
	signed := labtest.Signed(t, pastedZone())
	web := reserve(t)
	pebble := labtest.Pebble(t, lab.PebbleOptions{DNS: signed.Resolver, HTTP: web.Number, ReuseProofs: 100})
	if err := pebble.Pause(); err != nil { // until the first records are published
		t.Fatal(err)
	}
	w := newWorld(t, setup{dns: signed.Resolver, clamav: "off", spamd: "off", routes: []route{{name: "own", domains: []string{"own.gp-lab"}}},
		web: fmt.Sprintf("public_http = [%q]\n", web.Addr())})
	w.config += fmt.Sprintf("[acme]\ndirectory = %q\nca_file = %q\nagree_terms = true\n[[tls.acme]]\nnames = [%q]\n[[tls.acme]]\nnames = [%q]\nkey_type = \"both\"\n",
		pebble.Directory, pebble.Authority, ownHost, twoHost)
	w.start(t)

	// Without a certificate all keys are next ones: the first of each kind, and its successor.
	one, _ := w.ownTLSA(t, ownHost)
	two, _ := w.ownTLSA(t, twoHost)
	mx, both := one.pick("next"), two.pick("next")
	if len(mx) != 2 || len(both) != 4 {
		t.Fatalf("before the first certificate: %+v, %+v", one, two)
	}
	ecdsa, rsa := both[:2], both[2:]
	first := []string{mx[0], ecdsa[0], rsa[0]}
	if err := signed.Set(t.Context(), pastedZone(first...)); err != nil {
		t.Fatal(err)
	}
	if err := pebble.Resume(); err != nil {
		t.Fatal(err)
	}
	w.insist(t, ownHost, mx[0])
	w.insist(t, twoHost, ecdsa[0], tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	w.insist(t, twoHost, rsa[0], tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
	senders := []*outsider{{host: ownHost}, {host: twoHost, suites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
		{host: twoHost, suites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}}
	var before []*x509.Certificate
	for i, o := range senders {
		o.resolver, o.addr = signed.Resolver, w.addr
		defer o.watch(t, 100*time.Millisecond)()
		before = append(before, o.awaits(t, clientTime, first[i], ofLine(o.host, first[i])))
	}

	// Renewals keep the keys.
	w.renew(t)
	for i, o := range senders {
		o.awaits(t, ordersTime, "a renewal with "+first[i], func(c *x509.Certificate) bool { return !c.Equal(before[i]) && ofLine(o.host, first[i])(c) })
	}
	if s, code := w.ownTLSA(t, ownHost); s.State != "right" || code != 0 || !slices.Equal(s.pick("shown"), mx[:1]) || !slices.Equal(s.pick("next"), mx[1:]) {
		t.Errorf("renewed: %+v, exit %d", s, code)
	}
	if out, _, code, err := w.daemon.Command(t.Context(), "tls", "status"); err != nil || code != 0 || !strings.Contains(out, "the last renewal kept its key: its TLSA record is not published: "+mx[1]) {
		t.Errorf("tls status: %v, exit %d\n%s", err, code, out)
	}

	// The lines of two next keys are pasted, and the daemon is restarted before they may be shown.
	began := time.Now()
	if err := signed.Set(t.Context(), pastedZone(append(first, mx[1], rsa[1])...)); err != nil {
		t.Fatal(err)
	}
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.awaitOwn(t, ownHost, func(s *ownState) bool { return s.mayShow(mx[1]) })
	w.awaitOwn(t, twoHost, func(s *ownState) bool { return s.mayShow(rsa[1]) })
	w.renew(t)
	for _, next := range []struct {
		o    *outsider
		line string
	}{{senders[0], mx[1]}, {senders[2], rsa[1]}} {
		next.o.awaits(t, ordersTime, next.line, ofLine(next.o.host, next.line))
		if after := time.Since(began); after < 2*ownTTL {
			t.Errorf("%s is shown %v after it was published", next.line, after)
		}
	}
	senders[1].awaits(t, clientTime, ecdsa[0], ofLine(twoHost, ecdsa[0]))
	// The next after the next is made behind the change.
	s := w.awaitOwn(t, ownHost, func(s *ownState) bool { return len(s.pick("next")) == 1 })
	if s.State != "stale" || !slices.Equal(s.Remove, mx[:1]) || !slices.Equal(s.pick("shown"), mx[1:]) || slices.Contains(mx, s.pick("next")[0]) {
		t.Errorf("changed: %+v", s)
	}
	s = w.awaitOwn(t, twoHost, func(s *ownState) bool { return len(s.pick("next")) == 2 })
	if next := s.pick("next"); s.State != "stale" || !slices.Equal(s.Remove, rsa[:1]) || !slices.Equal(s.pick("shown"), []string{ecdsa[0], rsa[1]}) ||
		!slices.Contains(next, ecdsa[1]) || slices.Contains(next, rsa[0]) || slices.Contains(next, rsa[1]) {
		t.Errorf("changed, of one kind: %+v", s)
	}
	if out, _, code, err := w.daemon.Command(t.Context(), "tls", "status"); err != nil || code != 0 || !strings.Contains(out, ecdsa[1]) {
		t.Errorf("tls status does not tell that the ECDSA key was kept: %v, exit %d\n%s", err, code, out)
	}

	// What may be removed is removed.
	if err := signed.Set(t.Context(), pastedZone(mx[1], ecdsa[0], rsa[1])); err != nil {
		t.Fatal(err)
	}
	time.Sleep(ownTTL) // senders with the records before
	for _, host := range []string{ownHost, twoHost} {
		if s, code := w.ownTLSA(t, host); s.State != "right" || code != 0 || len(s.Remove) > 0 {
			t.Errorf("the old records are gone: %+v, exit %d", s, code)
		}
	}
	for _, o := range senders {
		o.mu.Lock()
		if len(o.bad) > 0 || o.good < 3 { // how many is a matter of the machine
			t.Errorf("%s verified %d times; not: %s", o.host, o.good, strings.Join(o.bad, "\n"))
		}
		o.mu.Unlock()
	}
}

// insist waits for the first certificate of the key in a line, and orders it again where the daemon found nobody at first.
func (w *world) insist(t *testing.T, host, line string, suites ...uint16) {
	t.Helper()
	asked := time.Time{}
	for end := time.Now().Add(ordersTime); ; time.Sleep(50 * time.Millisecond) {
		o := &outsider{addr: w.addr, host: host, suites: suites}
		if chain := o.handshake(); chain != nil && ofLine(host, line)(chain[0]) {
			return
		}
		_, page, err := w.daemon.Get(t.Context(), "/metrics")
		if err != nil || time.Now().After(end) {
			t.Fatalf("%s gets no certificate: %v\n%s", host, err, grep(page, "acme"))
		}
		if failed := grep(page, "gatepost_acme_failures{name="); strings.Contains(failed, "} 1\n") && time.Since(asked) > 10*time.Second {
			asked = time.Now()
			w.renew(t)
		}
	}
}
