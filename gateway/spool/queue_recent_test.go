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
		w.Recent(n, func(c gateway.Custody, to []gateway.Address) {
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
}
