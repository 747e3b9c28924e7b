package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// initFunctions is what the initrd's init only says, with a machine around it that is a folder: sys, dev and esp of its variables,
// and programs that would touch a real one replaced.
func initFunctions(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile("init")
	if err != nil {
		t.Fatal(err)
	}
	functions, _, found := strings.Cut(string(text), "# All above is only said;")
	if !found {
		t.Fatal("init has no line at which its functions end")
	}
	return functions + `
PATH=/usr/sbin:/usr/bin:/sbin:/bin
sys=` + dir + `/sys dev=` + dir + `/dev run=` + dir + ` esp=` + dir + `/esp proc=` + dir + `/proc
say() { echo "$*"; }
mount() { :; }
umount() { :; }
sync() { :; }
drivers() { :; }
sleep() { :; }
reboot() { echo reboot; exit 0; }
halt_here() { echo "halt: $*"; exit 0; }
`
}

func runInit(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestRefuseVersion tells what becomes of the names on the ESP when no slot holds the version that was started, and whether
// the machine starts again.
func TestRefuseVersion(t *testing.T) {
	for _, c := range []struct{ name, version, before, after, end string }{
		{"blessed, and an older one is there", "2.0", "gatepost_1.0.efi gatepost_2.0.efi", "gatepost_1.0.efi gatepost_2.0+0-1.efi", "reboot"},
		{"in its tries", "2.0", "gatepost_1.0.efi gatepost_2.0+2-1.efi", "gatepost_1.0.efi gatepost_2.0+0-1.efi", "reboot"},
		{"the last try", "2.0", "gatepost_1.0.efi gatepost_2.0+0-3.efi", "gatepost_1.0.efi gatepost_2.0+0-1.efi", "reboot"},
		{"the only one", "2.0", "gatepost_2.0.efi", "gatepost_2.0+0-1.efi", "halt: there is no other version on this disk"},
		{"the other one is bad too", "2.0", "gatepost_1.0+0-3.efi gatepost_2.0.efi", "gatepost_1.0+0-3.efi gatepost_2.0+0-1.efi", "halt: there is no other version on this disk"},
		{"the other one has tries left", "2.0", "gatepost_1.0+1-2.efi gatepost_2.0.efi", "gatepost_1.0+1-2.efi gatepost_2.0+0-1.efi", "reboot"},
		{"a name that begins the same", "2.0", "gatepost_2.0.1.efi gatepost_2.0.efi", "gatepost_2.0+0-1.efi gatepost_2.0.1.efi", "reboot"},
		{"refused before", "2.0", "gatepost_2.0+0-1.efi", "gatepost_2.0+0-1.efi", "halt: there is no other version on this disk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			entries := filepath.Join(dir, "esp/EFI/Linux")
			for name := range strings.FieldsSeq(c.before) {
				write(t, filepath.Join(entries, name), name, 0o644)
			}
			write(t, filepath.Join(dir, "sys/class/block/vda1/uevent"), "DEVNAME=vda1\nPARTNAME=esp\n", 0o644)
			out := runInit(t, initFunctions(t, dir)+"version="+c.version+"\nrefuse_version\n")
			if !strings.HasPrefix(out, "REFUSED: no slot holds the root of version 2.0\n") || !strings.HasSuffix(out, c.end+"\n") {
				t.Errorf("it says %q, want %q at the end", out, c.end)
			}
			files, err := os.ReadDir(entries)
			if err != nil {
				t.Fatal(err)
			}
			var after []string
			for _, f := range files {
				after = append(after, f.Name())
			}
			if got := strings.Join(after, " "); got != c.after {
				t.Errorf("the ESP has %q, want %q", got, c.after)
			}
		})
	}
}

