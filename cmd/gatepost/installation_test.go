package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstallationKey shows that the key is made once, private, kept, and never replaced silently.
func TestInstallationKey(t *testing.T) {
	dir := t.TempDir()
	first, err := installationKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := installationKey(dir)
	if err != nil || !bytes.Equal(first, again) || len(first) != installationOctets {
		t.Errorf("%x, then %x: %v", first, again, err)
	}
	name := filepath.Join(dir, "installation.key")
	if i, err := os.Stat(name); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", i, err)
	}
	for _, text := range []string{"", "00", strings.Repeat("x", 64), strings.Repeat("0", 66)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := installationKey(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", text, err)
		}
	}
	other, err := installationKey(t.TempDir())
	if err != nil || bytes.Equal(first, other) {
		t.Errorf("two installations have one key, or %v", err)
	}
	if _, err := installationKey(filepath.Join(dir, "none")); err == nil {
		t.Error("no folder, and no error")
	}
}
