package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/appliance/network"
)

// TestNetworkUnit shows that systemd takes the unit of the network as it is, that it is closed, and that its names fit the program's.
func TestNetworkUnit(t *testing.T) {
	const unit = "appliance-network.service"
	text, err := os.ReadFile(filepath.Join(unitFolder, unit))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, err := os.Executable() // verify wants ExecStart= to be there
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
		t.Errorf("too exposed: %v\n%s", err, out)
	}
	for _, want := range []string{"\nLoadCredential=" + network.Credential + "\n", "\nExecStart=/usr/bin/gatepost appliance network render\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q", want)
		}
	}
	found := false
	for _, c := range commands() {
		found = found || c.Words == "appliance network render"
	}
	if !found {
		t.Error("there is no such command")
	}
}