// TestFindSlot has real veritysetup look through slots: the right one is found wherever it is, and nothing else is taken for it.
func TestFindSlot(t *testing.T) {
	made := t.TempDir()
	whole := filepath.Join(made, "whole")
	root := make([]byte, 64<<12)
	for i := range root {
		root[i] = byte(i * 7 >> 3)
	}
	write(t, whole, string(root), 0o644)
	out, err := exec.Command("veritysetup", "format", whole, whole, "--hash-offset=262144", "--data-blocks=64", "--salt=00ff").CombinedOutput()
	if err != nil {
		t.Fatalf("veritysetup: %v: %s", err, out)
	}
	hash := regexp.MustCompile(`Root hash:\s+([0-9a-f]{64})`).FindSubmatch(out)
	if hash == nil {
		t.Fatalf("veritysetup says %s", out)
	}
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(at int) []byte {
		b := slices.Clone(good)
		b[at] ^= 1
		return b
	}
	empty := make([]byte, len(good))
	for _, c := range []struct {
		name string
		a, b []byte
		want string
	}{
		{"in a", good, empty, "a"},
		{"in b", empty, good, "b"},
		{"in both", good, good, "a"},
		{"one octet of a changed", flipped(100_001), good, "b"},
		{"one octet of a's hashes changed", flipped(262144 + 4096 + 40), good, "b"},
		{"one octet of a's salt changed", flipped(262144 + 88), good, "b"},
		{"changed in both", flipped(0), flipped(262143), ""},
		{"nothing there", empty, empty, ""},
		{"cut short", good[:200_000], empty, ""},
		{"no partition b", flipped(5), nil, ""},
		{"no partition a", nil, good, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for slot, data := range map[string][]byte{"a": c.a, "b": c.b} {
				if data != nil {
					write(t, filepath.Join(dir, "sys/class/block/vd"+slot+"/uevent"), "MAJOR=254\nDEVNAME=vd"+slot+"\nPARTNAME=root-"+slot+"\n", 0o644)
					write(t, filepath.Join(dir, "dev/vd"+slot), string(data), 0o644)
				}
			}
			// A disk without names must not be in the way.
			write(t, filepath.Join(dir, "sys/class/block/vd/uevent"), "DEVNAME=vd\n", 0o644)
			write(t, filepath.Join(dir, "proc/cmdline"), "quiet gatepost.version=2.0 gatepost.roothash="+string(hash[1])+" gatepost.hashoff=262144 panic=10\n", 0o644)
			out := runInit(t, initFunctions(t, dir)+`
version=$(arg gatepost.version) roothash=$(arg gatepost.roothash) hashoff=$(arg gatepost.hashoff)
find_slot && echo "found $slot in $device" || echo "found none"`)
			want := "found none\n"
			if c.want != "" {
				want = "found " + c.want + " in " + dir + "/dev/vd" + c.want + "\n"
			}
			if !strings.HasSuffix(out, want) {
				t.Errorf("it says %q, want %q at the end", out, want)
			}
		})
	}
}

// TestOwnUUID has the initrd's init look at the file system that the build makes: it gets a UUID of its own, once, and nothing else
// of it changes.
func TestOwnUUID(t *testing.T) {
	text, err := os.ReadFile("disk.sh")
	if err != nil {
		t.Fatal(err)
	}
	make := regexp.MustCompile(`(?m)^E2FSPROGS_FAKE_TIME=.*\\\n.*$`).FindString(string(text))
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	write(t, data, "", 0o644)
	if err := os.Truncate(data, 64<<20); err != nil {
		t.Fatal(err)
	}
	uuid := func() string {
		return runInit(t, "PATH=/usr/sbin:$PATH; tune2fs -l "+data+" | sed -n 's/^Filesystem UUID: *//p'")
	}
	runInit(t, "PATH=/usr/sbin:$PATH SOURCE_DATE_EPOCH=1700000000 data="+data+"\n"+make)
	first := uuid()
	for _, say := range []string{"", ""} {
		if out := runInit(t, initFunctions(t, dir)+"data="+data+"\nown_uuid"); out != say {
			t.Errorf("it says %q", out)
		}
		runInit(t, "PATH=/usr/sbin:$PATH; e2fsck -fn "+data)
	}
	own := uuid()
	if own == first || len(own) != len(first) {
		t.Errorf("the UUID was %s and is %s", first, own)
	}
	runInit(t, initFunctions(t, dir)+"data="+data+"\nown_uuid")
	if uuid() != own {
		t.Error("it changes at each boot")
	}
}
