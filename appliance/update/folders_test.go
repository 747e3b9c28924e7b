package update

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFoldersGoBack shows that a version finds its folders as they were: with what was in them, also where a folder went meanwhile, and
// without what a newer version brought, which its own snapshot has; and that what belongs to one boot is in none.
func TestFoldersGoBack(t *testing.T) {
	root, find := system(t)
	m := func() *Machine {
		m := find()
		m.Files, m.Not = []string{"conf/", "conf/files/"}, []string{"conf/trial.toml"}
		return m
	}
	const config, slots = "var/lib/gatepost/", "var/lib/gatepost-update/slots/"
	put(t, root, config+"conf/files/key", "old key\n")
	put(t, root, config+"conf/trial.toml", "of one boot\n")
	if err := m().Snapshot(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, slots+"1.0/conf%trial.toml")); !os.IsNotExist(err) {
		t.Errorf("what is of one boot is in the snapshot: %v", err)
	}
	put(t, root, "var/lib/gatepost-update/booted", "1.1")
	if err := os.RemoveAll(filepath.Join(root, config+"conf/files")); err != nil {
		t.Fatal(err)
	}
	put(t, root, config+"conf/gatepost.toml", "with keys that only the newer one knows\n")
	put(t, root, config+"conf/trial.toml", "of another boot\n")
	if back, err := m().Booted(); err != nil || !back {
		t.Fatalf("%v, %v", back, err)
	}
	if get(t, root, config+"conf/files/key") != "old key\n" || get(t, root, config+"conf/policy.toml") != "old\n" {
		t.Error("it is not as it was")
	}
	if _, err := os.Stat(filepath.Join(root, config+"conf/gatepost.toml")); !os.IsNotExist(err) {
		t.Errorf("what the newer version brought is in force: %v", err)
	}
	if get(t, root, slots+"1.1/conf%gatepost.toml") != "with keys that only the newer one knows\n" {
		t.Error("it is not kept")
	}
	if get(t, root, config+"conf/trial.toml") != "of another boot\n" {
		t.Error("what belongs to no version was touched")
	}

	// A snapshot of a version that did not say which folders it has whole takes nothing away.
	put(t, root, slots+"1.0/snapshot.json", `{"version":"1.0","files":{}}`)
	put(t, root, "var/lib/gatepost-update/booted", "1.1")
	put(t, root, config+"conf/gatepost.toml", "new\n")
	if _, err := m().Booted(); err != nil || get(t, root, config+"conf/gatepost.toml") != "new\n" {
		t.Errorf("%v", err)
	}
}
