package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/internal/durable"
)

// Names in the state folder while something is put in its place.
const (
	markerName   = "restore.json"
	newPrefix    = "restore-" // the folder with what comes
	beforePrefix = "before-"  // the folder with what was there
	restoredName = "restored" // files that belong elsewhere, for a human
)

// reserve is how many octets a restore leaves free.
const reserve = 64 << 20

// Target is where a backup is put. Whoever restores has the lock of the state folder: no daemon runs with it.
type Target struct {
	State  string
	Config string // the folder of the documents
	// KeepConfig leaves the documents as they are: those of the backup are put below restored/ of the state folder.
	KeepConfig bool
	Known      Known
	// Step is called before each change of what lasts, with what it is; tests are cut off there. nil: nobody.
	Step func(what string)
}

// Result is what a restore came to.
type Result struct {
	Manifest *Manifest
	Before   string // the folder with what was there
	Restored string // the folder with files that belong elsewhere and that nobody put there; "": there are none
	// VaultAside says that quarantined mail lies in Before: it was encrypted to other keys than those of the backup.
	VaultAside bool

	state string
}

// Restore checks a backup from beginning to end, writes it into a new folder while checking it again, and then puts it in the place of
// what is there. Until then nothing of that is touched. open opens the file anew, at its beginning.
func (t *Target) Restore(ctx context.Context, open func() (io.ReadCloser, error), key Key) (*Result, error) {
	out, err := t.Stage(ctx, open, key)
	if err != nil {
		return nil, err
	}
	_, err = resume(out.state, t.Step)
	return out, err
}

// Stage is Restore up to the moment from which on the backup stands: what is there is moved away, and what came moved in, by Resume. A
// daemon that is to end stages its own: it may go on with what is there until then, and is to call Resume before it begins anew.
func (t *Target) Stage(ctx context.Context, open func() (io.ReadCloser, error), key Key) (*Result, error) {
	state, err := whole(t.State)
	if err != nil {
		return nil, fmt.Errorf("restore: state folder: %w", err)
	}
	config := t.Config
	if config != "" {
		if real, err := whole(config); err == nil {
			config = real
		} else if config, err = filepath.Abs(config); err != nil { // one that is not there is made
			return nil, fmt.Errorf("restore: folder of the documents: %w", err)
		}
	}
	if _, err := Resume(state); err != nil { // one that was cut off
		return nil, err
	}
	if err := sweep(state, newPrefix); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	m, err := reading(open, func(r io.Reader) (*Manifest, error) { return Verify(ctx, r, key, t.Known) })
	if err != nil {
		return nil, err
	}
	if err := room(state, m); err != nil {
		return nil, err
	}
	s := &stage{target: t, state: state, config: config, marker: marker{ID: time.Now().UTC().Format("20060102T150405.000Z"), Phase: phaseAside}}
	if err := s.prepare(ctx, open, key, m); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder()))
	}
	out := &Result{state: state, Manifest: m, Before: filepath.Join(state, beforePrefix+s.marker.ID)}
	s.keep(out)
	if _, err := os.Lstat(s.path("new", restoredName)); err == nil {
		out.Restored = filepath.Join(state, restoredName)
	}
	if err := s.commit(); err != nil {
		return nil, err
	}
	return out, nil
}

func reading(open func() (io.ReadCloser, error), do func(io.Reader) (*Manifest, error)) (*Manifest, error) {
	f, err := open()
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	defer f.Close()
	return do(f)
}

// room refuses what does not fit before its first octet is written.
func room(state string, m *Manifest) error {
	left, err := durable.RoomOf(state)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if need := m.Octets() + int64(len(m.Members))*4096 + reserve; left.Octets < need {
		return fmt.Errorf("restore: %s has %d MiB free, and %d MiB are needed: make room; nothing was changed", state, left.Octets>>20, need>>20)
	}
	return nil
}

