package quarantine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
)

// memoryIndex is an Index that forgets everything at its end.
type memoryIndex struct {
	mu   sync.Mutex
	rows map[gateway.ID]Row
	err  error // of everything, while it is set
}

func (x *memoryIndex) Put(_ context.Context, r *Row) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rows == nil {
		x.rows = make(map[gateway.ID]Row)
	}
	if x.err == nil {
		x.rows[r.ID] = *r
	}
	return x.err
}

func (x *memoryIndex) Delete(_ context.Context, ids []gateway.ID) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range ids {
		delete(x.rows, id)
	}
	return x.err
}

func (x *memoryIndex) all(pick func(r *Row) bool, newest bool, limit int) (out []Row) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.rows {
		if pick(&r) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Row) int {
		if newest {
			a, b = b, a
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return out[:min(len(out), limit)]
}

func (x *memoryIndex) Find(_ context.Context, f *Filter) ([]Row, error) {
	return x.all(func(r *Row) bool {
		if len(f.IDs) > 0 && !slices.Contains(f.IDs, r.ID) || f.Class != nil && r.Class != *f.Class || r.Arrived.Before(f.Since) {
			return false
		}
		return f.State == nil && f.Rcpt == "" || slices.ContainsFunc(r.Rcpts, func(to RowRcpt) bool {
			return (f.State == nil || to.State == *f.State) && (f.Rcpt == "" || strings.EqualFold(to.Address, f.Rcpt))
		})
	}, true, f.Most()), x.err
}

func (x *memoryIndex) Same(_ context.Context, names []string) ([]Row, error) {
	return x.all(func(r *Row) bool {
		return slices.ContainsFunc(r.Rcpts, func(to RowRcpt) bool { return slices.Contains(names, to.Same) })
	}, true, 1000), x.err
}

func (x *memoryIndex) Oldest(_ context.Context, c Class, before time.Time, limit int) ([]Row, error) {
	return x.all(func(r *Row) bool { return r.Class == c && r.Arrived.Before(before) }, false, limit), x.err
}

func (x *memoryIndex) Short(_ context.Context, now time.Time, limit int) ([]Row, error) {
	return x.all(func(r *Row) bool { return r.Keep > 0 && r.Arrived.Add(r.Keep).Before(now) }, false, limit), x.err
}

func (x *memoryIndex) Sums(context.Context) (map[Class]Sums, error) {
	out := map[Class]Sums{}
	for _, r := range x.all(func(*Row) bool { return true }, true, 1<<20) {
		s := out[r.Class]
		out[r.Class] = Sums{s.Messages + 1, s.Octets + r.Stored}
	}
	return out, x.err
}

func (x *memoryIndex) Keys(context.Context) (map[string]int, error) {
	out := map[string]int{}
	for _, r := range x.all(func(*Row) bool { return true }, true, 1<<20) {
		out[r.Key]++
	}
	return out, x.err
}

func (x *memoryIndex) Known(_ context.Context, each func(id gateway.ID, seq, stored int64)) error {
	for _, r := range x.all(func(*Row) bool { return true }, true, 1<<20) {
		each(r.ID, r.Seq, r.Stored)
	}
	return x.err
}

// body is a message in memory.
type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

// mail is a message with a field that is not ours to send on.
func mail(text string) string {
	return "X-Spam-Flag: NO\r\nFrom: Ann <ann@author.example>\r\nTo: a@example.org\r\nSubject: hello\r\nMessage-ID: <1@author.example>\r\n" +
		"Date: Thu, 26 Nov 2026 10:00:00 +0000\r\n\r\n" + text + "\r\n"
}

// sent is that message as it goes out, behind what stands on top of it.
func sent(text string) string { return strings.TrimPrefix(mail(text), "X-Spam-Flag: NO\r\n") }

const trace = "X-Gatepost-Trace: X\r\nReceived: from x\r\n\tby y; now\r\n"

// keeping is a message for some recipients of example.org, as the gateway hands it over.
func keeping(id gateway.ID, text string, reason gateway.Reason, to ...string) *gateway.Keeping {
	policy := &gateway.Policy{Version: "1", Domains: map[string]*gateway.Domain{"example.org": {Name: "example.org", Route: "r", Subject: "full"}}}
	s := &gateway.Session{ID: 1, Client: netip.MustParseAddrPort("192.0.2.7:4000"), Helo: gateway.Hello{Name: "mail.sender.example", Extended: true},
		Snapshot: &gateway.Snapshot{Hostname: "mx.example.org", Policy: policy}}
	b := body{bytes.NewReader([]byte(mail(text)))}
	h, err := gateway.ReadHeader(b, 1<<20)
	if err != nil {
		panic(err)
	}
	d := gateway.Decision{Outcome: gateway.Quarantine, Reason: reason, Check: "c"}
	e := &gateway.Envelope{ID: id, Session: s, Started: id.Time(), From: address("bounce@sender.example"), Body: b, Header: h, Route: "r",
		Findings: []gateway.Finding{{Check: "c", Stage: gateway.Data, Result: gateway.Fail, Reason: reason, Evidence: []gateway.Evidence{{Name: "saw", Text: "it"}}}}}
	v := &gateway.Verdict{Decision: d, Score: 7.5}
	k := &gateway.Keeping{Envelope: e, Verdict: v, Trace: []byte(trace), Cut: [][2]int{{0, len("X-Spam-Flag: NO\r\n")}}, Message: strings.Repeat("ab", 32)}
	for _, t := range to {
		r := gateway.Recipient{Address: address(t), Route: "r", Reply: gateway.Reply{Code: 250}}
		e.Rcpts, v.Rcpts = append(e.Rcpts, r), append(v.Rcpts, d)
		k.Rcpts, k.Keys = append(k.Rcpts, r), append(k.Keys, "vault "+t)
	}
	return k
}

func address(text string) gateway.Address {
	local, domain, _ := strings.Cut(text, "@")
	return gateway.Address{Text: text, Local: local, Domain: domain}
}

// world is a vault with what it needs.
type world struct {
	*Vault
	dir   string
	index *memoryIndex
	opts  Options
	ids   *gateway.IDs

	mu      sync.Mutex
	changes []Change
	hop     hop
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "vault"), index: new(memoryIndex), ids: new(gateway.IDs)}
	keys, err := LoadKeys(filepath.Join(filepath.Dir(w.dir), "keys", "vault.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	w.opts = Options{Dir: w.dir, Keys: keys, Index: w.index, Reserve: 1, ReserveInodes: 1, Hostname: "mx.example.org", IDs: w.ids,
		NextHop: func() gateway.NextHop { return &w.hop },
		Way: func(to gateway.Address) ([]gateway.Address, string, error) {
			if to.Domain != "example.org" {
				return nil, "", fmt.Errorf("we do not serve %s", to.Domain)
			}
			return []gateway.Address{to}, "r", nil
		},
		Told: func(c *Change) {
			w.mu.Lock()
			w.changes = append(w.changes, *c)
			w.mu.Unlock()
		}}
	w.reopen(t)
	return w
}

