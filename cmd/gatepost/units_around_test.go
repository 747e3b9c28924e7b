package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// packagedUnits is where Debian's packages put theirs.
const packagedUnits = "/lib/systemd/system"

// besides are the services beside ours, with the exposure in tenths that systemd-analyze may find, and whether Debian's unit alone is
// more exposed than that.
var besides = []struct {
	unit     string
	exposure string
	open     bool
}{
	{"clamav-daemon.service", "25", true},
	{"clamav-freshclam.service", "25", true},
	{"spamd.service", "25", true},
	{"redis-server.service", "25", false},
	{"unbound.service", "25", true},
	{"chrony.service", "25", true},
}

// TestUnitsAround shows that Debian's services, with what rootfs adds to them, are units that systemd takes, closed as tightly as asked,
// and that it is what rootfs adds that closes them.
func TestUnitsAround(t *testing.T) {
	with, without := t.TempDir(), t.TempDir()
	copyFile(t, filepath.Join(unitFolder, "scanners.slice"), filepath.Join(with, "scanners.slice"))
	for _, a := range besides {
		for _, dir := range []string{with, without} {
			copyFile(t, filepath.Join(packagedUnits, a.unit), filepath.Join(dir, a.unit))
		}
		if err := os.Mkdir(filepath.Join(with, a.unit+".d"), 0o700); err != nil {
			t.Fatal(err)
		}
		copyFile(t, dropIn(a.unit), filepath.Join(with, a.unit+".d", filepath.Base(dropIn(a.unit))))
	}
	for _, a := range besides {
		if out, err := analyze(t, with, "verify", "--man=no", "./"+a.unit); err != nil || about(out, a.unit) != "" {
			t.Errorf("systemd says of %s: %v %s", a.unit, err, out)
		}
		if out, err := analyze(t, with, "security", "--offline=yes", "--threshold="+a.exposure, "./"+a.unit); err != nil {
			t.Errorf("%s is more exposed than %s tenths: %v\n%s", a.unit, a.exposure, err, out)
		}
		if out, err := analyze(t, without, "security", "--offline=yes", "--threshold="+a.exposure, "./"+a.unit); (err != nil) != a.open {
			t.Errorf("%s without what rootfs adds: %v\n%s", a.unit, err, out)
		}
	}
}

// TestOwnHelpers shows that systemd takes the units that work for the appliance beside the daemon, and that they are closed.
func TestOwnHelpers(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable() // verify wants ExecStart= to be there
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"gatepost-firewall.service", "gatepost-firewall.path", "gatepost-screen.service", "gatepost-forward.service"} {
		b, err := os.ReadFile(filepath.Join(unitFolder, unit))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, unit), []byte(strings.ReplaceAll(string(b), "/usr/bin/gatepost", program)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := analyze(t, dir, "verify", "--man=no", "./"+unit); err != nil || about(out, unit) != "" {
			t.Errorf("systemd says of %s: %v %s", unit, err, out)
		}
		if strings.HasSuffix(unit, ".service") {
			if out, err := analyze(t, dir, "security", "--offline=yes", "--threshold=25", "./"+unit); err != nil {
				t.Errorf("%s is too exposed: %v\n%s", unit, err, out)
			}
		}
	}
}

// TestWhoGoesFirst shows who is ended when memory is short: what looks into mail, and Redis and the resolver before who takes it; and
// that scanners have their own share.
func TestWhoGoesFirst(t *testing.T) {
	var last int
	for i, unit := range []string{"clamav-freshclam.service", "clamav-daemon.service", "spamd.service", "redis-server.service", "unbound.service", ""} {
		path := dropIn(unit)
		if unit == "" {
			path = filepath.Join(unitFolder, "gatepost.service")
		}
		values := unitValues(t, path)
		score, err := strconv.Atoi(values["OOMScoreAdjust"])
		if err != nil || i > 0 && score >= last {
			t.Errorf("%s: OOMScoreAdjust=%s (%v), that of the one before is %d", path, values["OOMScoreAdjust"], err, last)
		}
		last = score
		if values["TasksMax"] == "" {
			t.Errorf("%s bounds no tasks", path)
		}
		switch scanner := i < 3; {
		case scanner && values["Slice"] != "scanners.slice":
			t.Errorf("%s is outside scanners.slice", path)
		case !scanner && unit != "" && values["MemoryMax"] == "":
			t.Errorf("%s bounds no memory", path)
		}
	}
	slice := unitValues(t, filepath.Join(unitFolder, "scanners.slice"))
	share, err := strconv.Atoi(strings.TrimSuffix(slice["MemoryMax"], "%"))
	if err != nil || share < 50 || share > 80 || slice["TasksMax"] == "" {
		t.Errorf("scanners.slice: MemoryMax=%s TasksMax=%s", slice["MemoryMax"], slice["TasksMax"])
	}
}

// dropIn is what rootfs adds to a unit of Debian.
func dropIn(unit string) string {
	name := "50-gatepost.conf"
	if unit == "clamav-daemon.service" {
		name = "zz-gatepost.conf" // behind Debian's own
	}
	return filepath.Join(unitFolder, unit+".d", name)
}

// unitValues reads a unit; of a key that stands more than once, the last counts.
func unitValues(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			values[key] = value
		}
	}
	return values
}

// analyze runs systemd-analyze on the units of a folder, before those of this machine.
func analyze(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":", "SYSTEMD_LOG_LEVEL=warning")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// about is what is said of one unit; others are of this machine's own.
func about(out, unit string) string {
	var said strings.Builder
	for line := range strings.Lines(out) {
		if strings.Contains(line, unit) {
			said.WriteString(line)
		}
	}
	return said.String()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatalf("%v (scripts/install installs Debian's)", err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
