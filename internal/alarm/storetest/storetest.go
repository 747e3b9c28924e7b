// Package storetest shows of a Store of alarms that it keeps what it was given. No RFC applies.
package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/alarm"
)

// Run shows it of stores that open makes: each call opens the same one again, as after a restart.
func Run(t *testing.T, open func(t *testing.T) alarm.Store) {
	ctx, at := context.Background(), time.Date(2026, 11, 27, 5, 0, 0, 123456000, time.UTC)
	s := open(t)
	if list, err := s.Load(ctx); err != nil || len(list) != 0 {
		t.Fatalf("a new one has %v, %v", list, err)
	}
	full := alarm.Alarm{ID: "part:clamav", Kind: "part", Object: "clamav", Severity: alarm.Critical, Text: "does not answer; '\"\\", Do: "gatepost doctor", Since: at, Seen: at.Add(time.Second),
		Over: at.Add(time.Minute), Count: 3, Owner: "anna", Ack: &alarm.Ack{By: "anna", At: at, Note: "known", Until: at.Add(time.Hour)}, Told: at.Add(2 * time.Second)}
	bare := alarm.Alarm{ID: "path:mail", Kind: "path", Object: "mail", Severity: alarm.Info, Since: at, Seen: at, Count: 1}
	if err := s.Save(ctx, []alarm.Alarm{full, bare}); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t), full, bare)
	full.Ack, full.Over, full.Text = nil, time.Time{}, strings.Repeat("x", 500)
	if err := s.Save(ctx, []alarm.Alarm{full}); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t), full, bare)
	if err := s.Remove(ctx, []string{"part:clamav", "nobody:knows"}); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t), bare)
	var many []alarm.Alarm
	for i := range 1000 {
		a := bare
		a.ID, a.Count = fmt.Sprintf("part:%04d", i), i+1
		many = append(many, a)
	}
	if err := s.Save(ctx, many); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t), append(many, bare)...)
}

func holds(t *testing.T, s alarm.Store, want ...alarm.Alarm) {
	t.Helper()
	list, err := s.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	show := func(list []alarm.Alarm) (out []string) {
		for i := range list {
			a := &list[i]
			ack := "none"
			if a.Ack != nil {
				ack = fmt.Sprintf("%s %d %s %d", a.Ack.By, a.Ack.At.UnixMicro(), a.Ack.Note, a.Ack.Until.UnixMicro())
			}
			out = append(out, fmt.Sprintf("%s|%s|%s|%s|%s|%s|%d|%d|%d|%d|%s|%d|%s", a.ID, a.Kind, a.Object, a.Severity, a.Text, a.Do,
				a.Since.UnixMicro(), a.Seen.UnixMicro(), a.Over.UnixMicro(), a.Count, a.Owner, a.Told.UnixMicro(), ack))
		}
		slices.Sort(out)
		return out
	}
	if got, want := show(list), show(want); !slices.Equal(got, want) {
		t.Fatalf("kept\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i := range list {
		if list[i].Standing() != list[i].Over.IsZero() || list[i].Ack != nil && list[i].Ack.By == "" {
			t.Errorf("%+v", list[i])
		}
	}
}
