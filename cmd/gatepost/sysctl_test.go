package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestSysctl shows that each line of rootfs's sysctl.d is one that this kernel has, or says that it need not; what is of a network is
// really written, in one of its own.
func TestSysctl(t *testing.T) {
	text, err := os.ReadFile("../../rootfs/usr/lib/sysctl.d/60-gatepost.conf")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var script strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		line, optional := strings.CutPrefix(line, "-")
		key, value, ok := strings.Cut(line, " = ")
		if !ok || seen[key] {
			t.Errorf("%q is no key = value, or stands there twice", line)
		}
		seen[key] = true
		path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		if strings.HasPrefix(key, "net.ipv") {
			fmt.Fprintf(&script, "echo %s > %s\ngrep -qx %s %s\n", value, path, value, path)
		} else if _, err := os.Stat(path); err != nil && !optional {
			t.Errorf("%s: %v", key, err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "sh", "-e", "-c", script.String())
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(script.String(), "grep") < 15 {
		t.Errorf("in a network of its own: %v\n%s\n%s", err, out, script.String())
	}
}
