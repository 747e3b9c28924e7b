package update

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"gatepost/appliance/bundle"
	"gatepost/internal/durable"
)

// errCut is what each step fails with from the cut on.
var errCut = errors.New("the power is cut")

// inode is a file with what memory has of it and what the disk has.
type inode struct{ now, flushed []byte }

// cutDisk is a disk in memory. Names and contents reach it when they are flushed, and perhaps before: the two worst of both are looked
// at after a cut, and a rename of which neither name was left, which FAT allows.
type cutDisk struct {
	names, flushed map[string]*inode
	torn           string // the new name of a rename that was not flushed
	room           int64
	step, cut      int // cut: at which step; 0: never
	locked         bool
	lie            string // a device whose first octet is read back wrong
}

func (d *cutDisk) power() error {
	d.step++
	if d.cut > 0 && d.step >= d.cut {
		return errCut
	}
	return nil
}

func (d *cutDisk) List(dir string) (out []string, err error) {
	for name := range d.names {
		if path.Dir(name) == dir {
			out = append(out, path.Base(name))
		}
	}
	slices.Sort(out)
	return out, d.power()
}

func (d *cutDisk) Size(name string) (int64, error) {
	i := d.names[name]
	if i == nil {
		return 0, fs.ErrNotExist
	}
	return int64(len(i.now)), nil
}

func (d *cutDisk) Room(string) (int64, error) { return d.room, nil }

func (d *cutDisk) Open(name string) (io.ReadCloser, error) {
	i := d.names[name]
	if i == nil {
		return nil, fs.ErrNotExist
	}
	text := bytes.Clone(i.flushed)
	if name == d.lie {
		text[0]++
	}
	return io.NopCloser(bytes.NewReader(text)), d.power()
}

func (d *cutDisk) Create(name string) (durable.File, error) {
	if err := d.power(); err != nil {
		return nil, err
	}
	d.names[name] = &inode{}
	return &cutFile{d: d, i: d.names[name], fat: fileSystem(name) == "esp"}, nil
}

func (d *cutDisk) Device(name string) (durable.File, error) {
	if d.names[name] == nil {
		return nil, fs.ErrNotExist
	}
	return &cutFile{d: d, i: d.names[name], fat: fileSystem(name) == "esp"}, d.power()
}

func (d *cutDisk) Rename(from, to string) error {
	if err := d.power(); err != nil {
		return err
	}
	if d.names[from] == nil {
		return fs.ErrNotExist
	}
	d.names[to], d.torn = d.names[from], to
	delete(d.names, from)
	return nil
}

func (d *cutDisk) Remove(name string) error {
	if d.names[name] == nil {
		return fs.ErrNotExist
	}
	if err := d.power(); err != nil {
		return err
	}
	delete(d.names, name)
	return nil
}

func (d *cutDisk) Mkdir(string) error { return d.power() }

func (d *cutDisk) Sync(dir string) error {
	if err := d.power(); err != nil {
		return err
	}
	own := func(name string, _ *inode) bool { return fileSystem(name) == fileSystem(dir) }
	maps.DeleteFunc(d.flushed, own)
	for name, i := range d.names {
		if own(name, i) {
			d.flushed[name], i.flushed = i, i.now
		}
	}
	if fileSystem(d.torn) == fileSystem(dir) {
		d.torn = ""
	}
	return nil
}

func fileSystem(name string) string { return strings.SplitN(name, "/", 2)[0] }

func (d *cutDisk) Lock(string) (io.Closer, error) {
	if d.locked {
		return nil, errBusy
	}
	return io.NopCloser(nil), nil
}

type cutFile struct {
	d   *cutDisk
	i   *inode
	at  int
	fat bool // to flush a file does not flush where it lies: only Sync does
}

// Write takes a third at a time, so that the power can be cut within.
func (f *cutFile) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if err := f.d.power(); err != nil {
			return n, err
		}
		m := min(len(p)-n, max(1, len(p)/3))
		f.i.now = slices.Concat(f.i.now[:f.at], p[n:n+m], f.i.now[min(f.at+m, len(f.i.now)):])
		f.at, n = f.at+m, n+m
	}
	return n, nil
}

func (f *cutFile) Sync() error {
	if err := f.d.power(); err != nil {
		return err
	}
	if !f.fat {
		f.i.flushed = f.i.now
	}
	return nil
}

func (f *cutFile) Close() error { return nil }

// after is what a disk may have after the cut.
func (d *cutDisk) after(names, contents string) *cutDisk {
	from := d.names
	if names == "old" {
		from = d.flushed
	}
	out := &cutDisk{names: map[string]*inode{}, room: d.room}
	for name, i := range from {
		text := i.now
		if contents == "old" {
			text = i.flushed
		}
		out.names[name] = &inode{now: bytes.Clone(text), flushed: bytes.Clone(text)}
	}
	if names == "torn" {
		delete(out.names, d.torn)
	}
	out.flushed = maps.Clone(out.names)
	return out
}

