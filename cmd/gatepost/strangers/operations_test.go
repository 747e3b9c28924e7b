package strangers

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"gatepost/greylist"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/store"
)

// TestWaitingIsBounded shows what somebody of one domain is told of those who wait: of his own, as far as names are known, and
// that he changes nothing.
func TestWaitingIsBounded(t *testing.T) {
	l, err := store.Open(store.Options{Dir: t.TempDir()}) // where names of those who wait are looked for
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.WithoutCancel(t.Context()))
	keyer, err := greylist.NewKeyer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	told, memory, settings := 0, greylist.NewMemory(0), greylist.Settings{Delay: time.Minute, Window: 48 * time.Hour, Keep: greylist.DefaultKeep, Passes: 2, Within: time.Hour}
	d := &Desk{Book: new(Book), Greylist: func() greylist.Store { return memory }, Settings: func() greylist.Settings { return settings },
		Keyer: func() *greylist.Keyer { return keyer }, Log: func() *store.Log { return l }, Told: func(...slog.Attr) { told++ }}
	for i, to := range []string{"a@example.org", "b@other.example", "c@example.org"} {
		key := keyer.Key(greylist.Identity("x.example"), "s@x.example", to)
		if _, err := memory.Try(t.Context(), key, settings, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if i < 2 { // of the third nobody knows who it is
			d.Book.name(key.String(), Name{From: "s@x.example", To: to})
		}
	}
	surface := &control.Surface{Operations: d.Operations()}
	operator, desk := access.Actor{Name: "o", Role: access.Operator}, access.Actor{Name: "h", Role: access.HelpDesk, Domains: []string{"example.org"}}
	list := func(a access.Actor) *List {
		out, err := controltest.Ask[*List](t.Context(), surface, a, "greylist list", &api.GreylistAsk{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := list(operator); got.All != 3 || len(got.Waiting) != 3 {
		t.Errorf("all: %+v", got)
	}
	if got := list(desk); got.All != 1 || len(got.Waiting) != 1 || got.Waiting[0].To != "a@example.org" {
		t.Errorf("of one domain: %+v", got)
	}
	if _, err := controltest.Ask[*Changed](t.Context(), surface, desk, "greylist release", &api.GreylistPick{To: "a@example.org"}); controltest.Status(err) != 403 || told != 0 {
		t.Errorf("released by the help desk: %v, told %d", err, told)
	}
	out, err := controltest.Ask[*Changed](t.Context(), surface, operator, "greylist release", &api.GreylistPick{To: "a@example.org"})
	if err != nil || out.Changed != 1 || told != 1 {
		t.Errorf("released: %+v, %v, told %d", out, err, told)
	}
	if got := list(operator); got.All != 2 {
		t.Errorf("after release: %+v", got)
	}
	if n, err := d.Privacy().Erase(t.Context(), "B@other.example"); err != nil || n == 0 || list(operator).All != 1 {
		t.Errorf("erased %d, %v", n, err)
	}
}
