package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gatepost/internal/sandbox"
)

// TestMayExecute: a program that names a loader may have it executed, and nothing else is added for any other file.
func TestMayExecute(t *testing.T) {
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	var r sandbox.Rights
	mayExecute(&r, shell)
	if len(r.Execute) != 2 || r.Execute[0] != shell || !filepath.IsAbs(r.Execute[1]) || !slices.Contains(r.Read, "/lib") {
		t.Errorf("%s: %+v", shell, r)
	}
	none := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(none, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r = sandbox.Rights{}
	mayExecute(&r, none)
	if len(r.Execute) != 1 || r.Read != nil {
		t.Errorf("%+v", r)
	}
}
