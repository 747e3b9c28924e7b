package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/appliance/update"
)

// TestUpdateUnits shows that systemd takes the units of the updates, that those of root are closed tightly, and that their names fit the program's.
func TestUpdateUnits(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable() // verify wants ExecStart= to be there
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, name := range []string{"gatepost-update.socket", "gatepost-update@.service", "gatepost-booted.service", "gatepost-health.service"} {
		text, err := os.ReadFile(filepath.Join(unitFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), "/usr/bin/gatepost", program)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(all, "\nListenStream="+update.Socket+"\n") {
		t.Errorf("the socket is not %s", update.Socket)
	}
	for _, words := range []string{"appliance serve-update", "appliance booted", "appliance health"} {
		if !strings.Contains(all, "ExecStart=/usr/bin/gatepost "+words) {
			t.Errorf("no unit starts gatepost %s", words)
		}
		found := false
		for _, c := range commands() {
			found = found || c.Words == words
		}
		if !found {
			t.Errorf("there is no gatepost %s", words)
		}
	}
	tool := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "systemd-analyze", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":", "SYSTEMD_LOG_LEVEL=warning")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze %s: %v (scripts/install installs it)\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for line := range strings.Lines(tool("verify", "--man=no", "./gatepost-update.socket", "./gatepost-update@.service", "./gatepost-booted.service", "./gatepost-health.service")) {
		if strings.Contains(line, "gatepost-") { // others are of this machine's own units
			t.Errorf("systemd says: %s", line)
		}
	}
	for _, unit := range []string{"./gatepost-update@.service", "./gatepost-booted.service", "./gatepost-health.service"} {
		tool("security", "--offline=yes", "--threshold=15", unit) // tenths: 1.5 of 10, as root
	}
}
