package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLinks: a link is there once, for both sides, until either takes it away; neither side has more than its bound, also where
// several are made at the same time; who is forgotten is on no side.
func TestLinks(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx, l := context.Background(), db.Links()
		now := time.Now().UTC().Truncate(time.Microsecond)
		put := func(owner, address string) bool {
			fresh, err := l.Put(ctx, owner, address, now)
			must(t, err)
			return fresh
		}
		if !put("ann@one.example", "info@one.example") || put("ann@one.example", "info@one.example") || !put("info@one.example", "ann@one.example") || !put("bob@one.example", "info'?$1@one.example") {
			t.Error("what is new and what is not")
		}
		about, err := again().Links().About(ctx, "info@one.example")
		must(t, err)
		if len(about) != 2 || about[0].Owner != "ann@one.example" || about[0].Address != "info@one.example" || !about[0].Time.Equal(now) || about[1].Owner != "info@one.example" {
			t.Errorf("%+v", about)
		}
		first, err := l.List(ctx, "", 0, 2)
		must(t, err)
		rest, err := l.List(ctx, "", first[1].ID, 2)
		must(t, err)
		if len(first) != 2 || first[0].Owner != "bob@one.example" || len(rest) != 1 || rest[0].Owner != "ann@one.example" {
			t.Errorf("%+v, then %+v", first, rest)
		}
		if of, err := l.List(ctx, "bob@one.example", 0, 9); err != nil || len(of) != 1 || of[0] != first[0] {
			t.Errorf("%+v, %v", of, err)
		}
		if x, err := l.One(ctx, rest[0].ID); err != nil || x != rest[0] {
			t.Errorf("%+v, %v", x, err)
		}
		for i, want := range []bool{true, false} {
			if was, err := l.Remove(ctx, "bob@one.example", "info'?$1@one.example"); err != nil || was != want {
				t.Errorf("time %d: %v, %v", i, was, err)
			}
		}
		if _, err := l.One(ctx, first[0].ID); !errors.Is(err, ErrNone) {
			t.Errorf("what was removed: %v", err)
		}
		if n, err := l.Forget(ctx, "info@one.example"); err != nil || n != 2 {
			t.Errorf("%d forgotten, %v", n, err)
		}
		if all, err := l.List(ctx, "", 0, 9); err != nil || len(all) != 0 {
			t.Errorf("left: %+v, %v", all, err)
		}
		bounded(t, l, MostLinked, func(i int) (string, string) { return "ann@one.example", fmt.Sprintf("x%d@one.example", i) })
		bounded(t, l, MostOwners, func(i int) (string, string) { return fmt.Sprintf("y%d@one.example", i), "shared@one.example" })
	})
}

// bounded makes a few links more than the bound, all at once.
func bounded(t *testing.T, l Links, most int, of func(i int) (owner, address string)) {
	t.Helper()
	var wg sync.WaitGroup
	var made, full atomic.Int32
	for i := range most + 3 {
		wg.Go(func() {
			owner, address := of(i)
			switch fresh, err := l.Put(context.Background(), owner, address, time.Now()); {
			case errors.Is(err, ErrLinksFull):
				full.Add(1)
			case err != nil:
				t.Error(err)
			case fresh:
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if made.Load() != int32(most) || full.Load() != 3 {
		t.Errorf("%d of %d were made, %d were too many", made.Load(), most, full.Load())
	}
}
