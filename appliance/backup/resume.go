package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gatepost/internal/durable"
)

// The phases of putting something in the place of a state. Each may be begun again.
const (
	phaseAside  = "aside"  // what stands is moved away
	phaseIn     = "in"     // what comes is moved in
	phaseConfig = "config" // the documents, in their folder
)

// marker says that a restore is under way, and how far it is.
type marker struct {
	ID     string   `json:"id"`
	Phase  string   `json:"phase"`
	Keep   []string `json:"keep,omitempty"`   // names in the state folder that stay
	Config string   `json:"config,omitempty"` // the folder of the documents, where they are replaced
}

// write puts the marker in place, on disk.
func (m *marker) write(state string) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(state, markerName), append(data, '\n'), 0o600)
}

// Pending reports whether a restore was cut off, and has to be brought to its end by Resume before the state is used.
func Pending(state string) bool {
	_, err := os.Lstat(filepath.Join(state, markerName))
	return err == nil
}

// Resume brings a restore to its end that was cut off after it had begun to replace what stands. It reports whether there was one. The caller
// has the lock of the state folder.
func Resume(state string) (bool, error) { return resume(state, nil) }

func resume(state string, step func(string)) (bool, error) {
	data, err := os.ReadFile(filepath.Join(state, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("restore: %w", err)
	}
	s := &swap{state: state, step: step}
	if err := json.Unmarshal(data, &s.marker); err != nil || s.ID == "" || strings.ContainsRune(s.ID, '/') {
		return true, fmt.Errorf("restore: %s cannot be read: it was not written by a restore", filepath.Join(state, markerName))
	}
	if step == nil {
		s.step = func(string) {}
	}
	if err := s.run(); err != nil {
		return true, fmt.Errorf("restore: it was begun and is not at its end (gatepost backup resume goes on): %w", err)
	}
	return true, nil
}

// swap replaces what stands by what comes.
type swap struct {
	marker
	state string
	step  func(string)
}

func (s *swap) before() string { return filepath.Join(s.state, beforePrefix+s.ID) }

func (s *swap) coming(name string) string { return filepath.Join(s.state, newPrefix+s.ID, name) }

func (s *swap) run() error {
	if s.Phase == phaseAside {
		if err := s.aside(); err != nil {
			return err
		}
		if err := s.next(phaseIn); err != nil {
			return err
		}
	}
	if s.Phase == phaseIn {
		if err := s.in(); err != nil {
			return err
		}
		if err := s.next(phaseConfig); err != nil {
			return err
		}
	}
	if err := s.documents(); err != nil {
		return err
	}
	s.step("done")
	if err := durable.Remove(durable.Real{}, filepath.Join(s.state, markerName)); err != nil {
		return err
	}
	if err := durable.SyncFolder(s.state); err != nil {
		return err
	}
	s.step("sweep")
	return os.RemoveAll(s.coming(""))
}

func (s *swap) next(phase string) error {
	s.step("phase " + phase)
	s.Phase = phase
	return s.write(s.state)
}

// aside moves what stands into the folder of what was there.
func (s *swap) aside() error {
	s.step("before")
	if err := (durable.Real{}).Mkdir(s.before()); err != nil {
		return err
	}
	if err := Give(s.before(), s.state); err != nil {
		return err
	}
	all, err := os.ReadDir(s.state)
	if err != nil {
		return err
	}
	for _, e := range all {
		if keptAside(e.Name()) || slices.Contains(s.Keep, e.Name()) {
			continue
		}
		s.step("aside " + e.Name())
		if err := os.Rename(filepath.Join(s.state, e.Name()), filepath.Join(s.before(), e.Name())); err != nil {
			return err
		}
	}
	return errors.Join(durable.SyncFolder(s.before()), durable.SyncFolder(s.state))
}

// in moves in what comes.
func (s *swap) in() error {
	all, err := os.ReadDir(s.coming("new"))
	if err != nil {
		return err
	}
	for _, e := range all {
		s.step("in " + e.Name())
		if err := os.Rename(filepath.Join(s.coming("new"), e.Name()), filepath.Join(s.state, e.Name())); err != nil {
			return err
		}
	}
	return durable.SyncFolder(s.state)
}

// documents puts the documents into their folder, and keeps those that were there. They are few and small, and replaced one by one: whoever
// starts the daemon in between goes on here first.
func (s *swap) documents() error {
	if s.Config == "" {
		return nil
	}
	from := s.coming("config")
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == from {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.Join(s.Config, rel)
		if d.IsDir() {
			return s.folder(to)
		}
		s.step("document " + rel)
		return s.document(path, to, filepath.Join(s.before(), "config", rel))
	})
}

// folder makes a folder of the configuration that is not there, for its owner and his group. Its name is on disk before what goes into it.
func (s *swap) folder(name string) error {
	err := os.Mkdir(name, 0o750)
	if err == nil {
		err = ownedLike(name, s.state, true)
	} else if errors.Is(err, fs.ErrExist) { // perhaps by a try that was cut off
		err = nil
	}
	return errors.Join(err, durable.SyncFolder(filepath.Dir(name)))
}

// document replaces one, after what was there was put aside. It keeps the owner and mode of what was there; a new one can be read by the
// group of the state folder, which is the daemon's.
func (s *swap) document(from, to, aside string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	owner, mode := s.state, fs.FileMode(0o640)
	old, err := os.ReadFile(to)
	switch {
	case err == nil:
		if err := keepOld(aside, old); err != nil {
			return err
		}
		info, err := os.Stat(to)
		if err != nil {
			return err
		}
		owner, mode = to, info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return put(to, data, mode, owner)
}

// keepOld keeps what a document was, once.
func keepOld(name string, data []byte) error {
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(name, data, 0o600)
}

// put is durable.WriteFile of a file that has its owner and mode before it has its name.
func put(name string, data []byte, mode fs.FileMode, like string) error {
	return durable.Write(name, 0o600, func(f *os.File) error {
		_, err := f.Write(data)
		return errors.Join(err, f.Chmod(mode), ownedLike(f.Name(), like, true))
	})
}

// Give gives a file or folder that root made in a state folder to the owner of that, who is the daemon's user. For others it does nothing.
func Give(name, state string) error { return ownedLike(name, state, false) }

// ownedLike gives a file to the owner and group of another, where we may. Of a folder the group alone counts, if asked: root stays the owner of
// documents.
func ownedLike(name, like string, groupOfFolder bool) error {
	info, err := os.Stat(like)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	uid := int(st.Uid)
	if groupOfFolder && info.IsDir() {
		uid = -1
	}
	return os.Lchown(name, uid, int(st.Gid))
}
