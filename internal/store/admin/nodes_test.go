package admin

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatepost/internal/alarm"
	"gatepost/internal/hits"
)

// TestNodes: each node has one row, with what it said last and how long ago that is; one that is gone takes its alarms and counts with
// it, and one that is not stays.
func TestNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		ctx, one, two := context.Background(), db.Nodes(), again().Nodes()
		for _, body := range []string{`{"version":"1"}`, `{"version":"2"}`} {
			ahead, err := one.Beat(ctx, "mx1", body)
			must(t, err)
			if ahead > time.Second || ahead < -time.Second { // of one machine
				t.Errorf("the clock is %s ahead of itself", ahead)
			}
		}
		_, err := two.Beat(ctx, "mx'2", `{}`)
		must(t, err)
		all, err := two.List(ctx)
		must(t, err)
		if len(all) != 2 || all[0].Name != "mx'2" || all[1].Body != `{"version":"2"}` || all[1].Age < 0 || all[1].Age > soon {
			t.Errorf("%+v", all)
		}
		must(t, (&Alarms{DB: db, Node: "mx1"}).Save(ctx, []alarm.Alarm{{ID: "part:dns", Since: time.Now()}}))
		must(t, db.ListHits().Note(ctx, "mx1", []hits.Entry{{List: "access.client", Kind: hits.Block, Value: "x"}}, time.Now()))
		if err := two.Remove(ctx, "mx1", time.Hour); !errors.Is(err, ErrNone) {
			t.Errorf("one that is there: %v", err)
		}
		if err := two.Remove(ctx, "mx3", -time.Hour); !errors.Is(err, ErrNone) {
			t.Errorf("one that there is not: %v", err)
		}
		must(t, two.Remove(ctx, "mx1", -time.Hour))
		if all, err = one.List(ctx); err != nil || len(all) != 1 {
			t.Errorf("%v, %+v", err, all)
		}
		if left, err := (&Alarms{DB: db, Node: "mx1"}).Load(ctx); err != nil || len(left) != 0 {
			t.Errorf("alarms: %v, %v", err, left)
		}
		if left, err := db.ListHits().Counts(ctx, 0, nil); err != nil || len(left) != 0 {
			t.Errorf("counts: %v, %v", err, left)
		}
	})
}
