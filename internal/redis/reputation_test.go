package redis

import (
	"context"
	"strconv"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
	"gatepost/internal/reputation"
)

// TestHistoryKeys shows what stands in the server: no name, and each key ends 90 days after it was last written.
func TestHistoryKeys(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{})
	c := open(t, patient(r))
	s := reputation.Named(reputation.Domain, "customer.example")
	if _, err := c.Reputation().Learn(context.Background(), []reputation.Lesson{{Subject: s, Counts: reputation.Counts{reputation.One}}}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got, want := do(t, r, "KEYS", "*"), c.historyKey(s); got != want || len(want) != len("gp:h:d")+16 {
		t.Errorf("%q, want %q", got, want)
	}
	if left, err := strconv.Atoi(do(t, r, "TTL", c.historyKey(s))); err != nil || time.Duration(left)*time.Second > reputation.Keep || left < 89*24*3600 {
		t.Errorf("ends in %d s, %v", left, err)
	}
	for k := reputation.Client; k <= reputation.Domain; k++ {
		if k != s.Kind && c.historyKey(reputation.Named(k, s.Name)) == c.historyKey(s) {
			t.Errorf("%s and %s are one", k, s.Kind)
		}
	}
}

// TestHistoryGarbage shows that what was not written by us is no history, never a wrong one, opens no breaker, and does not
// outlive a reset.
func TestHistoryGarbage(t *testing.T) {
	r := labtest.Redis(t, lab.RedisOptions{})
	c := open(t, patient(r))
	ctx, s := context.Background(), reputation.Named(reputation.Domain, "customer.example")
	store, spam := c.Reputation(), reputation.Counts{reputation.Spam: reputation.One}
	for _, junk := range []string{"", "junk", "1 2 3", "-1", "1 1 1 1 1 1 1 1 1 1 1 1 1", "9 1 0 0 0 0 0 0 0 0 0 0", "1 9 0 0 0 0 0 0 0 0 0 9",
		"1 9 0 99999999999 0 0 0 0 0 0 0 0", "99999999999999999999 99999999999999999999 0 0 0 0 0 0 0 0 0 0", "nan inf 1e9 0 0 0 0 0 0 0 0 0"} {
		do(t, r, "SET", c.historyKey(s), junk)
		h, err := store.Look(ctx, []reputation.Subject{s}, time.Time{})
		if err == nil && h[0] != (reputation.History{}) || err != nil && KindOf(err) != Odd {
			t.Errorf("%q reads as %+v, %v", junk, h, err)
		}
		if _, err := store.Forget(ctx, s); err != nil {
			t.Fatal(err)
		}
		h, err = store.Learn(ctx, []reputation.Lesson{{Subject: s, Counts: spam}}, time.Time{})
		if err != nil || h[0].Counts != spam || h[0].First != h[0].Seen {
			t.Errorf("after a reset of %q: %+v, %v", junk, h, err)
		}
	}
	do(t, r, "DEL", c.historyKey(s))
	do(t, r, "LPUSH", c.historyKey(s), "1")
	if _, err := store.Look(ctx, []reputation.Subject{s}, time.Time{}); KindOf(err) != Odd {
		t.Errorf("a list: %v", err)
	}
	if h := c.Health(); h.Kind != Fine || h.Opened != 0 {
		t.Errorf("%+v", h)
	}
}
