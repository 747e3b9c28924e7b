package store

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"gatepost/gateway/received"
)

// TestReceived: reports are kept once, found by what they are about, over a restart too, and expire.
func TestReceived(t *testing.T) {
	path := filepath.Join(t.TempDir(), "received.db")
	s, err := OpenReceived(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	day := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	one := received.Report{Kind: received.DMARC, Domain: "a.example", Org: "r", ID: "1", Begin: day(-2), End: day(-1), Received: now, From: "r@r.example", Reference: "X", Good: 3, Bad: 1, Body: json.RawMessage(`{"a":1}`)}
	two, old := one, one
	two.Kind, two.Domain = received.TLS, "b.example"
	old.ID, old.Received = "0", day(-500)
	for range 2 { // a second time they are known
		if err := s.Keep(t.Context(), []received.Report{one, two, old}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenReceived(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, c := range map[string]struct {
		q    ReceivedQuery
		want int
	}{
		"all":                     {ReceivedQuery{Limit: 10}, 3},
		"two":                     {ReceivedQuery{Limit: 2}, 2},
		"of a kind":               {ReceivedQuery{Limit: 10, Kind: received.TLS}, 1},
		"of a name":               {ReceivedQuery{Limit: 10, Domain: "a.example"}, 2},
		"of late":                 {ReceivedQuery{Limit: 10, Since: day(-100)}, 2},
		"of nobody":               {ReceivedQuery{Limit: 10, Domain: "c.example"}, 0},
		"of domains":              {ReceivedQuery{Limit: 10, Domains: []string{"b.example", "c.example"}}, 1},
		"of no one's":             {ReceivedQuery{Limit: 10, Domain: "a.example", Domains: []string{"b.example"}}, 0},
		"hidden":                  {ReceivedQuery{Limit: 1, Number: 1, Domains: []string{"b.example"}}, 0},
		"behind 2":                {ReceivedQuery{Limit: 10, Before: 2}, 2},
		"behind 1":                {ReceivedQuery{Limit: 10, Before: 1}, 1}, // the third is older, and came later
		"behind all":              {ReceivedQuery{Limit: 10, Before: 3}, 0},
		"behind one that is gone": {ReceivedQuery{Limit: 10, Before: 99}, 0},
		"the second":              {ReceivedQuery{Limit: 10, Number: 2, Bodies: true}, 1},
	} {
		got, err := s.Find(t.Context(), c.q)
		if err != nil || len(got) != c.want {
			t.Errorf("%s: %d, %v; want %d", name, len(got), err, c.want)
		}
		for _, r := range got {
			if (len(r.Body) > 0) != c.q.Bodies || r.Good != 3 || !r.Begin.Equal(day(-2)) {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	if n, err := s.Expire(t.Context(), now); err != nil || n != 1 {
		t.Errorf("%d expired, %v", n, err)
	}
}
