package settings

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/durable"
)

const (
	old   = "hostname = \"old.example.org\"\n"
	other = "hostname = \"new.example.org\"\n"
	image = "# of the image\n"
)

// machine is one of plain files. confirmed is its gatepost.toml; "" is none.
func machine(t *testing.T, confirmed string) *Machine {
	t.Helper()
	dir := t.TempDir()
	m := &Machine{Folder: filepath.Join(dir, "state", "settings"), Shown: filepath.Join(dir, "run"), Image: filepath.Join(dir, "image.toml")}
	write(t, m.Image, image)
	for _, d := range []string{m.Folder, m.Shown} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if confirmed != "" {
		write(t, m.at(textName), confirmed)
	}
	return m
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// boot begins a new boot and returns what is in force in it.
func boot(t *testing.T, m *Machine) (text string, tried bool, trial error) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(m.Shown), os.Mkdir(m.Shown, 0o700)); err != nil {
		t.Fatal(err)
	}
	tried, trial, err := m.Boot()
	if err != nil {
		t.Fatal(err)
	}
	if tried != m.OnTrial() {
		t.Errorf("tried is %v, and on trial %v", tried, m.OnTrial())
	}
	if info, err := os.Stat(filepath.Join(m.Shown, textName)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the screen and the firewall cannot read it: %v, %v", info, err)
	}
	s, err := m.State(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s.Text, tried, trial
}

// TestTrial goes the whole way: what is tried is in force for one boot, and stays only if it is confirmed in that boot.
func TestTrial(t *testing.T) {
	m := machine(t, "")
	step := func(what, want string, onTrial bool) {
		t.Helper()
		if text, tried, trial := boot(t, m); text != want || tried != onTrial || trial != nil {
			t.Errorf("%s: %q is in force, tried %v, %v", what, text, tried, trial)
		}
	}
	step("as delivered", image, false)
	if err := m.Confirm(); !errors.Is(err, ErrNoTrial) {
		t.Errorf("%v", err)
	}
	if err := m.Try([]byte(other)); err != nil {
		t.Fatal(err)
	}
	if s, err := m.State(time.Now()); err != nil || s.Text != image || !s.Waits || s.OnTrial || !s.Image {
		t.Errorf("before the restart: %+v, %v", s, err)
	}
	step("the next boot", other, true)
	step("nobody confirmed", image, false)
	s, err := m.State(time.Now())
	if err != nil || s.Tried != other || s.Over.IsZero() {
		t.Errorf("what was tried is not told: %+v, %v", s, err)
	}
	if s, err = m.State(time.Now().Add(2 * remembered)); err != nil || s.Tried != "" || !s.Over.IsZero() {
		t.Errorf("it is told for ever: %+v, %v", s, err)
	}
	if err := m.Confirm(); !errors.Is(err, ErrNoTrial) {
		t.Errorf("one that is over can be confirmed: %v", err)
	}
	if err := m.Try([]byte(other)); err != nil {
		t.Fatal(err)
	}
	step("tried again", other, true)
	if err := m.Confirm(); err != nil {
		t.Fatal(err)
	}
	if s, err = m.State(time.Now()); err != nil || s.OnTrial || s.Image || s.Text != other || s.Tried != "" {
		t.Errorf("%+v, %v", s, err)
	}
	if err := m.Confirm(); !errors.Is(err, ErrNoTrial) {
		t.Errorf("twice: %v", err)
	}
	step("confirmed", other, false)
	if err := errors.Join(m.Try([]byte(old)), m.Withdraw()); err != nil {
		t.Fatal(err)
	}
	step("taken back", other, false)
	if err := m.Try(make([]byte, MaxText+1)); err == nil {
		t.Error("it takes a text that it does not read again")
	}
	if err := m.Try(nil); err != nil {
		t.Fatal(err)
	}
	step("an empty text is one", "", true)
}

