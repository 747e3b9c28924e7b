package smtpd

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatepost/gateway"
)

// TestFront: whom the first line finds too fast is told so and counted, before a session costs anything; trusted clients are
// not asked about.
func TestFront(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var asked []string
		over := false
		w.srv.Front = func(client netip.Addr) ([]string, bool) {
			asked = append(asked, client.String())
			return []string{"from your network 192.0.2.0/26", "9 per minute", "60 seconds"}, over
		}
		if got := w.dial(stranger).heard(); !strings.HasPrefix(got, "220 ") {
			t.Errorf("one that is not too fast: %q", got)
		}
		over = true
		c := w.dial(stranger)
		if got := c.heard(); got != "421 4.7.0 Too many connections in a short time from your network 192.0.2.0/26; at most 9 per minute; try again in 60 seconds\r\n" || !c.gone() {
			t.Errorf("one that is: %q", got)
		}
		before := len(asked)
		if got := w.dial("127.0.0.1:4711").heard(); !strings.HasPrefix(got, "220 ") || len(asked) != before {
			t.Errorf("a trusted one: %q, asked %v", got, asked)
		}
		if got := w.journal.all(); !slices.Contains(got, "early "+string(gateway.RateConnections)) {
			t.Errorf("journal: %q", got)
		}
	})
}
