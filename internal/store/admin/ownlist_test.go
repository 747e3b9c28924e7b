package admin

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gatepost/internal/ownlist"
)

// TestOwnLists: entries are kept by recipient, one for each sender, up to the bound; the revision grows with changes alone.
func TestOwnLists(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx, s := context.Background(), db.OwnLists()
		now := time.Now().UTC().Truncate(time.Microsecond)
		put := func(rcpt string, kind ownlist.Kind, sender string) error {
			return s.Put(ctx, ownlist.Entry{Rcpt: rcpt, Kind: kind, Sender: sender, Time: now})
		}
		rev, err := s.Revision(ctx)
		must(t, err)
		if all, r, err := s.All(ctx); err != nil || len(all) != 0 || r != rev || rev != 0 {
			t.Fatalf("empty: %v, %d, %v", all, r, err)
		}
		must(t, put("bob@one.example", ownlist.Allow, "@partner.example"))
		must(t, put("bob@one.example", ownlist.Block, "eve'?$1@partner.example"))
		must(t, put("ann@one.example", ownlist.Block, "@partner.example"))
		must(t, put("bob@one.example", ownlist.Block, "@partner.example")) // in place of the allow entry
		mine, err := again().OwnLists().Of(ctx, "bob@one.example")
		must(t, err)
		want := []ownlist.Entry{{Rcpt: "bob@one.example", Kind: ownlist.Block, Sender: "@partner.example", Time: now}, {Rcpt: "bob@one.example", Kind: ownlist.Block, Sender: "eve'?$1@partner.example", Time: now}}
		if fmt.Sprint(mine) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", mine, want)
		}
		before, err := s.Revision(ctx)
		must(t, err)
		must(t, s.Remove(ctx, "bob@one.example", ownlist.Allow, "@partner.example")) // there is none
		must(t, s.Remove(ctx, "nobody@one.example", ownlist.Block, "@partner.example"))
		if r, err := s.Revision(ctx); err != nil || r != before || before != 4 {
			t.Errorf("nothing changed, and the revision went from %d to %d, %v", before, r, err)
		}
		must(t, s.Remove(ctx, "ann@one.example", ownlist.Block, "@partner.example"))
		if all, r, err := s.All(ctx); err != nil || len(all) != 2 || r != before+1 {
			t.Errorf("%v, %d, %v", all, r, err)
		}
		for i := len(want); i < ownlist.Most; i++ {
			must(t, put("bob@one.example", ownlist.Block, fmt.Sprintf("x%d@partner.example", i)))
		}
		if err := put("bob@one.example", ownlist.Block, "more@partner.example"); !errors.Is(err, ownlist.ErrFull) {
			t.Errorf("beyond the bound: %v", err)
		}
		must(t, put("bob@one.example", ownlist.Block, "x5@partner.example"))
		must(t, put("bob@one.example", ownlist.Allow, "more@partner.example"))
	})
}