// stage is a restore that is being prepared.
type stage struct {
	target *Target
	state  string // both whole
	config string
	marker marker
	made   map[string]bool
}

func (s *stage) folder() string { return filepath.Join(s.state, newPrefix+s.marker.ID) }

func (s *stage) path(parts ...string) string {
	return filepath.Join(append([]string{s.folder()}, parts...)...)
}

func (s *stage) step(what string) {
	if s.target.Step != nil {
		s.target.Step(what)
	}
}

// prepare writes all files of the backup into the new folder, and flushes them.
func (s *stage) prepare(ctx context.Context, open func() (io.ReadCloser, error), key Key, checked *Manifest) error {
	s.made = map[string]bool{s.state: true}
	s.step("folder")
	for _, name := range [...]string{"new", "config"} {
		if err := s.mkdir(s.path(name)); err != nil {
			return err
		}
	}
	m, err := reading(open, func(r io.Reader) (*Manifest, error) { return walk(ctx, r, key, s.target.Known, s.create) })
	if err != nil {
		return err
	}
	if !m.Time.Equal(checked.Time) || m.Octets() != checked.Octets() || len(m.Members) != len(checked.Members) {
		return errors.New("restore: the file was changed while it was read; nothing was changed")
	}
	s.step("flush")
	if err := durable.SyncAll(s.folder()); err != nil {
		return fmt.Errorf("restore: flush: %w", err)
	}
	return nil
}

// create makes the file of a member in the new folder.
func (s *stage) create(h *tar.Header) (io.WriteCloser, error) {
	path := s.placeOf(h.Name)
	if err := s.mkdir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	s.step("file " + h.Name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(h.Mode).Perm()&0o750|0o600)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if err := s.give(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// placeOf is where in the new folder a member goes. Its name was looked at.
func (s *stage) placeOf(member string) string {
	if rest, ok := strings.CutPrefix(member, inState); ok {
		return s.path("new", rest)
	}
	if rest, ok := strings.CutPrefix(member, inConfig); ok && !s.target.KeepConfig {
		if within, err := filepath.Rel(s.state, s.config); err == nil && filepath.IsLocal(within) && within != "." {
			return s.path("new", within, rest)
		}
		if s.config != "" {
			s.marker.Config = s.config
			return s.path("config", rest)
		}
	}
	return s.path("new", restoredName, member)
}

func (s *stage) mkdir(path string) error {
	if s.made[path] {
		return nil
	}
	if err := s.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("restore: %w", err)
	}
	s.made[path] = true
	return s.give(path)
}

// give gives a file of ours to the owner of the state folder.
func (s *stage) give(path string) error {
	if err := Give(path, s.state); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// keep notes what stays where it is: what the backup does not carry. Quarantined mail stays where the keys stay the same.
func (s *stage) keep(out *Result) {
	if !s.comes("log") {
		s.marker.Keep = append(s.marker.Keep, "log")
	}
	if s.comes("vault") {
		return
	}
	key := filepath.Join("keys", "vault.key")
	old, oldErr := os.ReadFile(filepath.Join(s.state, key))
	now, nowErr := os.ReadFile(s.path("new", key))
	if bytes.Equal(old, now) && errors.Is(oldErr, fs.ErrNotExist) == errors.Is(nowErr, fs.ErrNotExist) {
		s.marker.Keep = append(s.marker.Keep, "vault", "quarantine.db")
		return
	}
	_, err := os.Lstat(filepath.Join(s.state, "vault"))
	out.VaultAside = err == nil
}

func (s *stage) comes(name string) bool {
	_, err := os.Lstat(s.path("new", name))
	return err == nil
}

// commit is the moment from which on the new state stands, whatever comes.
func (s *stage) commit() error {
	s.step("commit")
	if err := s.marker.write(s.state); err != nil {
		return errors.Join(fmt.Errorf("restore: %w", err), os.RemoveAll(s.folder()))
	}
	return nil
}
