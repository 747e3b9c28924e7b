package main

import (
	"context"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/mail"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/console/portal"
	"gatepost/gateway"
	"gatepost/gateway/recipients"
	"gatepost/internal/config"
	"gatepost/internal/store/admin"
)

// onlyThese is a directory of a few addresses.
type onlyThese []string

func (onlyThese) Name() string { return "these" }

func (o onlyThese) Has(local, domain string) (bool, bool, time.Duration) {
	return strings.Contains(" "+strings.Join(o, " ")+" ", " "+local+"@"+domain+" "), true, 0
}

// newUsers is the portal of a domain with ann, bob and info, over real stores.
func newUsers(t *testing.T) (*portalUsers, *portalWorld) {
	t.Helper()
	w := newPortalWorld(t)
	d := w.d
	db, err := admin.Open(t.Context(), admin.Options{Path: filepath.Join(t.TempDir(), "admin.db"), Log: d.log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	d.data = db
	c := *d.document.Load()
	policy := *c.Policy
	policy.Portal.Login, c.Policy = true, &policy
	d.document.Store(&c)
	d.bootstrap = &config.Bootstrap{Hostname: "mx.example.org", Web: config.Web{PortalURL: "https://q.example.org"}}
	serves := &gateway.Policy{Version: "1", Domains: map[string]*gateway.Domain{"example.org": {Name: "example.org", Route: "in"}}}
	source := recipients.Source{Directories: []recipients.Directory{onlyThese{"ann@example.org", "bob@example.org", "info@example.org"}}}
	d.now.Store(&built{snapshot: &gateway.Snapshot{Policy: serves}, rcpts: recipients.New(recipients.NewCache(10), nil, recipients.Sources{Policy: serves, Routes: map[string]recipients.Source{"in": source}})})
	d.portalUsers = newPortalUsers(d)
	return d.portalUsers, w
}

// mailed takes a mail that waits, and returns to whom it is and what it leads to; "" where none waits or it is not sent after all.
func mailed(t *testing.T, queue chan portalMail) (to, link string) {
	t.Helper()
	select {
	case m := <-queue:
		if m.may != nil && !m.may(t.Context()) {
			return "", ""
		}
		raw, _ := m.make("en", time.Now())
		msg, err := mail.ReadMessage(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
		if err != nil {
			t.Fatal(err)
		}
		return msg.Header.Get("To"), regexp.MustCompile(`https://q\.example\.org\S+`).FindString(string(text))
	default:
		return "", ""
	}
}

// TestPortalLinks: a further address is proved by a mail to it and by who asked, once; nobody learns which mailboxes there are; both
// sides are told of beginning and end; either side ends it, and nobody else; what is not served any more counts no longer.
func TestPortalLinks(t *testing.T) {
	u, _ := newUsers(t)
	ctx, l := t.Context(), u.Links()
	const ann, info = "Ann@example.org", "info@example.org"
	for address, want := range map[string]portal.Fault{"x@elsewhere.example": portal.BadAddress, "nonsense": portal.BadAddress, "a@[192.0.2.1]": portal.BadAddress, strings.Repeat("x", 400) + "@example.org": portal.BadAddress,
		"ANN@example.org": portal.Already} {
		if got := l.Ask(ctx, ann, address); got != want {
			t.Errorf("%s: %d", address, got)
		}
	}
	for _, nobody := range []string{"zoe@example.org", info} {
		if got := l.Ask(ctx, ann, nobody); got != portal.Fine {
			t.Errorf("%s: %d", nobody, got)
		}
	}
	if to, _ := mailed(t, u.asks); to != "" {
		t.Errorf("a mail to nobody: %s", to)
	}
	to, link := mailed(t, u.asks)
	token, is := strings.CutPrefix(link, "https://q.example.org/link/")
	if to != "<"+info+">" || !is {
		t.Fatalf("to %s, %s", to, link)
	}
	if owner, address, ok := l.May(ctx, token); !ok || owner != "ann@example.org" || address != info {
		t.Errorf("%s, %s, %v", owner, address, ok)
	}
	if got := l.Prove(ctx, "bob@example.org", token); got != portal.NotYours {
		t.Errorf("by another: %d", got)
	}
	if _, _, ok := u.Enter(ctx, token); ok {
		t.Error("it logs in")
	}
	further := func(address string) string {
		f, s, fault := l.Of(ctx, address)
		return fmt.Sprint(f, s, fault)
	}
	if got := further(ann); got != "[] [] 0" {
		t.Errorf("before: %s", got)
	}
	for _, want := range []portal.Fault{portal.Fine, portal.BadLink} {
		if got := l.Prove(ctx, ann, token); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	if a, b := further(ann), further("INFO@example.org"); a != "[info@example.org] [] 0" || b != "[] [ann@example.org] 0" {
		t.Errorf("%s, %s", a, b)
	}
	told := func() (all string) {
		for range len(u.told) {
			to, _ := mailed(t, u.told)
			all += to
		}
		return all
	}
	if got := told(); got != "<ann@example.org><info@example.org>" {
		t.Errorf("told: %s", got)
	}
	if got := l.Ask(ctx, ann, "Info@Example.org"); got != portal.Already {
		t.Errorf("again: %d", got)
	}
	if got := l.End(ctx, "bob@example.org", ann, info); got != portal.NotYours || further(ann) == "[] [] 0" {
		t.Errorf("ended by another: %d", got)
	}
	for i, want := range []string{"<ann@example.org><info@example.org>", ""} {
		if got := l.End(ctx, info, ann, info); got != portal.Fine || further(ann) != "[] [] 0" || told() != want {
			t.Errorf("ended, time %d: %d", i, got)
		}
	}
	if got := l.Prove(ctx, ann, token); got != portal.BadLink {
		t.Errorf("what was ended begins again: %d", got)
	}
	if _, err := u.d.data.Links().Put(ctx, "ann@example.org", "x@gone.example", time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := further(ann); got != "[] [] 0" {
		t.Errorf("of a domain that is not served: %s", got)
	}
}

// TestPortalLinksBounded: a user asks for so many links in an hour, one address is sent so many, which it does not matter who asks for,
// and nobody is told; no user has more than his bound of further addresses.
func TestPortalLinksBounded(t *testing.T) {
	u, _ := newUsers(t)
	ctx, l := t.Context(), u.Links()
	for i := range linkHourly {
		if got := l.Ask(ctx, "ann@example.org", "info@example.org"); got != portal.Fine {
			t.Errorf("%d: %d", i, got)
		}
	}
	if len(u.asks) != loginsHourly {
		t.Errorf("%d links to one address", len(u.asks))
	}
	if got := l.Ask(ctx, "ann@example.org", "bob@example.org"); got != portal.Often {
		t.Errorf("one more: %d", got)
	}
	for i := range admin.MostLinked {
		if _, err := u.d.data.Links().Put(ctx, "bob@example.org", fmt.Sprintf("x%d@example.org", i), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.Ask(ctx, "bob@example.org", "ann@example.org"); got != portal.Full {
		t.Errorf("beyond the bound: %d", got)
	}
	canceled, stop := context.WithCancel(ctx)
	stop()
	if _, _, got := l.Of(canceled, "bob@example.org"); got != portal.Away {
		t.Errorf("the store is away: %d", got)
	}
}

// TestPortalMineOfSeveral: page by page a user sees each message of each of his addresses once, the newest first, also where
// one came to several; and he releases the copy of the address that he names, in his own name.
func TestPortalMineOfSeveral(t *testing.T) {
	u, w := newUsers(t)
	u.most = 6
	const ann, info = "ann@example.org", "info@example.org"
	var want []string
	var both gateway.ID
	for i := range 19 {
		id := w.ids.Next()
		switch i % 3 {
		case 0:
			w.keep(t, id, gateway.SpamScore, ann)
			want = append(want, id.String()+" "+ann)
		case 1:
			w.keep(t, id, gateway.SpamScore, info, "eve@example.org")
			want = append(want, id.String()+" "+info)
		case 2:
			both = w.keep(t, id, gateway.SpamScore, ann, info)
			want = append(want, id.String()+" "+info, id.String()+" "+ann)
		}
	}
	var got []string
	pages := 0
	for before := ""; ; {
		items, next, err := u.Mine(t.Context(), []string{ann, info}, before)
		if err != nil || pages > 9 {
			t.Fatal(err, pages)
		}
		for _, it := range items {
			got = append(got, it.Reference+" "+it.For)
		}
		pages++
		if before = next; next == "" {
			break
		}
	}
	for i := range len(want) / 2 {
		want[i], want[len(want)-1-i] = want[len(want)-1-i], want[i]
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || pages < 4 {
		t.Errorf("%d pages:\n%s\nwant\n%s", pages, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if a := u.Let(t.Context(), ann, "Info@example.org", both.String()); a.State != portal.Released || w.hop.got.Load() != 1 {
		t.Errorf("released: %d", a.State)
	}
	for address, want := range map[string]portal.State{info: portal.Released, ann: portal.Ready} {
		items, _, err := u.Mine(t.Context(), []string{address}, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			if it.Reference == both.String() && it.State != want {
				t.Errorf("%s: %d", address, it.State)
			}
		}
	}
}
