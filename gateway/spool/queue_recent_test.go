package spool

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// TestRecent shows that the messages that came last are told of, before a restart and after it, and one that is damaged is not.
func TestRecent(t *testing.T) {
	w := newWorld(t, nil)
	var ids []gateway.ID
	for n := range 5 {
		c := gateway.Custody{Arrived: time.Now().Add(time.Duration(n-10) * time.Minute), Message: fmt.Sprint("m", n)}
		ids = append(ids, w.put(c, fmt.Sprintf("a%d@our.example", n), fmt.Sprintf("b%d@our.example", n)))
	}
	recent := func(n int) string {
		var all []string
		w.Recent(n, time.Now().Add(-time.Hour), func(c gateway.Custody, to []gateway.Address) {
			all = append(all, c.Message+" "+to[0].Key()+" "+to[1].Key())
		})
		return strings.Join(all, ", ")
	}
	want := func(n int, text string) {
		t.Helper()
		if got := recent(n); got != text {
			t.Errorf("%s, want %s", got, text)
		}
	}
	want(2, "m4 a4@our.example b4@our.example, m3 a3@our.example b3@our.example")
	w.reopen()
	want(1, "m4 a4@our.example b4@our.example")
	if err := os.Truncate(w.name(ids[4], ".msg"), 20); err != nil {
		t.Fatal(err)
	}
	want(2, "m3 a3@our.example b3@our.example")
	if n := strings.Count(recent(100), ","); n != 3 {
		t.Errorf("%d commas in %s", n, recent(100))
	}
	// As long as it was, with another octet in it: only its sum tells.
	name := w.name(ids[3], ".msg")
	text, err := os.ReadFile(name)
	if err == nil {
		text[len(text)/2] ^= 1
		err = os.WriteFile(name, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	want(3, "m2 a2@our.example b2@our.example")
	w.Recent(100, time.Now().Add(-9*time.Minute-30*time.Second), func(c gateway.Custody, _ []gateway.Address) {
		if c.Message != "m2" && c.Message != "m1" {
			t.Errorf("%s is told of", c.Message)
		}
	})
}
