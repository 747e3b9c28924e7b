package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatepost/internal/durable"
)

// Bounds of the files that gatepost.toml names.
const (
	MaxFile  = 64 << 10 // octets of each
	MaxFiles = 100
	maxName  = 64
)

// filesName is their folder, below Folder.
const filesName = "files"

// ErrNoFile says that there is no file of a name.
var ErrNoFile = errors.New("there is no file of that name")

// ErrMany says that there are as many as are kept.
var ErrMany = fmt.Errorf("there are %d files, which is the most that is kept: remove one", MaxFiles)

// File is one of them, without what is in it.
type File struct {
	Name   string
	Octets int64
	Time   time.Time // when it was put there
	Sum    string    // SHA-256, in hexadecimal digits
}

// Path is where a file of a name is found, as gatepost.toml names it; of no name the folder, with a slash at its end.
func (m *Machine) Path(name string) string { return filepath.Join(m.Folder, filesName) + "/" + name }

// CheckName says what is wrong with a name.
func CheckName(name string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	}
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, bad) || name[0] == '.' {
		return fmt.Errorf("the name %.80q cannot be: write 1 to %d of A-Z a-z 0-9 . _ - and begin with no dot", name, maxName)
	}
	// Backups and snapshots leave out what has the name of a file that is half written, or copy it as a database.
	for _, tail := range [...]string{durable.Half, ".db", "-wal", "-shm", "-journal", ".copying", ".damaged"} {
		if strings.HasSuffix(name, tail) {
			return fmt.Errorf("the name %q cannot be: a backup would not have the file, for it ends in %s", name, tail)
		}
	}
	if strings.Contains(name, ".db.") || strings.Contains(name, ".damaged.") {
		return fmt.Errorf("the name %q cannot be: a backup would not have the file, for it has .db. or .damaged. in it", name)
	}
	return nil
}

// PutFile keeps a file under a name, in place of one that has it. At its return it lasts.
func (m *Machine) PutFile(name string, text []byte) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if len(text) > MaxFile {
		return fmt.Errorf("the file has more than %d octets, which is the most that is taken", MaxFile)
	}
	dir := filepath.Join(m.Folder, filesName)
	for _, d := range [...]string{m.Folder, dir} {
		if err := m.folder(d); err != nil {
			return err
		}
	}
	all, err := m.names()
	if err != nil {
		return err
	}
	if len(all) >= MaxFiles && !plain(m.Path(name)) {
		return ErrMany
	}
	return m.put(dir, name, text)
}

// names are those of the files, in their order.
func (m *Machine) names() (out []string, err error) {
	entries, err := os.ReadDir(filepath.Join(m.Folder, filesName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && CheckName(e.Name()) == nil {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// Files lists them by their names.
func (m *Machine) Files() (out []File, err error) {
	names, err := m.names()
	if err != nil {
		return nil, err
	}
	for _, name := range names[:min(len(names), 2*MaxFiles)] {
		f, err := m.look(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *f)
	}
	return out, nil
}

func (m *Machine) look(name string) (*File, error) {
	f, err := os.OpenFile(m.Path(name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, 64*MaxFile)) // a restore may have brought a larger one
	return &File{Name: name, Octets: n, Time: info.ModTime(), Sum: hex.EncodeToString(h.Sum(nil))}, err
}

// RemoveFile removes one for good. The error is ErrNoFile where there is none.
func (m *Machine) RemoveFile(name string) error {
	if CheckName(name) != nil {
		return ErrNoFile
	}
	err := m.os().Remove(m.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoFile
	}
	if err != nil {
		return err
	}
	return m.os().SyncDir(filepath.Join(m.Folder, filesName))
}
