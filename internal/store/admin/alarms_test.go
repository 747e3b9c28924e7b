package admin

import (
	"context"
	"testing"
	"time"

	"gatepost/internal/alarm"
	"gatepost/internal/alarm/storetest"
)

// TestAlarms shows that alarms are kept, and that a node sees those of others and changes none of them.
func TestAlarms(t *testing.T) {
	onBoth(t, func(t *testing.T, db *DB, again func() *DB) {
		storetest.Run(t, func(*testing.T) alarm.Store { return &Alarms{DB: again(), Node: "mx1"} })
		other, ctx := &Alarms{DB: again(), Node: "mx2"}, context.Background()
		at := time.Date(2026, 11, 27, 5, 0, 0, 0, time.UTC)
		must(t, other.Save(ctx, []alarm.Alarm{{ID: "part:dns", Kind: "part", Object: "dns", Severity: alarm.Warning, Since: at, Seen: at, Count: 1},
			{ID: "part:log", Kind: "part", Object: "log", Severity: alarm.Warning, Since: at, Seen: at, Over: at.Add(time.Second), Count: 1}}))
		one := &Alarms{DB: db, Node: "mx1"}
		must(t, one.Remove(ctx, []string{"part:dns"}))
		if all, err := one.Elsewhere(ctx); err != nil || len(all) != 1 || len(all["mx2"]) != 1 || all["mx2"][0].ID != "part:dns" {
			t.Errorf("%v, %v", all, err)
		}
		if all, err := other.Elsewhere(ctx); err != nil || len(all["mx2"]) != 0 || len(all["mx1"]) == 0 {
			t.Errorf("%d, %v", len(all["mx1"]), err)
		}
	})
}
