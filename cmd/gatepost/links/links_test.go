package links

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/cli"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/store/admin"
)

// world is the operations over links of two domains: ann@a sees x@a, ann@a sees y@b, bob@b sees z@b.
type world struct {
	*control.Surface
	links admin.Links
	told  []control.Entry
	ended []string
}

func begin(t *testing.T) *world {
	t.Helper()
	db, err := admin.Open(t.Context(), admin.Options{Path: filepath.Join(t.TempDir(), "admin.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &world{links: db.Links()}
	for _, pair := range [][2]string{{"ann@a.example", "x@a.example"}, {"ann@a.example", "y@b.example"}, {"bob@b.example", "z@b.example"}} {
		if _, err := w.links.Put(t.Context(), pair[0], pair[1], time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	d := &Desk{Store: func() Store { return w.links }, Away: func(err error) error { return err }, Ended: func(x admin.Link) { w.ended = append(w.ended, x.Owner+" "+x.Address) }}
	w.Surface = &control.Surface{Operations: Operations(d), Audit: func(_ context.Context, e control.Entry) { w.told = append(w.told, e) }}
	if err := w.Validate(); err != nil {
		t.Fatal(err)
	}
	return w
}

func who(role access.Role, domains ...string) access.Actor {
	return access.Actor{Name: "anna", Role: role, Domains: domains, Via: access.BySession}
}

// pairs are what a page shows.
func pairs(list []api.Link) string {
	var out []string
	for _, x := range list {
		out = append(out, x.Owner+">"+x.Address)
	}
	return strings.Join(out, " ")
}

// TestBounded: whoever has one domain sees the links of which a side is of it, the other side of which only where it is of it too, by no
// page and no guess; he ends those and no others.
func TestBounded(t *testing.T) {
	w := begin(t)
	for _, c := range []struct {
		actor  access.Actor
		in     api.LinksAsk
		want   string
		status int
	}{
		{who(access.Auditor), api.LinksAsk{}, "bob@b.example>z@b.example ann@a.example>y@b.example ann@a.example>x@a.example", 0},
		{who(access.Auditor), api.LinksAsk{Address: "Y@B.example"}, "ann@a.example>y@b.example", 0},
		{who(access.HelpDesk, "a.example"), api.LinksAsk{}, "ann@a.example> ann@a.example>x@a.example", 0},
		{who(access.HelpDesk, "b.example"), api.LinksAsk{}, "bob@b.example>z@b.example >y@b.example", 0},
		{who(access.HelpDesk, "c.example"), api.LinksAsk{}, "", 0},
		{who(access.HelpDesk, "a.example"), api.LinksAsk{Address: "ann@a.example"}, "ann@a.example> ann@a.example>x@a.example", 0},
		{who(access.HelpDesk, "a.example"), api.LinksAsk{Address: "y@b.example"}, "", http.StatusForbidden},
		{who(access.Owner), api.LinksAsk{Address: "nonsense"}, "", http.StatusBadRequest},
	} {
		c.in.Limit = 10
		out, err := controltest.Ask[*api.Links](t.Context(), w.Surface, c.actor, "portal links", &c.in)
		if controltest.Status(err) != c.status || err == nil && pairs(out.Links) != c.want {
			t.Errorf("%v %+v: %+v, %v", c.actor.Domains, c.in, out, err)
		}
	}
	unlink := func(a access.Actor, id int64) (*api.Link, error) {
		return controltest.Ask[*api.Link](t.Context(), w.Surface, a, Ended, &api.LinkNumber{ID: id})
	}
	for _, c := range []struct {
		actor  access.Actor
		id     int64
		status int
	}{{who(access.HelpDesk, "a.example"), 3, 404}, {who(access.HelpDesk), 99, 404}, {who(access.Auditor), 1, 403}} {
		if _, err := unlink(c.actor, c.id); controltest.Status(err) != c.status {
			t.Errorf("%d: %v", c.id, err)
		}
	}
	if len(w.ended) > 0 {
		t.Fatal(w.ended)
	}
	before := len(w.told)
	x, err := unlink(who(access.HelpDesk, "b.example"), 2)
	if err != nil || x.Owner != "" || x.Address != "y@b.example" || len(w.ended) != 1 || w.ended[0] != "ann@a.example y@b.example" {
		t.Errorf("%+v, %v, told %v", x, err, w.ended)
	}
	if len(w.told) != before+1 || w.told[before].Change.Object != "ann@a.example sees y@b.example" || w.told[before].Change.Domain != "b.example" || w.told[before].Actor.Name != "anna" {
		t.Errorf("audited: %+v", w.told[before:])
	}
	if _, err := unlink(who(access.Owner), 2); controltest.Status(err) != http.StatusNotFound || len(w.ended) != 1 {
		t.Errorf("a second time: %v", err)
	}
}

// TestPages: pages show each link once, also for whoever sees few of them.
func TestPages(t *testing.T) {
	w := begin(t)
	for i := range 7 {
		if _, err := w.links.Put(t.Context(), "cat@a.example", fmt.Sprintf("c%d@a.example", i), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var ids []int64
	for in := (api.LinksAsk{Limit: 3}); ; {
		out, err := controltest.Ask[*api.Links](t.Context(), w.Surface, who(access.HelpDesk, "b.example"), "portal links", &in)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range out.Links {
			ids = append(ids, x.ID)
		}
		if in.Cursor = out.Next; in.Cursor == 0 {
			break
		}
	}
	if fmt.Sprint(ids) != "[3 2]" {
		t.Errorf("%v", ids)
	}
}

// TestStoreAway: what the store says is told, and nobody is told of a link that is still there.
func TestStoreAway(t *testing.T) {
	away := errors.New("away")
	var ended int
	s := &control.Surface{Operations: Operations(&Desk{Store: func() Store { return broken{away} }, Away: func(err error) error { return &control.Fault{Status: 503, Message: err.Error()} }, Ended: func(admin.Link) { ended++ }})}
	if _, err := controltest.Ask[*api.Links](t.Context(), s, who(access.Owner), "portal links", &api.LinksAsk{Limit: 1}); controltest.Status(err) != 503 {
		t.Error(err)
	}
	if _, err := controltest.Ask[*api.Link](t.Context(), s, who(access.Owner), Ended, &api.LinkNumber{ID: 1}); controltest.Status(err) != 503 || ended != 0 {
		t.Error(err, ended)
	}
}

type broken struct{ err error }

func (b broken) List(context.Context, string, int64, int) ([]admin.Link, error) { return nil, b.err }
func (b broken) One(context.Context, int64) (admin.Link, error) {
	return admin.Link{ID: 1, Owner: "a@a.example", Address: "b@a.example"}, nil
}
func (b broken) Remove(context.Context, string, string) (bool, error) { return false, b.err }

// TestArguments: what cannot be read is told with what to write.
func TestArguments(t *testing.T) {
	for words, says := range map[string]string{"portal unlink": "name the number", "portal unlink x": "is no number", "portal links a b": `"b" is too much`} {
		var out bytes.Buffer
		for _, c := range Commands() {
			if args, is := strings.CutPrefix(words, c.Words); is {
				if code := c.Run(t.Context(), cli.Env{Out: &out, Err: &out}, strings.Fields(args)); code != cli.Usage || !strings.Contains(out.String(), says) {
					t.Errorf("%s: %d, %s", words, code, &out)
				}
			}
		}
	}
}
