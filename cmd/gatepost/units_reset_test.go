package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/cmd/gatepost/resets"
)

// TestResetUnit shows that systemd takes the unit that erases, that it is closed tightly, comes before all that it erases, and that without it the daemon
// does not start.
func TestResetUnit(t *testing.T) {
	const unit = "gatepost-reset.service"
	dir := t.TempDir()
	program, err := os.Executable() // verify wants ExecStart= to be there
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(unitFolder, unit))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, unit), []byte(strings.ReplaceAll(string(text), "/usr/bin/gatepost", program)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := analyze(t, dir, "verify", "--man=no", "./"+unit); err != nil || about(out, unit) != "" {
		t.Errorf("systemd says: %v %s", err, out)
	}
	if out, err := analyze(t, dir, "security", "--offline=yes", "--threshold=15", "./"+unit); err != nil {
		t.Errorf("it is too exposed: %v\n%s", err, out)
	}
	values := unitValues(t, filepath.Join(unitFolder, unit))
	for _, other := range []string{"gatepost-booted.service", "appliance-config.service", "gatepost-firewall.service", "redis-server.service", "gatepost.service"} {
		if !strings.Contains(" "+values["Before"]+" ", " "+other+" ") {
			t.Errorf("it does not come before %s", other)
		}
	}
	if values["RequiredBy"] != "gatepost.service" || values["ConditionPathExists"] != resets.State+"/reset.json" || values["ExecStart"] != "/usr/bin/gatepost appliance do-reset" {
		t.Errorf("%q", values)
	}
}
