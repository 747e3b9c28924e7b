package acme

import (
	"context"
	"crypto"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"

	"gatepost/tls/certs"
)

// TestRenewal has certificates that live for seconds: they are renewed, with the same key while the next may not be shown, with
// the next once it may.
func TestRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.PebbleOptions{Life: 10 * time.Second, ReuseProofs: 100})
	m := w.manager(t, t.TempDir(), Entry{Names: []string{"mx.example.org"}, Solver: w.http})
	var keys []crypto.PublicKey
	m.Usable = func(names []string, next crypto.PublicKey) (bool, string) {
		if names[0] != "mx.example.org" || !certs.SameKey(next, m.PublicKeys()[0].Next) {
			t.Error("asked about another key")
		}
		w.seen.Lock()
		defer w.seen.Unlock()
		return w.seen.rounds["mx.example.org"] > 1, "its TLSA record is not published"
	}
	stop := run(t, m)
	before := m.PublicKeys()[0]
	for round := range 3 {
		c := w.shown(t, "mx.example.org", round+1, "mx.example.org")[0]
		keys = append(keys, c.Leaf.PublicKey)
		if why := m.Status()[0].KeptKey; (round == 1) != (why != "") {
			t.Errorf("round %d: the key was kept: %q", round, why)
		}
	}
	stop()
	if !certs.SameKey(keys[0], before.Current) || !certs.SameKey(keys[1], before.Current) || !certs.SameKey(keys[2], before.Next) {
		t.Error("the keys are not: current, current, next")
	}
	if after := m.PublicKeys()[0]; !certs.SameKey(after.Current, before.Next) || certs.SameKey(after.Next, before.Next) {
		t.Error("after the switch there is no new next key")
	}
}

// TestChallenges proves names by the others, where half of all nonces are refused and accounts need a binding.
func TestChallenges(t *testing.T) {
	t.Parallel()
	key := "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	w := newWorld(t, lab.PebbleOptions{RefuseNonces: 50, SlowProofs: 2, Bindings: map[string]string{"kid-1": key}})
	zones := &fakeZones{w: w}
	dir := t.TempDir()
	d := &DNS{Zones: zones, File: filepath.Join(dir, "dns-01.json")}
	m := w.manager(t, dir, Entry{Names: []string{"alpn.example.org"}, Solver: w.alpn},
		Entry{Names: []string{"*.dns.example.org", "dns.example.org"}, Keys: RSA, Solver: d})
	d.Log = m.Log
	var err error
	m.Authority.BindingID = "kid-1"
	if m.Authority.BindingKey, err = ParseBindingKey(key + "\n"); err != nil {
		t.Fatal(err)
	}
	stop := run(t, m)
	w.shown(t, "alpn.example.org", 1, "alpn.example.org")
	w.shown(t, "*.dns.example.org", 1, "dns.example.org", "*.dns.example.org")
	stop()
	if len(zones.texts) > 0 || len(d.made) > 0 || len(w.alpn.shown) > 0 {
		t.Errorf("left: %d records, %d remembered, %d certificates", len(zones.texts), len(d.made), len(w.alpn.shown))
	}
}

// TestTold shows what a person reads when something is missing, and that nothing is kept of it.
func TestTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.PebbleOptions{Bindings: map[string]string{"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}})
	for _, c := range []struct {
		name   string
		change func(*Authority)
		want   string
	}{
		{"terms", func(a *Authority) { a.Agreed = false }, "agree to its terms, data:text/plain,Do%20what%20thou%20wilt; read them, and write agree_terms = true"},
		{"no binding", func(*Authority) {}, "write eab_key_id and eab_key_file"},
		{"another binding", func(a *Authority) { a.BindingID, a.BindingKey = "kid-1", make([]byte, 32) }, "account: "},
		{"another authority's https", func(a *Authority) { a.Roots = nil }, "certificate"},
		{"nobody there", func(a *Authority) { a.Directory = "https://" + labtest.ClosedAddr(t) + "/dir" }, "connection refused"},
	} {
		m := w.manager(t, t.TempDir(), Entry{Names: []string{"mx.example.org"}, Solver: w.http})
		c.change(m.Authority)
		stop := run(t, m)
		wait(t, c.name, func() bool { return m.Status()[0].Failures > 0 })
		stop()
		s := m.Status()[0]
		if !strings.Contains(s.Error, c.want) || s.Orders != 0 {
			t.Errorf("%s: %d orders, %q", c.name, s.Orders, s.Error)
		}
		if left := time.Until(s.Next); left < 40*time.Second || left > 2*time.Minute {
			t.Errorf("%s: the next try is in %v", c.name, left)
		}
		said, err := m.Authority.Look(labtest.Context(t))
		if refused := c.name != "another binding"; (err != nil) != refused {
			t.Errorf("%s: a look says %q, %v", c.name, said, err)
		}
	}
}

// TestChallengeFails has the authority find nothing where the answer should be: it is told of which name, the order is not gone
// on with, and once the answer is there an order that is asked for brings the certificate.
func TestChallengeFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.PebbleOptions{})
	s := &moody{HTTP: w.http}
	s.deaf.Store(true)
	m := w.manager(t, t.TempDir(), Entry{Names: []string{"mx.example.org", "www.example.org"}, Solver: s})
	run(t, m)
	wait(t, "a failure", func() bool { return m.Status()[0].Failures == 1 })
	if got := m.Status()[0]; !strings.Contains(got.Error, "example.org: the authority could not verify it: ") || got.Orders != 1 {
		t.Errorf("%d orders, %q", got.Orders, got.Error)
	}
	if len(w.http.answers) > 0 {
		t.Error("answers stay")
	}
	if _, err := m.Renew("", false); err != ErrTooSoon {
		t.Errorf("ordered again at once: %v", err)
	}
	if _, err := m.Renew("other.example.org", true); err != ErrUnknown {
		t.Error(err)
	}
	s.deaf.Store(false)
	if asked, err := m.Renew("mx.example.org", true); err != nil || len(asked) != 1 {
		t.Fatal(asked, err)
	}
	w.shown(t, "mx.example.org", 1, "mx.example.org", "www.example.org")
	wait(t, "the failure to be over", func() bool { got := m.Status()[0]; return got.Failures == 0 && got.Error == "" && got.Orders == 2 })
}

