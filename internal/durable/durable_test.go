package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestWriteFile shows that a file is replaced whole, over what a crash left, and that one that cannot be is left alone.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "kept.json")
	if err := os.WriteFile(name+Half, []byte("much longer than what comes"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "2", ""} {
		if err := WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("left are %v, %v", all, err)
	}

	// A folder is in the place of the file: it cannot be replaced, and nothing half stays beside it.
	taken := filepath.Join(dir, "taken")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(taken, []byte("x"), 0o600); err == nil {
		t.Error("no error where a folder is")
	}
	if _, err := os.Stat(taken + Half); !os.IsNotExist(err) {
		t.Errorf("half a file is left: %v", err)
	}
	if err := WriteFile(filepath.Join(dir, "none", "x"), nil, 0o600); err == nil {
		t.Error("no error in a folder that is not there")
	}
}

// TestLock shows that a lock is had by one, and ends with its file.
func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, err := Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(name); !errors.Is(err, ErrLocked) {
		t.Errorf("a second one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(name)
	if err != nil {
		t.Fatalf("after the first: %v", err)
	}
	again.Close()
	if _, err := Lock(filepath.Join(name, "x")); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("where none can be: %v", err)
	}
}
