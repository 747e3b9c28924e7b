package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost/internal/durable"
)

// Choices of what is in a backup besides what is always in it.
const (
	WithLog        = "log"
	WithQuarantine = "quarantine"
)

// Choices are all of them.
func Choices() []string { return []string{WithLog, WithQuarantine} }

// Folder is where backups lie that nobody wanted elsewhere, in the state folder.
const Folder = "backups"

// maxBeside bounds a file of the configuration or one that it names, in octets; those that are bigger are left out, and told.
const maxBeside = 64 << 20

// Plan is what is backed up.
type Plan struct {
	Version, Host string
	State         string   // the state folder
	Config        string   // the folder of the documents
	Named         []string // files that the documents name
	Without       []string // folders that are not gone into: the spool and the like, wherever they lie
	With          []string // of Choices
	Elsewhere     []string // what is kept elsewhere, for the manifest
	// Snapshot copies a database as it is at one moment into a new file, while others write to it, and returns the numbers of its
	// migrations.
	Snapshot func(ctx context.Context, from, to string) (schema []int, err error)
}

// source is a file that becomes a member.
type source struct {
	member string
	path   string
	data   bool // a database
	may    bool // it may be too big or unreadable: then it is left out and told
}

// keptAside reports a name of the state folder that is never in a backup, and that a restore leaves where it is: it belongs to
// the machine and the moment. What begins a name with a point is ours while a backup is made.
func keptAside(name string) bool {
	switch name {
	case "lock", "control.sock", "addresses.json", "tmp", "spool", "reset.json", Folder, markerName: // reset.json: a restore of it would erase what it restored
		return true
	}
	return strings.HasPrefix(name, beforePrefix) || strings.HasPrefix(name, newPrefix) || strings.HasPrefix(name, ".")
}

// passing reports a file that is half written, a database's own beside it, or what was set aside for a human.
func passing(name string) bool {
	for _, tail := range [...]string{durable.Half, ".copying", "-wal", "-shm", "-journal", ".damaged"} {
		if strings.HasSuffix(name, tail) {
			return true
		}
	}
	return strings.Contains(name, ".db.copy-") || strings.Contains(name, ".db.newer-") || strings.Contains(name, ".damaged.")
}

// sources lists what becomes a member, in the order of names.
func (p *Plan) sources() (all []source, left []string, err error) {
	state, err := whole(p.State)
	if err != nil {
		return nil, nil, fmt.Errorf("backup: state folder: %w", err)
	}
	without := slices.Clone(p.Without)
	for choice, name := range map[string]string{WithLog: "log", WithQuarantine: "vault"} {
		if !slices.Contains(p.With, choice) {
			without = append(without, filepath.Join(state, name))
		}
	}
	without = append(without, filepath.Join(state, "quarantine.db")) // an index, which is made anew
	w := &walker{seen: map[string]bool{}}
	for _, name := range without {
		if name, err := whole(name); err == nil { // else it is not there
			w.without = append(w.without, name)
		}
	}
	if err := w.folder(state, inState, false); err != nil {
		return nil, nil, err
	}
	w.without = append(w.without, state) // it may lie in the folder of the documents
	if config, err := whole(p.Config); p.Config != "" && err == nil && !w.holds(config) {
		if err := w.folder(config, inConfig, true); err != nil {
			return nil, nil, err
		}
	}
	for _, name := range p.Named {
		real, err := whole(name)
		if name == "" || err != nil || w.holds(real) { // one that is not there is told by check
			continue
		}
		at, err := filepath.Abs(name)
		if err != nil {
			return nil, nil, fmt.Errorf("backup: %w", err)
		}
		if !w.holds(filepath.Dir(at)) {
			w.add(source{member: inFiles + strings.TrimPrefix(at, "/"), path: real, may: true})
		}
	}
	slices.Sort(w.left)
	return w.all, w.left, nil
}

// walker collects files.
type walker struct {
	all     []source
	left    []string
	seen    map[string]bool // paths and folders that are in it
	without []string
}

// whole is a path from the root, without links.
func whole(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// holds reports whether a whole path is in it, or below a folder that was walked.
func (w *walker) holds(path string) bool {
	for ; path != "/"; path = filepath.Dir(path) {
		if w.seen[path] {
			return true
		}
	}
	return false
}

func (w *walker) add(s source) {
	if w.seen[s.path] {
		return
	}
	w.seen[s.path] = true
	w.all = append(w.all, s)
}

// folder adds the files below a folder. may: of one that cannot be read, it is told and left out.
func (w *walker) folder(root, in string, may bool) error {
	w.seen[root] = true
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(root, path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != root: // it went meanwhile
			return nil
		case err != nil && may && path != root:
			w.left = append(w.left, in+rel+": "+reason(err))
			return skip(d)
		case err != nil:
			return fmt.Errorf("backup: %w", err)
		case relErr != nil:
			return relErr
		case rel == ".":
			return nil
		case in == inState && !strings.ContainsRune(rel, '/') && keptAside(rel), w.leftOut(path):
			return skip(d)
		case d.IsDir() || passing(d.Name()):
			return nil
		}
		info, err := os.Stat(path) // of what a link leads to
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		switch {
		case info.Mode().IsRegular():
			w.add(source{member: in + rel, path: path, data: in == inState && strings.HasSuffix(rel, ".db"), may: may})
		case info.IsDir():
			w.left = append(w.left, in+rel+": a link to a folder")
		}
		return nil
	})
}

func (w *walker) leftOut(path string) bool { return slices.Contains(w.without, path) }

// skip goes on behind an entry.
func skip(d fs.DirEntry) error {
	if d != nil && d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// reason is an error without its path.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
