package quarantine

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
	"gatepost/internal/access"
	"gatepost/internal/api"
	"gatepost/internal/control"
	"gatepost/internal/control/controltest"
	"gatepost/internal/store"
)

// neighbour is the node mx2, as an index that nodes share tells of it; err: it does not answer.
type neighbour struct {
	*store.Quarantine
	err   error
	asked int
}

func (n *neighbour) Others(ctx context.Context, f *quarantine.Filter) ([]quarantine.Row, error) {
	n.asked++
	rows, err := n.Find(ctx, f)
	for i := range rows {
		rows[i].Node = "mx2"
	}
	return rows, errors.Join(err, n.err)
}

// beside is a world that is the node mx1, beside mx2.
func beside(t *testing.T) (*world, *neighbour) {
	t.Helper()
	w := newWorld(t)
	index, err := store.OpenQuarantine(t.Context(), filepath.Join(t.TempDir(), "other.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	n := &neighbour{Quarantine: index}
	w.Surface = &control.Surface{Operations: (&Desk{Vault: func() (*quarantine.Vault, error) { return w.vault, nil }, Shared: func() Others { return n }, Node: "mx1",
		Console: func(_ context.Context, node string) string { return "https://" + node + ".example.org:8443" }}).Operations()}
	return w, n
}

// TestCopyGone releases a copy that was deleted of a message that is here, while others cannot be asked: it is the copy that is gone.
func TestCopyGone(t *testing.T) {
	w, n := beside(t)
	n.err = errors.New("away")
	id, gone := w.keep(t, "", "a@one.example", "b@one.example"), []string{"b@one.example"}
	if err := w.vault.Delete(t.Context(), id, gone, "ann"); err != nil {
		t.Fatal(err)
	}
	out, err := controltest.Ask[*api.KeptChanged](t.Context(), w.Surface, of(access.Operator), "quarantine release", &api.KeptRelease{IDs: []gateway.ID{id}, Rcpts: gone})
	if err != nil || len(out.Messages) != 1 || !strings.HasPrefix(out.Messages[0].Error, "b@one.example: not in quarantine") {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestKeptElsewhere shows two nodes to one: lists have the messages of both, page by page and by the rights of whoever asks; what is
// asked of a message that the other keeps says so, and where, and never that it is not there; and while the other cannot be known, that.
func TestKeptElsewhere(t *testing.T) {
	w, n := beside(t)
	var all []string
	var theirs gateway.ID
	for i := range 6 {
		to := []string{"a@one.example", "b@two.example"}[i/2%2]
		if i%2 == 0 {
			all = append(all, w.keep(t, "", to).String()+" mx1 "+to)
			continue
		}
		id := w.ids.Next()
		if err := n.Put(t.Context(), &quarantine.Row{ID: id, Arrived: id.Time(), Rcpts: []quarantine.RowRcpt{{Address: to}}}); err != nil {
			t.Fatal(err)
		}
		if all = append(all, id.String()+" mx2 "+to); to == "b@two.example" {
			theirs = id
		}
	}
	slices.Reverse(all)
	list := func(a access.Actor, limit int) (got []string, trouble string) {
		t.Helper()
		for in := (&api.KeptAsk{Limit: limit}); ; {
			page, err := controltest.Ask[*api.KeptList](t.Context(), w.Surface, a, "quarantine list", in)
			if err != nil || page.Node != "mx1" {
				t.Fatal(page, err)
			}
			for _, r := range page.Messages {
				for _, to := range r.Rcpts {
					got = append(got, r.ID.String()+" "+r.Node+" "+to.Address)
				}
			}
			if in.Cursor = page.Next; page.Next == "" {
				return got, page.Trouble
			}
		}
	}
	of1 := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return strings.Contains(s, "two") })
	for limit := 1; limit < 8; limit++ {
		if got, trouble := list(of(access.Operator), limit); !slices.Equal(got, all) || trouble != "" {
			t.Errorf("pages of %d: %v %s, want %v", limit, got, trouble, all)
		}
		if got, _ := list(of(access.DomainAdmin, "one.example"), limit); !slices.Equal(got, of1) {
			t.Errorf("of one domain, pages of %d: %v, want %v", limit, got, of1)
		}
	}
	ask := func(a access.Actor) (said []string, status []int) {
		_, err := controltest.Ask[*quarantine.Looked](t.Context(), w.Surface, a, "quarantine show", &api.KeptID{ID: theirs.String()})
		if err == nil {
			t.Fatalf("%s was shown what is not here", a.Role)
		}
		said, status = append(said, err.Error()), append(status, controltest.Status(err))
		for name, in := range map[string]any{"quarantine release": &api.KeptRelease{IDs: []gateway.ID{theirs}}, "quarantine delete": &api.KeptDelete{IDs: []gateway.ID{theirs}},
			"quarantine report": &api.KeptReport{IDs: []gateway.ID{theirs}, As: "ham"}} {
			out, err := controltest.Ask[*api.KeptChanged](t.Context(), w.Surface, a, name, in)
			if err != nil || len(out.Messages) != 1 {
				t.Fatal(name, out, err)
			}
			said = append(said, out.Messages[0].Error)
		}
		return said, status
	}
	for _, a := range []access.Actor{of(access.Operator), of(access.HelpDesk), of(access.DomainAdmin, "two.example")} {
		n.asked = 0
		said, status := ask(a)
		if n.asked != len(said) {
			t.Errorf("%s: what others keep was asked for %d times, for %d answers", a.Role, n.asked, len(said))
		}
		for _, text := range said {
			if !strings.Contains(text, "is kept by the node mx2, and this is mx1") || strings.Contains(text, "not in quarantine") || status[0] != 409 {
				t.Errorf("%s %v: %d %s", a.Role, a.Domains, status, text)
			}
		}
		if !strings.Contains(said[0], "https://mx2.example.org:8443") {
			t.Errorf("where it is is not said: %s", said[0])
		}
	}
	if said, status := ask(of(access.DomainAdmin, "one.example")); status[0] != 404 || strings.Contains(strings.Join(said, " "), "mx2") {
		t.Errorf("a stranger's message: %v %v", status, said)
	}
	n.err = errors.New("away")
	own := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return strings.Contains(s, "mx2") })
	if got, trouble := list(of(access.Operator), 2); !slices.Equal(got, own) || trouble != onlyHere {
		t.Errorf("while it is away: %v %q, want %v", got, trouble, own)
	}
	if said, status := ask(of(access.Operator)); status[0] != 503 || !strings.Contains(said[0], "cannot be told now") {
		t.Errorf("while it is away: %v %v", status, said)
	}
}
