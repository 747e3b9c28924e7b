package main

import (
	"path/filepath"
	"strings"
	"testing"

	"gatepost/internal/cli"
)

// TestDataChecked: check finds a password of control data that cannot be read, and shows none.
func TestDataChecked(t *testing.T) {
	dir := t.TempDir()
	good, empty := file(t, dir, "good", "word-of-a-test\n", 0o600), file(t, dir, "empty", "\nword-of-a-test\n", 0o600)
	for name, want := range map[string]string{good: "", empty: empty + ": its first line is empty", filepath.Join(dir, "none"): "open "} {
		config := documents(t, "[store]\nurl = \"postgres://gatepost@127.0.0.1/gatepost\"\npassword_file = \""+name+"\"\n", "")
		code, _, errOut := gatepost(t, "check", "--config", config)
		if want != "" {
			want = "store.password_file: " + want
		}
		if (code == cli.Done) != (want == "") || !strings.Contains(errOut, want) || strings.Contains(errOut, "word-of-a-test") {
			t.Errorf("%s: exit %d: %s", filepath.Base(name), code, errOut)
		}
	}
}
