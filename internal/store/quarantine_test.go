package store

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/quarantine"
)

// sharedKept is an index of one node in a database, with its tables.
func sharedKept(t *testing.T, o *Shared, node string) *SharedQuarantine {
	t.Helper()
	q := must1(NewSharedQuarantine(&Shared{URL: o.URL, Node: node}))
	t.Cleanup(func() { _ = q.Close() })
	if err := q.Ready(bounded30(t)); err != nil {
		t.Fatal(err)
	}
	return q
}

// TestQuarantineIndex shows, of an index in a file and of one in a real PostgreSQL that other nodes share, that a message comes back as
// it was put, and that each part of a filter picks what it says and pages.
func TestQuarantineIndex(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		q := must1(OpenQuarantine(t.Context(), filepath.Join(t.TempDir(), "quarantine.db"), nil))
		defer q.Close()
		testIndex(t, q)
	})
	t.Run("postgres", func(t *testing.T) {
		o := sharedLog(t)
		other := sharedKept(t, o, "mx2")
		for _, id := range []gateway.ID{50, 100, 103} { // two of the same numbers
			if err := other.Put(t.Context(), &quarantine.Row{ID: id, From: "bounce3@sender.example", Key: "other", Stored: 1000, Keep: time.Millisecond, Arrived: time.UnixMilli(1),
				Rcpts: []quarantine.RowRcpt{{Address: "bob@served.example", Same: fmt.Sprintf("%032x", 3)}}}); err != nil {
				t.Fatal(err)
			}
		}
		testIndex(t, sharedKept(t, o, "mx1"))
		rows, err := other.Find(t.Context(), &quarantine.Filter{})
		if err != nil || len(rows) != 3 || len(rows[1].Rcpts) != 1 || rows[1].Rcpts[0].Address != "bob@served.example" {
			t.Errorf("what another node has: %+v, %v", rows, err)
		}
	})
}

// TestQuarantineDamage shows that a file that is damaged is an empty one.
func TestQuarantineDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quarantine.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	q := must1(OpenQuarantine(t.Context(), path, nil))
	defer q.Close()
	if rows, err := q.Find(t.Context(), &quarantine.Filter{}); err != nil || len(rows) != 0 {
		t.Errorf("after damage: %v, %v", rows, err)
	}
}