// boot does what systemd-boot and the initrd do: take the first entry, count, and start it where a slot holds its root; else take its
// tries away and begin anew. It returns what runs, as it would be found running.
func boot(t *testing.T, d *cutDisk) *Machine {
	t.Helper()
	for range 20 {
		names, err := d.List("esp/EFI/Linux")
		if err != nil {
			t.Fatal(err)
		}
		var all []Entry
		for _, n := range names {
			if e, ok := ParseEntry(n); ok {
				all = append(all, e)
			}
		}
		if len(all) == 0 {
			t.Fatal("nothing is left to boot")
		}
		order(all)
		e := all[0]
		move := func(to Entry) {
			if to != e {
				if err := d.Rename("esp/EFI/Linux/"+e.File(), "esp/EFI/Linux/"+to.File()); err != nil {
					t.Fatal(err)
				}
			}
			e = to
		}
		if e.Counted && e.Left > 0 {
			move(Entry{e.Version, true, e.Left - 1, e.Done + 1})
		}
		kernel := string(d.names["esp/EFI/Linux/"+e.File()].now)
		if kernel != uki(e.Version) {
			t.Fatalf("the kernel of %s, which is booted, is %.40q", e.Version, kernel)
		}
		for _, slot := range []string{"a", "b"} {
			if bytes.HasPrefix(d.names["dev/"+slot].now, []byte(image(e.Version))) {
				d.flushed = maps.Clone(d.names)
				return machine(d, e.Version, slot)
			}
		}
		move(Entry{e.Version, true, 0, 1})
	}
	t.Fatal("it boots in circles")
	return nil
}

func uki(v bundle.Version) string { return "kernel of " + string(v) }

func image(v bundle.Version) string { return strings.Repeat("root of "+string(v)+" ", 50) }

func machine(d disk, v bundle.Version, slot string) *Machine {
	return &Machine{ESP: "esp", Slots: [2]Slot{{"a", "dev/a"}, {"b", "dev/b"}}, Running: v, Slot: slot, Work: "work", Keys: keys(), disk: d}
}

// world is an appliance of version 1.1 in slot b, updated from 1.0 in slot a, with what an update that was cut off left.
func world() *cutDisk {
	d := &cutDisk{names: map[string]*inode{}, room: 64 << 20}
	for name, text := range map[string]string{
		"esp/EFI/Linux/gatepost_1.0.efi": uki("1.0"), "esp/EFI/Linux/gatepost_1.1.efi": uki("1.1"), "esp/EFI/Linux/other.efi": "not ours",
		"esp/EFI/Linux/gatepost_0.9+3.efi.new": "half a kern", "esp/FSCK0000.REC": "a piece of it", "work/update-root": "half a ro",
		"dev/a": image("1.0") + strings.Repeat("\x00", 3000), "dev/b": image("1.1") + strings.Repeat("\x00", 3000),
	} {
		d.names[name] = &inode{now: []byte(text), flushed: []byte(text)}
	}
	d.flushed = maps.Clone(d.names)
	return d
}

// TestPowerCuts cuts the power at each step of an update, with each of what the disk may have then: the appliance boots a version that
// is whole, the running one or, once it is all there, the new one; and the same update can be applied again.
func TestPowerCuts(t *testing.T) {
	file := made(t, "1.2", "1.0", nil)
	steps, ran := 0, map[bundle.Version]int{}
	for cut := 1; ; cut++ {
		d := world()
		d.cut = cut
		_, err := machine(d, "1.1", "b").Apply(bytes.NewReader(file), nil)
		if err == nil {
			steps = cut
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatalf("step %d: %v", cut, err)
		}
		for _, names := range []string{"new", "old", "torn"} {
			for _, contents := range []string{"new", "old"} {
				t.Run(fmt.Sprintf("%d-%s-%s", cut, names, contents), func(t *testing.T) {
					left := d.after(names, contents)
					if i := left.names["esp/EFI/Linux/gatepost_1.1.efi"]; i == nil || string(i.now) != uki("1.1") {
						t.Fatal("the entry of the running version is gone")
					}
					m := boot(t, left)
					ran[m.Running]++
					if m.Running == "1.2" {
						return
					}
					if m.Running != "1.1" || m.Slot != "b" {
						t.Fatalf("%s runs from %s", m.Running, m.Slot)
					}
					if _, err := m.Apply(bytes.NewReader(file), nil); err != nil {
						t.Fatalf("again: %v", err)
					}
					if again := boot(t, left); again.Running != "1.2" || again.Slot != "a" {
						t.Errorf("%s runs from %s", again.Running, again.Slot)
					}
					if left.names["esp/FSCK0000.REC"] != nil {
						t.Error("what fsck.fat salvaged fills the partition")
					}
				})
			}
		}
	}
	if steps < 40 || ran["1.1"] < 100 || ran["1.2"] < 3 {
		t.Errorf("%d steps, after which ran %v", steps, ran)
	}
}

