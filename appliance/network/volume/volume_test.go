package volume

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// names are what is looked for.
var names = []string{"meta-data", "network-config"}

const most = 64 << 10

// tool runs a program that makes volumes.
func tool(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v (scripts/install installs it)\n%s", name, args, err, out)
	}
}

func write(t testing.TB, name string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// content is what the volumes hold: a small file, and one of many clusters and sectors.
func content() map[string][]byte {
	big := new(bytes.Buffer)
	for i := range 4000 {
		big.WriteString("# line " + strings.Repeat("x", i%9) + "\n")
	}
	return map[string][]byte{"meta-data": []byte("local-hostname: mx.example.org\n"), "network-config": big.Bytes(), "user-data": {}, "a rather long name of no account": []byte("x")}
}

// volumes makes one of each kind, with programs that others use for it.
func volumes(t testing.TB) map[string]string {
	t.Helper()
	dir, out := t.TempDir(), map[string]string{}
	tree := filepath.Join(dir, "tree")
	if err := os.MkdirAll(filepath.Join(tree, "meta-data.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range content() {
		write(t, filepath.Join(tree, name), text)
	}
	for name, args := range map[string][]string{"joliet and rock": {"-joliet", "-rock"}, "rock": {"-rock", "-iso-level", "3"}, "joliet": {"-joliet"}} {
		out[name] = filepath.Join(dir, name+".iso")
		tool(t, "genisoimage", append(append([]string{"-quiet", "-output", out[name], "-volid", "cidata"}, args...), tree)...)
	}
	for name, args := range map[string][]string{"FAT12": {"-F", "12", "-C"}, "FAT16": {"-F", "16", "-C"}, "FAT32": {"-F", "32", "-s", "1", "-C"}} {
		file := filepath.Join(dir, name+".img")
		size := map[string]string{"FAT12": "1440", "FAT16": "16384", "FAT32": "40960"}[name] // KiB
		tool(t, "mkfs.vfat", append(append([]string{"-n", "CIDATA"}, args...), file, size)...)
		for f := range content() {
			tool(t, "mcopy", "-i", file, filepath.Join(tree, f), "::")
		}
		tool(t, "mdel", "-i", file, "::meta-data")
		tool(t, "mcopy", "-i", file, filepath.Join(tree, "meta-data"), "::") // behind what was deleted
		out[name] = file
	}
	return out
}

// TestRead reads volumes that real programs made.
func TestRead(t *testing.T) {
	for kind, file := range volumes(t) {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		v, err := Read(f, names, most)
		if err != nil || !strings.EqualFold(v.Label, "cidata") || len(v.Files) != 2 {
			t.Errorf("%s: %.200v, %v", kind, v, err)
			continue
		}
		for _, name := range names {
			if !bytes.Equal(v.Files[name], content()[name]) {
				t.Errorf("%s: %s has %d octets", kind, name, len(v.Files[name]))
			}
		}
		if _, err := Read(f, names, 1000); err == nil || !strings.Contains(err.Error(), "network-config has ") {
			t.Errorf("%s: a file that is too large: %v", kind, err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []int64{0, 1, 511, 512, 4096, 32768, 40000, info.Size() / 3} { // cut off anywhere it is no panic, and never more than there is
			v, err := Read(io.NewSectionReader(f, 0, part), names, most)
			if err == nil && !bytes.Equal(v.Files["network-config"], content()["network-config"]) && v.Files["network-config"] != nil {
				t.Errorf("%s: of %d octets: %d", kind, part, len(v.Files["network-config"]))
			}
		}
		f.Close()
	}
	if _, err := Read(bytes.NewReader(make([]byte, 1<<20)), names, most); !errors.Is(err, noVolume{}) {
		t.Errorf("%v", err)
	}
}

// TestFind finds the one with the label among others.
func TestFind(t *testing.T) {
	blocks, nodes := t.TempDir(), t.TempDir()
	for name, text := range map[string][]byte{"empty": {}, "zeros": make([]byte, 1<<16)} {
		write(t, filepath.Join(blocks, name), nil)
		write(t, filepath.Join(nodes, name), text)
	}
	write(t, filepath.Join(blocks, "gone"), nil)
	find := func() (*Volume, error) { return Find(blocks, nodes, "cidata", names, most) }
	if v, err := find(); v != nil || err != nil {
		t.Errorf("%.200v, %v", v, err)
	}
	all := volumes(t)
	other := filepath.Join(nodes, "other")
	tool(t, "mkfs.vfat", "-n", "DATA", "-C", other, "1440")
	write(t, filepath.Join(blocks, "other"), nil)
	text, err := os.ReadFile(all["FAT16"])
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(blocks, "sdb"), nil)
	write(t, filepath.Join(nodes, "sdb"), text)
	if v, err := find(); err != nil || v == nil || v.Device != filepath.Join(nodes, "sdb") || len(v.Files) != 2 {
		t.Errorf("%.200v, %v", v, err)
	}
	write(t, filepath.Join(nodes, "sdb"), text[:bytes.Index(text, []byte("# line"))+100]) // its tables are there, its files are not
	if v, err := find(); err == nil || v != nil || !strings.Contains(err.Error(), "sdb: ") {
		t.Errorf("%.200v, %v", v, err)
	}
	if _, err := Find(filepath.Join(blocks, "none"), nodes, "cidata", names, most); err == nil {
		t.Error("no folder of devices is no fault")
	}
}

// FuzzRead: what strangers wrote makes no panic, takes little memory, and what is read has a bound.
func FuzzRead(f *testing.F) {
	for _, file := range volumes(f) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text[:min(len(text), 64<<10)])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := Read(bytes.NewReader(in), names, most)
		if err != nil {
			return
		}
		for name, text := range v.Files {
			if len(text) > most {
				t.Fatalf("%s has %d octets", name, len(text))
			}
		}
	})
}
