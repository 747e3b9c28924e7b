package admin

import (
	"context"
	"testing"
	"time"

	"gatepost/internal/ownlist"
)

// TestOwnListForgotten shows that the entries of one recipient go, at once for all nodes, that those of others stay, and that what
// others say of him is found.
func TestOwnListForgotten(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx, o := context.Background(), db.OwnLists()
		for _, e := range []ownlist.Entry{{Rcpt: "anna@one.example", Kind: ownlist.Block, Sender: "spam@x.example"}, {Rcpt: "anna@one.example", Kind: ownlist.Allow, Sender: "bob@one.example"},
			{Rcpt: "bob@one.example", Kind: ownlist.Block, Sender: "anna@one.example"}, {Rcpt: "anna@one.example", Kind: ownlist.Allow, Sender: "anna@one.example"}} {
			e.Time = time.Now()
			must(t, o.Put(ctx, e))
		}
		before, err := o.Revision(ctx)
		must(t, err)
		named, err := o.Naming(ctx, "anna@one.example")
		must(t, err)
		if len(named) != 1 || named[0].Rcpt != "bob@one.example" {
			t.Errorf("%+v", named)
		}
		n, err := o.Forget(ctx, "anna@one.example")
		must(t, err)
		all, rev, err := again().OwnLists().All(ctx)
		must(t, err)
		if n != 3 || len(all) != 1 || all[0].Rcpt != "bob@one.example" || rev != before+1 {
			t.Errorf("%d removed, left %+v, revision %d after %d", n, all, rev, before)
		}
		if n, err = o.Forget(ctx, "anna@one.example"); n != 0 || err != nil {
			t.Errorf("%d %v", n, err)
		}
	})
}
