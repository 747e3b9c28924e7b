package smtpd

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// TestTrustedRelay shows that a trusted relay is marked in its session and record, has no cap, and is a stranger when its time
// is over.
func TestTrustedRelay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.snap.Limits.PerClient, w.snap.Limits.PerClientKnown = 1, 1
		w.snap.Policy.Relays = []gateway.TrustedRelay{{Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}, Until: time.Now().Add(time.Hour)}}
		var all []*client
		for range 3 {
			all = append(all, w.dial(stranger))
		}
		for _, c := range all {
			if got := c.heard(); !strings.HasPrefix(got, "220 ") {
				t.Fatal(got)
			}
			c.hangUp()
		}
		synctest.Wait()
		if len(w.journal.events) != len(all) {
			t.Errorf("%d events", len(w.journal.events))
		}
		for _, e := range w.journal.events {
			if !e.Record.Relay || !e.Record.Trusted {
				t.Errorf("%+v", e.Record)
			}
		}
		time.Sleep(2 * time.Hour)
		first, second := w.dial(stranger), w.dial(stranger)
		if got := first.heard() + second.heard(); !strings.Contains(got, "220 ") || !strings.Contains(got, "421 4.7.0") {
			t.Errorf("after its time: %q", got)
		}
		first.hangUp()
		second.hangUp()
	})
}
