package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/internal/cli"
)

// TestRestoreUnit shows that systemd takes the unit that ends a restore in the appliance, that it is closed, comes before the settings are
// shown, and starts a command that there is.
func TestRestoreUnit(t *testing.T) {
	const unit = "gatepost-restore.service"
	dir := t.TempDir()
	program, err := os.Executable() // verify wants ExecStart= to be there
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(unitFolder, unit))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if err := os.WriteFile(filepath.Join(dir, unit), []byte(strings.ReplaceAll(text, "/usr/bin/gatepost", program)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := analyze(t, dir, "verify", "--man=no", "./"+unit); err != nil || about(out, unit) != "" {
		t.Errorf("systemd says: %v %s", err, out)
	}
	if out, err := analyze(t, dir, "security", "--offline=yes", "--threshold=15", "./"+unit); err != nil {
		t.Errorf("it is too exposed: %v\n%s", err, out)
	}
	values := unitValues(t, filepath.Join(unitFolder, unit))
	if before := strings.Fields(values["Before"]); !slices.Contains(before, "appliance-config.service") || !slices.Contains(before, "gatepost.service") || values["User"] != "gatepost" {
		t.Errorf("it is %v", values)
	}
	_, words, _ := strings.Cut(values["ExecStart"], " ")
	words, _, _ = strings.Cut(words, " --config")
	if !slices.ContainsFunc(commands(), func(c cli.Command) bool { return c.Words == words }) {
		t.Errorf("there is no gatepost %s", words)
	}
}