// TestSpoiltTrial shows that what is no text to try costs nothing but itself, once.
func TestSpoiltTrial(t *testing.T) {
	for what, spoil := range map[string]func(name string) error{
		"too large": func(name string) error { return os.WriteFile(name, make([]byte, MaxText+1), 0o600) },
		"a link":    func(name string) error { return os.Symlink("/etc/passwd", name) },
		"a pipe":    func(name string) error { return syscall.Mkfifo(name, 0o600) },
		"a folder":  func(name string) error { return os.Mkdir(name, 0o700) },
	} {
		m := machine(t, old)
		if err := spoil(m.at(trialName)); err != nil {
			t.Fatal(err)
		}
		if text, tried, trial := boot(t, m); text != old || tried || trial == nil {
			t.Errorf("%s: %q, %v, %v", what, text, tried, trial)
		}
		if text, tried, trial := boot(t, m); text != old || tried || trial != nil {
			t.Errorf("%s, the next boot: %q, %v, %v", what, text, tried, trial)
		}
	}
	m := machine(t, "") // and one whose own text is no file shows nothing rather than another's
	if err := os.Symlink("/etc/passwd", m.at(textName)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Boot(); err == nil {
		t.Error("it follows a link")
	}
}

// TestConfirmIsOfThisBoot shows that what came between, by a restore, is not confirmed in its place.
func TestConfirmIsOfThisBoot(t *testing.T) {
	m := machine(t, old)
	if err := m.Try([]byte(other)); err != nil {
		t.Fatal(err)
	}
	boot(t, m)
	write(t, m.at(triedName), "what nobody tried")
	if err := m.Confirm(); err == nil {
		t.Error("it is kept")
	}
	if text, _, _ := boot(t, m); text != old {
		t.Errorf("%q", text)
	}
}

// errCut is what each step fails with from the cut on.
var errCut = errors.New("the power is cut")

// cutDisk is a real folder whose power is cut at a step. It knows what a disk is bound to have by then: names as they were when their folder was
// flushed last, and of each file what was flushed.
type cutDisk struct {
	durable.Real
	step, cut int
	names     map[string]map[string][]byte // of a folder that was flushed
	files     map[string]*cutFile          // that were written since the beginning, by their path
}

type cutFile struct {
	durable.File
	d       *cutDisk
	now     []byte
	flushed []byte
}

func (d *cutDisk) power() error {
	if d.step++; d.cut > 0 && d.step >= d.cut {
		return errCut
	}
	return nil
}

func (d *cutDisk) Create(name string) (durable.File, error) {
	if err := d.power(); err != nil {
		return nil, err
	}
	f, err := d.Real.Create(name)
	if err != nil {
		return nil, err
	}
	d.files[name] = &cutFile{File: f, d: d}
	return d.files[name], nil
}

func (f *cutFile) Write(p []byte) (int, error) {
	if err := f.d.power(); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		f.now = append(f.now, p[:n]...)
		return n, err
	}
	f.now = append(f.now, p...)
	return f.File.Write(p)
}

func (f *cutFile) Sync() error {
	if err := f.d.power(); err != nil {
		return err
	}
	f.flushed = bytes.Clone(f.now)
	return nil
}

func (d *cutDisk) Rename(from, to string) error {
	if err := d.power(); err != nil {
		return err
	}
	if f := d.files[from]; f != nil {
		d.files[to] = f
		delete(d.files, from)
	} else {
		delete(d.files, to)
	}
	return d.Real.Rename(from, to)
}

func (d *cutDisk) Remove(name string) error {
	if err := d.power(); err != nil {
		return err
	}
	delete(d.files, name)
	return d.Real.Remove(name)
}

func (d *cutDisk) Mkdir(name string) error {
	if err := d.power(); err != nil {
		return err
	}
	return d.Real.Mkdir(name)
}

func (d *cutDisk) SyncDir(name string) error {
	if err := d.power(); err != nil {
		return err
	}
	return d.flush(name)
}

func (d *cutDisk) flush(dir string) error {
	entries, err := os.ReadDir(dir)
	d.names[dir] = map[string][]byte{}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if !e.Type().IsRegular() {
			continue
		}
		if f := d.files[name]; f != nil {
			d.names[dir][e.Name()] = f.flushed
			continue
		}
		text, failed := os.ReadFile(name)
		d.names[dir][e.Name()], err = text, errors.Join(err, failed)
	}
	return err
}

// worlds are what a disk may have after the cut, each laid over the folders: all that was written; all names, and of the files what was flushed; what was
// flushed alone.
func (d *cutDisk) worlds(t *testing.T, folders ...string) (out []func()) {
	t.Helper()
	all, torn := map[string]map[string][]byte{}, map[string]map[string][]byte{}
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all[dir], torn[dir] = map[string][]byte{}, map[string][]byte{}
		for _, e := range entries {
			if !e.Type().IsRegular() {
				continue
			}
			name := filepath.Join(dir, e.Name())
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[dir][e.Name()], torn[dir][e.Name()] = text, text
			if f := d.files[name]; f != nil {
				torn[dir][e.Name()] = f.flushed
			}
		}
	}
	for _, w := range []map[string]map[string][]byte{all, torn, d.names} {
		out = append(out, func() {
			for _, dir := range folders {
				files := w[dir]
				if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
					t.Fatal(err)
				}
				for name, text := range files {
					write(t, filepath.Join(dir, name), string(text))
				}
			}
		})
	}
	return out
}

