package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/config"
)

// unitFolder is where the units of the image lie.
const unitFolder = "../../rootfs/usr/lib/systemd/system"

// TestUnits shows that systemd takes the units as they are, that they are closed tightly, and that their times and names fit
// the program's defaults.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable() // verify wants ExecStart= to be there
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, name := range []string{"gatepost.service", "gatepost.socket", "gatepost-public-http.socket", "gatepost-public-https.socket", "gatepost-portal.socket", "gatepost-ssh.socket"} {
		b, err := os.ReadFile(filepath.Join(unitFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		text[name] = string(b)
		unit := strings.ReplaceAll(string(b), "/usr/bin/gatepost", program)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o600); err != nil {
			t.Fatal(err)
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
	for line := range strings.Lines(tool("verify", "--man=no", "./gatepost.service", "./gatepost.socket", "./gatepost-public-http.socket", "./gatepost-public-https.socket", "./gatepost-portal.socket", "./gatepost-ssh.socket")) {
		if strings.Contains(line, "gatepost.") || strings.Contains(line, "gatepost-") { // others are of this machine's own units
			t.Errorf("systemd says: %s", line)
		}
	}
	tool("security", "--offline=yes", "--threshold=15", "./gatepost.service") // tenths: 1.5 of 10

	value := func(unit, key string) string {
		_, rest, ok := strings.Cut(text[unit], "\n"+key+"=")
		if !ok {
			t.Errorf("%s has no %s", unit, key)
		}
		v, _, _ := strings.Cut(rest, "\n")
		return v
	}
	seconds := func(key string) time.Duration {
		d, err := time.ParseDuration(value("gatepost.service", key) + "s")
		if err != nil {
			t.Error(err)
		}
		return d
	}
	c, problems := config.Load(documents(t, "", servesOne), sections())
	if c == nil {
		t.Fatal(problems)
	}
	for _, key := range []string{"TimeoutStopSec", "TimeoutStartSec"} {
		if have, want := seconds(key), c.Bootstrap.Shutdown.Grace+afterGrace; have <= want {
			t.Errorf("%s is %s, and the daemon may take %s", key, have, want)
		}
	}
	if seconds("WatchdogSec")/2 < lateBeat+answerTime {
		t.Errorf("WatchdogSec is shorter than the daemon takes to find that it lives")
	}
	if have, want := value("gatepost.socket", "FileDescriptorName"), c.Bootstrap.Listeners[0].Name; have != want {
		t.Errorf("the socket is %q, the listener %q", have, want)
	}
	for unit, want := range map[string]string{"gatepost-public-http.socket": publicHTTPName, "gatepost-public-https.socket": publicHTTPSName, "gatepost-portal.socket": portalName, "gatepost-ssh.socket": sshName} {
		if have := value(unit, "FileDescriptorName"); have != want || value(unit, "Service") != "gatepost.service" {
			t.Errorf("the socket of %s is %q, want %q", unit, have, want)
		}
	}
}
