package e2e

import (
	"net/http"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStopWithBlockingSockets: the sockets of systemd are shared with whoever else has them, and so is whether they block.
// systemd makes them block whenever it starts a process with them, and the process that still serves must neither look dead
// nor be held in an accept that nothing ends.
func TestStopWithBlockingSockets(t *testing.T) {
	t.Parallel()
	u := newUnit(t, setup{shutdown: "5s"}, "smtp", "metrics")
	g := u.begin(t, "WATCHDOG_USEC=2000000")
	for _, s := range u.sockets {
		if err := unix.SetNonblock(int(s.File.Fd()), false); err != nil {
			t.Fatal(err)
		}
	}
	// Each accept loop takes a client, and goes back to wait for the next one.
	u.learn(t)
	u.hello(t).want("221 ", "QUIT")
	if status, _, err := g.Get(t.Context(), "/readyz"); err != nil || status != http.StatusOK {
		t.Errorf("status %d, %v", status, err)
	}
	u.awaitSaid(t, "WATCHDOG=1", u.count("WATCHDOG=1")+6) // a loop that is held beats no more
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
}
