package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestApplianceHealth asks a running daemon what a new version of the appliance must show before it stays: well with everything there, and
// not without a scanner; a next hop that is away is nothing to go back for. On this machine, which is no appliance, the rest says so.
func TestApplianceHealth(t *testing.T) {
	w := newWorld(t, setup{console: "127.0.0.1:0"})
	w.start(t)
	out, _ := w.command(t, 0, "appliance", "health")
	for _, want := range []string{"ok   log", "ok   clamav", "ok   spamassassin", "ok   smtp 127.0.0.1:", "220 ", "ok   console 127.0.0.1:"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nhas no %s", out, want)
		}
	}
	w.hops["internal"].Close()
	w.command(t, 0, "appliance", "health")
	w.clamd.Close()
	if out, _ = w.command(t, 1, "appliance", "health"); !strings.Contains(out, "FAIL clamav") || !strings.Contains(out, "ok   spamassassin") {
		t.Error(out)
	}
	if out, _ = w.command(t, 1, "appliance", "status"); !strings.Contains(out, "this machine is no appliance") {
		t.Error(out)
	}
	file := filepath.Join(w.dir, "gatepost-1.0.gpu")
	if err := os.WriteFile(file, make([]byte, 8<<20), 0o600); err != nil { // more than the socket holds: it is refused with the reason
		t.Fatal(err)
	}
	if _, why := w.command(t, 1, "appliance", "update", file); !strings.Contains(why, "this machine is no appliance") {
		t.Error(why)
	}
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	w.command(t, 3, "appliance", "health")
}