// TestPowerCuts cuts the power at each step of a trial that is confirmed, with each of what the disk may have then. In force is the old text or the new one,
// whole; the new one for one boot at most until it was to be confirmed, and for good once that was said.
func TestPowerCuts(t *testing.T) {
	steps := 0
	for cut := 1; ; cut++ {
		ended := false
		for world := range 3 {
			m := machine(t, old)
			d := &cutDisk{cut: cut, names: map[string]map[string][]byte{}, files: map[string]*cutFile{}}
			if err := d.flush(m.Folder); err != nil {
				t.Fatal(err)
			}
			m.disk = d
			asked, said := false, false
			err := m.Try([]byte(other))
			if err == nil {
				var tried bool
				tried, err, _ = m.Boot()
				if err == nil && tried {
					asked = true
					err = m.Confirm()
					said = err == nil
				}
			}
			if err == nil {
				ended = true
			} else if !errors.Is(err, errCut) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			m.disk = nil
			d.worlds(t, m.Folder)[world]()
			first, tried, _ := boot(t, m)
			second, again, _ := boot(t, m)
			third, _, _ := boot(t, m)
			switch {
			case first != old && first != other || second != old && second != other:
				t.Errorf("cut at %d, world %d: %q, then %q", cut, world, first, second)
			case again || second != third:
				t.Errorf("cut at %d, world %d: it is tried twice", cut, world)
			case said && (first != other || tried || second != other):
				t.Errorf("cut at %d, world %d: what was confirmed is lost: %q", cut, world, first)
			case !asked && second != old:
				t.Errorf("cut at %d, world %d: nobody confirmed, and it stays", cut, world)
			}
			steps = d.step
		}
		if ended {
			break
		}
		if cut > 100 {
			t.Fatal("it never ends")
		}
	}
	if steps < 10 {
		t.Errorf("only %d steps were cut", steps)
	}
}

// TestFilePowerCuts cuts the power at each step of a file that replaces another, and of its removal.
func TestFilePowerCuts(t *testing.T) {
	for cut := 1; ; cut++ {
		ended := false
		for world := range 3 {
			m := machine(t, old)
			if err := m.PutFile("key", []byte("one")); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Dir(m.Path("key"))
			d := &cutDisk{cut: cut, names: map[string]map[string][]byte{}, files: map[string]*cutFile{}}
			if err := d.flush(dir); err != nil {
				t.Fatal(err)
			}
			m.disk = d
			err := m.PutFile("key", []byte("two, which is longer"))
			put := err == nil
			if put {
				err = m.RemoveFile("key")
			}
			ended = err == nil
			if err != nil && !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			m.disk = nil
			d.worlds(t, dir)[world]()
			text, err := os.ReadFile(m.Path("key"))
			switch got := string(text); {
			case ended && !errors.Is(err, os.ErrNotExist):
				t.Errorf("cut at %d, world %d: it was removed, and is there", cut, world)
			case ended || put && errors.Is(err, os.ErrNotExist):
			case put && got != "two, which is longer", got != "one" && got != "two, which is longer":
				t.Errorf("cut at %d, world %d: %q, %v", cut, world, got, err)
			}
			if err := m.PutFile("key", []byte("three")); err != nil {
				t.Errorf("cut at %d, world %d: it cannot be done again: %v", cut, world, err)
			}
		}
		if ended {
			return
		}
		if cut > 100 {
			t.Fatal("it never ends")
		}
	}
}

// TestFiles shows what is taken, and what is told of it.
func TestFiles(t *testing.T) {
	m := machine(t, "")
	if err := m.PutFile("ldap-password", []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(m.Path("ldap-password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	all, err := m.Files()
	if err != nil || len(all) != 1 || all[0].Name != "ldap-password" || all[0].Octets != 3 || all[0].Sum != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" || all[0].Time.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
	for _, name := range []string{"", ".", "..", ".x", "a/b", "../x", "a b", "ä", "a\n", "x.db", "x.db.copy-1", "x.new", "x-wal", "x.damaged.1", strings.Repeat("x", 65)} {
		if err := m.PutFile(name, nil); err == nil || !strings.Contains(err.Error(), "the name") {
			t.Errorf("%q: %v", name, err)
		}
		if err := m.RemoveFile(name); !errors.Is(err, ErrNoFile) {
			t.Errorf("%q: removed: %v", name, err)
		}
	}
	for _, name := range []string{"a", "ca.pem", "A-Z_0.9", strings.Repeat("x", 64)} {
		if err := errors.Join(m.PutFile(name, nil), m.RemoveFile(name)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := m.PutFile("big", make([]byte, MaxFile+1)); err == nil {
		t.Error("it takes one that is too large")
	}
	for i := range MaxFiles - 1 {
		write(t, m.Path("f"+strings.Repeat("x", i%60)+string(rune('a'+i/60))), "")
	}
	if err := m.PutFile("one-more", nil); err == nil || !strings.Contains(err.Error(), "remove one") {
		t.Errorf("%v", err)
	}
	if err := m.PutFile("ldap-password", []byte("new")); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if err := m.RemoveFile("none"); !errors.Is(err, ErrNoFile) {
		t.Errorf("%v", err)
	}
}
