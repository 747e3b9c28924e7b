package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/digest"
	"gatepost/gateway/quarantine"
	"gatepost/internal/config"
	"gatepost/internal/routing"
	"gatepost/internal/store"
)

// portalHop counts what is released.
type portalHop struct {
	got   atomic.Int32
	gate  chan struct{} // a release waits for it; nil: none does
	reply func() gateway.Relayed
}

func (h *portalHop) Carries(string) gateway.Carries { return gateway.Carries{} }

func (h *portalHop) Relay(context.Context, *gateway.Delivery) gateway.Relayed {
	if h.gate != nil {
		<-h.gate
	}
	if h.reply != nil {
		return h.reply()
	}
	h.got.Add(1)
	return gateway.Relayed{Result: gateway.Delivered, At: gateway.AtDot, Said: "250 taken"}
}

// portalWorld is a page over a real vault.
type portalWorld struct {
	*portalDesk
	hop  portalHop
	ids  gateway.IDs
	scan func() (string, error)
}

func newPortalWorld(t *testing.T) *portalWorld {
	t.Helper()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	c, problems := config.Load(documents(t, "", servesOne+"[quarantine]\nkeep = \"1d\"\n"), sections())
	if c == nil {
		t.Fatal(problems)
	}
	keys, err := quarantine.LoadKeys(filepath.Join(dir, "keys", "vault.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	index, err := store.OpenQuarantine(t.Context(), filepath.Join(dir, "quarantine.db"), log)
	if err != nil {
		t.Fatal(err)
	}
	file, err := store.OpenDigest(t.Context(), filepath.Join(dir, "digest.db"), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = index.Close(), file.Close() })
	w := &portalWorld{scan: func() (string, error) { return "", nil }}
	v, err := quarantine.Open(quarantine.Options{Dir: filepath.Join(dir, "vault"), Keys: keys, Index: index, Log: log, Tuning: vaultTuning(c), Reserve: 1, ReserveInodes: 1,
		NextHop: func() gateway.NextHop { return &w.hop }, IDs: &w.ids, Hostname: "mx.example.org", Told: func(*quarantine.Change) {},
		Way:  func(to gateway.Address) ([]gateway.Address, string, error) { return []gateway.Address{to}, "in", nil },
		Scan: func(context.Context, io.Reader, int64) (string, error) { return w.scan() }})
	if err != nil {
		t.Fatal(err)
	}
	key, err := digestKey(filepath.Join(dir, "digest.key"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := digestKey(filepath.Join(dir, "digest.key"))
	if err != nil || !bytes.Equal(key, again) {
		t.Fatalf("the key read back is another, or %v", err)
	}
	d := &daemon{log: log, vault: v, digests: digests{Digest: digest.New(digest.Options{}), file: file, key: key}}
	d.document.Store(c)
	w.portalDesk = &portalDesk{d}
	return w
}

// message is what a mapped file is to the gateway.
type message struct{ *bytes.Reader }

func (message) Close() error { return nil }

// keep puts a message into quarantine for a reason.
func (w *portalWorld) keep(t *testing.T, id gateway.ID, reason gateway.Reason, to ...string) gateway.ID {
	t.Helper()
	b := message{bytes.NewReader([]byte("From: Ann <ann@author.example>\r\nSubject: hello\r\n\r\ntext\r\n"))}
	h, err := gateway.ReadHeader(b, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	policy := &gateway.Policy{Version: "1", Domains: map[string]*gateway.Domain{"example.org": {Name: "example.org", Route: "in"}}}
	s := &gateway.Session{ID: 1, Client: netip.MustParseAddrPort("192.0.2.7:4000"), Snapshot: &gateway.Snapshot{Hostname: "mx.example.org", Policy: policy}}
	decision := gateway.Decision{Outcome: gateway.Quarantine, Reason: reason, Check: "c"}
	from, _ := routing.Address("bounce@sender.example")
	e := &gateway.Envelope{ID: id, Session: s, Started: id.Time(), From: from, Body: b, Header: h, Route: "in",
		Findings: []gateway.Finding{{Check: "c", Stage: gateway.Data, Result: gateway.Fail, Reason: reason}}}
	k := &gateway.Keeping{Envelope: e, Verdict: &gateway.Verdict{Decision: decision}, Message: fmt.Sprintf("%064x", uint64(id))}
	for _, text := range to {
		a, err := routing.Address(text)
		if err != nil {
			t.Fatal(err)
		}
		r := gateway.Recipient{Address: a, Route: "in", Reply: gateway.Reply{Code: 250}}
		e.Rcpts, k.Verdict.Rcpts = append(e.Rcpts, r), append(k.Verdict.Rcpts, decision)
		k.Rcpts, k.Keys = append(k.Rcpts, r), append(k.Keys, "vault "+text)
	}
	kept, err := w.d.vault.Prepare(t.Context(), k)
	if err == nil {
		err = kept.Publish()
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *portalWorld) token(id gateway.ID, rcpt string) string {
	return digest.Make(w.d.digests.key, &digest.Token{ID: id, Rcpt: rcpt, Action: digest.Release, Expires: time.Now().Add(time.Hour)})
}

// want presses the button of a link and holds its answer, and how many messages went out so far, against what is wanted.
func (w *portalWorld) want(t *testing.T, what, token string, want portal.State, out int32) {
	t.Helper()
	if a := w.Release(t.Context(), token); a.State != want || w.hop.got.Load() != out {
		t.Errorf("%s: state %d, want %d; %d went out, want %d", what, a.State, want, w.hop.got.Load(), out)
	}
}

// TestPortalClasses: a link that is signed for mail that users may not release neither has a button nor releases it, whatever the
// reason was; nor does one for somebody who is no recipient, or that only looks like one of ours.
func TestPortalClasses(t *testing.T) {
	w := newPortalWorld(t)
	for _, reason := range []gateway.Reason{gateway.MalwareFound, gateway.MalwareDoubtful, gateway.MalwareLimits, gateway.ScannerFailed, gateway.DMARCReject, gateway.DMARCQuarantine,
		gateway.ImpersonatedPerson, gateway.ImpersonatedDomain, gateway.ImpersonatedOwn, gateway.URLDisguised, gateway.URLLookalike, gateway.AttachmentEncrypted, gateway.AttachmentType,
		gateway.AttachmentName, gateway.AttachmentMacro, gateway.UnpackFailed, gateway.MIMEAmbiguous, gateway.MilterKept} {
		token := w.token(w.keep(t, w.ids.Next(), reason, "bob@example.org"), "bob@example.org")
		if a := w.Look(t.Context(), token); a.State != portal.Forbidden || a.Why == "" || a.From != "bounce@sender.example" || a.Author != "ann@author.example" {
			t.Errorf("%s: %+v", reason, a)
		}
		w.want(t, string(reason), token, portal.Forbidden, 0)
	}
	id := w.keep(t, w.ids.Next(), gateway.SpamScore, "bob@example.org", "eve@example.org")
	w.want(t, "no recipient", w.token(id, "zoe@example.org"), portal.Gone, 0)
	w.want(t, "a part of one", w.token(id, "b@example.org"), portal.Gone, 0)
	w.want(t, "no message", w.token(w.ids.Next(), "bob@example.org"), portal.Gone, 0)
	w.want(t, "forged", w.token(id, "bob@example.org")+"A", portal.Unknown, 0)
	w.want(t, "another key", digest.Make(make([]byte, digest.KeySize), &digest.Token{ID: id, Rcpt: "bob@example.org", Action: digest.Release, Expires: time.Now().Add(time.Hour)}), portal.Unknown, 0)
	w.want(t, "ended", digest.Make(w.d.digests.key, &digest.Token{ID: id, Rcpt: "bob@example.org", Action: digest.Release, Expires: time.Now()}), portal.Expired, 0)
	c := w.d.document.Load()
	off, policy := *c, *c.Policy
	policy.Quarantine.Digest.Links, off.Policy = false, &policy
	w.d.document.Store(&off)
	w.want(t, "switched off", w.token(id, "bob@example.org"), portal.Expired, 0)
	w.d.document.Store(c)
	w.want(t, "on again, in other letters", w.token(id, "Bob@Example.ORG"), portal.Released, 1)
	w.want(t, "of eve", w.token(id, "eve@example.org"), portal.Released, 2)
}

// TestPortalScansAgain: what a scanner knows by now stays, as does what it cannot look at; the link is good again afterwards.
func TestPortalScansAgain(t *testing.T) {
	w := newPortalWorld(t)
	token := w.token(w.keep(t, w.ids.Next(), gateway.SpamScore, "bob@example.org"), "bob@example.org")
	w.scan = func() (string, error) { return "Win.Trojan.Later-1", nil }
	w.want(t, "infected", token, portal.Forbidden, 0)
	w.scan = func() (string, error) { return "", errors.New("clamd is away") }
	w.want(t, "nobody looks", token, portal.Failed, 0)
	w.scan = func() (string, error) { return "", nil }
	w.hop.reply = func() gateway.Relayed {
		return gateway.Relayed{Result: gateway.NotDelivered, At: gateway.AtDial, Said: "refused"}
	}
	w.want(t, "the next hop is away", token, portal.Failed, 0)
	w.hop.reply = nil
	w.want(t, "clean", token, portal.Released, 1)
}

// TestPortalGone: a link for what was released, deleted or kept for long enough does nothing, and says so; one that was used says
// that even when the message is erased.
func TestPortalGone(t *testing.T) {
	w := newPortalWorld(t)
	const bob = "bob@example.org"
	v := w.d.vault
	released, deleted, both := w.keep(t, w.ids.Next(), gateway.SpamScore, bob), w.keep(t, w.ids.Next(), gateway.SpamScore, bob), w.keep(t, w.ids.Next(), gateway.SpamScore, bob, "eve@example.org")
	old := w.keep(t, gateway.ID(time.Now().Add(-25*time.Hour).UnixMilli())<<20, gateway.SpamScore, bob)
	if _, err := v.Release(t.Context(), &quarantine.Release{ID: released, By: "root"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.Delete(t.Context(), deleted, nil, "root"), v.Delete(t.Context(), both, []string{bob}, "root")); err != nil {
		t.Fatal(err)
	}
	if n := v.Expire(t.Context()); n != 1 {
		t.Fatalf("%d expired", n)
	}
	w.want(t, "released by another", w.token(released, bob), portal.Released, 1)
	w.want(t, "deleted", w.token(deleted, bob), portal.Gone, 1)
	w.want(t, "his copy was deleted", w.token(both, bob), portal.Gone, 1)
	w.want(t, "kept for long enough", w.token(old, bob), portal.Gone, 1)
	used := w.token(both, "eve@example.org")
	w.want(t, "used", used, portal.Released, 2)
	if err := v.Delete(t.Context(), both, nil, "root"); err != nil {
		t.Fatal(err)
	}
	w.want(t, "used, and erased", used, portal.Released, 2)
	w.want(t, "another link to it", digest.Make(w.d.digests.key, &digest.Token{ID: both, Rcpt: "eve@example.org", Action: digest.Release, Expires: time.Now().Add(2 * time.Hour)}), portal.Gone, 2)
}

// TestPortalParallel: however often a link is used at the same time, and while an administrator releases as well, one copy goes out.
func TestPortalParallel(t *testing.T) {
	w := newPortalWorld(t)
	const bob = "bob@example.org"
	id := w.keep(t, w.ids.Next(), gateway.SpamScore, bob)
	w.hop.gate = make(chan struct{})
	var wg sync.WaitGroup
	states := make(chan portal.State, 16)
	for i := range 16 {
		expires := time.Now().Add(time.Duration(1+i%2) * time.Hour) // two links
		wg.Go(func() {
			states <- w.Release(t.Context(), digest.Make(w.d.digests.key, &digest.Token{ID: id, Rcpt: bob, Action: digest.Release, Expires: expires})).State
		})
	}
	for range 15 { // one is on its way
		if s := <-states; s != portal.Busy {
			t.Errorf("beside it: %d", s)
		}
	}
	if _, err := w.d.vault.Release(t.Context(), &quarantine.Release{ID: id, By: "root"}); !errors.Is(err, quarantine.ErrBusy) {
		t.Errorf("an administrator: %v", err)
	}
	close(w.hop.gate)
	wg.Wait()
	if s := <-states; s != portal.Released || w.hop.got.Load() != 1 {
		t.Errorf("state %d, %d went out", s, w.hop.got.Load())
	}
}

// TestPortalTLS: a certificate is shown for the page's name, and for no other.
func TestPortalTLS(t *testing.T) {
	d := &daemon{bootstrap: &config.Bootstrap{Web: config.Web{PortalURL: "https://Quarantine.example.org:8444"}}}
	if got, err := d.portalTLS().GetCertificate(&tls.ClientHelloInfo{ServerName: "mx.example.org"}); got != nil || err != nil {
		t.Errorf("another name: %v, %v", got, err)
	}
	if got, err := d.portalTLS().GetCertificate(&tls.ClientHelloInfo{}); got != nil || err != nil {
		t.Errorf("no name: %v, %v", got, err)
	}
}

// TestPortalWarnings shows what check says of a page that users would not reach.
func TestPortalWarnings(t *testing.T) {
	const page = "[web]\nportal = [\"127.0.0.1:8444\"]\nportal_url = \"https://q.example.org:8444\"\n[[tls.acme]]\nnames = [\"mx.example.org\", \"q.example.org\"]\nchallenge = \"http-01\"\n[acme]\ndirectory = \"https://ca.example.org/\"\n"
	const on = "[quarantine.digest]\nat = [\"07:00\"]\n"
	listener := strings.Replace(page, "[web]\n", "[web]\npublic_http = [\"127.0.0.1:80\"]\n", 1)
	for name, c := range map[string]struct {
		bootstrap, policy string
		want              []string
	}{
		"off":            {"", "", nil},
		"all":            {listener, on, nil},
		"nobody is told": {listener, "", []string{"no domain has a digest"}},
		"no certificate": {strings.Replace(listener, ", \"q.example.org\"", "", 1), on, []string{"no certificate is for q.example.org"}},
		"another port":   {strings.Replace(listener, ".org:8444", ".org", 1), on, []string{"links lead to port 443, where web.portal does not listen"}},
	} {
		doc, problems := config.Load(documents(t, c.bootstrap, servesOne+c.policy), sections())
		if doc == nil {
			t.Fatalf("%s: %v", name, problems)
		}
		got := portalWarnings(doc)
		if len(got) != len(c.want) {
			t.Fatalf("%s: %v, want %q", name, got, c.want)
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i].Message, want) || !got[i].Warning || got[i].Line == 0 || got[i].Instead == "" {
				t.Errorf("%s: %+v, want %q", name, got[i], want)
			}
		}
	}
}
