package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"gatepost/internal/api"
)

// simulated asks what a draft would have done to all that came, once so many transactions are in the log.
func (w *world) simulated(t *testing.T, transactions int, args ...string) *api.Simulation {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, _ := w.command(t, 0, append([]string{"policy", "simulate", "--json"}, args...)...)
		got := new(api.Simulation)
		if err := json.Unmarshal([]byte(out), got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		switch n := got.Messages + got.Unfinished; {
		case n == transactions:
			return got
		case time.Now().After(deadline):
			t.Fatalf("%d of %d transactions are judged again", n, transactions)
		}
	}
}

// replays shows that all that came is judged as it was judged, by what the log has of it: nothing is changed, and nothing is
// not known.
func (w *world) replays(t *testing.T) {
	n := 0
	for _, e := range w.lines(t) {
		if e.text("kind") == "transaction" {
			n++
		}
	}
	if got := w.simulated(t, n); got.Changed+got.Moved+got.NotKnown > 0 {
		t.Errorf("of %d messages %d are changed, and of %d it is not known, for want of %v:\n%+v", got.Messages, got.Changed, got.NotKnown, got.Missing, got.List)
	}
}