// TestGoesOn ends the program in the middle of an order: the next start goes on with it, and leaves no record of the first.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.PebbleOptions{})
	dir := t.TempDir()
	zones := &fakeZones{w: w, hung: make(chan struct{})}
	made := func() (*Manager, *DNS) {
		d := &DNS{Zones: zones, File: filepath.Join(dir, "dns-01.json")}
		m := w.manager(t, dir, Entry{Names: []string{"dns.example.org"}, Solver: d})
		d.Log = m.Log
		return m, d
	}
	first, _ := made()
	zones.broken.Store(true)
	stop := run(t, first)
	<-zones.hung
	stop()
	if len(zones.texts) != 1 || len(first.seenErrors(w)) > 0 {
		t.Fatalf("%d records, errors %q", len(zones.texts), first.seenErrors(w))
	}
	zones.broken.Store(false)
	second, d := made()
	run(t, second)
	w.shown(t, "dns.example.org", 1, "dns.example.org")
	wait(t, "the order to be over", func() bool { return !second.Status()[0].Busy })
	if s := second.Status()[0]; s.Orders != 1 {
		t.Errorf("%d orders", s.Orders)
	}
	if len(zones.texts) > 0 || len(d.made) > 0 {
		t.Errorf("left: %d records, %d remembered", len(zones.texts), len(d.made))
	}
}

// TestAuthorityForgets has an authority that was made anew: our key makes the account again.
func TestAuthorityForgets(t *testing.T) {
	t.Parallel()
	port, err := lab.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	w := newWorld(t, lab.PebbleOptions{Port: port})
	dir := t.TempDir()
	m := w.manager(t, dir, Entry{Names: []string{"mx.example.org"}, Solver: w.http})
	stop := run(t, m)
	w.shown(t, "mx.example.org", 1, "mx.example.org")
	stop()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	again := w.manager(t, dir, Entry{Names: []string{"mx.example.org"}, Solver: w.http})
	run(t, again)
	if _, err := again.Renew("", true); err != nil {
		t.Fatal(err)
	}
	w.shown(t, "mx.example.org", 3, "mx.example.org") // the first, the same at the start, and the new one
}

func (m *Manager) seenErrors(w *world) []string {
	w.seen.Lock()
	defer w.seen.Unlock()
	return w.seen.errors
}

// moody answers http-01, or only says so.
type moody struct {
	*HTTP
	deaf atomic.Bool
}

func (s *moody) Present(ctx context.Context, c Challenge) error {
	if s.deaf.Load() {
		return nil
	}
	return s.HTTP.Present(ctx, c)
}

// fakeZones keeps records in the name server of the world.
type fakeZones struct {
	w      *world
	mu     sync.Mutex
	texts  []string // lines of the zone
	broken atomic.Bool
	hung   chan struct{} // closed when a change hangs
}

func (z *fakeZones) Owner(_ context.Context, name string) (string, error) { return name, nil }

func (z *fakeZones) set(change func()) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	change()
	return z.w.dns.SetZones(dnslab.Text("*.example.org. A 127.0.0.1\n" + strings.Join(z.texts, "")))
}

func (z *fakeZones) AddTXT(_ context.Context, owner, text string) error {
	return z.set(func() { z.texts = append(z.texts, owner+". TXT "+text+"\n") })
}

func (z *fakeZones) RemoveTXT(ctx context.Context, owner, text string) error {
	if z.broken.Load() {
		return errors.New("the name server is away")
	}
	return z.set(func() {
		z.texts = slices.DeleteFunc(z.texts, func(s string) bool { return s == owner+". TXT "+text+"\n" })
	})
}

func (z *fakeZones) AwaitTXT(ctx context.Context, _, _ string) error {
	if !z.broken.Load() {
		return nil
	}
	close(z.hung)
	<-ctx.Done()
	return ctx.Err()
}
