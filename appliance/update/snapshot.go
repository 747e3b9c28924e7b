package update

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gatepost/appliance/bundle"
	"gatepost/internal/durable"
)

// maxFile is how large a file of the configuration may be that is kept, in octets.
const maxFile = 64 << 20

// maxFiles is how many files a folder of the configuration may have.
const maxFiles = 1000

// snapshot is what stands in snapshot.json, which is written last: without it the files beside it are no snapshot.
type snapshot struct {
	Version bundle.Version    `json:"version"`
	Files   map[string]string `json:"files"`             // SHA-256 of each, by its path below the folder of the configuration
	Folders []string          `json:"folders,omitempty"` // whose plain files are all among them, as Machine.Files has them
}

func (m *Machine) slots(v bundle.Version) string {
	return filepath.Join(m.Work, "slots", string(v))
}

// flat is the name of a file in a snapshot, which is one folder.
func flat(name string) string { return strings.ReplaceAll(name, "/", "%") }

// Snapshot keeps the configuration of the running version below slots/<version> of the work folder. Another of the same version is
// replaced. The folder of the configuration is the daemon's own: no link in it leads out of it, and what is no plain file is left out.
func (m *Machine) Snapshot() error {
	dir := m.slots(m.Running)
	for _, d := range [...]string{filepath.Dir(dir), dir} {
		if err := m.os().Mkdir(d); err != nil {
			return err
		}
	}
	if err := durable.Remove(m.os(), filepath.Join(dir, "snapshot.json")); err != nil {
		return err
	}
	if err := m.os().Sync(dir); err != nil {
		return err
	}
	s := snapshot{Version: m.Running, Files: map[string]string{}}
	if len(m.Files) > 0 {
		root, err := os.OpenRoot(m.Config)
		if err != nil {
			return err
		}
		defer root.Close()
		names, err := m.files(root)
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := readPlain(root, name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = m.put(filepath.Join(dir, flat(name)), text)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			s.Files[name] = sum(text)
		}
		s.Folders = m.folders()
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := m.put(filepath.Join(dir, "snapshot.json"+durable.Half), text); err != nil {
		return err
	}
	if err := m.os().Rename(filepath.Join(dir, "snapshot.json"+durable.Half), filepath.Join(dir, "snapshot.json")); err != nil {
		return err
	}
	return m.os().Sync(dir)
}

// files are the names of all files, of folders too.
func (m *Machine) files(root *os.Root) (out []string, err error) {
	for _, name := range m.Files {
		folder, all := strings.CutSuffix(name, "/")
		if !all {
			out = append(out, name)
			continue
		}
		entries, err := fs.ReadDir(root.FS(), folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if len(entries) > maxFiles {
			return nil, fmt.Errorf("%s: it has %d files; at most %d are kept", name, len(entries), maxFiles)
		}
		for _, e := range entries {
			if name := folder + "/" + e.Name(); e.Type().IsRegular() && !strings.HasSuffix(name, durable.Half) && !slices.Contains(m.Not, name) {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// folders are those of which all files are kept.
func (m *Machine) folders() (out []string) {
	for _, name := range m.Files {
		if strings.HasSuffix(name, "/") {
			out = append(out, name)
		}
	}
	return out
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}

// readPlain reads a file that is no pipe and no device.
func readPlain(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("it is no plain file"))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(text) > maxFile {
		err = fmt.Errorf("it has more than %d octets", maxFile)
	}
	return text, err
}

func (m *Machine) put(name string, text []byte) error {
	f, err := m.os().Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// Booted is called at each boot, before the daemon is started: where a newer version ran last, the configuration of the running one is
// put back as it was when the newer one was applied, and that of the newer one is kept. It reports whether that was done. Whoever
// changed the configuration meanwhile finds it below slots/<newer version>.
func (m *Machine) Booted() (back bool, err error) {
	name := filepath.Join(m.Work, "booted")
	last, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if v, err := bundle.ParseVersion(string(last)); err == nil && v.Compare(m.Running) > 0 {
		newer := *m
		newer.Running = v
		if back, err = m.restore(&newer); err == nil {
			err = m.wentBack(v)
		}
		if err != nil {
			return false, err // "booted" still says that the newer one ran: the next boot tries again
		}
	}
	return back, durable.WriteFile(name, []byte(m.Running), 0o600)
}

// WentBack is a file in the folder of the configuration that tells the daemon that a newer version, whose name it holds, ran before this one.
// The daemon has its stores in the form that it knows then, and removes it.
const WentBack = "went-back"

// wentBack leaves that file.
func (m *Machine) wentBack(from bundle.Version) error {
	if m.Config == "" {
		return nil
	}
	root, err := os.OpenRoot(m.Config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing ran with it
	}
	if err != nil {
		return err
	}
	defer root.Close()
	return putBack(root, WentBack, []byte(from))
}

func (m *Machine) restore(newer *Machine) (bool, error) {
	dir := m.slots(m.Running)
	text, err := os.ReadFile(filepath.Join(dir, "snapshot.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var s snapshot
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return false, fmt.Errorf("the configuration of version %s that was kept cannot be read: %w", m.Running, err)
	}
	texts := map[string][]byte{}
	for name, want := range s.Files {
		text, err := os.ReadFile(filepath.Join(dir, flat(name)))
		if err != nil {
			return false, err
		}
		if sum(text) != want {
			return false, fmt.Errorf("%s: the configuration of version %s that was kept is damaged", name, m.Running)
		}
		texts[name] = text
	}
	if _, err := os.Stat(filepath.Join(newer.slots(newer.Running), "snapshot.json")); errors.Is(err, fs.ErrNotExist) { // else by a boot that was cut off
		if err := newer.Snapshot(); err != nil {
			return false, err
		}
	}
	root, err := os.OpenRoot(m.Config)
	if err != nil {
		return false, err
	}
	defer root.Close()
	for name, text := range texts {
		if err := putBack(root, name, text); err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
	}
	gone, err := m.removeNewer(root, &s)
	return len(texts) > 0 || gone, err
}

// removeNewer removes files of folders that the snapshot has whole, and that are not in it: the newer version brought them, and its own snapshot has
// them. An older version may not know what is in them.
func (m *Machine) removeNewer(root *os.Root, s *snapshot) (gone bool, err error) {
	of := *m
	of.Files = s.Folders
	names, err := of.files(root)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if _, kept := s.Files[name]; kept {
			continue
		}
		if err := durable.Remove(root, name); err != nil {
			return gone, err
		}
		if err := syncIn(root, filepath.Dir(name)); err != nil {
			return gone, err
		}
		gone = true
	}
	return gone, nil
}

// syncIn makes what was renamed or removed in a folder last.
func syncIn(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// home is the folder that a file is put back in, which is made where it went: with the owner of the folder above it.
func home(root *os.Root, dir string) (fs.FileInfo, error) {
	info, err := root.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) || dir == "." {
		return info, err
	}
	above, err := home(root, filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	if err := root.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if owner, ok := above.Sys().(*syscall.Stat_t); ok {
		if err := root.Lchown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, err
		}
	}
	if err := syncIn(root, filepath.Dir(dir)); err != nil {
		return nil, err
	}
	return root.Stat(dir)
}

// putBack writes a file of the daemon's folder with the owner of that folder, so that it is whole, old or new.
func putBack(root *os.Root, name string, text []byte) error {
	folder, err := home(root, filepath.Dir(name))
	if err != nil {
		return err
	}
	if err := durable.Remove(root, name+durable.Half); err != nil {
		return err
	}
	f, err := root.OpenFile(name+durable.Half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if owner, ok := folder.Sys().(*syscall.Stat_t); ok {
		err = errors.Join(err, f.Chown(int(owner.Uid), int(owner.Gid)))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := root.Rename(name+durable.Half, name); err != nil {
		return err
	}
	return syncIn(root, filepath.Dir(name))
}
