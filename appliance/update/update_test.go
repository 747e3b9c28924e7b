package update

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/appliance/bundle"
	"gatepost/appliance/minisign"
)

func keys() []minisign.PublicKey {
	return []minisign.PublicKey{minisign.NewKey([40]byte{1}).Public()}
}

// made is a bundle of a version, as it is after the change.
func made(t *testing.T, v, from bundle.Version, change func(*bundle.Manifest)) []byte {
	t.Helper()
	m := &bundle.Manifest{Product: bundle.Product, Architecture: bundle.Architecture, Version: v, From: from, RootHash: strings.Repeat("0c", 32)}
	for _, p := range [][2]string{{bundle.Root, image(v)}, {bundle.UKI, uki(v)}} {
		part, err := bundle.Sum(p[0], strings.NewReader(p[1]))
		if err != nil {
			t.Fatal(err)
		}
		m.Parts = append(m.Parts, part)
	}
	if change != nil {
		change(m)
	}
	signed, err := m.Signed()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := minisign.NewKey([40]byte{1}).Sign(signed, "")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(signed, sig, []byte(image(v)), []byte(uki(v)))
}

// TestRefused shows what is said of updates that cannot be applied here; of each, nothing was written.
func TestRefused(t *testing.T) {
	for want, c := range map[string]struct {
		file  []byte
		world func(*cutDisk, *Machine)
	}{
		"version 1.1 runs already":                                             {file: made(t, "1.1", "1.0", nil)},
		"version 1.0.9 is older than 1.1, which runs":                          {file: made(t, "1.0.9", "1.0", nil)},
		"version 1.4 updates 1.2 and later, and 1.1 runs: update to 1.2 first": {file: made(t, "1.4", "1.2", nil)},
		"slot a has 3600: install it as a new image":                           {file: made(t, "1.2", "1.0", func(m *bundle.Manifest) { m.Parts[0].Size = 3701 })},
		"the EFI system partition would have 1048":                             {file: made(t, "1.2", "1.0", nil), world: func(d *cutDisk, _ *Machine) { d.room = 1<<20 - 30 }},
		"the data partition has 1048":                                          {file: made(t, "1.2", "1.0", nil), world: func(d *cutDisk, _ *Machine) { d.room = 1<<20 + 100 }},
		"another update is under way":                                          {file: made(t, "1.2", "1.0", nil), world: func(d *cutDisk, _ *Machine) { d.locked = true }},
		"carries no key":                                                       {file: made(t, "1.2", "1.0", nil), world: func(_ *cutDisk, m *Machine) { m.Keys = nil }},
		"by a key that is not trusted here":                                    {file: made(t, "1.2", "1.0", nil), world: func(_ *cutDisk, m *Machine) { m.Keys = []minisign.PublicKey{minisign.NewKey([40]byte{2}).Public()} }},
		"the boot entry of version 1.1, which runs, is not in esp/EFI/Linux":   {file: made(t, "1.2", "1.0", nil), world: func(d *cutDisk, _ *Machine) { delete(d.names, "esp/EFI/Linux/gatepost_1.1.efi") }},
		"the bundle is cut off":                                                {file: made(t, "1.2", "1.0", nil)[:len(made(t, "1.2", "1.0", nil))-1]},
		"uki: its sum is not the one in the manifest":                          {file: append(made(t, "1.2", "1.0", nil)[:len(made(t, "1.2", "1.0", nil))-1], 'x')},
		"there is something behind the last part":                              {file: append(made(t, "1.2", "1.0", nil), 'x')},
		"that is no bundle of Gatepost":                                        {file: []byte("PK\x03\x04")},
	} {
		d := world()
		m := machine(d, "1.1", "b")
		if c.world != nil {
			c.world(d, m)
		}
		before := d.after("new", "new")
		_, err := m.Apply(bytes.NewReader(c.file), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
		for name, i := range before.names {
			if !strings.HasPrefix(name, "work/") && (d.names[name] == nil || !bytes.Equal(d.names[name].now, i.now)) {
				t.Errorf("%s: %s is changed", want, name)
			}
		}
		for name := range d.names {
			if before.names[name] == nil {
				t.Errorf("%s: %s is left", want, name)
			}
		}
	}
}

// TestEntries reads names, and writes them the same way.
func TestEntries(t *testing.T) {
	for file, want := range map[string]string{
		"gatepost_1.2.3.efi": "good", "gatepost_1.2.3+3.efi": "waits", "gatepost_1.2.3+2-1.efi": "trial", "gatepost_1.2.3+0-3.efi": "failed", "gatepost_1.2.3+0.efi": "withdrawn",
	} {
		if e, ok := ParseEntry(file); !ok || e.State() != want || e.File() != file || e.Version != "1.2.3" {
			t.Errorf("%s: %+v, %v", file, e, ok)
		}
	}
	for _, file := range []string{"", "gatepost.efi", "gatepost_1.efi", "gatepost_1.2+.efi", "gatepost_1.2+1-.efi", "gatepost_1.2.efi.new", "gatepost_1.2+99999.efi", "Gatepost_1.2.efi", "gatepost_../x.efi"} {
		if e, ok := ParseEntry(file); ok {
			t.Errorf("%s: %+v", file, e)
		}
	}
}

// put writes a file below a folder.
func put(t *testing.T, root, name, text string) {
	t.Helper()
	name = filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, root, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// system is a machine on real files, as Find finds it.
func system(t *testing.T) (root string, find func() *Machine) {
	root = t.TempDir()
	put(t, root, "run/appliance/slot", "a\n")
	put(t, root, "proc/cmdline", "quiet gatepost.version=1.0 gatepost.roothash=00\n")
	put(t, root, "usr/share/gatepost/update-keys/current.pub", string(keys()[0].Text()))
	put(t, root, "efi/EFI/Linux/gatepost_1.0.efi", uki("1.0"))
	put(t, root, "dev/disk/by-partlabel/root-a", image("1.0")+strings.Repeat("\x00", 2000))
	put(t, root, "dev/disk/by-partlabel/root-b", strings.Repeat("\x00", 4000))
	put(t, root, "var/lib/gatepost/gatepost.toml", "hostname = \"old\"\n")
	put(t, root, "var/lib/gatepost/conf/policy.toml", "old\n")
	if err := os.Mkdir(filepath.Join(root, "var/lib/gatepost-update"), 0o700); err != nil {
		t.Fatal(err)
	}
	return root, func() *Machine {
		m, err := Find(root)
		if err != nil {
			t.Fatal(err)
		}
		m.Config, m.Files = filepath.Join(root, "var/lib/gatepost"), []string{"gatepost.toml", "conf/", "none.toml", "none/"}
		return m
	}
}

// TestApply updates a machine of real files, and returns to the old version with its old configuration.
func TestApply(t *testing.T) {
	root, find := system(t)
	runs := func(v, slot string) {
		put(t, root, "run/appliance/slot", slot)
		put(t, root, "proc/cmdline", "gatepost.version="+v)
	}
	booted := func(want bool) {
		t.Helper()
		if back, err := find().Booted(); err != nil || back != want {
			t.Errorf("%v, %v", back, err)
		}
	}
	booted(false)
	var steps []string
	b, err := find().Apply(bytes.NewReader(made(t, "1.1", "1.0", nil)), func(s string) { steps = append(steps, s) })
	if err != nil || b.Version != "1.1" || !slices.Equal(steps, []string{"receives", "writes", "verifies"}) {
		t.Fatalf("%v, %v, %q", b, err, steps)
	}
	if got := get(t, root, "dev/disk/by-partlabel/root-b"); got[:len(image("1.1"))] != image("1.1") || len(got) != 4000 {
		t.Error("slot b is not what was in the update")
	}
	if get(t, root, "efi/EFI/Linux/gatepost_1.1+3.efi") != uki("1.1") {
		t.Error("the kernel is not what was in the update")
	}
	if left, err := os.ReadDir(filepath.Join(root, "var/lib/gatepost-update")); err != nil || len(left) != 3 {
		t.Errorf("left is %v, %v", left, err) // booted, lock, slots
	}
	s, err := find().Status()
	if err != nil || s.Next != "1.1" || s.Running != "1.0" || s.Trial {
		t.Errorf("%+v, %v", s, err)
	}

	// A boot of the old version before the new one ever ran puts nothing back.
	put(t, root, "var/lib/gatepost/gatepost.toml", "changed after the update\n")
	booted(false)
	if get(t, root, "var/lib/gatepost/gatepost.toml") != "changed after the update\n" {
		t.Error("a configuration is put back that nobody left")
	}
	runs("1.1", "b")
	if err := os.Rename(filepath.Join(root, "efi/EFI/Linux/gatepost_1.1+3.efi"), filepath.Join(root, "efi/EFI/Linux/gatepost_1.1.efi")); err != nil {
		t.Fatal(err)
	}
	booted(false)
	put(t, root, "var/lib/gatepost/gatepost.toml", "of the new version\n")
	if next, err := find().Rollback(); err != nil || next != "1.0" {
		t.Fatalf("%s, %v", next, err)
	}
	if _, err := os.Stat(filepath.Join(root, "efi/EFI/Linux/gatepost_1.1+0.efi")); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(root, "var/lib/gatepost", WentBack)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the daemon is told of a way back before there was one: %v", err)
	}
	runs("1.0", "a")
	booted(true)
	if get(t, root, "var/lib/gatepost/"+WentBack) != "1.1" {
		t.Error("the daemon is not told that a newer version ran")
	}
	if get(t, root, "var/lib/gatepost/gatepost.toml") != "hostname = \"old\"\n" || get(t, root, "var/lib/gatepost/conf/policy.toml") != "old\n" {
		t.Error("the configuration is not the old one")
	}
	if get(t, root, "var/lib/gatepost-update/slots/1.1/gatepost.toml") != "of the new version\n" {
		t.Error("that of the new version is not kept")
	}
	put(t, root, "var/lib/gatepost/gatepost.toml", "later\n")
	booted(false)
	if get(t, root, "var/lib/gatepost/gatepost.toml") != "later\n" {
		t.Error("it is put back twice")
	}
}

// TestSnapshotIsNoWayOut shows that links in the daemon's folder lead root nowhere, in either direction, and that what was damaged is not put back.
func TestSnapshotIsNoWayOut(t *testing.T) {
	root, find := system(t)
	secret := filepath.Join(t.TempDir(), "secret")
	put(t, filepath.Dir(secret), "secret", "root's\n")
	name := filepath.Join(root, "var/lib/gatepost/gatepost.toml")
	link := func() {
		if err := errors.Join(os.Remove(name), os.Symlink(secret, name)); err != nil {
			t.Fatal(err)
		}
	}
	m := find()
	if err := m.Snapshot(); err != nil {
		t.Fatal(err)
	}
	put(t, root, "var/lib/gatepost-update/booted", "1.1")
	link()
	if back, err := m.Booted(); err == nil || back {
		t.Error("the configuration of the newer version is read through a link")
	}
	if err := m.Snapshot(); err == nil {
		t.Error("a snapshot is made through a link")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := m.Snapshot(); err != nil {
		t.Fatal(err)
	}
	put(t, root, "var/lib/gatepost-update/slots/1.0/conf%policy.toml", "other\n")
	if back, err := m.Booted(); err == nil || back || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v, %v", back, err)
	}
	if get(t, filepath.Dir(secret), "secret") != "root's\n" {
		t.Error("root wrote through a link")
	}
}

// TestFind shows what is said where this is no appliance, or one that cannot be told.
func TestFind(t *testing.T) {
	if _, err := Find(t.TempDir()); !errors.Is(err, ErrNoAppliance) {
		t.Error(err)
	}
	for want, change := range map[string][2]string{
		`"c" is no slot`:                    {"run/appliance/slot", "c"},
		"it has no gatepost.version=":       {"proc/cmdline", "quiet"},
		`"x" is no version`:                 {"proc/cmdline", "gatepost.version=x"},
		"that is no public key of minisign": {"usr/share/gatepost/update-keys/next.pub", "x"},
	} {
		root, _ := system(t)
		put(t, root, change[0], change[1])
		if m, err := Find(root); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v, %v; want %s", m, err, want)
		}
	}
	root, _ := system(t)
	for _, n := range []string{"2", "3", "4", "5"} {
		put(t, root, "usr/share/gatepost/update-keys/"+n+".pub", string(keys()[0].Text()))
	}
	if _, err := Find(root); err == nil || !strings.Contains(err.Error(), "5 keys; at most 4") {
		t.Error(err)
	}
	_, find := system(t)
	m := find()
	lock, err := realDisk{}.Lock(filepath.Join(m.Work, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := m.Rollback(); !errors.Is(err, errBusy) {
		t.Errorf("two at a time: %v", err)
	}
}
