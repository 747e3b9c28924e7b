package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/appliance/network"
)

// TestNetworkUnits shows that systemd takes the units of the network as they are, that they are closed, and that their names fit the program's.
func TestNetworkUnits(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable() // verify wants ExecStart= to be there
	if err != nil {
		t.Fatal(err)
	}
	units := []string{"appliance-network.service", "gatepost-network.socket", "gatepost-network@.service"}
	all := ""
	for _, unit := range units {
		text, err := os.ReadFile(filepath.Join(unitFolder, unit))
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
		if err := os.WriteFile(filepath.Join(dir, unit), []byte(strings.ReplaceAll(string(text), "/usr/bin/gatepost", program)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range units {
		if out, err := analyze(t, dir, "verify", "--man=no", "./"+unit); err != nil || about(out, strings.SplitN(unit, ".", 2)[0]) != "" {
			t.Errorf("systemd says of %s: %v %s", unit, err, out)
		}
		if strings.HasSuffix(unit, ".service") {
			if out, err := analyze(t, dir, "security", "--offline=yes", "--threshold=15", "./"+unit); err != nil {
				t.Errorf("%s is too exposed: %v\n%s", unit, err, out)
			}
		}
	}
	if want := "\nListenStream=" + network.Socket + "\n"; !strings.Contains(all, want) {
		t.Errorf("no %q", want)
	}
	if strings.Count(all, "\nLoadCredential="+network.Credential+"\n") != 2 {
		t.Error("each that reads settings needs the credential")
	}
	for _, words := range []string{"appliance network render", "appliance serve-network"} {
		if !strings.Contains(all, "\nExecStart=/usr/bin/gatepost "+words+"\n") {
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
}