// testIndex is that test of one index.
func testIndex(t *testing.T, q quarantine.Index) {
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	var all []quarantine.Row
	for i := range 6 {
		r := quarantine.Row{ID: gateway.ID(100 + i), Arrived: at.Add(time.Duration(i) * time.Hour), From: fmt.Sprintf("bounce%d@sender.example", i), Author: "Ann <ann@author.example>",
			Subject: "100% off_" + strings.Repeat("x", i), Class: quarantine.Class(i), Reason: gateway.SpamScore, Check: "c", Score: 7.5, Size: 10, Stored: 20 + int64(i),
			Key: fmt.Sprint("k", i%2), Seq: int64(i), Rcpts: []quarantine.RowRcpt{
				{Address: "Bob@served.example", State: quarantine.State(i % 4), At: at, Said: "250 ok", Same: fmt.Sprintf("%032x", i)}, {Address: fmt.Sprintf("u%d@served.example", i)}}}
		switch i {
		case 1:
			r.From = ""
		case 2:
			r.Reported = "spam"
		case 3:
			r.Damaged = "cut off"
		case 4:
			r.Reason = gateway.AttachmentMacro
		case 5:
			r.Keep = 90 * time.Minute
		}
		all = append(all, r)
		for range 2 { // the second one replaces it
			if err := q.Put(t.Context(), &r); err != nil {
				t.Fatal(err)
			}
		}
	}
	class, state := quarantine.Malware-3, quarantine.Released
	for what, tt := range map[string]struct {
		f    quarantine.Filter
		want string
	}{
		"all":             {quarantine.Filter{}, "105 104 103 102 101 100"},
		"page":            {quarantine.Filter{Limit: 2, Before: 104}, "103 102"},
		"ids":             {quarantine.Filter{IDs: []gateway.ID{101, 105, 7}}, "105 101"},
		"null sender":     {quarantine.Filter{From: "<>"}, "101"},
		"sender":          {quarantine.Filter{From: "bounce3@"}, "103"},
		"author":          {quarantine.Filter{From: "ANN@"}, "105 104 103 102 101 100"},
		"no wildcard":     {quarantine.Filter{Subject: "100% off_xxxx"}, "105 104"},
		"percent":         {quarantine.Filter{Subject: "1%off"}, ""},
		"recipient":       {quarantine.Filter{Rcpt: "bob@SERVED.example"}, "105 104 103 102 101 100"},
		"part of one":     {quarantine.Filter{To: "U5@"}, "105"},
		"exactly":         {quarantine.Filter{Rcpt: "u5"}, ""},
		"reason":          {quarantine.Filter{Reason: "attachments."}, "104"},
		"class":           {quarantine.Filter{Class: &class}, "103"},
		"state":           {quarantine.Filter{State: &state}, "102"},
		"state of one":    {quarantine.Filter{State: &state, Rcpt: "u2@served.example"}, ""},
		"reported":        {quarantine.Filter{Reported: "spam"}, "102"},
		"damaged":         {quarantine.Filter{Damaged: true}, "103"},
		"since and until": {quarantine.Filter{Since: at.Add(time.Hour), Until: at.Add(3 * time.Hour)}, "102 101"},
		"hostile":         {quarantine.Filter{From: "' OR 1=1 --", Subject: `\`}, ""},
	} {
		rows, err := q.Find(t.Context(), &tt.f)
		var got []string
		for i := range rows {
			got = append(got, fmt.Sprint(uint64(rows[i].ID)))
			rows[i].Node = ""
			if want := all[rows[i].ID-100]; !reflect.DeepEqual(rows[i], want) {
				t.Errorf("%s: %+v\nwant %+v", what, rows[i], want)
			}
		}
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, %v, want %s", what, got, err, tt.want)
		}
	}
	if rows, err := q.Same(t.Context(), []string{fmt.Sprintf("%032x", 3), "", "no hex"}); err != nil || len(rows) != 1 || rows[0].ID != 103 || len(rows[0].Rcpts) != 2 {
		t.Errorf("same: %+v, %v", rows, err)
	}
	if rows, err := q.Oldest(t.Context(), quarantine.Spam, at.Add(time.Minute), 5); err != nil || len(rows) != 1 || rows[0].ID != 100 || rows[0].Stored != 20 {
		t.Errorf("oldest: %+v, %v", rows, err)
	}
	for after, want := range map[time.Duration]int{89 * time.Minute: 0, 91 * time.Minute: 1} {
		if rows, err := q.Short(t.Context(), all[5].Arrived.Add(after), 5); err != nil || len(rows) != want || want == 1 && rows[0].ID != 105 {
			t.Errorf("short after %s: %+v, %v", after, rows, err)
		}
	}
	if err := q.Delete(t.Context(), []gateway.ID{100, 101, 7}); err != nil {
		t.Fatal(err)
	}
	sums, err := q.Sums(t.Context())
	if err != nil || len(sums) != 4 || sums[quarantine.Malware-3] != (quarantine.Sums{Messages: 1, Octets: 23}) {
		t.Errorf("sums: %v, %v", sums, err)
	}
	if keys, err := q.Keys(t.Context()); err != nil || !reflect.DeepEqual(keys, map[string]int{"k0": 2, "k1": 2}) {
		t.Errorf("keys: %v, %v", keys, err)
	}
	known := map[gateway.ID][2]int64{}
	if err := q.Known(t.Context(), func(id gateway.ID, seq, stored int64) { known[id] = [2]int64{seq, stored} }); err != nil || len(known) != 4 || known[105] != [2]int64{5, 25} {
		t.Errorf("known: %v, %v", known, err)
	}
}
