package accounts

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestGuesses: tries for a name are slowed whatever its case, by address; a login and a question without an answer count for nothing, and
// waiting ends.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuesses()
		here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		for range 20 {
			if wait := g.Take("ann", here); wait > 0 {
				t.Fatal("a question without an answer counts")
			}
			g.Forgive("ann", here, false)
		}
		slowed := false
		for range freePair + 1 {
			slowed = g.Take("Ann", here) > 0
		}
		if !slowed && g.Take("ANN", here) == 0 {
			t.Error("nobody is slowed")
		}
		if g.Take("ann", there) > 0 {
			t.Error("another address waits")
		}
		time.Sleep(longestHold)
		if g.Take("ann", here) > 0 {
			t.Error("the wait does not end")
		}
		g.Forgive("ann", here, true)
		for range freePair {
			if g.Take("ann", here) > 0 {
				t.Error("a login leaves marks")
			}
		}
	})
}