// TestOldSnapshotIsGone cuts the power right after an update: what was kept of an earlier try of the same version does not come back.
// Where it did, what the owner sets under the new version would not be kept when it is left.
func TestOldSnapshotIsGone(t *testing.T) {
	d := world()
	const name = "work/slots/1.2/snapshot.json"
	d.names[name] = &inode{now: []byte("{}"), flushed: []byte("{}")}
	d.flushed = maps.Clone(d.names)
	if _, err := machine(d, "1.1", "b").Apply(bytes.NewReader(made(t, "1.2", "1.0", nil)), nil); err != nil {
		t.Fatal(err)
	}
	left := d.after("old", "old")
	if left.names["esp/EFI/Linux/gatepost_1.2+3.efi"] == nil || left.names[name] != nil {
		t.Errorf("left are %v", slices.Sorted(maps.Keys(left.names)))
	}
}

// TestTrial boots a new version that never finds itself good: after three boots the old one runs; one that does stays, and can be left again.
func TestTrial(t *testing.T) {
	d := world()
	if _, err := machine(d, "1.1", "b").Apply(bytes.NewReader(made(t, "1.2", "1.0", nil)), nil); err != nil {
		t.Fatal(err)
	}
	for n := range Tries {
		m := boot(t, d)
		s, err := m.Status()
		if err != nil || m.Running != "1.2" || !s.Trial || s.Back != "1.1" {
			t.Fatalf("boot %d: %s, %+v, %v", n, m.Running, s, err)
		}
		if _, err := m.Apply(bytes.NewReader(made(t, "1.3", "1.0", nil)), nil); err == nil || !strings.Contains(err.Error(), "on trial") {
			t.Errorf("boot %d: an update during a trial: %v", n, err)
		}
	}
	m := boot(t, d)
	s, err := m.Status()
	if err != nil || m.Running != "1.1" || s.Trial || s.Entries[1] != (Entry{"1.2", true, 0, 3}) || s.Entries[1].State() != "failed" {
		t.Fatalf("%s, %+v, %v", m.Running, s, err)
	}
	if _, err := m.Rollback(); err == nil || !strings.Contains(err.Error(), "no version to return to") {
		t.Errorf("a rollback to what failed: %v", err)
	}
	// The same again, and this one is found good.
	if _, err := m.Apply(bytes.NewReader(made(t, "1.2", "1.0", nil)), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rollback(); err == nil || !strings.Contains(err.Error(), "no version to return to") {
		t.Errorf("a rollback while one waits: %v", err)
	}
	m = boot(t, d)
	if err := d.Rename("esp/EFI/Linux/gatepost_1.2+2-1.efi", "esp/EFI/Linux/gatepost_1.2.efi"); err != nil {
		t.Fatal(err)
	}
	if next, err := m.Rollback(); err != nil || next != "1.1" {
		t.Fatalf("%s, %v", next, err)
	}
	if m = boot(t, d); m.Running != "1.1" {
		t.Errorf("%s runs", m.Running)
	}
}

// TestRollbackCut cuts the power at each step of a rollback: one of the two versions is booted.
func TestRollbackCut(t *testing.T) {
	for cut := 1; ; cut++ {
		d := world()
		d.cut = cut
		_, err := machine(d, "1.1", "b").Rollback()
		for _, names := range []string{"new", "old", "torn"} {
			m := boot(t, d.after(names, "new"))
			if m.Running != "1.0" && (err == nil || m.Running != "1.1") {
				t.Errorf("step %d, %s: %s", cut, names, m.Running)
			}
		}
		if err == nil {
			return
		}
	}
}

// TestRot damages what is on the disk: a slot that rots is left for the other one, and one that lies when it is written is found out.
func TestRot(t *testing.T) {
	d := world()
	d.names["dev/b"].now[7] ^= 1
	m := boot(t, d)
	if s, err := m.Status(); err != nil || m.Running != "1.0" || s.Entries[1] != (Entry{"1.1", true, 0, 1}) {
		t.Errorf("%s, %+v, %v", m.Running, s, err)
	}
	for _, lie := range []string{"dev/a", "esp/EFI/Linux/gatepost_1.2+3.efi.new", "work/update-root", "work/update-uki"} {
		d = world()
		d.lie = lie
		_, err := machine(d, "1.1", "b").Apply(bytes.NewReader(made(t, "1.2", "1.0", nil)), nil)
		if err == nil || !strings.Contains(err.Error(), "what is read is not what was written") || !strings.Contains(err.Error(), "version 1.1 runs on") {
			t.Errorf("%s: %v", lie, err)
		}
		if m := boot(t, d); m.Running != "1.1" {
			t.Errorf("%s: %s runs", lie, m.Running)
		}
	}
}