// reopen opens the folder again, as a start does.
func (w *world) reopen(t testing.TB) {
	t.Helper()
	var err error
	if w.Vault, err = Open(w.opts); err != nil {
		t.Fatal(err)
	}
}

// keep stores and shows a message.
func (w *world) keep(t testing.TB, text string, reason gateway.Reason, to ...string) gateway.ID {
	t.Helper()
	id := w.ids.Next()
	k := keeping(id, text, reason, to...)
	k.Message = fmt.Sprintf("%064x", uint64(id))
	kept, err := w.Prepare(t.Context(), k)
	if err == nil {
		err = kept.Publish()
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// whats are the words of what was told.
func (w *world) whats() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, c := range w.changes {
		out = append(out, string(c.What))
	}
	return strings.Join(out, ",")
}

// files are the names of what lies in the folder, without folders.
func (w *world) files(t testing.TB) (out []string) {
	t.Helper()
	err := filepath.WalkDir(w.dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, filepath.Base(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// states are those of a message's recipients, in their order.
func (w *world) states(t testing.TB, id gateway.ID) string {
	t.Helper()
	rows, err := w.Find(t.Context(), &Filter{IDs: []gateway.ID{id}})
	if err != nil || len(rows) != 1 {
		return fmt.Sprintf("%d rows, %v", len(rows), err)
	}
	var out []string
	for _, r := range rows[0].Rcpts {
		out = append(out, r.State.String())
	}
	return strings.Join(out, ",")
}

// hop is a next hop that takes what it is given, unless it is told what to answer.
type hop struct {
	mu     sync.Mutex
	answer *gateway.Relayed
	got    []delivered
}

type delivered struct {
	gateway.Delivery
	text string
}

func (h *hop) Carries(string) gateway.Carries { return gateway.Carries{} }

func (h *hop) Relay(_ context.Context, d *gateway.Delivery) gateway.Relayed {
	text, err := io.ReadAll(io.MultiReader(d.Content.Parts...))
	if err != nil || int64(len(text)) != d.Content.Size {
		return gateway.Relayed{At: gateway.AtBody, Said: fmt.Sprintf("%d octets of %d, %v", len(text), d.Content.Size, err)}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answer != nil {
		return *h.answer
	}
	h.got = append(h.got, delivered{*d, string(text)})
	return gateway.Relayed{Result: gateway.Delivered, NextHop: "hop:25", Said: "250 2.0.0 taken", At: gateway.AtDot}
}

// ledger remembers who has what, as the real one does.
type ledger struct {
	mu   sync.Mutex
	done map[string]bool
}

func (l *ledger) Begin(_ context.Context, message [32]byte, rcpts []string) (gateway.Claim, error) {
	return &claim{l: l, message: fmt.Sprintf("%x", message), rcpts: rcpts}, nil
}

func (l *ledger) Done(message string, keys []string) []bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]bool, len(keys))
	for i := range keys {
		out[i] = l.done[message+" "+keys[i]]
	}
	return out
}

func (l *ledger) put(message string, keys []string, took []bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = map[string]bool{}
	}
	l.done = maps.Clone(l.done)
	for i := range keys {
		l.done[message+" "+keys[i]] = took[i]
	}
}

type claim struct {
	l       *ledger
	message string
	rcpts   []string
}

func (c *claim) Done() []bool    { return c.l.Done(c.message, c.rcpts) }
func (c *claim) End(took []bool) { c.l.put(c.message, c.rcpts, took) }
func (c *claim) Heard(read bool) {}
