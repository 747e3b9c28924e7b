package main

import (
	"path/filepath"
	"testing"
)

// TestAbsolute shows that documents that are named from the current folder are known by their whole path: the sandbox keeps the folder of
// such, and only the file of others, so that a backup could not read the folder.
func TestAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for path, want := range map[string]string{"conf": filepath.Join(dir, "conf"), ".": dir, "/etc/gatepost": "/etc/gatepost"} {
		if got := absolute(path); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}
